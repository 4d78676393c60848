// Package remedy judges leaks by policies and cures them: it chooses the rung of the ladder that is on, keeps to guards and limits,
// has the agent of the node act by a ZombieRemediation, and goes on from its proof. It never touches a node itself.
package remedy

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

// Reconciler judges ZombieReports.
type Reconciler struct {
	clock clock.PassiveClock
	// client writes; what it reads comes from the API server, as far as this package reads with it.
	client client.Client
	// cached reads what was watched.
	cached client.Reader
	// live reads from the API server.
	live     client.Reader
	ledger   *ledger.Store
	recorder events.EventRecorder
	// operatorNamespace is where the operator itself runs.
	operatorNamespace string
}

// New returns a reconciler. cached is the manager's cache, with what Cached says in it; live reads from the API server:
// nothing is acted on that was not read just now.
func New(clock clock.PassiveClock, c client.Client, cached, live client.Reader, store *ledger.Store, recorder events.EventRecorder, operatorNamespace string) *Reconciler {
	return &Reconciler{clock: clock, client: c, cached: cached, live: live, ledger: store, recorder: recorder, operatorNamespace: operatorNamespace}
}

// sweep is the request to settle what has ended of the acts on a pod, whether it has a report or not. No report is
// without a namespace.
func sweep(podUID string) reconcile.Request { return request("", podUID) }

// conflictDelay is after what time a decision that was overtaken by another writer is taken anew.
const conflictDelay = time.Second

// Reconcile judges one report and does what the verdict says: first the ledger, then the remediations, then the report, then Events.
// Whatever it is interrupted between, the next one finds what was done in the ledger and goes on from there.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	result, err := r.reconcile(ctx, req)
	if overtaken(err) {
		return reconcile.Result{RequeueAfter: conflictDelay}, nil
	}
	return result, err
}

func (r *Reconciler) reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if req.Namespace == "" {
		_, again, err := r.settledEdition(ctx, func(u ledger.Unit) bool { return u.PodUID == req.Name })
		return reconcile.Result{RequeueAfter: again}, err
	}
	var report v1alpha1.ZombieReport
	if err := r.cached.Get(ctx, req.NamespacedName, &report); err != nil || report.DeletionTimestamp != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	now := r.clock.Now()
	f, edition, again, err := r.gather(ctx, &report, now)
	if err != nil {
		return reconcile.Result{}, err
	}
	v := decide(f, now)
	if v.cancel {
		if err := r.cancel(ctx, f.book.Unit(report.Spec.PodUID)); err != nil {
			return reconcile.Result{}, err
		}
	}
	if edition, err = r.noteStopped(ctx, edition, v.stopped); err != nil {
		return reconcile.Result{}, err
	}
	if v.act != nil {
		if err := r.start(ctx, edition, v.act, &report); err != nil {
			return reconcile.Result{}, err
		}
	}
	if changed(&report, v) {
		if err := r.write(ctx, &report, v); err != nil {
			return reconcile.Result{}, err
		}
		r.tell(podOf(&report), v.policy(), occurrences(&report, v)...)
	}
	return reconcile.Result{RequeueAfter: sooner(again, v.checkAgainAfter)}, nil
}

// podOf names the pod of a report for an Event.
func podOf(report *v1alpha1.ZombieReport) *corev1.Pod {
	pod := &corev1.Pod{}
	pod.Namespace, pod.Name = report.Namespace, report.Spec.PodName
	pod.UID = podUID(report.Spec.PodUID)
	return pod
}

// changed is whether the report says something else than the verdict.
func changed(report *v1alpha1.ZombieReport, v verdict) bool {
	if !equality.Semantic.DeepEqual(report.Status.Judgement, v.judgement) {
		return true
	}
	for _, kind := range []string{v1alpha1.ConditionTriggered, v1alpha1.ConditionAlerting} {
		stored := meta.FindStatusCondition(report.Status.Conditions, kind)
		wanted := meta.FindStatusCondition(v.conditions, kind)
		if (stored == nil) != (wanted == nil) || (stored != nil && !sameCondition(*stored, *wanted)) {
			return true
		}
	}
	return false
}

func sameCondition(a, b metav1.Condition) bool {
	return a.Status == b.Status && a.Reason == b.Reason && a.Message == b.Message && a.ObservedGeneration == b.ObservedGeneration
}

// noteStopped keeps in the ledger when containers that were acted on stopped leaking.
func (r *Reconciler) noteStopped(ctx context.Context, edition ledger.Edition, stopped []ledger.Target) (ledger.Edition, error) {
	now := r.clock.Now()
	next, found := edition.Book.Stopped(stopped, now.UTC())
	if !found {
		return edition, nil
	}
	return r.ledger.Save(ctx, edition, next, now)
}

// start reserves an act in the ledger and then has it done.
func (r *Reconciler) start(ctx context.Context, edition ledger.Edition, a *act, report *v1alpha1.ZombieReport) error {
	edition, err := r.ledger.Save(ctx, edition, edition.Book.Reserve(a.unit, a.position), r.clock.Now())
	if err != nil {
		return err
	}
	for i, spec := range a.remediations {
		remediation := &v1alpha1.ZombieRemediation{Spec: spec}
		remediation.Namespace, remediation.Name = a.unit.Namespace, a.unit.Remediations[i]
		err := r.client.Create(ctx, remediation)
		if err != nil && i == 0 && isRefusal(err) {
			return r.giveUp(ctx, edition, a, err)
		}
		if err != nil {
			// The name is only given once, so one that exists cannot be another's. If it was not made at all, the unit is
			// taken out of the ledger after its time.
			return fmt.Errorf("creating remediation %s: %w", remediation.Name, err)
		}
	}
	logFrom(ctx).InfoContext(ctx, "Acting", "pod", report.Spec.PodName, "container", a.unit.Container, "remediations", a.unit.Remediations)
	return nil
}

// isRefusal is whether the API server refused an object for good; after any other error it may have been made.
func isRefusal(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || apierrors.IsNotFound(err)
}

// giveUp takes an act out of the ledger again of which nothing was made, so that it stands in nobody's way. It is decided anew
// when the agent reports something else, or after a while.
func (r *Reconciler) giveUp(ctx context.Context, edition ledger.Edition, a *act, why error) error {
	now := r.clock.Now()
	position := settled(a.position, a.unit, []v1alpha1.Outcome{v1alpha1.OutcomeStale}, now.UTC())
	if _, err := r.ledger.Save(ctx, edition, edition.Book.Settle(a.unit, position), now); err != nil {
		return err
	}
	return fmt.Errorf("creating remediation %s: %w", a.unit.Remediations[0], why)
}
