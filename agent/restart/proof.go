package restart

import (
	"context"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

const (
	// goneWithin is how long after its grace a container may take to be gone, as long as the runtime itself is given:
	// the processes of a large one are many, and the runtime learns of their end a little later than the kernel.
	goneWithin = 30 * time.Second
	// newWithin is how long a new container may take: the kubelet's back-off goes up to five minutes.
	newWithin = 5 * time.Minute
	// lookEvery is the time between two questions to the runtime.
	lookEvery = time.Second
)

// waitGone waits until a container does not run any more: its first process is gone, and the runtime knows it. The error
// is that of the context.
func (k *Kind) waitGone(ctx context.Context, r *v1alpha1.ZombieRemediation, most time.Duration, initGone func() bool) (bool, error) {
	return until(ctx, most, func() bool {
		if !initGone() {
			return false
		}
		runs, err := k.runtime.Runs(ctx, r.Spec.ContainerID)
		return err == nil && !runs
	})
}

// successor waits for the new container, and then looks whether the zombies are gone with the old one. The kernel reaps all of
// a PID namespace that ends, but the containers of a pod may share one, and then a process of the old may live on. That
// the new container is late does not change it.
func (k *Kind) successor(ctx context.Context, r *v1alpha1.ZombieRemediation, held []scan.Key, s *story) (act.Result, error) {
	var id string
	found, err := until(ctx, newWithin, func() bool {
		var err error
		id, err = k.runtime.Successor(ctx, r.Spec.PodUID, string(r.Spec.ContainerName), r.Spec.ContainerID)
		return err == nil && id != ""
	})
	if err != nil {
		return act.Result{}, err
	}
	left, err := k.finder.Left(held)
	switch {
	case err != nil:
		s.add("That its zombies are gone could not be seen: %v.", err)
	case len(left) > 0:
		message := s.end("The container ended, but %s of it did not: their parent lives on, as it may where the containers of a pod share a PID namespace.", zombies(len(left)))
		return act.Result{Outcome: v1alpha1.OutcomeFailed, After: int32(len(left)), Message: message}, nil //nolint:gosec // at most kernel.pid_max
	}
	message := s.end("The container ended, but no new one runs after %s; the kubelet may be waiting before it starts it again.", newWithin)
	if found {
		message = s.end("The container ended, and container %.12s runs in its place.", id)
	}
	return act.Result{Outcome: v1alpha1.OutcomeCleared, Message: message}, nil
}

// until asks again and again until the answer is yes or the time is over. The error is that of the context.
func until(ctx context.Context, most time.Duration, yes func() bool) (bool, error) {
	began := time.Now()
	for {
		if ctx.Err() != nil {
			return false, ended(ctx)
		}
		if yes() {
			return true, nil
		}
		if time.Since(began) >= most {
			return false, nil
		}
		if err := pause(ctx, lookEvery); err != nil {
			return false, err
		}
	}
}

// pause waits. It fails with the error of its context when that ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ended(ctx)
	case <-timer.C:
		return nil
	}
}
