package remedy

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/govern"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

// gather reads what a decision rests on. What was watched says whether there can be anything to do; only then are the
// pod, its namespace and the ledger read from the API server, and what they say takes its place. now is the time at which the
// decision will be taken: a trigger that comes to hold with time alone must do so in both or in none.
func (r *Reconciler) gather(ctx context.Context, report *v1alpha1.ZombieReport, now time.Time) (f facts, e ledger.Edition, again time.Duration, err error) {
	f = facts{report: report, operatorNamespace: r.operatorNamespace}
	policies, err := r.policies(ctx)
	if err != nil {
		return f, e, 0, err
	}
	if f.remediations, err = r.remediationsOf(ctx, report); err != nil {
		return f, e, 0, err
	}
	podLabels, namespaceLabels, err := r.watchedLabels(ctx, report)
	if err != nil {
		return f, e, 0, err
	}
	f.rulings = ruleOn(policies, f, podLabels, namespaceLabels)
	if !mayAct(f, now) {
		return f, e, 0, nil
	}
	own := func(u ledger.Unit) bool { return u.PodUID == report.Spec.PodUID || u.Disruptive }
	if e, again, err = r.settledEdition(ctx, own); err != nil {
		return f, e, 0, err
	}
	f.book = e.Book
	return f, e, again, r.readLive(ctx, policies, &f)
}

// mayAct is whether a trigger holds or held at the last look, or an act is under way, by what was watched.
func mayAct(f facts, now time.Time) bool {
	if slices.ContainsFunc(f.remediations, func(z v1alpha1.ZombieRemediation) bool { return !completed(&z) }) {
		return true
	}
	if j := f.report.Status.Judgement; j != nil && (len(j.Triggered) > 0 || j.Next != nil && j.Next.Reason == ReasonActing) {
		return true
	}
	return slices.ContainsFunc(observedContainers(f.report), func(c v1alpha1.ContainerObservation) bool {
		ruling, ok := f.rulings[c.Name]
		return ok && holds(ruling.Spec.Trigger, c, now) != ""
	})
}

// readLive reads the pod and its namespace as they are now, and rules by their labels.
func (r *Reconciler) readLive(ctx context.Context, policies *govern.Policies, f *facts) error {
	var pod corev1.Pod
	switch err := r.live.Get(ctx, client.ObjectKey{Namespace: f.report.Namespace, Name: f.report.Spec.PodName}, &pod); {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("getting pod %q: %w", f.report.Spec.PodName, err)
	}
	var namespace corev1.Namespace
	if err := r.live.Get(ctx, client.ObjectKey{Name: f.report.Namespace}, &namespace); err != nil {
		return fmt.Errorf("getting namespace %q: %w", f.report.Namespace, err)
	}
	f.pod, f.namespaceOptsOut = &pod, optsOut(namespace.Annotations)
	f.namespaceTerminates = namespace.DeletionTimestamp != nil
	f.rulings = ruleOn(policies, *f, pod.Labels, namespace.Labels)
	return nil
}

func (r *Reconciler) policies(ctx context.Context) (*govern.Policies, error) {
	var namespaced v1alpha1.ZombiePolicyList
	if err := r.cached.List(ctx, &namespaced); err != nil {
		return nil, fmt.Errorf("listing policies: %w", err)
	}
	var clusterWide v1alpha1.ClusterZombiePolicyList
	if err := r.cached.List(ctx, &clusterWide); err != nil {
		return nil, fmt.Errorf("listing cluster policies: %w", err)
	}
	return govern.New(namespaced.Items, clusterWide.Items), nil
}

func (r *Reconciler) remediationsOf(ctx context.Context, report *v1alpha1.ZombieReport) ([]v1alpha1.ZombieRemediation, error) {
	var list v1alpha1.ZombieRemediationList
	err := r.cached.List(ctx, &list, client.InNamespace(report.Namespace), client.MatchingFields{podUIDIndex: report.Spec.PodUID})
	if err != nil {
		return nil, fmt.Errorf("listing remediations of pod %q: %w", report.Spec.PodName, err)
	}
	return list.Items, nil
}

// watchedLabels are the labels of a pod and of its namespace; none of what is gone.
func (r *Reconciler) watchedLabels(ctx context.Context, report *v1alpha1.ZombieReport) (pod, namespace map[string]string, err error) {
	of := func(kind string, key client.ObjectKey) (map[string]string, error) {
		object := &metav1.PartialObjectMetadata{}
		object.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
		if err := r.cached.Get(ctx, key, object); client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("getting labels of %s %q: %w", kind, key.Name, err)
		}
		return object.Labels, nil
	}
	if pod, err = of("Pod", client.ObjectKey{Namespace: report.Namespace, Name: report.Spec.PodName}); err != nil {
		return nil, nil, err
	}
	namespace, err = of("Namespace", client.ObjectKey{Name: report.Namespace})
	return pod, namespace, err
}

// ruleOn says what governs each container of a report, and each that the report may have no room for and that is still of account.
func ruleOn(policies *govern.Policies, f facts, podLabels, namespaceLabels map[string]string) map[v1alpha1.ContainerName]govern.Ruling {
	names := triggeredNames(f.report)
	for _, c := range observedContainers(f.report) {
		names = append(names, c.Name)
	}
	if unit := f.book.Unit(f.report.Spec.PodUID); unit != nil {
		names = append(names, v1alpha1.ContainerName(unit.Container))
	}
	rulings := map[v1alpha1.ContainerName]govern.Ruling{}
	for _, name := range names {
		ruling, ok := policies.Govern(govern.Subject{
			Namespace:       f.report.Namespace,
			NamespaceLabels: namespaceLabels,
			PodLabels:       podLabels,
			Container:       string(name),
		})
		if ok {
			rulings[name] = ruling
		}
	}
	return rulings
}

func completed(r *v1alpha1.ZombieRemediation) bool {
	return hasCondition(r, v1alpha1.ConditionCompleted)
}
