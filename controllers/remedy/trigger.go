package remedy

import (
	"fmt"
	"strings"
	"time"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// zombieShare: PIDs that are used up are a leak of zombies where these are a tenth of the use; else more processes are. So it is with
// those that are yet to be used: the births of the container must take a tenth of them.
const zombieShare = 10

// isOld is whether a real part of the container's zombies has the age that a trigger counts. A parent that waits now and then never
// lets them get so old, however many PIDs they hold meanwhile.
func isOld(t v1alpha1.Trigger, c v1alpha1.ContainerObservation) bool {
	old := int64(zombiesOfAge(c, t))
	return old > 0 && old*zombieShare >= int64(c.Zombies)
}

// holds says which part of a trigger a container meets at a time, by the reason of the condition Triggered; "" when none. A part
// that is not set, and one of which the report knows nothing, is not met.
func holds(t v1alpha1.Trigger, c v1alpha1.ContainerObservation, now time.Time) string {
	switch left, foreseen := untilNear(t, c, now); {
	case t.Zombies > 0 && zombiesOfAge(c, t) >= t.Zombies:
		return ReasonZombiesReached
	case t.PIDUsagePercent > 0 && usesPIDs(t, c):
		return ReasonPIDUsageReached
	case foreseen && left <= 0:
		return ReasonExhaustionNear
	}
	return ""
}

// zombiesOfAge is how many zombies a container has of the age that a trigger counts.
func zombiesOfAge(c v1alpha1.ContainerObservation, t v1alpha1.Trigger) int32 {
	for _, line := range c.Ages {
		if line.MinAgeSeconds == t.MinAgeSeconds {
			return line.Zombies
		}
	}
	return 0
}

// usesPIDs is whether as much of the limit is used as a trigger wants, by zombies of the container to a real part, some of them old.
func usesPIDs(t v1alpha1.Trigger, c v1alpha1.ContainerObservation) bool {
	return isOld(t, c) && c.PIDs != nil && c.PIDs.UsedPercent >= t.PIDUsagePercent && zombiesMatter(c)
}

// zombiesMatter is whether the container's zombies are a real part of the PIDs in use.
func zombiesMatter(c v1alpha1.ContainerObservation) bool {
	return int64(c.Zombies)*zombieShare >= int64(c.PIDs.Used)
}

// untilNear is after what time the forecast of exhaustion is as near as a trigger wants, by zombies of the container to a real part;
// not above zero when it is. It is false where the trigger does not ask for it, where there is no forecast, where no zombie gets old, and
// where others than this container use up the PIDs: the limit may be the node's, and then every container on it has the same forecast.
func untilNear(t v1alpha1.Trigger, c v1alpha1.ContainerObservation, now time.Time) (time.Duration, bool) {
	if t.ExhaustionWithinSeconds == 0 || c.ExhaustionTime == nil || c.PIDs == nil || !isOld(t, c) {
		return 0, false
	}
	within := time.Duration(t.ExhaustionWithinSeconds) * time.Second
	end := c.ExhaustionTime.Sub(now)
	free := int64(c.PIDs.Limit) - int64(c.PIDs.Used)
	switch {
	case free > 0 && c.Births == nil:
		return 0, false
	case free > 0 && c.PIDs.LimitedBy == v1alpha1.PIDLimitContainer && c.Births.PerHour > 0:
		return end - within, true // nobody else fills that limit
	case free > 0 && end > 0 && float64(c.Births.PerHour)*min(end, within).Hours()*zombieShare >= float64(free):
		return end - within, true
	case !zombiesMatter(c):
		return 0, false
	case free > 0:
		return end, true // when the moment has come what there is counts, and not what is yet to be born
	}
	return end - within, true
}

// triggerSentence says what the trigger wants and what there is: of the part that holds or, when none does, of all that are set.
// It names times and no spans, so that it stays the same while nothing changes.
func (s situation) triggerSentence() string {
	var has, wants []string
	t, c := s.ruling.Spec.Trigger, s.container
	told := func(reason string, set int32) bool { return set > 0 && (s.held == "" || s.held == reason) }
	if told(ReasonZombiesReached, t.Zombies) {
		has = append(has, fmt.Sprintf("%d zombies that are dead for %d s or longer", zombiesOfAge(c, t), t.MinAgeSeconds))
		wants = append(wants, fmt.Sprint(t.Zombies))
	}
	if told(ReasonPIDUsageReached, t.PIDUsagePercent) {
		has = append(has, usedPIDs(c))
		wants = append(wants, fmt.Sprintf("%d %%, a tenth of it zombies", t.PIDUsagePercent))
	}
	if told(ReasonExhaustionNear, t.ExhaustionWithinSeconds) {
		end := "no forecast of their end"
		if c.ExhaustionTime != nil {
			end = "PIDs until " + clockTime(c.ExhaustionTime.Time)
		}
		has = append(has, end)
		wants = append(wants, fmt.Sprintf("an end within %d s, a tenth by its births", t.ExhaustionWithinSeconds))
	}
	if s.held == "" && t.PIDUsagePercent+t.ExhaustionWithinSeconds > 0 && !isOld(t, c) {
		has = append(has, fmt.Sprintf("hardly a zombie that is dead for %d s", t.MinAgeSeconds))
	}
	return fmt.Sprintf("Container %s has %s; policy %s wants %s, for %d s.",
		c.Name, strings.Join(has, ", "), s.ruling.Reference.Name, strings.Join(wants, " or "), int(s.heldFor()/time.Second))
}

func usedPIDs(c v1alpha1.ContainerObservation) string {
	if c.PIDs == nil {
		return "PIDs of unknown use"
	}
	return fmt.Sprintf("%d %% of its PIDs in use (%d of %d by limit %s, %d by its zombies)",
		c.PIDs.UsedPercent, c.PIDs.Used, c.PIDs.Limit, c.PIDs.LimitedBy, c.Zombies)
}
