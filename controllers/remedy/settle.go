package remedy

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/govern"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

const (
	// recoverTime is how long after a restart the new container may take to become ready before the next act may begin.
	recoverTime = 5 * time.Minute
	// recoverCheck is how often its pod is read meanwhile.
	recoverCheck = 5 * time.Second
)

// settledEdition reads the ledger and takes out of it what has ended of the units that concern the caller: looking at all of them
// for each report would cost as many reads as there are acts. It tells when the rest of those is to be looked at again.
func (r *Reconciler) settledEdition(ctx context.Context, concerns func(ledger.Unit) bool) (ledger.Edition, time.Duration, error) {
	edition, err := r.ledger.Load(ctx)
	if err != nil {
		return edition, 0, err
	}
	var again time.Duration
	full := edition.Book.Full() // then every unit stands in the way
	for _, unit := range edition.Book.Units {
		if !full && !concerns(unit) {
			continue
		}
		found, err := r.look(ctx, unit)
		if err != nil {
			return edition, 0, err
		}
		now := r.clock.Now()
		left := found.left(unit, now)
		if left > 0 {
			again = sooner(again, left)
			continue
		}
		position := settled(edition.Book.Position(unit.Target), unit, found.outcomes(), now.UTC())
		if edition, err = r.ledger.Save(ctx, edition, edition.Book.Settle(unit, position), now); err != nil {
			return edition, 0, err
		}
		for _, remediation := range found.remediations {
			r.tell(podOfUnit(unit), r.policyOf(ctx, remediation), ending(remediation))
		}
	}
	return edition, again, nil
}

// state is what there is of a unit under way.
type state struct {
	remediations []*v1alpha1.ZombieRemediation
	missing      int
	// pod is read for a restart only; nil when it is gone.
	pod *corev1.Pod
}

func (r *Reconciler) look(ctx context.Context, unit ledger.Unit) (state, error) {
	var s state
	for _, name := range unit.Remediations {
		remediation := &v1alpha1.ZombieRemediation{}
		err := r.live.Get(ctx, client.ObjectKey{Namespace: unit.Namespace, Name: name}, remediation)
		switch {
		case apierrors.IsNotFound(err):
			s.missing++
		case err != nil:
			return state{}, fmt.Errorf("getting remediation %s: %w", name, err)
		default:
			s.remediations = append(s.remediations, remediation)
		}
	}
	if !unit.Restart {
		return s, nil
	}
	var pod corev1.Pod
	err := r.live.Get(ctx, client.ObjectKey{Namespace: unit.Namespace, Name: unit.PodName}, &pod)
	if client.IgnoreNotFound(err) != nil {
		return state{}, fmt.Errorf("getting pod %q: %w", unit.PodName, err)
	}
	if err == nil && string(pod.UID) == unit.PodUID {
		s.pod = &pod
	}
	return s, nil
}

// left is how long to wait before a unit is looked at again; zero when it has ended.
func (s state) left(unit ledger.Unit, now time.Time) time.Duration {
	// A remediation that is missing was not made, as the controller ended in between, or was deleted: then an agent may be acting.
	if left := unit.EndsBy.Sub(now); s.missing > 0 && left > 0 {
		return left
	}
	var last time.Time
	for _, remediation := range s.remediations {
		if !completed(remediation) {
			return recheck
		}
		if at := actTime(*remediation); at.After(last) {
			last = at
		}
	}
	// The time is the agent's, so one that lies ahead is not waited for either: this may hold up the whole cluster.
	recovering := s.pod != nil && now.Sub(last).Abs() < recoverTime && !ready(s.pod, unit)
	if recovering && len(s.remediations) > 0 && s.remediations[0].Status.Outcome == v1alpha1.OutcomeCleared {
		return recoverCheck
	}
	return 0
}

// ready is whether a new container runs in place of the one that was stopped, and is ready.
func ready(pod *corev1.Pod, unit ledger.Unit) bool {
	status := statusOf(pod, unit.Container)
	_, id, _ := strings.Cut(status.ContainerID, "://")
	return id != unit.ContainerID && status.Ready
}

// outcomes are those of the unit's remediations. Of one that is missing it cannot be known.
func (s state) outcomes() []v1alpha1.Outcome {
	var outcomes []v1alpha1.Outcome
	for _, remediation := range s.remediations {
		outcomes = append(outcomes, remediation.Status.Outcome)
	}
	for range s.missing {
		outcomes = append(outcomes, v1alpha1.OutcomeInterrupted)
	}
	return outcomes
}

// policyOf is the policy of a remediation for an Event; nil when it is gone.
func (r *Reconciler) policyOf(ctx context.Context, remediation *v1alpha1.ZombieRemediation) runtime.Object {
	reference := remediation.Spec.Policy
	var policy client.Object = &v1alpha1.ClusterZombiePolicy{}
	key := client.ObjectKey{Name: reference.Name}
	if reference.Kind == govern.KindNamespaced {
		policy, key.Namespace = &v1alpha1.ZombiePolicy{}, remediation.Namespace
	}
	if err := r.cached.Get(ctx, key, policy); err != nil {
		return nil // then only the pod is told
	}
	return policy
}

// cancel calls off what is not executed yet of a unit.
func (r *Reconciler) cancel(ctx context.Context, unit *ledger.Unit) error {
	for _, name := range unit.Remediations {
		remediation := &v1alpha1.ZombieRemediation{}
		err := r.live.Get(ctx, client.ObjectKey{Namespace: unit.Namespace, Name: name}, remediation)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("getting remediation %s: %w", name, err)
		}
		if completed(remediation) || hasCondition(remediation, v1alpha1.ConditionExecuting) {
			continue
		}
		callOff(remediation, r.clock.Now())
		if err := r.client.Status().Update(ctx, remediation); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("cancelling remediation %s: %w", name, err)
		}
	}
	return nil
}

func hasCondition(r *v1alpha1.ZombieRemediation, condition string) bool {
	return meta.IsStatusConditionTrue(r.Status.Conditions, condition)
}

func podOfUnit(u ledger.Unit) *corev1.Pod {
	pod := &corev1.Pod{}
	pod.Namespace, pod.Name, pod.UID = u.Namespace, u.PodName, types.UID(u.PodUID)
	return pod
}
