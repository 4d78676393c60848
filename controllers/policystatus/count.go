package policystatus

import (
	"cmp"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/govern"
)

// facts is everything the counts rest on, read at about one moment.
type facts struct {
	zps          []v1alpha1.ZombiePolicy
	czps         []v1alpha1.ClusterZombiePolicy
	namespaces   []metav1.PartialObjectMetadata
	pods         []metav1.PartialObjectMetadata
	reports      []v1alpha1.ZombieReport
	remediations []v1alpha1.ZombieRemediation
}

// policyKey names a policy; a ClusterZombiePolicy has no namespace.
type policyKey struct{ namespace, name string }

// count is what there is under one policy.
type count struct {
	governed, leaking, inFlight int32
	lastAct                     *v1alpha1.LastAct
	// holds are the namespaces in which a ClusterZombiePolicy holds the policy back.
	holds map[hold]map[string]bool
}

// hold is a ClusterZombiePolicy that holds a policy to a mode.
type hold struct {
	by   string
	mode v1alpha1.PolicyMode
}

// counts are those of all policies; a policy under which there is nothing has none.
type counts map[policyKey]*count

func (c counts) of(key policyKey) *count {
	if c[key] == nil {
		c[key] = &count{holds: map[hold]map[string]bool{}}
	}
	return c[key]
}

// tally counts for all policies in one pass over the pods.
//
// Which containers a pod has is not in its metadata. So a pod counts as governed by a policy when the policy governs at
// least one container that the pod could have: one that a policy names, or one that none names. A pod that has ended or
// is about to counts as long as it is there.
func tally(f facts) counts {
	policies := govern.New(f.zps, f.czps)
	subjects := subjectsOf(f)
	all := counts{}
	for _, subject := range subjects {
		all.addPod(subject.Namespace, policies.GovernAny(subject))
	}
	for pod, containers := range triggeredIn(f.reports) {
		if subject, ok := subjects[pod]; ok {
			all.addLeaks(policies, subject, containers)
		}
	}
	for i := range f.remediations {
		all.addRemediation(&f.remediations[i])
	}
	return all
}

// subjectsOf are the pods with what policies select by. A pod whose namespace is not known is none: it is new or about
// to go, and without the labels of its namespace the wrong policies would count it.
func subjectsOf(f facts) map[types.NamespacedName]govern.Subject {
	labelsOf := make(map[string]map[string]string, len(f.namespaces))
	known := make(map[string]bool, len(f.namespaces))
	for i := range f.namespaces {
		labelsOf[f.namespaces[i].Name], known[f.namespaces[i].Name] = f.namespaces[i].Labels, true
	}
	subjects := make(map[types.NamespacedName]govern.Subject, len(f.pods))
	for i := range f.pods {
		pod := &f.pods[i]
		if known[pod.Namespace] {
			subjects[types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}] = govern.Subject{
				Namespace: pod.Namespace, NamespaceLabels: labelsOf[pod.Namespace], PodLabels: pod.Labels,
			}
		}
	}
	return subjects
}

// triggeredIn are the containers of each pod in which a trigger holds. A pod that was replaced under its name may still
// have the report of the one before; both are one pod here.
func triggeredIn(reports []v1alpha1.ZombieReport) map[types.NamespacedName][]v1alpha1.TriggeredContainer {
	all := map[types.NamespacedName][]v1alpha1.TriggeredContainer{}
	for i := range reports {
		if judgement := reports[i].Status.Judgement; judgement != nil {
			pod := types.NamespacedName{Namespace: reports[i].Namespace, Name: reports[i].Spec.PodName}
			all[pod] = append(all[pod], judgement.Triggered...)
		}
	}
	return all
}

// addPod counts a pod once for each policy that governs something of it.
func (c counts) addPod(namespace string, rulings []govern.Ruling) {
	governing := map[policyKey]bool{}
	for _, ruling := range rulings {
		key := keyOf(ruling.Reference, namespace)
		governing[key] = true
		if ruling.HeldBy != "" {
			h := hold{by: ruling.HeldBy, mode: ruling.Mode}
			if c.of(key).holds[h] == nil {
				c.of(key).holds[h] = map[string]bool{}
			}
			c.of(key).holds[h][namespace] = true
		}
	}
	for key := range governing {
		c.of(key).governed++
	}
}

// addLeaks counts a pod once for each policy that governs a container in which the trigger holds.
func (c counts) addLeaks(policies *govern.Policies, subject govern.Subject, triggered []v1alpha1.TriggeredContainer) {
	leaking := map[policyKey]bool{}
	for _, container := range triggered {
		subject.Container = string(container.Name)
		if ruling, ok := policies.Govern(subject); ok {
			leaking[keyOf(ruling.Reference, subject.Namespace)] = true
		}
	}
	for key := range leaking {
		c.of(key).leaking++
	}
}

func (c counts) addRemediation(r *v1alpha1.ZombieRemediation) {
	under := c.of(keyOf(r.Spec.Policy, r.Namespace))
	if !meta.IsStatusConditionTrue(r.Status.Conditions, v1alpha1.ConditionCompleted) {
		under.inFlight++
	}
	act := actOf(r)
	if under.lastAct == nil || newer(act, *under.lastAct) {
		under.lastAct = &act
	}
}

func actOf(r *v1alpha1.ZombieRemediation) v1alpha1.LastAct {
	act := v1alpha1.LastAct{
		Remediation: r.Name,
		PodName:     r.Spec.PodName,
		Action:      v1alpha1.Action(r.Spec.Action),
		Outcome:     r.Status.Outcome,
		Time:        r.CreationTimestamp,
	}
	switch {
	case r.Status.CompletionTime != nil:
		act.Time = *r.Status.CompletionTime
	case r.Status.StartTime != nil:
		act.Time = *r.Status.StartTime
	}
	if act.Time.Before(&r.CreationTimestamp) { // by the clock of its node
		act.Time = r.CreationTimestamp
	}
	return act
}

// newer orders acts by time and, so that two at once do not take turns, by name.
func newer(a, b v1alpha1.LastAct) bool {
	return cmp.Or(a.Time.Compare(b.Time.Time), cmp.Compare(a.Remediation, b.Remediation)) > 0
}

func keyOf(reference v1alpha1.PolicyReference, namespace string) policyKey {
	if reference.Kind == govern.KindClusterWide {
		namespace = ""
	}
	return policyKey{namespace: namespace, name: reference.Name}
}
