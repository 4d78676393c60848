package api

import (
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1ac "github.com/zombie-operator/zombie-operator/api/applyconfiguration/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// The controller keeps a report for a while after its last finding, which leaves no trace in it. It relies on the API server, which
// dates what the agent changes, and does not date what it writes again or what others write.
func TestTheServerDatesTheLastChangeOfTheAgent(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	spec := v1alpha1ac.ZombieReportSpec().WithPodName("web-7d9c").WithPodUID("3f0c8e52").WithNodeName("node-1")
	report := v1alpha1ac.ZombieReport(appliedReport, namespace).WithSpec(spec)
	if err := server.client.Apply(t.Context(), report, client.FieldOwner(v1alpha1.FieldManagerAgent)); err != nil {
		t.Fatal(err)
	}
	finding := appliedCondition(v1alpha1.ConditionLeaderExited, v1alpha1.ReasonObserved)
	mustApply(t, namespace, v1alpha1.FieldManagerAgent, agentStatus(0).WithConditions(finding))
	found := agentChanged(t, namespace)

	// A date has seconds: until the next one has begun, a new date cannot be told from an old one.
	second := time.NewTicker(time.Second)
	defer second.Stop()
	<-second.C
	mustApply(t, namespace, v1alpha1.FieldManagerAgent, agentStatus(0).WithConditions(finding))
	mustApply(t, namespace, v1alpha1.FieldManagerController, controllerStatus("Verified", "Stale"))
	if again := agentChanged(t, namespace); !again.Equal(found) {
		t.Errorf("the agent wrote the same again, and the controller its own: dated %s, want %s", again, found)
	}
	mustApply(t, namespace, v1alpha1.FieldManagerAgent, agentStatus(0))
	if over := agentChanged(t, namespace); !over.After(found) {
		t.Errorf("the finding is over: dated %s, not after %s", over, found)
	}
}

// agentChanged is when, by the API server, the agent last changed the status of the report.
func agentChanged(t *testing.T, namespace string) time.Time {
	t.Helper()
	report := &v1alpha1.ZombieReport{}
	if err := server.client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: appliedReport}, report); err != nil {
		t.Fatal(err)
	}
	for _, entry := range report.ManagedFields {
		if entry.Manager == v1alpha1.FieldManagerAgent && entry.Subresource == "status" {
			return entry.Time.Time
		}
	}
	t.Fatalf("the API server does not say when the agent wrote: %+v", report.ManagedFields)
	return time.Time{}
}
