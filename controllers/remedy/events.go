package remedy

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// occurrence is what an Event tells.
type occurrence struct {
	// kind is Normal or Warning.
	kind   string
	reason string
	// action tells it from others of its reason: those alike in all but the note are taken for one, told again.
	action string
	note   string
}

// occurrences are what changed between the stored judgement of a report and the new one. What did not change was told before.
func occurrences(before *v1alpha1.ZombieReport, v verdict) []occurrence {
	if v.focus == nil {
		return alertOccurrence(before, v.conditions)
	}
	var told []occurrence
	last := lastStep(before, v.focus.container.Name)
	next := v.focus.step
	if isLeak(next.reason) && !isLeak(last.Reason) {
		told = append(told, v.focus.leakFound())
	}
	if next.isNews(last) {
		told = append(told, next.occurrence()...)
	}
	return append(told, alertOccurrence(before, v.conditions)...)
}

// lastStep is the stored step of a container; empty when the report is about another one.
func lastStep(report *v1alpha1.ZombieReport, container v1alpha1.ContainerName) v1alpha1.NextStep {
	j := report.Status.Judgement
	if j == nil || j.Next == nil || j.Container != container {
		return v1alpha1.NextStep{}
	}
	return *j.Next
}

// isNews is whether a step is another than the stored one. Two acts in a row may read alike.
func (s step) isNews(last v1alpha1.NextStep) bool {
	return s.act != nil || last.Reason != s.reason || last.Action != s.action ||
		(s.reason == ReasonActing && last.Message != cut(s.message, maxMessage))
}

// isLeak is whether a container with such a next step has leaked for the time that its policy wants.
func isLeak(reason string) bool {
	return reason != "" && reason != ReasonNotTriggered && reason != ReasonHolding && reason != ReasonPaused
}

func (r ruled) leakFound() occurrence {
	who := ""
	if len(r.container.Parents) > 0 {
		p := r.container.Parents[0]
		who = fmt.Sprintf(" Most are held by %s: %s", p.Command, p.Message)
	}
	return occurrence{kind: corev1.EventTypeWarning, reason: EventLeakFound, action: "Judge", note: r.triggerSentence() + who}
}

func (s step) occurrence() []occurrence {
	switch {
	case s.reason == ReasonActing:
		return []occurrence{{corev1.EventTypeNormal, EventActPlanned, fmt.Sprintf("%s/%d", s.word, s.attempt), s.message}}
	case s.reason == ReasonDryRun:
		return []occurrence{{corev1.EventTypeNormal, EventActNotDone, s.doing(), "Mode DryRun, so this is not done: " + s.message}}
	case s.refused, s.reason == ReasonLadderExhausted:
		return []occurrence{{corev1.EventTypeWarning, EventActRefused, s.reason, s.reason + ": " + s.message}}
	}
	return nil
}

func alertOccurrence(before *v1alpha1.ZombieReport, conditions []metav1.Condition) []occurrence {
	for _, c := range conditions {
		if c.Type != v1alpha1.ConditionAlerting {
			continue
		}
		was := conditionIsTrue(before, v1alpha1.ConditionAlerting)
		switch is := c.Status == metav1.ConditionTrue; {
		case is && !was:
			return []occurrence{{corev1.EventTypeWarning, ReasonAlertRaised, string(v1alpha1.ActionAlert), c.Message}}
		case was && !is:
			return []occurrence{{corev1.EventTypeNormal, ReasonAlertOver, string(v1alpha1.ActionAlert), c.Message}}
		}
	}
	return nil
}

// ending tells how an act ended, with its proof.
func ending(r *v1alpha1.ZombieRemediation) occurrence {
	o := occurrence{kind: corev1.EventTypeNormal, reason: EventActDone, action: fmt.Sprintf("%s/%s", r.Spec.Action, r.Name[strings.LastIndexByte(r.Name, '-')+1:])}
	switch outcome := r.Status.Outcome; {
	case helped(outcome):
	case outcome == v1alpha1.OutcomeRefused:
		o.kind, o.reason = corev1.EventTypeWarning, EventActRefused
	case wasDone(outcome):
		o.kind = corev1.EventTypeWarning
	default:
		o.reason = EventActNotDone
	}
	o.note = fmt.Sprintf("%s: %s (%s)", r.Status.Outcome, r.Status.Message, r.Name)
	return o
}

// maxNote is how long the note of an Event may be.
const maxNote = 1024

// noteOf makes the note of an Event fit to be printed: what an agent says in a remediation is checked by nobody else.
func noteOf(text string) string {
	return cut(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text), maxNote)
}

// tell writes Events on the pod and on the policy, each about the other.
func (r *Reconciler) tell(pod *corev1.Pod, policy runtime.Object, occurrences ...occurrence) {
	for _, o := range occurrences {
		r.recorder.Eventf(pod, policy, o.kind, o.reason, o.action, "%s", noteOf(o.note))
		if policy != nil {
			note := noteOf(fmt.Sprintf("Pod %s/%s: %s", pod.Namespace, pod.Name, o.note))
			r.recorder.Eventf(policy, pod, o.kind, o.reason, o.action, "%s", note)
		}
	}
}
