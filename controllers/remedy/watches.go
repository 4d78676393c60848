package remedy

import (
	"context"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

const (
	// podUIDIndex finds the remediations of a pod.
	podUIDIndex = "spec.podUID"
	// One decision at a time: each rests on the ledger that the one before wrote.
	workers = 1
	// reconcileTimeout leaves time for the few reads and writes of a decision, of which each may wait for 10 s.
	reconcileTimeout = 60 * time.Second
)

// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombiereports,verbs=list;watch
// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombiereports/status,verbs=patch
// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombiepolicies;clusterzombiepolicies,verbs=list;watch
// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombieremediations,verbs=create;get;list;watch
// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombieremediations/status,verbs=update
// +kubebuilder:rbac:groups="",resources=pods;namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager starts the reconciler with a manager.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr manager.Manager) error {
	err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.ZombieRemediation{}, podUIDIndex, indexByPodUID)
	if err != nil {
		return fmt.Errorf("indexing remediations by pod: %w", err)
	}
	err = builder.ControllerManagedBy(mgr).
		Named("remedy").
		For(&v1alpha1.ZombieReport{}).
		Watches(&v1alpha1.ZombiePolicy{}, handler.EnqueueRequestsFromMapFunc(r.reportsOfNamespace), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.ClusterZombiePolicy{}, handler.EnqueueRequestsFromMapFunc(r.reportsOfNamespace), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.ZombieRemediation{}, handler.EnqueueRequestsFromMapFunc(reportOfRemediation), builder.WithPredicates(notOver())).
		WatchesMetadata(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(reportOfPod), builder.WithPredicates(selectionChanged())).
		WatchesMetadata(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.reportsIn), builder.WithPredicates(selectionChanged())).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, ReconciliationTimeout: reconcileTimeout}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("building the controller of remedies: %w", err)
	}
	return nil
}

func indexByPodUID(obj client.Object) []string {
	remediation, ok := obj.(*v1alpha1.ZombieRemediation)
	if !ok {
		return nil
	}
	return []string{remediation.Spec.PodUID}
}

// reportOfRemediation are the report of the pod and the sweep of its acts, in case that report is gone.
func reportOfRemediation(_ context.Context, obj client.Object) []reconcile.Request {
	remediation, ok := obj.(*v1alpha1.ZombieRemediation)
	if !ok {
		return nil
	}
	spec := remediation.Spec
	return []reconcile.Request{request(remediation.Namespace, v1alpha1.ReportName(spec.PodName, spec.PodUID)), sweep(spec.PodUID)}
}

func reportOfPod(_ context.Context, pod client.Object) []reconcile.Request {
	return []reconcile.Request{request(pod.GetNamespace(), v1alpha1.ReportName(pod.GetName(), string(pod.GetUID())))}
}

func request(namespace, name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
}

// reportsOfNamespace are the reports in the namespace of a policy; all reports for one without a namespace.
func (r *Reconciler) reportsOfNamespace(ctx context.Context, policy client.Object) []reconcile.Request {
	return r.reports(ctx, policy.GetNamespace())
}

func (r *Reconciler) reportsIn(ctx context.Context, namespace client.Object) []reconcile.Request {
	return r.reports(ctx, namespace.GetName())
}

func (r *Reconciler) reports(ctx context.Context, namespace string) []reconcile.Request {
	var reports v1alpha1.ZombieReportList
	if err := r.cached.List(ctx, &reports, client.InNamespace(namespace)); err != nil {
		// A map function cannot return it. The cache fails only while it starts, when every report is enqueued anyway.
		log.FromContext(ctx).Error(err, "Listing reports", "namespace", namespace)
		return nil
	}
	requests := make([]reconcile.Request, 0, len(reports.Items))
	for i := range reports.Items {
		requests = append(requests, request(reports.Items[i].Namespace, reports.Items[i].Name))
	}
	return requests
}

// notOver leaves out, at a start, remediations that were completed before it: their reports are judged anyway.
func notOver() predicate.Predicate {
	return predicate.Funcs{CreateFunc: func(e event.CreateEvent) bool {
		remediation, ok := e.Object.(*v1alpha1.ZombieRemediation)
		return ok && !completed(remediation)
	}}
}

// selectionChanged lets through what may change by which policy a pod is governed, or whether it is acted on.
func selectionChanged() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			return !maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels()) ||
				optsOut(e.ObjectOld.GetAnnotations()) != optsOut(e.ObjectNew.GetAnnotations()) ||
				(e.ObjectOld.GetDeletionTimestamp() == nil) != (e.ObjectNew.GetDeletionTimestamp() == nil)
		},
	}
}
