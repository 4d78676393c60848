package report

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/agentpods"
)

const (
	// nodeNameIndex finds the reports of a node.
	nodeNameIndex = "spec.nodeName"
	// workers hide the latency of the one live read that each report costs; the client's own limit bounds them.
	workers = 4
	// reconcileTimeout leaves time for a read and a write that the API server lets wait for 10 s each.
	reconcileTimeout = 20 * time.Second
)

// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombiereports,verbs=list;watch;delete
// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombiereports/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch

// Cached says what a manager's cache must keep for this controller: reports, and of all pods little more than what names
// their reports and what policies select by.
func Cached() map[client.Object]cache.ByObject {
	pods := &metav1.PartialObjectMetadata{}
	pods.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	return map[client.Object]cache.ByObject{
		&v1alpha1.ZombieReport{}: {Transform: stripFields},
		pods:                     {Transform: StripMetadata(append(staticPodUIDAnnotations, v1alpha1.AnnotationOptOut)...)},
	}
}

// SetupWithManager starts the reconciler with a manager whose cache keeps what Cached says.
// agentPods is the cache made by agentpods.NewCache.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr manager.Manager, agentPods cache.Cache) error {
	err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.ZombieReport{}, nodeNameIndex, indexByNodeName)
	if err != nil {
		return fmt.Errorf("indexing reports by node: %w", err)
	}
	readinessOfAgents := source.Kind(agentPods, &corev1.Pod{},
		handler.TypedEnqueueRequestsFromMapFunc(r.reportsOfNode), agentpods.ReadinessChanged())
	err = builder.ControllerManagedBy(mgr).
		Named("zombiereport").
		For(&v1alpha1.ZombieReport{}).
		WatchesMetadata(&corev1.Pod{}, podsThatGo()).
		WatchesRawSource(readinessOfAgents).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, ReconciliationTimeout: reconcileTimeout}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("building the controller of reports: %w", err)
	}
	return nil
}

// stripFields leaves of a report's managed fields who wrote when, and not what, which takes more room than the rest of it.
func stripFields(in any) (any, error) {
	if report, ok := in.(*v1alpha1.ZombieReport); ok {
		for i := range report.ManagedFields {
			report.ManagedFields[i].FieldsV1 = nil
		}
	}
	return in, nil
}

// StripMetadata makes a function that reduces the metadata of an object to its identity, its labels, which policies select
// by, and some annotations. The resource version stays: an informer takes an update that does not change it for a resync
// and keeps it from handlers.
func StripMetadata(annotations ...string) toolscache.TransformFunc {
	return func(in any) (any, error) {
		whole, ok := in.(*metav1.PartialObjectMetadata)
		if !ok {
			return in, nil
		}
		stripped := &metav1.PartialObjectMetadata{
			TypeMeta: whole.TypeMeta,
			ObjectMeta: metav1.ObjectMeta{
				Name:              whole.Name,
				Namespace:         whole.Namespace,
				UID:               whole.UID,
				ResourceVersion:   whole.ResourceVersion,
				DeletionTimestamp: whole.DeletionTimestamp,
				Labels:            whole.Labels,
			},
		}
		for _, key := range annotations {
			if value, ok := whole.Annotations[key]; ok {
				metav1.SetMetaDataAnnotation(&stripped.ObjectMeta, key, value)
			}
		}
		return stripped, nil
	}
}

// podsThatGo enqueues the reports of a pod that is gone or, where its end was missed, of the one that was replaced
// under its name. Nothing else that happens to a pod matters before it is read live.
func podsThatGo() handler.EventHandler {
	return handler.Funcs{
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			if e.ObjectOld.GetUID() != e.ObjectNew.GetUID() {
				enqueue(q, reportsOfPod(e.ObjectOld))
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			enqueue(q, reportsOfPod(e.Object))
		},
	}
}

func enqueue(q workqueue.TypedRateLimitingInterface[reconcile.Request], requests []reconcile.Request) {
	for _, request := range requests {
		q.Add(request)
	}
}

// reportsOfPod are the reports that may exist about a pod: by its own UID and by that of the static pod it mirrors.
// Anybody may write the annotations, so they add a request and never take the other's place.
func reportsOfPod(pod client.Object) []reconcile.Request {
	uids := []string{string(pod.GetUID())}
	if uid, ok := staticPodUID(pod.GetAnnotations()); ok {
		uids = append(uids, uid)
	}
	requests := make([]reconcile.Request, 0, len(uids))
	for _, uid := range uids {
		requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{
			Namespace: pod.GetNamespace(),
			Name:      v1alpha1.ReportName(pod.GetName(), uid),
		}})
	}
	return requests
}

// reportsOfNode are the reports of the node on which an agent pod runs.
func (r *Reconciler) reportsOfNode(ctx context.Context, agentPod *corev1.Pod) []reconcile.Request {
	var reports v1alpha1.ZombieReportList
	err := r.client.List(ctx, &reports, client.MatchingFields{nodeNameIndex: agentPod.Spec.NodeName})
	if err != nil {
		// A map function cannot return it. The cache fails only while it starts, when every report is enqueued anyway.
		log.FromContext(ctx).Error(err, "Listing the reports of a node", "node", agentPod.Spec.NodeName)
		return nil
	}
	requests := make([]reconcile.Request, 0, len(reports.Items))
	for i := range reports.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&reports.Items[i])})
	}
	return requests
}

func indexByNodeName(obj client.Object) []string {
	report, ok := obj.(*v1alpha1.ZombieReport)
	if !ok {
		return nil
	}
	return []string{report.Spec.NodeName}
}
