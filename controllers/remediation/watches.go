package remediation

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

const (
	// reconcileTimeout leaves time for a write that the API server lets wait for 10 s. Where very many are to be deleted,
	// one reconcile deletes as many as it can and the next goes on.
	reconcileTimeout = 20 * time.Second
	// boundDelay gathers what completes at about the same time into one count of all. There is no hurry: a few more than
	// the bound do no harm.
	boundDelay = 10 * time.Second
)

// everyCompleted is the request to count all completed remediations. No remediation is without a name.
var everyCompleted = reconcile.Request{}

// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombieremediations,verbs=get;list;watch;delete
// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombieremediations/status,verbs=update

// Cached says what a manager's cache must keep for this controller.
func Cached() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&v1alpha1.ZombieRemediation{}: {Transform: cache.TransformStripManagedFields()},
	}
}

// SetupWithManager starts the reconciler with a manager whose cache keeps what Cached says.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	err := builder.ControllerManagedBy(mgr).
		Named("zombieremediation").
		For(&v1alpha1.ZombieRemediation{}).
		Watches(&v1alpha1.ZombieRemediation{}, completions()).
		WithOptions(controller.Options{ReconciliationTimeout: reconcileTimeout}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("building the controller of remediations: %w", err)
	}
	return nil
}

// completions asks for a count when a remediation completed, and at a start, when each comes as created.
func completions() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
			if completed(e.Object) {
				q.AddAfter(everyCompleted, boundDelay)
			}
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			if completed(e.ObjectNew) && !completed(e.ObjectOld) {
				q.AddAfter(everyCompleted, boundDelay)
			}
		},
	}
}

func completed(obj client.Object) bool {
	remediation, ok := obj.(*v1alpha1.ZombieRemediation)
	return ok && is(remediation, v1alpha1.ConditionCompleted)
}
