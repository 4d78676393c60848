// Package govern says which policy governs a container, and how far it may go there. It is pure: policies, labels and
// names come in, a ruling comes out.
package govern

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Kinds of policies, as a PolicyReference names them.
const (
	// KindNamespaced is the kind of a team's policy.
	KindNamespaced = "ZombiePolicy"
	// KindClusterWide is the kind of a policy of the cluster's owners.
	KindClusterWide = "ClusterZombiePolicy"
)

// Subject is a container, with what policies select by.
type Subject struct {
	Namespace       string
	NamespaceLabels map[string]string
	PodLabels       map[string]string
	Container       string
}

// Ruling is what governs a container.
type Ruling struct {
	// Reference names the policy; a ZombiePolicy is in the namespace of the container.
	Reference v1alpha1.PolicyReference
	// Spec is what the policy wants. Its mode is not yet the one in force.
	Spec v1alpha1.ZombiePolicySpec
	// Object is the *ZombiePolicy or *ClusterZombiePolicy itself, for Events about it.
	Object runtime.Object
	// Mode is the mode in force, after the owners' ceilings.
	Mode v1alpha1.PolicyMode
	// HeldBy is the name of the ClusterZombiePolicy that lowers the mode below the policy's own; empty when none does.
	HeldBy string
}

// Policies are all policies of a cluster, ready to rule.
type Policies struct {
	// namespaced are the ZombiePolicies of each namespace, those that come first first.
	namespaced map[string][]*policy
	// clusterWide are the ClusterZombiePolicies, those that come first first.
	clusterWide []*policy
}

// New compiles the policies of a cluster. Policies that are being deleted are as good as gone: they neither govern nor
// hold others back. The rulings point into the lists, which the caller must not change afterwards.
func New(zps []v1alpha1.ZombiePolicy, czps []v1alpha1.ClusterZombiePolicy) *Policies {
	p := &Policies{namespaced: map[string][]*policy{}}
	for i := range zps {
		zp := &zps[i]
		if zp.DeletionTimestamp == nil {
			compiled := newPolicy(KindNamespaced, zp, &zp.ObjectMeta, &zp.Spec)
			p.namespaced[zp.Namespace] = append(p.namespaced[zp.Namespace], compiled)
		}
	}
	for i := range czps {
		czp := &czps[i]
		if czp.DeletionTimestamp == nil {
			compiled := newPolicy(KindClusterWide, czp, &czp.ObjectMeta, &czp.Spec.ZombiePolicySpec)
			compiled.namespaces = compile(czp.Spec.NamespaceSelector)
			p.clusterWide = append(p.clusterWide, compiled)
		}
	}
	for _, ofNamespace := range p.namespaced {
		slices.SortFunc(ofNamespace, byPrecedence)
	}
	slices.SortFunc(p.clusterWide, byPrecedence)
	return p
}

// Govern says what governs a container: exactly one policy, or none. A policy of the container's namespace comes before
// a cluster-wide one, then one of higher priority, then an older one, then the first by name.
func (p *Policies) Govern(s Subject) (Ruling, bool) {
	return p.selecting(s).govern(s.Container)
}

// GovernAny gives the rulings for every container that a pod could have: those that policies name, and one that none
// names. It is for those who know a pod's labels and not its containers; the subject's container is ignored. A policy
// comes more than once when it governs several.
func (p *Policies) GovernAny(s Subject) []Ruling {
	selecting := p.selecting(s)
	names := []v1alpha1.ContainerName{""} // no policy can name a container without a name
	for _, candidate := range selecting {
		names = append(names, candidate.spec.ContainerNames...)
	}
	slices.Sort(names)
	var rulings []Ruling
	for _, name := range slices.Compact(names) {
		if ruling, ok := selecting.govern(string(name)); ok {
			rulings = append(rulings, ruling)
		}
	}
	return rulings
}

// selected are the policies that select a pod, be it for all its containers or for some; those that come first first.
type selected []*policy

func (p *Policies) selecting(s Subject) selected {
	pod, namespace := labels.Set(s.PodLabels), labels.Set(s.NamespaceLabels)
	var found selected
	for _, ofKind := range [][]*policy{p.namespaced[s.Namespace], p.clusterWide} {
		for _, candidate := range ofKind {
			if candidate.selects(pod, namespace) {
				found = append(found, candidate)
			}
		}
	}
	return found
}

func (s selected) govern(container string) (Ruling, bool) {
	for _, candidate := range s {
		if candidate.concerns(container) {
			ruling := candidate.ruling()
			if ceiling := s.ceiling(candidate, container); ceiling != nil {
				ruling.Mode, ruling.HeldBy = ceiling.mode, ceiling.name
			}
			return ruling, true
		}
	}
	return Ruling{}, false
}

// ceiling is the strictest ClusterZombiePolicy that lowers the mode of the governing policy; nil when none does. Paused
// stops every policy, since the owners who write it want quiet; DryRun is how far the owners let teams go, and says
// nothing about their own other policies.
func (s selected) ceiling(governing *policy, container string) *policy {
	var strictest *policy
	for _, c := range s {
		binds := c.kind == KindClusterWide && (c.mode == v1alpha1.ModePaused || governing.kind == KindNamespaced)
		if binds && c.concerns(container) && reach(c.mode) < reach(governing.mode) &&
			(strictest == nil || byStrictness(c, strictest) < 0) {
			strictest = c
		}
	}
	return strictest
}

// policy is a policy of either kind with its selectors compiled.
type policy struct {
	name       string
	kind       string
	meta       *metav1.ObjectMeta
	object     runtime.Object
	spec       *v1alpha1.ZombiePolicySpec
	mode       v1alpha1.PolicyMode
	namespaces labels.Selector
	pods       labels.Selector
}

func newPolicy(kind string, object runtime.Object, meta *metav1.ObjectMeta, spec *v1alpha1.ZombiePolicySpec) *policy {
	return &policy{
		name: meta.Name, kind: kind, meta: meta, object: object, spec: spec, mode: ModeOf(spec),
		namespaces: labels.Everything(), pods: compile(spec.Selector),
	}
}

func (p *policy) selects(pod, namespace labels.Set) bool {
	return p.pods.Matches(pod) && p.namespaces.Matches(namespace)
}

func (p *policy) concerns(container string) bool {
	return len(p.spec.ContainerNames) == 0 || slices.Contains(p.spec.ContainerNames, v1alpha1.ContainerName(container))
}

func (p *policy) ruling() Ruling {
	return Ruling{
		Reference: v1alpha1.PolicyReference{Kind: p.kind, Name: p.name, Generation: p.meta.Generation},
		Spec:      *p.spec,
		Object:    p.object,
		Mode:      p.mode,
	}
}

// ModeOf is a policy's own mode, where everything but Enforce and Paused is the default: what cannot be read does not act.
func ModeOf(spec *v1alpha1.ZombiePolicySpec) v1alpha1.PolicyMode {
	switch spec.Mode {
	case v1alpha1.ModeEnforce, v1alpha1.ModePaused:
		return spec.Mode
	default:
		return v1alpha1.ModeDryRun
	}
}

// reach orders modes by how far they let a policy go.
func reach(mode v1alpha1.PolicyMode) int {
	switch mode {
	case v1alpha1.ModePaused:
		return 0
	case v1alpha1.ModeEnforce:
		return 2
	default:
		return 1
	}
}

// byPrecedence orders policies of one kind, and for a ZombiePolicy of one namespace: no two have the same name.
func byPrecedence(a, b *policy) int {
	return cmp.Or(
		cmp.Compare(b.spec.Priority, a.spec.Priority),
		a.meta.CreationTimestamp.Compare(b.meta.CreationTimestamp.Time),
		cmp.Compare(a.name, b.name),
	)
}

func byStrictness(a, b *policy) int {
	return cmp.Or(cmp.Compare(reach(a.mode), reach(b.mode)), cmp.Compare(a.name, b.name))
}
