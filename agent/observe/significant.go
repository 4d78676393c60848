package observe

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/agent/headroom"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Difference is how an observation differs from the reported one.
type Difference int

const (
	// Same: not enough to be worth a write.
	Same Difference = iota
	// OtherDetails: who is blamed or for what is another, or the PIDs are less pressing than reported.
	OtherDetails
	// OtherNumbers: counts, ages or containers are others, or the PIDs are more pressing than reported.
	OtherNumbers
)

// Compare says how an observation at time now differs from the reported one. A write costs every reader of the API
// server, so numbers matter only when they cross 1, 2, 5, 10, 20, 50 and so on, or the marks of package headroom. What
// got worse is told soon; what only wobbles around a mark is told as a detail when it got better.
func Compare(reported, observed v1alpha1.Observed, now time.Time) Difference {
	a, b := byName(reported), byName(observed)
	difference := Same
	if takeTurns(reported, observed) {
		difference = compareNewcomers(a, b, now)
		a, b = common(a, b), common(b, a)
	}
	if magnitude(reported.Zombies) != magnitude(observed.Zombies) ||
		magnitude(reported.ContainersOmitted) != magnitude(observed.ContainersOmitted) ||
		!slices.EqualFunc(a, b, sameNumbers) {
		return OtherNumbers
	}
	if reported.Finding != observed.Finding {
		difference = max(difference, OtherDetails)
	}
	for i := range a { // of the same containers
		difference = max(difference, compareParents(a[i], b[i]), comparePressure(a[i], b[i], now), comparePeriods(a[i].Births, b[i].Births))
	}
	return difference
}

// takeTurns says whether other containers may be told of only because several leak alike, of which not all are told: then there
// are as many, and the one with most holds as many zombies as before, and so on.
func takeTurns(reported, observed v1alpha1.Observed) bool {
	return reported.ContainersOmitted > 0 && observed.ContainersOmitted > 0 &&
		slices.Equal(magnitudes(reported.Containers), magnitudes(observed.Containers))
}

// magnitudes are the steps of the counts of containers, sorted.
func magnitudes(containers []v1alpha1.ContainerObservation) []int {
	steps := make([]int, 0, len(containers))
	for _, c := range containers {
		steps = append(steps, magnitude(c.Zombies))
	}
	slices.Sort(steps)
	return steps
}

// compareNewcomers says what it is worth that containers are told of which were not. It can wait, unless one of them is nearer to
// having no PID left than all that the report tells of.
func compareNewcomers(reported, observed []v1alpha1.ContainerObservation, now time.Time) Difference {
	difference := Same
	for _, c := range observed {
		if isAmong(reported, c.Name) {
			continue
		}
		least := OtherNumbers
		for _, other := range reported {
			least = min(least, comparePressure(other, c, now))
		}
		difference = max(difference, OtherDetails, least)
	}
	return difference
}

// common are those of some containers that are among others.
func common(some, others []v1alpha1.ContainerObservation) []v1alpha1.ContainerObservation {
	return slices.DeleteFunc(slices.Clone(some), func(c v1alpha1.ContainerObservation) bool { return !isAmong(others, c.Name) })
}

func isAmong(containers []v1alpha1.ContainerObservation, name v1alpha1.ContainerName) bool {
	return slices.ContainsFunc(containers, func(c v1alpha1.ContainerObservation) bool { return c.Name == name })
}

func sameNumbers(a, b v1alpha1.ContainerObservation) bool {
	return a.Name == b.Name && a.ContainerID == b.ContainerID &&
		magnitude(a.Zombies) == magnitude(b.Zombies) &&
		magnitude(a.ParentsOmitted) == magnitude(b.ParentsOmitted) &&
		sameAges(a.Ages, b.Ages)
}

func sameAges(a, b []v1alpha1.AgeCount) bool {
	return slices.EqualFunc(a, b, func(a, b v1alpha1.AgeCount) bool {
		return a.MinAgeSeconds == b.MinAgeSeconds && magnitude(a.Zombies) == magnitude(b.Zombies)
	})
}

// comparePressure compares how near a container is to having no PID left.
func comparePressure(a, b v1alpha1.ContainerObservation, now time.Time) Difference {
	before, after := cmp.Or(a.PIDs, &v1alpha1.PIDs{}), cmp.Or(b.PIDs, &v1alpha1.PIDs{})
	difference := max(
		trend(headroom.Step(before.UsedPercent), headroom.Step(after.UsedPercent)),
		trend(oneIf(before.ForksFailing), oneIf(after.ForksFailing)),
		compareForecasts(a.ExhaustionTime, b.ExhaustionTime, now),
	)
	if a.PIDs != nil && b.PIDs != nil && before.LimitedBy != after.LimitedBy {
		difference = max(difference, OtherDetails)
	}
	return difference
}

// trend says what a number that grows with the trouble is worth.
func trend(before, after int) Difference {
	switch {
	case after > before:
		return OtherNumbers
	case after < before:
		return OtherDetails
	}
	return Same
}

func oneIf(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// farthest is how far ahead an exhaustion is told at all; one that is not told is at least as far.
const farthest = 365 * 24 * time.Hour

// compareForecasts compares when the PIDs will be gone. Both forecasts are seen from now, so that time that passes as
// foretold changes nothing. A forecast that is no more must go soon, as a trigger may act on it. Between two marks a forecast that leaves less than half of the time that the other does is
// another, though not urgently; below the last mark nothing is.
func compareForecasts(reported, observed *metav1.Time, now time.Time) Difference {
	before, after := forecast(reported, now), forecast(observed, now)
	near, nearer := headroom.Nearness(before, now), headroom.Nearness(after, now)
	switch {
	case near > 0 && observed == nil:
		return OtherNumbers
	case near != nearer:
		return trend(near, nearer)
	}
	short, long := min(before.Sub(now), after.Sub(now)), max(before.Sub(now), after.Sub(now))
	if long > lastMark && 2*short < long {
		return OtherDetails
	}
	return Same
}

// lastMark is the last of the marks that headroom.Nearness counts.
const lastMark = 10 * time.Minute

func forecast(exhaustion *metav1.Time, now time.Time) time.Time {
	if exhaustion == nil {
		return now.Add(farthest)
	}
	return exhaustion.Time
}

// comparePeriods compares at what distance zombies are born: one that was found names a probe. How many are born wobbles
// all the time and is worth nothing.
func comparePeriods(reported, observed *v1alpha1.Births) Difference {
	before, after := cmp.Or(reported, &v1alpha1.Births{}).PeriodSeconds, cmp.Or(observed, &v1alpha1.Births{}).PeriodSeconds
	switch {
	case before == 0 && after > 0:
		return OtherNumbers
	case before > 0 && after == 0, 10*max(before-after, after-before) > max(before, after, 10):
		return OtherDetails
	}
	return Same
}

// suspect is what identifies a parent and what it is blamed for. Its count is not part of it, nor are message and evidence, which tell what
// it does at the moment, nor the fix: it follows from these, and an agent that may read less has another one, which is none the better.
type suspect struct {
	pid        int32
	startTicks int64
	command    string
	cause      v1alpha1.Cause
	cannotHelp string
}

// compareParents compares the parents without their order, which follows from counts that change all the time, and the
// init that could be put above them. Two that cannot be told apart, such as two shims that started at once, make the
// comparison both ways necessary.
func compareParents(a, b v1alpha1.ContainerObservation) Difference {
	if a.InitInImage == b.InitInImage && len(a.Parents) == len(b.Parents) && among(a.Parents, b.Parents) && among(b.Parents, a.Parents) {
		return Same
	}
	return OtherDetails
}

// among says whether each of some parents is one of others.
func among(some, others []v1alpha1.Parent) bool {
	return !slices.ContainsFunc(some, func(p v1alpha1.Parent) bool {
		return !slices.ContainsFunc(others, func(q v1alpha1.Parent) bool { return suspectOf(p) == suspectOf(q) })
	})
}

func suspectOf(p v1alpha1.Parent) suspect {
	s := suspect{startTicks: p.StartTicks, command: p.Command, cause: p.Cause, cannotHelp: fmt.Sprint(p.CannotHelp)}
	if p.PID != nil {
		s.pid = *p.PID
	}
	return s
}

func byName(o v1alpha1.Observed) []v1alpha1.ContainerObservation {
	containers := slices.Clone(o.Containers)
	slices.SortFunc(containers, func(a, b v1alpha1.ContainerObservation) int {
		return slices.Compare([]byte(a.Name), []byte(b.Name))
	})
	return containers
}

// Step numbers the steps 0, 1, 2, 5, 10, 20, 50, 100 and so on: it is the same for counts between two steps.
func Step(n int) int {
	step, decade := 0, 1
	for {
		for _, m := range [...]int{1, 2, 5} {
			if n < m*decade {
				return step
			}
			step++
		}
		decade *= 10
	}
}

func magnitude(n int32) int { return Step(int(n)) }
