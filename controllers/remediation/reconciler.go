// Package remediation looks after ZombieRemediations from outside: it ends those that no agent begins or brings to an
// end, and deletes those that were kept long enough. What they are about is decided elsewhere.
package remediation

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Reconciler reconciles ZombieRemediations.
type Reconciler struct {
	clock    clock.PassiveClock
	client   client.Client
	settings Settings
}

// New returns a reconciler.
func New(clock clock.PassiveClock, c client.Client, settings Settings) *Reconciler {
	return &Reconciler{clock: clock, client: c, settings: settings}
}

// Reconcile judges one remediation and does what the verdict says, or with the request everyCompleted bounds their number.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if req == everyCompleted {
		return reconcile.Result{}, r.bound(ctx)
	}
	var remediation v1alpha1.ZombieRemediation
	if err := r.client.Get(ctx, req.NamespacedName, &remediation); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if remediation.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	v := decide(&remediation, r.settings, r.clock.Now())
	var err error
	switch {
	case v.delete:
		err = r.delete(ctx, &remediation)
	case v.ending != nil:
		err = r.end(ctx, &remediation, *v.ending)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: v.checkAgainAfter}, nil
}

// end completes the very remediation that was judged: an agent that claimed it or began since is not overruled.
func (r *Reconciler) end(ctx context.Context, remediation *v1alpha1.ZombieRemediation, how ending) error {
	now := metav1.NewTime(r.clock.Now())
	status := &remediation.Status
	status.Outcome, status.Message, status.CompletionTime = how.outcome, how.message, &now
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type:               v1alpha1.ConditionCompleted,
		Status:             metav1.ConditionTrue,
		Reason:             string(how.outcome),
		Message:            how.message,
		ObservedGeneration: remediation.Generation,
		LastTransitionTime: now,
	})
	if err := r.client.Status().Update(ctx, remediation, client.FieldOwner(v1alpha1.FieldManagerController)); err != nil {
		if overtaken(err) {
			return nil
		}
		return fmt.Errorf("updating status of remediation: %w", err)
	}
	slogFrom(ctx).InfoContext(ctx, "Ended remediation", "outcome", how.outcome, "message", how.message,
		"pod", remediation.Spec.PodName, "node", remediation.Spec.NodeName)
	return nil
}

// bound deletes the oldest completed remediations when there are too many.
func (r *Reconciler) bound(ctx context.Context) error {
	var all v1alpha1.ZombieRemediationList
	if err := r.client.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil { // read only
		return fmt.Errorf("listing remediations: %w", err)
	}
	for _, remediation := range surplus(all.Items, r.settings.MaxCompleted) {
		if err := r.delete(ctx, remediation); err != nil {
			return err
		}
	}
	return nil
}

// delete deletes the very remediation that was judged, and not one of its name that was made since.
func (r *Reconciler) delete(ctx context.Context, remediation *v1alpha1.ZombieRemediation) error {
	exactly := client.Preconditions{UID: &remediation.UID, ResourceVersion: &remediation.ResourceVersion}
	if err := r.client.Delete(ctx, remediation, exactly); err != nil {
		if overtaken(err) {
			return nil
		}
		return fmt.Errorf("deleting remediation %q of namespace %q: %w", remediation.Name, remediation.Namespace, err)
	}
	// The trail is what is deleted here, so the log keeps its last line.
	slogFrom(ctx).InfoContext(ctx, "Deleted remediation", "remediation", client.ObjectKeyFromObject(remediation).String(),
		"outcome", remediation.Status.Outcome, "completed", completedAt(remediation).UTC(), "pod", remediation.Spec.PodName)
	return nil
}

// overtaken is whether a write failed because the remediation is not the one that was judged any more. That is no
// error: the change that overtook it comes as an event, and the remediation is judged anew.
func overtaken(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsConflict(err)
}

// slogFrom is the logger of a reconcile in the terms of the rest of the program.
func slogFrom(ctx context.Context) *slog.Logger {
	return slog.New(logr.ToSlogHandler(log.FromContext(ctx)))
}
