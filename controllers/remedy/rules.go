package remedy

import (
	"fmt"
	"slices"
	"time"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// step is what is done about a container next, or why nothing is.
type step struct {
	// urgency orders the containers of a pod: the smallest number is told.
	urgency urgency
	// action is the rung that is on.
	action v1alpha1.Action
	// word is that rung for a table.
	word            string
	reason, message string
	// attempt is the number of the act that is begun or under way.
	attempt int32
	// alerts says that people are to be alerted.
	alerts bool
	// refused says that a guard or a limit stands in the way of an act, which is worth an Event.
	refused bool
	// act is what is to be done now; nil when nothing is.
	act             *act
	checkAgainAfter time.Duration
}

// urgency says which of a pod's containers is worth telling of first.
type urgency int

const (
	underWay urgency = iota
	toBeDone
	told
	waiting
	refused
	exhausted
	paused
	holding
	quiet
)

// finding is what one rule has to say; nil when nothing.
type finding struct {
	urgency         urgency
	reason, message string
	checkAgainAfter time.Duration
}

type rule func(s situation, now time.Time) *finding

// rules in the order of their priority: the first that has something to say ends the decision. Those up to notPaused say whether
// there is anything to do at all; then come the guards, the ladder, DryRun, and the limits, which only an act has to keep to.
var rules = []rule{
	actUnderWay,
	triggerHolds,
	heldLongEnough,
	notPaused,
	agentIsReady,
	reportAgreesWithPod,
	optedOut,
	notOwnNamespace,
	notStatic,
	notHostPID,
	notCritical,
	notTerminating,
	runs,
	isRestartedAlways,
	reportIsNewer,
	rungIsLeft,
	isEnforced,
	cooledDown,
	noOtherAct,
}

// nextStep says what is done about a container next.
func nextStep(s situation, now time.Time) step {
	next := step{action: s.choice.action(), word: s.choice.word(), alerts: s.choice.alerts}
	for _, ask := range rules {
		found := ask(s, now)
		if found == nil {
			continue
		}
		next.urgency, next.reason, next.message, next.checkAgainAfter = found.urgency, found.reason, found.message, found.checkAgainAfter
		break
	}
	if next.reason == "" {
		next.urgency, next.reason, next.message = toBeDone, ReasonActing, s.choice.sentence(s.container)
		next.act = s.plan(now)
		next.attempt = next.act.unit.Attempt
	}
	switch next.urgency {
	case refused:
		next.refused = true
		if o := s.choice.obstacle; s.choice.rung == nil && o != nil {
			next.action = o.action
		}
	case waiting:
		next.refused = next.reason == ReasonInFlight || next.reason == ReasonCooldown
	case underWay:
		next.action, next.word, next.attempt = v1alpha1.Action(s.unit().Action), s.unit().Word, s.unit().Attempt
		next.alerts = s.cameByAlert()
	case holding, quiet, paused:
		next.action = ""
	case toBeDone, told, exhausted:
	}
	next.alerts = next.alerts && s.ruling.Mode == v1alpha1.ModeEnforce && next.urgency < holding
	return next
}

func actUnderWay(s situation, _ time.Time) *finding {
	unit := s.unit()
	if unit == nil {
		return nil
	}
	return &finding{urgency: underWay, reason: ReasonActing, message: unit.Message}
}

// triggerHolds comes back when the forecast of exhaustion is near enough, should nothing be reported until then.
func triggerHolds(s situation, now time.Time) *finding {
	if s.held != "" {
		return nil
	}
	left, _ := untilNear(s.ruling.Spec.Trigger, s.container, now)
	return &finding{urgency: quiet, reason: ReasonNotTriggered, message: s.triggerSentence(), checkAgainAfter: left}
}

func heldLongEnough(s situation, now time.Time) *finding {
	left := s.heldFor() - now.Sub(s.since)
	if left <= 0 {
		return nil
	}
	return &finding{urgency: holding, reason: ReasonHolding, checkAgainAfter: left,
		message: s.triggerSentence() + " It has held since " + clockTime(s.since) + "."}
}

func notPaused(s situation, _ time.Time) *finding {
	switch {
	case s.ruling.Mode != v1alpha1.ModePaused:
		return nil
	case s.ruling.HeldBy != "":
		return &finding{urgency: paused, reason: ReasonPaused, message: fmt.Sprintf("ClusterZombiePolicy %s is Paused and selects this container too.", s.ruling.HeldBy)}
	}
	return &finding{urgency: paused, reason: ReasonPaused, message: fmt.Sprintf("%s %s is Paused.", s.ruling.Reference.Kind, s.ruling.Reference.Name)}
}

func agentIsReady(s situation, _ time.Time) *finding {
	if !conditionIsTrue(s.report, v1alpha1.ConditionStale) {
		return nil
	}
	return refusal(ReasonStale, "The agent of node %s is not ready: what it reported may be out of date.", s.report.Spec.NodeName)
}

func rungIsLeft(s situation, _ time.Time) *finding {
	switch o := s.choice.obstacle; {
	case s.choice.rung != nil:
		return nil
	case o != nil:
		return &finding{urgency: refused, reason: o.reason, message: o.message}
	case onlyAlerts(s.ruling.Spec.Ladder):
		if s.ruling.Mode == v1alpha1.ModeDryRun {
			return &finding{urgency: told, reason: ReasonDryRun, message: s.choice.sentence(s.container)}
		}
		return &finding{urgency: told, reason: ReasonAlerting, message: s.choice.sentence(s.container)}
	}
	fix := ""
	if len(s.container.Parents) > 0 {
		fix = " " + s.container.Parents[0].Fix
	}
	return &finding{urgency: exhausted, reason: ReasonLadderExhausted,
		message: "No rung keeps the container from leaking." + fix} // without its name, so that the whole fix fits
}

func onlyAlerts(ladder []v1alpha1.Rung) bool {
	for _, rung := range ladder {
		if rung.Action != v1alpha1.ActionAlert {
			return false
		}
	}
	return true
}

// reportIsNewer waits for the agent to report what an act left.
func reportIsNewer(s situation, now time.Time) *finding {
	left := settleTime - now.Sub(s.position.EndedAt)
	if !s.position.Await || s.position.Seen != s.seen() || left <= 0 {
		return nil
	}
	return &finding{urgency: waiting, reason: ReasonSettling, checkAgainAfter: left,
		message: fmt.Sprintf("The last act on container %s ended at %s; the agent has yet to report what is left.", s.container.Name, clockTime(s.position.EndedAt))}
}

// recheck is how often a limit that something else has to lift is asked again.
const recheck = 15 * time.Second

func noOtherAct(s situation, _ time.Time) *finding {
	other := s.book.Unit(s.report.Spec.PodUID)
	if other == nil && disruptive(s.choice.rung) {
		other = s.book.Disruptive()
	}
	switch {
	case other == nil && s.book.Full():
		return &finding{urgency: waiting, reason: ReasonInFlight, checkAgainAfter: recheck,
			message: fmt.Sprintf("%d acts are under way in the cluster, which is as many as there may be at a time.", len(s.book.Units))}
	case other == nil && slices.ContainsFunc(s.remediations, func(r v1alpha1.ZombieRemediation) bool { return !completed(&r) }):
		return &finding{urgency: waiting, reason: ReasonInFlight, checkAgainAfter: recheck,
			message: "A remediation of the pod is not completed that the ledger does not know of."}
	case other == nil:
		return nil
	}
	message := "A disruptive act is under way elsewhere in the cluster; there is one at a time."
	if other.PodUID == s.report.Spec.PodUID {
		message = fmt.Sprintf("An act on container %s of the pod is under way; there is one at a time in a pod.", other.Container)
	}
	return &finding{urgency: waiting, reason: ReasonInFlight, checkAgainAfter: recheck, message: message}
}

// cooldown is the least time between two disruptive acts on one pod.
const cooldown = 600 * time.Second

func cooledDown(s situation, now time.Time) *finding {
	last := s.book.DisruptedAt(s.report.Spec.PodUID)
	left := cooldown - now.Sub(last)
	if !disruptive(s.choice.rung) || left <= 0 {
		return nil
	}
	return &finding{urgency: waiting, reason: ReasonCooldown, checkAgainAfter: left,
		message: fmt.Sprintf("The last disruptive act on the pod was at %s; the next may be %d s later, at %s.",
			clockTime(last), int(cooldown/time.Second), clockTime(last.Add(cooldown)))}
}

// isEnforced has DryRun tell the plan instead. It comes before the limits: what is told should not change whenever something is
// done elsewhere.
func isEnforced(s situation, _ time.Time) *finding {
	if s.ruling.Mode != v1alpha1.ModeDryRun {
		return nil
	}
	return &finding{urgency: told, reason: ReasonDryRun, message: s.choice.sentence(s.container)}
}

func refusal(reason, format string, args ...any) *finding {
	return &finding{urgency: refused, reason: reason, message: fmt.Sprintf(format, args...)}
}

// forNow has a refusal asked again that rests on the status of a pod, which is not watched.
func forNow(f *finding) *finding {
	f.checkAgainAfter = recheck
	return f
}

func clockTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
