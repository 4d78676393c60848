package remedy

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/govern"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

// facts is everything a decision rests on, read at one moment.
type facts struct {
	report *v1alpha1.ZombieReport
	// rulings say what governs each reported container; one that nothing governs is missing.
	rulings map[v1alpha1.ContainerName]govern.Ruling
	// remediations are those of the pod.
	remediations []v1alpha1.ZombieRemediation

	// What follows is read only when a trigger holds or an act is under way.

	// pod is the pod as the API server has it now; nil when it is gone.
	pod *corev1.Pod
	// namespaceOptsOut says that the namespace carries the annotation that opts out.
	namespaceOptsOut bool
	// namespaceTerminates says that the namespace is being deleted.
	namespaceTerminates bool
	book                ledger.Book

	// operatorNamespace is where the operator itself runs.
	operatorNamespace string
}

// situation is one container of a report, with all that a rule may ask for.
type situation struct {
	facts

	container v1alpha1.ContainerObservation
	ruling    govern.Ruling
	// held is the part of the trigger that holds, by the reason of the condition Triggered; "" when none does.
	held string
	// since is when the trigger began to hold; zero when it does not.
	since time.Time
	// position is how far up the ladder the container is.
	position ledger.Position
	// choice is the rung that is on.
	choice choice
}

// newSituation puts together what concerns one container.
func newSituation(f facts, c v1alpha1.ContainerObservation, ruling govern.Ruling, now time.Time) situation {
	s := situation{facts: f, container: c, ruling: ruling, held: holds(ruling.Spec.Trigger, c, now)}
	if s.held != "" {
		s.since = triggeredSince(f.report, c, ruling, now)
	}
	s.position = s.currentPosition()
	s.choice = choose(ruling.Spec.Ladder, s.position, c, f)
	return s
}

// triggeredSince is when the trigger that holds began to, by the report's own memory; now when that has none, or is of another policy
// or of what it was before it changed. That another part of the trigger takes over is no break.
func triggeredSince(report *v1alpha1.ZombieReport, c v1alpha1.ContainerObservation, ruling govern.Ruling, now time.Time) time.Time {
	j := report.Status.Judgement
	if j != nil && (j.Container != c.Name || j.Policy == nil || *j.Policy == ruling.Reference) {
		for _, held := range j.Triggered {
			if held.Name == c.Name {
				return held.Since.Time
			}
		}
	}
	return metav1.NewTime(now).Rfc3339Copy().Time // as the report will keep it
}

// heldFor is how long the trigger must hold.
func (s situation) heldFor() time.Duration {
	if s.ruling.Spec.Trigger.ForSeconds == nil {
		return 0
	}
	return time.Duration(*s.ruling.Spec.Trigger.ForSeconds) * time.Second
}

// target is the container in the ledger. A static pod, which has another UID there than in the API, is never acted on.
func (s situation) target() ledger.Target {
	return ledger.Target{PodUID: s.report.Spec.PodUID, Container: string(s.container.Name)}
}

// seen marks what the agent reported of the container, so that a later report can be told from it.
func (s situation) seen() string {
	return observationMark(s.container)
}

// unit is the act on this container that is under way, if there is one.
func (s situation) unit() *ledger.Unit {
	if u := s.book.Unit(s.report.Spec.PodUID); u != nil && u.Container == string(s.container.Name) {
		return u
	}
	return nil
}

func conditionIsTrue(report *v1alpha1.ZombieReport, condition string) bool {
	return meta.IsStatusConditionTrue(report.Status.Conditions, condition)
}
