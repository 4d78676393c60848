package remedy

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/agent/printable"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Reasons of the conditions of a ZombieRemediation that the agent writes. That of Completed is the outcome.
const (
	// ReasonAgentTookUp goes with Claimed=True.
	ReasonAgentTookUp = "AgentTookUp"
	// ReasonIntentStored goes with Executing=True.
	ReasonIntentStored = "IntentStored"
)

// The bounds of the schema: what is beyond would be refused for ever.
const (
	maxMessage = 512
	maxZombies = 4194304
)

func setClaimed(r *v1alpha1.ZombieRemediation, id, boot, agentPodUID string, now time.Time) {
	r.Status.AttemptID, r.Status.BootID, r.Status.AgentPodUID = id, boot, agentPodUID
	set(r, v1alpha1.ConditionClaimed, ReasonAgentTookUp, "The agent of node "+r.Spec.NodeName+" took it up.", now)
}

func setExecuting(r *v1alpha1.ZombieRemediation, before int32, now time.Time) {
	r.Status.StartTime, r.Status.ZombiesBefore = new(metav1.NewTime(now)), new(bounded(before))
	set(r, v1alpha1.ConditionExecuting, ReasonIntentStored, "The target was found to be the one decided on; the act begins.", now)
}

func setCompleted(r *v1alpha1.ZombieRemediation, end ending, now time.Time) {
	r.Status.Outcome, r.Status.CompletionTime = end.outcome, new(metav1.NewTime(now))
	r.Status.Message = printable.Printable(end.message, maxMessage)
	if end.after != nil {
		r.Status.ZombiesAfter = new(bounded(*end.after))
	}
	set(r, v1alpha1.ConditionCompleted, string(end.outcome), r.Status.Message, now)
}

func set(r *v1alpha1.ZombieRemediation, condition, reason, message string, now time.Time) {
	meta.SetStatusCondition(&r.Status.Conditions, metav1.Condition{
		Type:               condition,
		Status:             metav1.ConditionTrue,
		Reason:             reason,
		Message:            message,
		ObservedGeneration: r.Generation,
		LastTransitionTime: metav1.NewTime(now),
	})
}

func bounded(zombies int32) int32 { return min(max(zombies, 0), maxZombies) }
