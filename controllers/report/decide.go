package report

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/agentpods"
)

// Settings say how long reports are kept.
type Settings struct {
	// HealedRetention is how long a report without zombies is kept.
	HealedRetention time.Duration
	// StaleAfter is how long a node may be without a ready agent before its reports are marked as stale.
	StaleAfter time.Duration
	// DeleteStaleAfter is how long it may be before they are deleted. It is longer than StaleAfter.
	DeleteStaleAfter time.Duration
}

// facts is everything a decision rests on, read at one moment.
type facts struct {
	report *v1alpha1.ZombieReport
	// pod is the pod under the reported name as the API server has it now; nil when there is none.
	pod   *corev1.Pod
	agent agentpods.Agent
}

// verdict is what is to be done about a report: delete it, or write its conditions when one changed.
type verdict struct {
	deletion *deletion
	// conditions are all conditions that the controller owns, since what an apply leaves out is removed;
	// nil when none changed.
	conditions []metav1.Condition
	// checkAgainAfter is when time alone will change the verdict; zero when it will not.
	checkAgainAfter time.Duration
}

// deletion says why a report goes.
type deletion struct {
	reason, message string
	// disbelieved: no honest and correct agent writes such a report.
	disbelieved bool
}

// finding is what one rule has to say; empty when nothing.
type finding struct {
	deletion  *deletion
	condition *metav1.Condition
	// removes is the type of a condition that is there only while it is True, and is not any more.
	removes         string
	checkAgainAfter time.Duration
}

type rule func(f facts, s Settings, now time.Time) finding

// rules in the order of their priority: the first that deletes ends the decision.
var rules = []rule{
	podExists,
	podIsTheOneReported,
	podRunsOnTheNode,
	nameIsDerivedFromThePod,
	containersAreCurrent,
	healed,
	probeLeaks,
	agentIsReady,
}

// decide says what is to be done about a report.
func decide(f facts, s Settings, now time.Time) verdict {
	var v verdict
	conditions := ownConditions(f.report)
	changed := false
	for _, judge := range rules {
		found := judge(f, s, now)
		if found.deletion != nil {
			return verdict{deletion: found.deletion}
		}
		if found.condition != nil {
			found.condition.ObservedGeneration = f.report.Generation
			found.condition.LastTransitionTime = metav1.NewTime(now)
			// Names may be so long that a message does not fit; cut, it still says what is wrong.
			found.condition.Message = found.condition.Message[:min(len(found.condition.Message), v1alpha1.MaxConditionMessage)]
			changed = meta.SetStatusCondition(&conditions, *found.condition) || changed
		}
		changed = meta.RemoveStatusCondition(&conditions, found.removes) || changed
		v.checkAgainAfter = sooner(v.checkAgainAfter, found.checkAgainAfter)
	}
	if changed {
		v.conditions = conditions
	}
	return v
}

// ownTypes are the conditions of the field manager under which this controller writes.
var ownTypes = []string{v1alpha1.ConditionVerified, v1alpha1.ConditionStale, v1alpha1.ConditionProbeLeaks}

func ownConditions(report *v1alpha1.ZombieReport) []metav1.Condition {
	var own []metav1.Condition
	for _, c := range report.Status.Conditions {
		if slices.Contains(ownTypes, c.Type) {
			own = append(own, c)
		}
	}
	return own
}

// sooner is the shorter of two durations of which zero means never.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}
