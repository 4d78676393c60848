// Package restart stops a container, which the kubelet then starts again: its PID namespace dies, and the kernel reaps
// every zombie in it. The container is stopped as the kubelet itself would do it, and only by its ID.
package restart

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/printable"
	"github.com/zombie-operator/zombie-operator/agent/scan"
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
	// Zombies finds the zombies of a container, without those that died just now.
	Zombies(c inventory.Container) (target.Zombies, error)
	// Traced finds the living processes of a container that a tracer may keep from ending with it.
	Traced(c inventory.Container) ([]target.Traced, error)
	// Left returns those of some zombies that are zombies still.
	Left(zombies []scan.Key) ([]kernel.Process, error)
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
		return nil, refused("It does not say how the container is to be stopped.")
	}
	p, err := k.hold(ctx, r)
	if err != nil {
		return nil, err
	}
	if p.zombies, err = p.find(); err != nil {
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

func refused(message string) error {
	return &act.NotDoneError{Outcome: v1alpha1.OutcomeRefused, Message: message}
}

// zombies says a number of zombies in words.
func zombies(n int) string {
	if n == 1 {
		return "1 zombie"
	}
	return fmt.Sprintf("%d zombies", n)
}

// tied says which process of the container would not end before its tracer waits for it, and names that one.
func tied(traced []target.Traced) string {
	first, more := traced[0], ""
	if others := len(traced) - 1; others > 0 {
		more = fmt.Sprintf(", and %d more", others)
	}
	name := func(command string) string { return printable.Printable(command, v1alpha1.MaxCommand) }
	return fmt.Sprintf("A tracer would keep the container from ending: process %d (%s), traced by process %d (%s) of the node%s.",
		first.PID, name(first.Command), first.TracerPID, name(first.TracerCommand), more)
}

// prepared is a container that is to be stopped.
type prepared struct {
	kind      *Kind
	r         *v1alpha1.ZombieRemediation
	container inventory.Container
	// init is the container's first process, held since before the last look: its PID cannot come to mean another.
	init target.Handle
	// zombies are those that the last look found.
	zombies []scan.Key
}

// find finds the zombies of the container. Without any there is nothing to cure. What would keep the container from ending makes
// one that serves into one that hangs.
func (p *prepared) find() ([]scan.Key, error) {
	found, obstacle, err := p.look()
	switch {
	case err != nil:
		return nil, err
	case found.Outside == 0 && len(found.Held) == 0:
		return nil, stale("The container has no zombies any more that a restart would cure.")
	case obstacle != "":
		return nil, refused(obstacle)
	}
	return found.Held, nil
}

// look finds the zombies of the container, and says what would keep it from ending; "" is nothing. That is a zombie whose parent
// or tracer is outside, or a living process that would become such a one: the first process would wait for it for ever.
func (p *prepared) look() (found target.Zombies, obstacle string, err error) {
	found, err = p.kind.finder.Zombies(p.container)
	if err != nil {
		return found, "", fmt.Errorf("counting zombies of container %s: %w", p.r.Spec.ContainerID, err)
	}
	if found.Outside > 0 {
		return found, fmt.Sprintf("%s of the container with a parent or tracer outside of it would keep it from ending.", zombies(found.Outside)), nil
	}
	traced, err := p.kind.finder.Traced(p.container)
	if err != nil {
		return found, "", fmt.Errorf("looking for tracers of container %s: %w", p.r.Spec.ContainerID, err)
	}
	if len(traced) > 0 {
		obstacle = tied(traced)
	}
	return found, obstacle, nil
}

// findAgain finds the zombies once more. One of Prepare at least must still be among them: new ones alone say that the parent
// reaps, if late.
func (p *prepared) findAgain() error {
	found, err := p.find()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(found, func(z scan.Key) bool { return slices.Contains(p.zombies, z) }) {
		return stale("The container's zombies were reaped; those that it has now are others.")
	}
	p.zombies = found
	return nil
}

// Before is the number of zombies at the last look.
func (p *prepared) Before() int32 { return int32(len(p.zombies)) } //nolint:gosec // at most kernel.pid_max

// Close lets go of the first process.
func (p *prepared) Close() { _ = p.init.Close() } // nothing was written to it

// Do stops the container and observes until it ended and a new one runs.
func (p *prepared) Do(ctx context.Context) (act.Result, error) {
	if err := p.lastLook(ctx); err != nil {
		return act.Result{}, err
	}
	s := &story{}
	if err := p.kind.words.leave(ctx, p.container, p.init, lastLine(p.r, len(p.zombies), time.Now())); err != nil {
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
		err = p.findAgain()
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

// gone says whether the first process ended. In a PID namespace of its own it ends after all others.
func (p *prepared) gone() bool {
	alive, err := p.init.Alive()
	return err == nil && !alive
}

func ended(ctx context.Context) error { return fmt.Errorf("restarting container: %w", ctx.Err()) }
