package agentpods

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Reasons of the condition Stale.
const (
	// ReasonAgentReady goes with Stale=False.
	ReasonAgentReady = "AgentReady"
	// ReasonAgentNotReady goes with Stale=True.
	ReasonAgentNotReady = "AgentNotReady"
	// ReasonAgentMissing goes with Stale=True.
	ReasonAgentMissing = "AgentMissing"
)

// Staleness is what the state of an agent means for a report of its node.
type Staleness struct {
	// Condition is the condition Stale that the report is to have; nil when it is too early to say.
	Condition *metav1.Condition
	// Expired says why the report is to go; empty when it is not.
	Expired string
	// CheckAgainAfter is when time alone will change this; zero when it will not.
	CheckAgainAfter time.Duration
}

// Staleness marks, and later lets go, a report that no agent keeps up to date. conditions are those of the report. It is
// marked when the node was without a ready agent for staleAfter, and goes after deleteAfter, which is longer, but only when it
// was readable as stale for as long as it is when all goes well: a controller that comes late deletes late.
func (a Agent) Staleness(node string, conditions []metav1.Condition, staleAfter, deleteAfter time.Duration, now time.Time) Staleness {
	if a.Ready {
		return Staleness{Condition: &metav1.Condition{
			Type:    v1alpha1.ConditionStale,
			Status:  metav1.ConditionFalse,
			Reason:  ReasonAgentReady,
			Message: fmt.Sprintf("The agent of node %q is ready.", node),
		}}
	}
	notReadyFor := now.Sub(a.NotReadySince)
	if notReadyFor < staleAfter {
		return Staleness{CheckAgainAfter: staleAfter - notReadyFor} // an update or a restart of the agent
	}
	var staleFor time.Duration
	if stale := meta.FindStatusCondition(conditions, v1alpha1.ConditionStale); stale != nil && stale.Status == metav1.ConditionTrue {
		staleFor = now.Sub(stale.LastTransitionTime.Time)
	}
	left := max(deleteAfter-notReadyFor, deleteAfter-staleAfter-staleFor)
	if left <= 0 {
		return Staleness{Expired: a.absence(node)}
	}
	return Staleness{CheckAgainAfter: left, Condition: a.staleCondition(node)}
}

func (a Agent) staleCondition(node string) *metav1.Condition {
	c := &metav1.Condition{
		Type:    v1alpha1.ConditionStale,
		Status:  metav1.ConditionTrue,
		Reason:  ReasonAgentNotReady,
		Message: fmt.Sprintf("%s. Look at: kubectl describe pod -n %s %s", a.absence(node), a.Namespace, a.PodName),
	}
	if a.PodName == "" {
		c.Reason = ReasonAgentMissing
		c.Message = fmt.Sprintf("%s. Look at: kubectl get node %s; kubectl get daemonsets,pods -n %s -o wide",
			a.absence(node), node, a.Namespace)
	}
	return c
}

func (a Agent) absence(node string) string {
	since := a.NotReadySince.UTC().Format(time.RFC3339)
	if a.PodName == "" {
		return fmt.Sprintf("Node %q has had no ready agent since %s, and no agent pod is there now", node, since)
	}
	return fmt.Sprintf("Node %q has had no ready agent since %s", node, since)
}
