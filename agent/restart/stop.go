package restart

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/agent/target"
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
	gone, waitErr := p.kind.waitGone(ctx, p.r, max(grace-time.Since(began), 0)+goneWithin, p.gone)
	switch {
	case waitErr != nil:
		return act.Result{}, waitErr
	case gone:
		return p.kind.successor(ctx, p.r, p.zombies, s)
	case p.gone():
		return p.unconfirmed(err, s), nil
	}
	message := s.end("The container still runs %s after its grace: its first process hangs, as it does when the parent of a zombie is outside the container.", goneWithin)
	if err != nil {
		message = s.end("The container still runs, as stopping it failed: %v.", err)
	}
	return act.Result{Outcome: v1alpha1.OutcomeFailed, After: p.left(ctx), Message: message}, nil
}

// unconfirmed tells of a container that ended without the runtime's saying so; err is how stopping it failed, if it did.
func (p *prepared) unconfirmed(err error, s *story) act.Result {
	if err != nil {
		s.add("Stopping it failed: %v.", err)
	}
	left, lookErr := p.kind.finder.Left(p.zombies)
	after := int32(len(left)) //nolint:gosec // at most kernel.pid_max
	if lookErr != nil {
		after = max(p.Before(), before(p.r))
	}
	message := s.end("The first process of the container ended, but the container runtime did not say within %s that the container did.", goneWithin)
	return act.Result{Outcome: v1alpha1.OutcomeInterrupted, After: after, Message: message}
}

// What a runtime says when the kernel refuses it a new process: the text of EAGAIN, or, when there was room for runc but not for its
// threads, the last words of the Go runtime, with cgo and without. An error comes through gRPC as text only, so it cannot be told by
// errors.Is. The C library begins the text of EAGAIN with a capital, so all is compared in lower case.
var noFork = []string{unix.EAGAIN.Error(), "pthread_create failed", "failed to create new os thread"}

// cannotFork says whether a runtime that was asked to stop a container could not fork. One that could not be asked did not try:
// a socket whose queue is full answers EAGAIN as well.
func cannotFork(err error) bool {
	if err == nil || slices.Contains(unasked, status.Code(err)) {
		return false
	}
	text := strings.ToLower(err.Error())
	return slices.ContainsFunc(noFork, func(said string) bool { return strings.Contains(text, said) })
}

// unasked are the codes of calls that did not reach the runtime, or were given up.
var unasked = []codes.Code{codes.Unavailable, codes.DeadlineExceeded, codes.Canceled}

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
	var found target.Zombies
	err := p.same(ctx)
	if err == nil {
		found, err = p.kind.finder.Zombies(p.container)
	}
	if err != nil {
		return max(p.Before(), before(p.r))
	}
	return int32(len(found.Held)) //nolint:gosec // at most kernel.pid_max
}

// Settle ends a restart that an earlier agent began. While the same container runs, its stop is asked for again with the
// grace that is left: a runtime may forget to kill when its caller goes away. The hook is not run again. What began too long
// ago is only observed.
func (k *Kind) Settle(ctx context.Context, r *v1alpha1.ZombieRemediation) (act.Result, error) {
	s := &story{}
	s.add("An earlier agent began it.")
	p, err := k.hold(ctx, r)
	var notDone *act.NotDoneError
	switch {
	case err == nil:
		defer p.Close()
		return p.resume(ctx, s)
	case !errors.As(err, &notDone):
		return act.Result{}, err
	}
	gone, err := k.waitGone(ctx, r, goneWithin, func() bool { return true })
	switch {
	case err != nil:
		return act.Result{}, err
	case gone:
		return k.successor(ctx, r, nil, s)
	}
	message := s.end("The runtime says that the container still runs, but it must not be touched now: %s", notDone.Message)
	return act.Result{Outcome: v1alpha1.OutcomeInterrupted, After: before(r), Message: message}, nil
}

// resume goes on with the stop of a container that an earlier agent began to restart. It leaves one that began so long ago that
// its restart would have ended: what was decided then is not done now. It leaves one that could not end, as Prepare does.
func (p *prepared) resume(ctx context.Context, s *story) (act.Result, error) {
	const untouched = "The container still runs and is left alone: "
	if began := p.r.Status.StartTime; began != nil && time.Since(began.Time) > wholeGrace(p.r)+goneWithin+newWithin {
		message := s.end(untouched+"its restart began long ago, at %s.", began.UTC().Format(time.RFC3339))
		return act.Result{Outcome: v1alpha1.OutcomeInterrupted, After: p.left(ctx), Message: message}, nil
	}
	found, obstacle, err := p.look()
	switch {
	case err != nil:
		return act.Result{}, err
	case obstacle != "":
		return act.Result{Outcome: v1alpha1.OutcomeInterrupted, After: p.left(ctx), Message: s.end(untouched+"%s", obstacle)}, nil
	}
	p.zombies = found.Held
	return p.stop(ctx, graceLeft(p.r, time.Now()), s)
}

// wholeGrace is the grace of a restart that runs no hook.
func wholeGrace(r *v1alpha1.ZombieRemediation) time.Duration {
	if how := r.Spec.RestartContainer; how != nil {
		return max(time.Duration(how.GracePeriodSeconds)*time.Second, leastGrace)
	}
	return leastGrace
}

// graceLeft is what is left of the grace of an act that began at its start time. It is leastGrace at least, as the earlier
// agent may have ended in the hook, before the stop signal was sent, and the whole at most, as a clock may be set back.
func graceLeft(r *v1alpha1.ZombieRemediation, now time.Time) time.Duration {
	grace := wholeGrace(r)
	if r.Status.StartTime == nil {
		return grace
	}
	return min(max(grace-now.Sub(r.Status.StartTime.Time), leastGrace), grace)
}

func before(r *v1alpha1.ZombieRemediation) int32 {
	if r.Status.ZombiesBefore == nil {
		return 0
	}
	return *r.Status.ZombiesBefore
}
