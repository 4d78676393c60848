package nodereport

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/agentpods"
)

// reconcileTimeout leaves time for a read and a write that the API server lets wait for 10 s each.
const reconcileTimeout = 20 * time.Second

// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombienodereports,verbs=list;watch;delete
// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombienodereports/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=nodes,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Cached says what a manager's cache must keep for this controller.
func Cached() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{&v1alpha1.ZombieNodeReport{}: {Transform: cache.TransformStripManagedFields()}}
}

// SetupWithManager starts the reconciler with a manager whose cache keeps what Cached says.
// agentPods is the cache made by agentpods.NewCache. Nodes are not watched: when one goes, so does its agent, and the report
// is judged anew.
func (r *Reconciler) SetupWithManager(mgr manager.Manager, agentPods cache.Cache) error {
	readinessOfAgents := source.Kind(agentPods, &corev1.Pod{},
		handler.TypedEnqueueRequestsFromMapFunc(reportOfNode), agentpods.ReadinessChanged())
	err := builder.ControllerManagedBy(mgr).
		Named("zombienodereport").
		For(&v1alpha1.ZombieNodeReport{}).
		WatchesRawSource(readinessOfAgents).
		WithOptions(controller.Options{ReconciliationTimeout: reconcileTimeout}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("building the controller of the reports of nodes: %w", err)
	}
	return nil
}

// reportOfNode is the report of the node on which an agent pod runs; it has the node's name.
func reportOfNode(_ context.Context, agentPod *corev1.Pod) []reconcile.Request {
	if agentPod.Spec.NodeName == "" {
		return nil // it waits for a node
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: agentPod.Spec.NodeName}}}
}
