package restart

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// leastGrace is what a hook leaves to the container, however long it took. The kubelet leaves as much.
const leastGrace = 2 * time.Second

// story gathers what a restart has to tell besides how it ended.
type story struct{ asides []string }

func (s *story) add(format string, args ...any) {
	s.asides = append(s.asides, fmt.Sprintf(format, args...))
}

// end tells how it ended first, as the end of a long story is cut.
func (s *story) end(format string, args ...any) string {
	return strings.Join(append([]string{fmt.Sprintf(format, args...)}, s.asides...), " ")
}

// hook runs the preStop hook of a container and returns what it leaves of the grace. A hook that fails or takes too long
// does not keep the container: the kubelet goes on too.
func (p *prepared) hook(ctx context.Context, s *story) time.Duration {
	how := p.r.Spec.RestartContainer
	grace := time.Duration(how.GracePeriodSeconds) * time.Second
	began := time.Now()
	switch {
	case len(how.PreStopExec) > 0:
		if err := p.kind.runtime.ExecSync(ctx, p.r.Spec.ContainerID, how.PreStopExec, grace); err != nil {
			s.add("Its preStop hook failed: %v.", err)
		}
	case how.PreStopSleepSeconds != nil:
		_ = pause(ctx, min(time.Duration(*how.PreStopSleepSeconds)*time.Second, grace)) // the caller looks at the context
	}
	return max(grace-time.Since(began), leastGrace)
}

// stop lets the runtime stop a container and waits until it ended and a new one runs.
func (p *prepared) stop(ctx context.Context, grace time.Duration, s *story) (act.Result, error) {
	began := time.Now()
	err := p.kind.runtime.StopContainer(ctx, p.r.Spec.ContainerID, grace)
	if cannotFork(err) {
		err = p.kill(ctx, s)
	}
	gone, waitErr := p.kind.waitGone(ctx, p.r, grace+goneWithin-time.Since(began), p.gone)
	switch {
	case waitErr != nil:
		return act.Result{}, waitErr
	case gone:
		return p.kind.successor(ctx, p.r, s)
	}
	message := s.end("The container still runs %s after its grace: its first process hangs, as it does when the parent of a zombie is outside the container.", goneWithin)
	if err != nil {
		message = s.end("The container still runs, as stopping it failed: %v.", err)
	}
	return act.Result{Outcome: v1alpha1.OutcomeFailed, After: p.left(ctx), Message: message}, nil
}

// What a runtime says when the kernel refuses it a new process: the Go library's text of EAGAIN, or, when there was room for
// runc but not for its threads, the last words of the Go runtime. An error comes through gRPC as text only, so it cannot
// be told by errors.Is.
var noFork = []string{unix.EAGAIN.Error(), "failed to create new OS thread"}

func cannotFork(err error) bool {
	if err == nil {
		return false
	}
	for _, text := range noFork {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return false
}

// kill does what the runtime cannot do when the leak left it no process to do it with. It looks at the target once more.
func (p *prepared) kill(ctx context.Context, s *story) error {
	if err := p.same(ctx); err != nil {
		return fmt.Errorf("the runtime cannot fork, and SIGKILL was not sent: %w", err)
	}
	if err := p.init.Signal(unix.SIGKILL); err != nil {
		return fmt.Errorf("the runtime cannot fork: %w", err)
	}
	s.add("The container runtime could not fork, so SIGKILL was sent to the container's first process.")
	return nil
}

// left counts the zombies that a stop did not remove; those of before are taken where they cannot be counted.
func (p *prepared) left(ctx context.Context) int32 {
	n, err := 0, p.same(ctx)
	if err == nil {
		n, err = p.kind.finder.Zombies(p.container)
	}
	if err != nil {
		return max(p.Before(), before(p.r))
	}
	return int32(n)
}

// Settle ends a restart that an earlier agent began. While the same container runs, its stop is asked for again with the
// grace that is left: a runtime may forget to kill when its caller goes away. The hook is not run again.
func (k *Kind) Settle(ctx context.Context, r *v1alpha1.ZombieRemediation) (act.Result, error) {
	s := &story{}
	s.add("An earlier agent began it.")
	p, err := k.hold(ctx, r)
	var notDone *act.NotDoneError
	switch {
	case err == nil:
		defer p.Close()
		return p.stop(ctx, graceLeft(r, time.Now()), s)
	case !errors.As(err, &notDone):
		return act.Result{}, err
	}
	gone, err := k.waitGone(ctx, r, goneWithin, func() bool { return true })
	switch {
	case err != nil:
		return act.Result{}, err
	case gone:
		return k.successor(ctx, r, s)
	}
	message := s.end("The runtime says that the container still runs, but it must not be touched now: %s", notDone.Message)
	return act.Result{Outcome: v1alpha1.OutcomeInterrupted, After: before(r), Message: message}, nil
}

// graceLeft is what is left of the grace of an act that began at its start time. It is a second at least, as CRI takes
// none for SIGKILL at once, and the whole at most, as a clock may be set back.
func graceLeft(r *v1alpha1.ZombieRemediation, now time.Time) time.Duration {
	grace := leastGrace
	if how := r.Spec.RestartContainer; how != nil {
		grace = time.Duration(how.GracePeriodSeconds) * time.Second
	}
	if r.Status.StartTime == nil {
		return grace
	}
	return min(max(grace-now.Sub(r.Status.StartTime.Time), time.Second), grace)
}

func before(r *v1alpha1.ZombieRemediation) int32 {
	if r.Status.ZombiesBefore == nil {
		return 0
	}
	return *r.Status.ZombiesBefore
}
