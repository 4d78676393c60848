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

// triggeredCondition tells in which container the trigger holds, and by its reason which part of it. It stays while all of them are
// unknown.
func triggeredCondition(report *v1alpha1.ZombieReport, containers []ruled, unknown []v1alpha1.TriggeredContainer) metav1.Condition {
	c := metav1.Condition{
		Type:    v1alpha1.ConditionTriggered,
		Status:  metav1.ConditionFalse,
		Reason:  ReasonTriggerDoesNotHold,
		Message: "The trigger of the governing policy holds in no container.",
	}
	i := slices.IndexFunc(containers, func(c ruled) bool { return !c.since.IsZero() })
	if i < 0 {
		if old := stays(report, v1alpha1.ConditionTriggered, unknown); old != nil {
			return *old
		}
		return c
	}
	c.Status, c.Reason = metav1.ConditionTrue, containers[i].held
	c.Message = containers[i].triggerSentence()
	return c
}

// alertingCondition tells whether people are alerted: while a trigger has held for its time, the ladder has come to an Alert, and
// the mode lets it. They stay alerted of a container that is unknown.
func alertingCondition(f facts, containers []ruled, unknown []v1alpha1.TriggeredContainer) metav1.Condition {
	i := slices.IndexFunc(containers, func(c ruled) bool { return c.step.alerts })
	if i < 0 {
		enforced := slices.DeleteFunc(slices.Clone(unknown), func(t v1alpha1.TriggeredContainer) bool { return f.rulings[t.Name].Mode != v1alpha1.ModeEnforce })
		if old := stays(f.report, v1alpha1.ConditionAlerting, enforced); old != nil {
			return *old
		}
		return metav1.Condition{
			Type:    v1alpha1.ConditionAlerting,
			Status:  metav1.ConditionFalse,
			Reason:  ReasonAlertOver,
			Message: whyNoAlert(f.report, containers, unknown),
		}
	}
	return metav1.Condition{
		Type:    v1alpha1.ConditionAlerting,
		Status:  metav1.ConditionTrue,
		Reason:  ReasonAlertRaised,
		Message: containers[i].triggerSentence(),
	}
}

// stays is a condition that is True and that only what is unknown now could end; nil when it is not.
func stays(report *v1alpha1.ZombieReport, kind string, unknown []v1alpha1.TriggeredContainer) *metav1.Condition {
	if len(unknown) == 0 || !conditionIsTrue(report, kind) {
		return nil
	}
	c := *meta.FindStatusCondition(report.Status.Conditions, kind)
	c.Message = notListed(unknown)
	return &c
}

func notListed(unknown []v1alpha1.TriggeredContainer) string {
	return fmt.Sprintf("The trigger held in container %s; other containers have more zombies, and the report says nothing of it now.", unknown[0].Name)
}

// whyNoAlert says why nobody is alerted: that a leak is over is only one of the reasons.
func whyNoAlert(report *v1alpha1.ZombieReport, containers []ruled, unknown []v1alpha1.TriggeredContainer) string {
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
	case len(unknown) > 0:
		return notListed(unknown)
	case len(containers) > 0:
		return "The trigger of the governing policy holds no more."
	case len(observedContainers(report)) > 0:
		return "No policy governs a container of the pod; it still has zombies."
	}
	return "No zombie of the pod counts: there is none, or none is old enough yet."
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
	if last.Outcome != v1alpha1.OutcomeCleared || len(triggered) > 0 ||
		f.ungoverned(newest.Spec.ContainerName) || f.unseen(newest.Spec.ContainerName) {
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
