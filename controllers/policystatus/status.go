package policystatus

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/govern"
)

// Reasons of the condition Ready. Each is the policy's own mode; the message says where another one is in force.
const (
	// ReasonEnforce goes with mode Enforce.
	ReasonEnforce = string(v1alpha1.ModeEnforce)
	// ReasonDryRun goes with mode DryRun.
	ReasonDryRun = string(v1alpha1.ModeDryRun)
	// ReasonPaused goes with mode Paused.
	ReasonPaused = string(v1alpha1.ModePaused)
)

// mostNamed is how many names a message lists of a kind, so that it stays a sentence; further ones are counted.
const mostNamed = 3

// policy is a policy of either kind as far as its status goes.
type policy struct {
	key             policyKey
	kind            string
	resourceVersion string
	generation      int64
	spec            *v1alpha1.ZombiePolicySpec
	status          *v1alpha1.ZombiePolicyStatus
}

// policiesOf are all policies that are to have a status: those being deleted need none.
func policiesOf(f facts) []policy {
	var all []policy
	add := func(kind string, o *metav1.ObjectMeta, spec *v1alpha1.ZombiePolicySpec, status *v1alpha1.ZombiePolicyStatus) {
		if o.DeletionTimestamp == nil {
			all = append(all, policy{
				key: policyKey{namespace: o.Namespace, name: o.Name}, kind: kind,
				resourceVersion: o.ResourceVersion, generation: o.Generation, spec: spec, status: status,
			})
		}
	}
	for i := range f.zps {
		add(govern.KindNamespaced, &f.zps[i].ObjectMeta, &f.zps[i].Spec, &f.zps[i].Status)
	}
	for i := range f.czps {
		add(govern.KindClusterWide, &f.czps[i].ObjectMeta, &f.czps[i].Spec.ZombiePolicySpec, &f.czps[i].Status)
	}
	return all
}

// statusOf is what the status of a policy is to say, and whether it says anything else now.
func statusOf(p policy, c *count, now time.Time) (status *v1alpha1.ZombiePolicyStatus, changed bool) {
	status = p.status.DeepCopy()
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type:               v1alpha1.ConditionReady,
		Status:             metav1.ConditionTrue,
		Reason:             reasonOf(govern.ModeOf(p.spec)),
		Message:            messageOf(p, c),
		ObservedGeneration: p.generation,
		LastTransitionTime: metav1.NewTime(now),
	})
	status.ObservedGeneration = p.generation
	status.Governed, status.Leaking, status.InFlight = &c.governed, &c.leaking, &c.inFlight
	status.LastAct = c.lastAct
	return status, !equality.Semantic.DeepEqual(status, p.status)
}

func reasonOf(mode v1alpha1.PolicyMode) string {
	switch mode {
	case v1alpha1.ModeEnforce:
		return ReasonEnforce
	case v1alpha1.ModePaused:
		return ReasonPaused
	default:
		return ReasonDryRun
	}
}

// messageOf says what the policy does, to whom it is a ceiling, and where it is held back itself.
func messageOf(p policy, c *count) string {
	ceiling := p.kind == govern.KindClusterWide
	var sentences []string
	switch govern.ModeOf(p.spec) {
	case v1alpha1.ModeEnforce:
		acts := "Acts on the pods it governs."
		if len(c.holds) > 0 {
			acts = "Acts on the pods it governs, but where it is held back."
		}
		sentences = append(sentences, acts)
	case v1alpha1.ModePaused:
		sentences = append(sentences, "Decides nothing and does nothing about the pods it governs.")
		if ceiling {
			sentences = append(sentences, "Pauses every other policy that selects the same containers.")
		}
	default:
		sentences = append(sentences, "Tells what it would do about the pods it governs, and does nothing.")
		if ceiling {
			sentences = append(sentences, "Holds every ZombiePolicy that selects the same containers to DryRun at most.")
		}
	}
	return strings.Join(append(sentences, heldBack(c.holds)...), " ")
}

// heldBack has a sentence for each of the first ClusterZombiePolicies that hold a policy back, and one for the rest.
func heldBack(holds map[hold]map[string]bool) []string {
	ordered := slices.SortedFunc(maps.Keys(holds), func(a, b hold) int {
		return cmp.Or(cmp.Compare(b.mode, a.mode), cmp.Compare(a.by, b.by)) // Paused before DryRun
	})
	var sentences []string
	for _, h := range ordered[:min(len(ordered), mostNamed)] {
		sentences = append(sentences, fmt.Sprintf("ClusterZombiePolicy %q holds it to %s for pods in %s.",
			h.by, h.mode, named(slices.Sorted(maps.Keys(holds[h])))))
	}
	if rest := len(ordered) - mostNamed; rest > 0 {
		sentences = append(sentences, fmt.Sprintf("ClusterZombiePolicies that hold it back besides: %d.", rest))
	}
	return sentences
}

// named lists namespaces for a sentence.
func named(namespaces []string) string {
	word := "namespace "
	if len(namespaces) > 1 {
		word = "namespaces "
	}
	listed := word + strings.Join(namespaces[:min(len(namespaces), mostNamed)], ", ")
	if rest := len(namespaces) - mostNamed; rest > 0 {
		listed += fmt.Sprintf(" and %d more", rest)
	}
	return listed
}
