package policystatus

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/report"
)

const (
	// soon is how long after a policy, a leak or an act changed all is counted anew. Who applies a policy looks at it at
	// once; one second gathers a file of policies, and what the caches tell of one act, into one count.
	soon = time.Second
	// later is the same for pods and namespaces, which in a large cluster change all the time. To count 10,000 pods under
	// 30 policies each takes about 0.1 s, which is 2 % of one CPU.
	later = 5 * time.Second
	// reconcileTimeout leaves time for the statuses of a thousand policies at the client's own limit of 50 writes a second.
	reconcileTimeout = 30 * time.Second
)

// everything is the one request there is.
var everything = reconcile.Request{}

// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombiepolicies;clusterzombiepolicies,verbs=list;watch
// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombiepolicies/status;clusterzombiepolicies/status,verbs=patch
// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombiereports;zombieremediations,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch

// Cached says what a manager's cache must keep for this controller besides what report.Cached and remediation.Cached say:
// policies, and of namespaces what policies select by and whether they opt out.
func Cached() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&v1alpha1.ZombiePolicy{}:        {Transform: cache.TransformStripManagedFields()},
		&v1alpha1.ClusterZombiePolicy{}: {Transform: cache.TransformStripManagedFields()},
		metadata("Namespace"):           {Transform: report.StripMetadata(v1alpha1.AnnotationOptOut)},
	}
}

// SetupWithManager starts the reconciler with a manager whose cache keeps what Cached says.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	err := builder.ControllerManagedBy(mgr).
		Named("zombiepolicystatus").
		Watches(&v1alpha1.ZombiePolicy{}, countAfter(soon), builder.WithPredicates(specChanged())).
		Watches(&v1alpha1.ClusterZombiePolicy{}, countAfter(soon), builder.WithPredicates(specChanged())).
		Watches(&v1alpha1.ZombieReport{}, countAfter(soon), builder.WithPredicates(leaksChanged())).
		Watches(&v1alpha1.ZombieRemediation{}, countAfter(soon), builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		WatchesMetadata(&corev1.Pod{}, countAfter(later), builder.WithPredicates(labelsChanged())).
		WatchesMetadata(&corev1.Namespace{}, countAfter(later), builder.WithPredicates(labelsChanged())).
		WithOptions(controller.Options{ReconciliationTimeout: reconcileTimeout}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("building the controller of policy statuses: %w", err)
	}
	return nil
}

// countAfter asks for a count some time after an event. The queue keeps one request, due at the earliest of the times
// asked for: under a stream of events there is one count in each such time, and it never waits for the stream to end.
func countAfter(delay time.Duration) handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	return handler.Funcs{
		CreateFunc: func(_ context.Context, _ event.CreateEvent, q queue) { q.AddAfter(everything, delay) },
		UpdateFunc: func(_ context.Context, _ event.UpdateEvent, q queue) { q.AddAfter(everything, delay) },
		DeleteFunc: func(_ context.Context, _ event.DeleteEvent, q queue) { q.AddAfter(everything, delay) },
	}
}

// specChanged passes the policies that come and go, that are new under an old name, and whose spec changed. It keeps back
// this reconciler's own writes of their status.
func specChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() || e.ObjectOld.GetUID() != e.ObjectNew.GetUID()
	}}
}

// labelsChanged passes what makes policies select otherwise: all that comes and goes, and changes of labels.
func labelsChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return !maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels())
	}}
}

// leaksChanged passes the reports that come and go and those in which a trigger began or ceased to hold. Reports are
// written more often than that.
func leaksChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return !slices.Equal(triggered(e.ObjectOld), triggered(e.ObjectNew))
	}}
}

// triggered are the names of the containers in which a trigger holds.
func triggered(obj client.Object) []v1alpha1.ContainerName {
	zr, ok := obj.(*v1alpha1.ZombieReport)
	if !ok || zr.Status.Judgement == nil {
		return nil
	}
	var names []v1alpha1.ContainerName
	for _, container := range zr.Status.Judgement.Triggered {
		names = append(names, container.Name)
	}
	return names
}

func metadata(kind string) *metav1.PartialObjectMetadata {
	obj := &metav1.PartialObjectMetadata{}
	obj.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
	return obj
}
