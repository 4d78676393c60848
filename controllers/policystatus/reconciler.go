// Package policystatus keeps the statuses of all policies: how many pods each governs, how many of them leak, and what is
// and was done under it. It decides nothing.
package policystatus

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	applyv1alpha1 "github.com/zombie-operator/zombie-operator/api/applyconfiguration/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/govern"
)

// Reconciler reconciles the statuses of all ZombiePolicies and ClusterZombiePolicies at once. One policy decides what is
// left to another, so one pass over the pods that counts for all of them costs less than one for each.
type Reconciler struct {
	clock  clock.PassiveClock
	client client.Client
	cached client.Reader
}

// New returns a reconciler. cached is the manager's cache, with what Cached says in it and the pods' metadata: counts may
// be a little late. The client only writes.
func New(clock clock.PassiveClock, c client.Client, cached client.Reader) *Reconciler {
	return &Reconciler{clock: clock, client: c, cached: cached}
}

// Reconcile counts for all policies and writes the statuses that changed. What the request names does not matter.
func (r *Reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	f, err := r.gather(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	all := tally(f)
	var result reconcile.Result
	var errs []error
	written := 0
	for _, p := range policiesOf(f) {
		status, changed := statusOf(p, all.of(p.key), r.clock.Now())
		if !changed {
			continue
		}
		switch err := r.write(ctx, p, status); {
		case apierrors.IsConflict(err):
			// The policy that was counted for is not the one that is stored: the cache is late. The next pass is about that.
			result.RequeueAfter = soon
		case apierrors.IsNotFound(err): // it is gone
		case err != nil:
			errs = append(errs, err)
		default:
			written++
		}
	}
	if written > 0 {
		log.FromContext(ctx).V(1).Info("Wrote statuses of policies", "written", written)
	}
	if err := errors.Join(errs...); err != nil {
		return reconcile.Result{}, err
	}
	return result, nil
}

// gather reads everything. What it reads of the cache is not copied, since reports alone can be tens of megabytes;
// nothing here changes it. Policies are copied: their rulings carry them.
func (r *Reconciler) gather(ctx context.Context) (facts, error) {
	var zps v1alpha1.ZombiePolicyList
	var czps v1alpha1.ClusterZombiePolicyList
	var reports v1alpha1.ZombieReportList
	var remediations v1alpha1.ZombieRemediationList
	pods, namespaces := metadataOf("Pod"), metadataOf("Namespace")
	for _, of := range []struct {
		what    string
		list    client.ObjectList
		options []client.ListOption
	}{
		{"policies", &zps, nil},
		{"cluster-wide policies", &czps, nil},
		{"namespaces", namespaces, []client.ListOption{client.UnsafeDisableDeepCopy}},
		{"pods", pods, []client.ListOption{client.UnsafeDisableDeepCopy}},
		{"reports", &reports, []client.ListOption{client.UnsafeDisableDeepCopy}},
		{"remediations", &remediations, []client.ListOption{client.UnsafeDisableDeepCopy}},
	} {
		if err := r.cached.List(ctx, of.list, of.options...); err != nil {
			return facts{}, fmt.Errorf("listing %s: %w", of.what, err)
		}
	}
	return facts{
		zps: zps.Items, czps: czps.Items, namespaces: namespaces.Items, pods: pods.Items,
		reports: reports.Items, remediations: remediations.Items,
	}, nil
}

func metadataOf(kind string) *metav1.PartialObjectMetadataList {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind + "List"))
	return list
}

// write applies the status to the very version of the policy that was counted for.
func (r *Reconciler) write(ctx context.Context, p policy, status *v1alpha1.ZombiePolicyStatus) error {
	var apply runtime.ApplyConfiguration
	if p.kind == govern.KindClusterWide {
		apply = applyv1alpha1.ClusterZombiePolicy(p.key.name).
			WithResourceVersion(p.resourceVersion).WithStatus(applied(status))
	} else {
		apply = applyv1alpha1.ZombiePolicy(p.key.name, p.key.namespace).
			WithResourceVersion(p.resourceVersion).WithStatus(applied(status))
	}
	err := r.client.Status().Apply(ctx, apply, client.FieldOwner(v1alpha1.FieldManagerController), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("applying status of %s %q in namespace %q: %w", p.kind, p.key.name, p.key.namespace, err)
	}
	return nil
}

// applied is the part of a status that this reconciler owns: all of it but other conditions.
func applied(status *v1alpha1.ZombiePolicyStatus) *applyv1alpha1.ZombiePolicyStatusApplyConfiguration {
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	apply := applyv1alpha1.ZombiePolicyStatus().
		WithConditions(applymetav1.Condition().
			WithType(ready.Type).WithStatus(ready.Status).WithReason(ready.Reason).WithMessage(ready.Message).
			WithObservedGeneration(ready.ObservedGeneration).WithLastTransitionTime(ready.LastTransitionTime)).
		WithObservedGeneration(status.ObservedGeneration).
		WithGoverned(*status.Governed).WithLeaking(*status.Leaking).WithInFlight(*status.InFlight)
	if act := status.LastAct; act != nil {
		last := applyv1alpha1.LastAct().WithRemediation(act.Remediation).WithPodName(act.PodName).
			WithAction(act.Action).WithTime(act.Time)
		if act.Outcome != "" {
			last.WithOutcome(act.Outcome)
		}
		apply.WithLastAct(last)
	}
	return apply
}
