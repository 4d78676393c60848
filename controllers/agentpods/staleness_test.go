package agentpods

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

func TestStaleness(t *testing.T) {
	t.Parallel()
	const staleAfter, deleteAfter = 5 * time.Minute, 15 * time.Minute
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ready := Agent{Namespace: "zombies", PodName: "agent-x", Ready: true}
	notReady := func(d time.Duration) Agent {
		return Agent{Namespace: "zombies", PodName: "agent-x", NotReadySince: at.Add(-d)}
	}
	missing := func(d time.Duration) Agent { return Agent{Namespace: "zombies", NotReadySince: at.Add(-d)} }
	marked := func(status metav1.ConditionStatus, d time.Duration) []metav1.Condition {
		return []metav1.Condition{{Type: v1alpha1.ConditionStale, Status: status, LastTransitionTime: metav1.NewTime(at.Add(-d))}}
	}
	type staleness struct {
		Reason, Expired string
		CheckAgainAfter time.Duration
	}
	const since5, since15 = "2026-03-01T11:55:00Z", "2026-03-01T11:45:00Z"
	tests := map[string]struct {
		agent      Agent
		conditions []metav1.Condition
		want       staleness
		message    string
	}{
		"an agent that is ready keeps a report fresh": {
			agent: ready, want: staleness{Reason: ReasonAgentReady}, message: `The agent of node "n1" is ready.`,
		},
		"one that was marked as stale is fresh again": {
			agent: ready, conditions: marked(metav1.ConditionTrue, time.Hour), want: staleness{Reason: ReasonAgentReady},
			message: `The agent of node "n1" is ready.`,
		},
		"an agent that restarts says nothing": {agent: notReady(staleAfter - time.Second), want: staleness{CheckAgainAfter: time.Second}},
		"an agent that is not ready for long makes it stale": {
			agent: notReady(staleAfter), want: staleness{Reason: ReasonAgentNotReady, CheckAgainAfter: 10 * time.Minute},
			message: `Node "n1" has had no ready agent since ` + since5 + `. Look at: kubectl describe pod -n zombies agent-x`,
		},
		"so does one that is missing": {
			agent: missing(staleAfter), want: staleness{Reason: ReasonAgentMissing, CheckAgainAfter: 10 * time.Minute},
			message: `Node "n1" has had no ready agent since ` + since5 + `, and no agent pod is there now. ` +
				"Look at: kubectl get node n1; kubectl get daemonsets,pods -n zombies -o wide",
		},
		"a report that was marked for the difference goes": {
			agent: missing(deleteAfter), conditions: marked(metav1.ConditionTrue, deleteAfter-staleAfter),
			want: staleness{Expired: `Node "n1" has had no ready agent since ` + since15 + `, and no agent pod is there now`},
		},
		"a report that was marked late goes late": {
			agent: notReady(deleteAfter), conditions: marked(metav1.ConditionTrue, deleteAfter-staleAfter-time.Minute),
			want:    staleness{Reason: ReasonAgentNotReady, CheckAgainAfter: time.Minute},
			message: `Node "n1" has had no ready agent since ` + since15 + `. Look at: kubectl describe pod -n zombies agent-x`,
		},
		"a report that was marked long ago stays when the spell began anew": {
			agent: notReady(staleAfter), conditions: marked(metav1.ConditionTrue, time.Hour),
			want:    staleness{Reason: ReasonAgentNotReady, CheckAgainAfter: 10 * time.Minute},
			message: `Node "n1" has had no ready agent since ` + since5 + `. Look at: kubectl describe pod -n zombies agent-x`,
		},
		"a report that was never marked is marked first": {
			agent: notReady(deleteAfter), conditions: marked(metav1.ConditionFalse, time.Hour),
			want:    staleness{Reason: ReasonAgentNotReady, CheckAgainAfter: 10 * time.Minute},
			message: `Node "n1" has had no ready agent since ` + since15 + `. Look at: kubectl describe pod -n zombies agent-x`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tc.agent.Staleness("n1", tc.conditions, staleAfter, deleteAfter, at)
			got, message := staleness{Expired: s.Expired, CheckAgainAfter: s.CheckAgainAfter}, ""
			if s.Condition != nil {
				got.Reason, message = s.Condition.Reason, s.Condition.Message
				if stale := s.Condition.Status == metav1.ConditionTrue; stale == tc.agent.Ready || s.Condition.Type != v1alpha1.ConditionStale {
					t.Errorf("condition = %+v of an agent whose readiness is %t", s.Condition, tc.agent.Ready)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || message != tc.message {
				t.Errorf("message = %q, want %q; staleness (-want +got):\n%s", message, tc.message, diff)
			}
		})
	}
}
