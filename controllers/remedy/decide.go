package remedy

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/govern"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

// verdict is what is made of a report.
type verdict struct {
	// judgement is nil when no policy governs a container of the pod and nothing was ever done in it.
	judgement *v1alpha1.Judgement
	// conditions are Triggered and Alerting; none when no policy ever governed a container of the pod.
	conditions []metav1.Condition
	// act is what is to be done now; nil when nothing is.
	act *act
	// focus is the container that the judgement is about; nil when no policy governs one.
	focus *ruled
	// stopped are the containers in which a trigger held by the report, and holds no more.
	stopped []ledger.Target
	// cancel says that the pod's act under way is not wanted any more.
	cancel bool
	// checkAgainAfter is when time alone will change the verdict; zero when it will not.
	checkAgainAfter time.Duration
}

// act is a rung to be taken: what goes into the ledger first, and then the remediations.
type act struct {
	unit         ledger.Unit
	position     ledger.Position
	remediations []v1alpha1.ZombieRemediationSpec
}

// ruled is a container and what the rules made of it.
type ruled struct {
	situation

	step step
}

// decide judges a report by the policies that govern its containers. One container of the pod comes first: that in which
// something is done or may be; of equals that of before, else that with most zombies.
func decide(f facts, now time.Time) verdict {
	var containers []ruled
	for _, c := range observedContainers(f.report) {
		if ruling, ok := f.rulings[c.Name]; ok {
			s := newSituation(f, c, ruling, now)
			containers = append(containers, ruled{situation: s, step: nextStep(s, now)})
		}
	}
	v := verdict{cancel: unwanted(f, containers, now), judgement: &v1alpha1.Judgement{}}
	if len(containers) > 0 {
		focus := slices.MinFunc(containers, func(a, b ruled) int {
			return cmp.Or(cmp.Compare(a.step.urgency, b.step.urgency), cmp.Compare(a.newness(), b.newness()))
		})
		v.focus, v.act, v.judgement = &focus, focus.step.act, focus.judgement()
	}
	for _, c := range containers {
		if !c.since.IsZero() {
			held := v1alpha1.TriggeredContainer{Name: c.container.Name, Since: metav1.NewTime(c.since)}
			v.judgement.Triggered = append(v.judgement.Triggered, held)
		}
		v.checkAgainAfter = sooner(v.checkAgainAfter, c.step.checkAgainAfter)
	}
	unknown := f.heldUnseen()
	v.judgement.Triggered = append(v.judgement.Triggered, unknown[:min(len(unknown), maxTriggered-len(v.judgement.Triggered))]...)
	v.stopped = stopped(f, v.judgement.Triggered)
	var again time.Duration
	v.judgement.LastAct, again = lastAct(f, v.judgement.Triggered, now)
	v.checkAgainAfter = sooner(v.checkAgainAfter, again)
	if v.focus == nil && v.judgement.LastAct == nil && len(v.judgement.Triggered) == 0 {
		v.judgement = nil
	}
	if v.judgement != nil || wasJudged(f.report) {
		v.conditions = []metav1.Condition{
			transition(f.report, triggeredCondition(f.report, containers, unknown), now),
			transition(f.report, alertingCondition(f, containers, unknown), now),
		}
	}
	return v
}

// newness is 0 for the container that the report's judgement is about: without need it stays with it.
func (r ruled) newness() int {
	if j := r.report.Status.Judgement; j != nil && j.Container == r.container.Name {
		return 0
	}
	return 1
}

// stopped are the containers in which a trigger held by the report, and holds no more.
func stopped(f facts, triggered []v1alpha1.TriggeredContainer) []ledger.Target {
	var targets []ledger.Target
	for _, name := range triggeredNames(f.report) {
		holds := slices.ContainsFunc(triggered, func(t v1alpha1.TriggeredContainer) bool { return t.Name == name })
		if !holds && !f.unseen(name) {
			targets = append(targets, ledger.Target{PodUID: f.report.Spec.PodUID, Container: string(name)})
		}
	}
	return targets
}

// maxTriggered is how many containers a judgement has room for, by MaxItems of its field.
const maxTriggered = 2

// heldUnseen are the governed containers in which a trigger held by the report, and of which it says nothing now.
func (f facts) heldUnseen() []v1alpha1.TriggeredContainer {
	if f.report.Status.Judgement == nil {
		return nil
	}
	var held []v1alpha1.TriggeredContainer
	for _, t := range f.report.Status.Judgement.Triggered {
		if _, governed := f.rulings[t.Name]; governed && f.unseen(t.Name) {
			held = append(held, t)
		}
	}
	return held
}

// triggeredNames are the containers in which a trigger holds by the report.
func triggeredNames(report *v1alpha1.ZombieReport) []v1alpha1.ContainerName {
	if report.Status.Judgement == nil {
		return nil
	}
	var names []v1alpha1.ContainerName
	for _, held := range report.Status.Judgement.Triggered {
		names = append(names, held.Name)
	}
	return names
}

// wasJudged is whether a report carries conditions that a policy brought; they stay, and turn False.
func wasJudged(report *v1alpha1.ZombieReport) bool {
	return meta.FindStatusCondition(report.Status.Conditions, v1alpha1.ConditionTriggered) != nil
}

// policy is the policy that governs the container in focus; nil when none does.
func (v verdict) policy() runtime.Object {
	if v.focus == nil {
		return nil
	}
	return v.focus.ruling.Object
}

// unseen is whether a container may be one of those that the report has no room for: nothing is known of it then.
func (f facts) unseen(container v1alpha1.ContainerName) bool {
	o := f.report.Status.Observed
	return o != nil && o.ContainersOmitted > 0 &&
		!slices.ContainsFunc(o.Containers, func(c v1alpha1.ContainerObservation) bool { return c.Name == container })
}

func observedContainers(report *v1alpha1.ZombieReport) []v1alpha1.ContainerObservation {
	if report.Status.Observed == nil {
		return nil
	}
	return report.Status.Observed.Containers
}

// unwanted is whether the act on the pod that is under way would not be decided again: its policy is gone, changed or
// may not act any more, people opted out, or the leak is over.
func unwanted(f facts, containers []ruled, now time.Time) bool {
	unit := f.book.Unit(f.report.Spec.PodUID)
	if unit == nil || f.pod == nil {
		return false // there is none, or its agent will find no target
	}
	for _, c := range containers {
		if string(c.container.Name) == unit.Container {
			return c.since.IsZero() || f.disallows(unit.Target, c.ruling, now)
		}
	}
	if name := v1alpha1.ContainerName(unit.Container); f.unseen(name) {
		ruling, governed := f.rulings[name]
		return !governed || f.disallows(unit.Target, ruling, now)
	}
	return f.report.Status.Observed != nil // without zombies, or nothing governs it
}

// disallows is whether an act that was decided may not be done any more, whether the container leaks or not.
func (f facts) disallows(target ledger.Target, ruling govern.Ruling, now time.Time) bool {
	return ruling.Mode != v1alpha1.ModeEnforce || f.book.Position(target).Policy != policyMark(ruling) ||
		optedOut(situation{facts: f}, now) != nil
}

func (r ruled) judgement() *v1alpha1.Judgement {
	reference := r.ruling.Reference
	return &v1alpha1.Judgement{
		Container: r.container.Name,
		Policy:    &reference,
		Next: &v1alpha1.NextStep{
			Action:  r.step.action,
			Mode:    r.ruling.Mode,
			Reason:  r.step.reason,
			Doing:   r.step.doing(),
			Message: cut(r.step.message, maxMessage),
		},
	}
}

// doing is the step for a table.
func (s step) doing() string {
	switch s.reason {
	case ReasonActing, ReasonAlerting:
		return s.word
	case ReasonDryRun:
		return string(v1alpha1.ModeDryRun) + ":" + s.word
	}
	return s.reason
}

// maxMessage is how long the message of a next step may be; the tests hold it against the CRD.
const maxMessage = 256

func cut(s string, most int) string { return s[:min(len(s), most)] }

// sooner is the shorter of two durations of which zero means never.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}
