package api

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1ac "github.com/zombie-operator/zombie-operator/api/applyconfiguration/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// A finding is there only while it is true: the agent ends it by leaving it out of what it applies, and what others wrote stays.
func TestAFindingThatTheAgentNoLongerAppliesVanishes(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	spec := v1alpha1ac.ZombieReportSpec().WithPodName("web-7d9c").WithPodUID("3f0c8e52").WithNodeName("node-1")
	report := v1alpha1ac.ZombieReport(appliedReport, namespace).WithSpec(spec)
	if err := server.client.Apply(t.Context(), report, client.FieldOwner(v1alpha1.FieldManagerAgent)); err != nil {
		t.Fatal(err)
	}
	mustApply(t, namespace, v1alpha1.FieldManagerController, controllerStatus(v1alpha1.ConditionVerified, v1alpha1.ConditionProbeLeaks))

	all := agentStatus(0)
	for _, finding := range v1alpha1.Findings {
		all.WithConditions(appliedCondition(finding, v1alpha1.ReasonObserved))
	}
	mustApply(t, namespace, v1alpha1.FieldManagerAgent, all)
	wantReport(t, namespace, 0, nil, "", "ContainerDead", "HeldByTracer", "LeaderExited", "Leaking", "OtherExitSignal", "PileBehindD", "ProbeLeaks", "Verified")

	one := agentStatus(12, "app").WithConditions(appliedCondition(v1alpha1.ConditionPileBehindD, v1alpha1.ReasonObserved))
	mustApply(t, namespace, v1alpha1.FieldManagerAgent, one)
	wantReport(t, namespace, 12, []string{"app"}, "", "Leaking", "PileBehindD", "ProbeLeaks", "Verified")

	mustApply(t, namespace, v1alpha1.FieldManagerAgent, agentStatus(0))
	wantReport(t, namespace, 0, nil, "", "Leaking", "ProbeLeaks", "Verified")
}
