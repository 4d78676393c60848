package e2e

import (
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// extraAgents are agents beside the installed ones. They would take acts of their node, so policies come when they are gone.
var extraAgents sync.WaitGroup

// apply makes a policy, when only the installed agents are there.
func apply(t *testing.T, policy client.Object) {
	t.Helper()
	extraAgents.Wait()
	create(t, policy)
}

// policyFor makes a policy for one pod by its label, under the pod's name. It fires at three zombies of half a minute, and
// soon.
func policyFor(p *corev1.Pod, mode v1alpha1.PolicyMode, ladder ...v1alpha1.Rung) *v1alpha1.ZombiePolicy {
	return &v1alpha1.ZombiePolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name},
		Spec: v1alpha1.ZombiePolicySpec{
			Mode:     mode,
			Selector: v1alpha1.Selector{MatchLabels: map[string]v1alpha1.LabelValue{"app": v1alpha1.LabelValue(p.Labels["app"])}},
			Trigger:  v1alpha1.Trigger{Zombies: 3, MinAgeSeconds: 30, ForSeconds: new(int32(2))},
			Ladder:   ladder,
		},
	}
}

// enforce applies a policy that acts on one pod.
func enforce(t *testing.T, p *corev1.Pod, ladder ...v1alpha1.Rung) *v1alpha1.ZombiePolicy {
	t.Helper()
	policy := policyFor(p, v1alpha1.ModeEnforce, ladder...)
	apply(t, policy)
	return policy
}

func send(signal v1alpha1.Signal) v1alpha1.Rung {
	return v1alpha1.Rung{Action: v1alpha1.ActionSignalParent, SignalParent: &v1alpha1.SignalParent{Signal: signal}}
}

// restart is the rung that stops a container with the pod's own grace.
var restart = v1alpha1.Rung{Action: v1alpha1.ActionRestartContainer}

// setMode changes what a policy may do.
func setMode(t *testing.T, policy *v1alpha1.ZombiePolicy, mode v1alpha1.PolicyMode) {
	t.Helper()
	before := policy.DeepCopy()
	policy.Spec.Mode = mode
	if err := api.Patch(t.Context(), policy, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}
