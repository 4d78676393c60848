package remedy

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// cureTime is how long no trigger may fire after a restart for the leak to count as cured.
const cureTime = time.Hour

// transition dates a condition: from now when its status is another than before.
func transition(report *v1alpha1.ZombieReport, c metav1.Condition, now time.Time) metav1.Condition {
	c.ObservedGeneration = report.Generation
	c.Message = cut(c.Message, v1alpha1.MaxConditionMessage)
	c.LastTransitionTime = metav1.NewTime(now).Rfc3339Copy()
	if old := meta.FindStatusCondition(report.Status.Conditions, c.Type); old != nil && old.Status == c.Status {
		c.LastTransitionTime = old.LastTransitionTime
	}
	return c
}

// triggeredCondition tells in which containers the trigger holds.
func triggeredCondition(containers []ruled) metav1.Condition {
	c := metav1.Condition{
		Type:    v1alpha1.ConditionTriggered,
		Status:  metav1.ConditionFalse,
		Reason:  ReasonTriggerDoesNotHold,
		Message: "The trigger of the governing policy holds in no container.",
	}
	i := slices.IndexFunc(containers, func(c ruled) bool { return !c.since.IsZero() })
	if i < 0 {
		return c
	}
	held := containers[i]
	c.Status, c.Reason = metav1.ConditionTrue, ReasonTriggerHolds
	c.Message = held.triggerSentence()
	return c
}

// triggerSentence says what the trigger wants and what there is.
func (s situation) triggerSentence() string {
	t := s.ruling.Spec.Trigger
	return fmt.Sprintf("Container %s has %d zombies that are dead for %d s or longer; policy %s wants %d, for %d s.",
		s.container.Name, zombiesOfAge(s.container, t), t.MinAgeSeconds, s.ruling.Reference.Name, t.Zombies, int(s.heldFor()/time.Second))
}

// alertingCondition tells whether people are alerted: while a trigger has held for its time, the ladder has come to an Alert, and
// the mode lets it.
func alertingCondition(report *v1alpha1.ZombieReport, containers []ruled) metav1.Condition {
	i := slices.IndexFunc(containers, func(c ruled) bool { return c.step.alerts })
	if i < 0 {
		return metav1.Condition{
			Type:    v1alpha1.ConditionAlerting,
			Status:  metav1.ConditionFalse,
			Reason:  ReasonAlertOver,
			Message: whyNoAlert(report, containers),
		}
	}
	return metav1.Condition{
		Type:    v1alpha1.ConditionAlerting,
		Status:  metav1.ConditionTrue,
		Reason:  ReasonAlertRaised,
		Message: containers[i].triggerSentence(),
	}
}

// whyNoAlert says why nobody is alerted: that a leak is over is only one of the reasons.
func whyNoAlert(report *v1alpha1.ZombieReport, containers []ruled) string {
	for _, c := range containers {
		switch {
		case c.ruling.Mode == v1alpha1.ModeDryRun && !c.since.IsZero():
			return "Mode DryRun alerts nobody."
		case c.step.urgency == paused:
			return c.step.message
		case c.step.urgency == holding:
			return "The trigger has not held for its time yet."
		case !c.since.IsZero():
			return "The ladder has not come to an Alert."
		}
	}
	switch {
	case len(containers) > 0:
		return "The trigger of the governing policy holds no more."
	case len(observedContainers(report)) > 0:
		return "No policy governs a container of the pod; it still has zombies."
	}
	return "No zombies are left in the pod."
}

// lastAct is the newest act on the pod, and when it will have to be told otherwise. A restart that cleared a container cured it when no
// trigger fired for an hour.
func lastAct(f facts, triggered []v1alpha1.TriggeredContainer, now time.Time) (*v1alpha1.LastAct, time.Duration) {
	if len(f.remediations) == 0 {
		return nil, 0
	}
	newest := slices.MaxFunc(f.remediations, func(a, b v1alpha1.ZombieRemediation) int {
		return cmp.Or(actTime(a).Compare(actTime(b)), cmp.Compare(a.Name, b.Name)) // the cache lists them in any order
	})
	last := &v1alpha1.LastAct{
		Remediation: newest.Name,
		PodName:     newest.Spec.PodName,
		Action:      v1alpha1.Action(newest.Spec.Action),
		Outcome:     newest.Status.Outcome,
		Time:        metav1.NewTime(actTime(newest)),
	}
	if last.Outcome != v1alpha1.OutcomeCleared || len(triggered) > 0 || f.ungoverned(newest.Spec.ContainerName) {
		return last, 0
	}
	quietSince := metav1.NewTime(now).Rfc3339Copy() // as the report will keep it, when a trigger has just stopped to hold
	if c := meta.FindStatusCondition(f.report.Status.Conditions, v1alpha1.ConditionTriggered); c != nil && c.Status == metav1.ConditionFalse {
		quietSince = c.LastTransitionTime
	}
	left := cureTime - min(now.Sub(last.Time.Time), now.Sub(quietSince.Time))
	if left > 0 {
		return last, left
	}
	last.Outcome = v1alpha1.OutcomeCured
	return last, 0
}

// ungoverned is whether a container has zombies that no policy asks about: then that no trigger holds says nothing.
func (f facts) ungoverned(container v1alpha1.ContainerName) bool {
	_, governed := f.rulings[container]
	return !governed && slices.ContainsFunc(observedContainers(f.report), func(c v1alpha1.ContainerObservation) bool { return c.Name == container })
}

// actTime is when an act ended or, while it is under way or ended by a wrong clock before it began, was decided.
func actTime(r v1alpha1.ZombieRemediation) time.Time {
	if r.Status.CompletionTime != nil && !r.Status.CompletionTime.Before(&r.CreationTimestamp) {
		return r.Status.CompletionTime.Time
	}
	return r.CreationTimestamp.Time
}
