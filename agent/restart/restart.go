// Package restart stops a container, which the kubelet then starts again: its PID namespace dies, and the kernel reaps
// every zombie in it. The container is stopped as the kubelet itself would do it, and only by its ID.
package restart

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/target"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Runtime is the part of the container runtime that a restart needs.
type Runtime interface {
	// StopContainer sends a container its stop signal, and SIGKILL after the grace, and returns when it ended.
	StopContainer(ctx context.Context, id string, grace time.Duration) error
	// ExecSync runs a command in a container until it ends or its time is over.
	ExecSync(ctx context.Context, id string, command []string, timeout time.Duration) error
	// Runs says whether the runtime lets a container run.
	Runs(ctx context.Context, id string) (bool, error)
	// Successor returns the ID of a running container of the same pod and name as one that ended, or "".
	Successor(ctx context.Context, podUID, name, ended string) (string, error)
}

// Finder takes the last look, as target.Finder does.
type Finder interface {
	// Container finds the container of a remediation. It fails with a *act.NotDoneError when that is not the container
	// that was decided on any more, or must not be touched.
	Container(ctx context.Context, r *v1alpha1.ZombieRemediation) (inventory.Container, error)
	// Zombies counts the reapable zombies whose parent is in a container.
	Zombies(c inventory.Container) (int, error)
}

// Kind is the restart of a container.
type Kind struct {
	runtime Runtime
	finder  Finder
	words   *lastWords
}

// New returns the restart of containers whose processes are below the proc mount at procRoot.
func New(runtime Runtime, finder Finder, procRoot string) *Kind {
	return &Kind{runtime: runtime, finder: finder, words: newLastWords(procRoot)}
}

// Prepare looks whether the container is the one that was decided on and still has zombies.
func (k *Kind) Prepare(ctx context.Context, r *v1alpha1.ZombieRemediation) (act.Prepared, error) {
	if r.Spec.RestartContainer == nil {
		return nil, &act.NotDoneError{Outcome: v1alpha1.OutcomeRefused, Message: "It does not say how the container is to be stopped."}
	}
	p, err := k.hold(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := p.count(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// hold finds the container and takes hold of its first process.
func (k *Kind) hold(ctx context.Context, r *v1alpha1.ZombieRemediation) (*prepared, error) {
	c, err := k.finder.Container(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("looking at container %s: %w", r.Spec.ContainerID, err)
	}
	init, err := target.OpenPidfd(c.InitPID)
	if errors.Is(err, unix.ESRCH) {
		return nil, stale("The container just ended.")
	}
	if err != nil {
		return nil, fmt.Errorf("taking hold of container %s: %w", r.Spec.ContainerID, err)
	}
	return &prepared{kind: k, r: r, container: c, init: init}, nil
}

func stale(message string) error {
	return &act.NotDoneError{Outcome: v1alpha1.OutcomeStale, Message: message}
}

// zombies says a number of zombies in words.
func zombies(n int) string {
	if n == 1 {
		return "1 zombie"
	}
	return fmt.Sprintf("%d zombies", n)
}

// prepared is a container that is to be stopped.
type prepared struct {
	kind      *Kind
	r         *v1alpha1.ZombieRemediation
	container inventory.Container
	// init is the container's first process, held since before the last look: its PID cannot come to mean another.
	init    target.Handle
	zombies int
}

// count counts the zombies of the container. Without any there is nothing to cure.
func (p *prepared) count() error {
	n, err := p.kind.finder.Zombies(p.container)
	if err != nil {
		return fmt.Errorf("counting zombies of container %s: %w", p.r.Spec.ContainerID, err)
	}
	if n == 0 {
		return stale("The container has no zombies any more that a restart would cure.")
	}
	p.zombies = n
	return nil
}

// Before is the number of zombies at the last look.
func (p *prepared) Before() int32 { return int32(p.zombies) } //nolint:gosec // at most kernel.pid_max

// Close lets go of the first process.
func (p *prepared) Close() { _ = p.init.Close() } // nothing was written to it

// Do stops the container and observes until it ended and a new one runs.
func (p *prepared) Do(ctx context.Context) (act.Result, error) {
	if err := p.lastLook(ctx); err != nil {
		return act.Result{}, err
	}
	s := &story{}
	if err := p.kind.words.leave(ctx, p.container, p.init, lastLine(p.r, p.zombies)); err != nil {
		s.add("No word was left in its termination message: %v.", err)
	}
	grace := p.hook(ctx, s)
	if ctx.Err() != nil {
		return act.Result{}, ended(ctx)
	}
	return p.stop(ctx, grace, s)
}

// lastLook compares the container with that of Prepare, now that its first process is held.
func (p *prepared) lastLook(ctx context.Context) error {
	err := p.same(ctx)
	if err == nil {
		err = p.count()
	}
	var notDone *act.NotDoneError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ended(ctx)
	case errors.As(err, &notDone):
		return notDone
	}
	return &act.NotDoneError{Outcome: v1alpha1.OutcomeFailed, Message: fmt.Sprintf("Nothing was done: %v.", err)}
}

// same looks at the container once more. It fails with a *act.NotDoneError when its first process is not the one that is held.
func (p *prepared) same(ctx context.Context) error {
	c, err := p.kind.finder.Container(ctx, p.r)
	if err != nil {
		return fmt.Errorf("looking at container %s: %w", p.r.Spec.ContainerID, err)
	}
	if c.InitPID != p.container.InitPID || c.InitTicks != p.container.InitTicks || p.gone() {
		return stale("The first process of the container is another one now.")
	}
	return nil
}

// gone says whether the first process ended; in its PID namespace it ends after all others.
func (p *prepared) gone() bool {
	alive, err := p.init.Alive()
	return err == nil && !alive
}

func ended(ctx context.Context) error { return fmt.Errorf("restarting container: %w", ctx.Err()) }
