package nodereport

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestAnAgentPodEnqueuesTheReportOfItsNode(t *testing.T) {
	t.Parallel()
	for node, want := range map[string][]reconcile.Request{
		"n1": {{NamespacedName: types.NamespacedName{Name: "n1"}}},
		"":   nil, // it waits for a node
	} {
		got := reportOfNode(t.Context(), &corev1.Pod{Spec: corev1.PodSpec{NodeName: node}})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("requests for an agent on %q (-want +got):\n%s", node, diff)
		}
	}
}

func TestCachedLeavesManagedFieldsOut(t *testing.T) {
	t.Parallel()
	for kind, options := range Cached() {
		if options.Transform == nil {
			t.Errorf("%T is cached whole", kind)
		}
	}
	if len(Cached()) != 1 {
		t.Errorf("%d kinds are cached, want the report alone: nodes are read live", len(Cached()))
	}
}
