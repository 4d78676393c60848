// Package target takes the last look before an act: it finds the exact container and the exact process that an act was
// decided on, or says why they must not be touched.
package target

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/agent/attribute"
	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Proc is the part of a proc mount that a last look needs.
type Proc interface {
	scan.Reader
	// Children lists children of a process; it may leave some out, and fails with kernel.ErrNoChildren where it cannot tell.
	Children(pid int) ([]int, error)
	// Tracers tells which threads trace the threads of a process.
	Tracers(pid int) ([]int, error)
}

// Finder finds the targets of acts. It keeps no memory: every look is a new one.
type Finder struct {
	Runtime inventory.Runtime
	Proc    Proc
	// Open takes hold of the process that has a PID now, as OpenPidfd does.
	Open func(pid int) (Handle, error)
}

// Container finds the container of a remediation. It fails with an *act.NotDoneError when that container does not run any
// more or is another one, and when it must not be touched.
func (f Finder) Container(ctx context.Context, r *v1alpha1.ZombieRemediation) (inventory.Container, error) {
	spec := r.Spec
	c, err := inventory.Look(ctx, f.Runtime, f.Proc, spec.ContainerID)
	switch {
	case errors.Is(err, inventory.ErrNotRunning):
		return inventory.Container{}, stale("Container %s (%.12s) does not run any more.", spec.ContainerName, spec.ContainerID)
	case errors.Is(err, inventory.ErrNotOurs):
		return inventory.Container{}, refused("Container %s (%.12s) cannot be proven to be a pod's, or its first process is not inside of it.", spec.ContainerName, spec.ContainerID)
	case err != nil:
		return inventory.Container{}, fmt.Errorf("finding the target: %w", err)
	}
	if want := (inventory.Pod{Namespace: r.Namespace, Name: spec.PodName, UID: spec.PodUID}); c.Pod != want || c.Name != string(spec.ContainerName) {
		return inventory.Container{}, stale("Container %.12s is not container %s of this pod.", spec.ContainerID, spec.ContainerName)
	}
	host, err := f.hostNamespace()
	if err != nil {
		return inventory.Container{}, err
	}
	switch {
	case c.Namespace == 0 || host == 0:
		return inventory.Container{}, refused("The PID namespace of container %s cannot be read, so it cannot be proven that it is not the host's; the agent needs the capability SYS_PTRACE.", spec.ContainerName)
	case c.Namespace == host: // the agent's own container among them
		return inventory.Container{}, refused("Container %s is in the PID namespace of the host (hostPID: true).", spec.ContainerName)
	}
	return c, nil
}

// hostNamespace is the PID namespace of the host, in which the agent runs.
func (f Finder) hostNamespace() (uint64, error) {
	own, err := f.Proc.Identity(os.Getpid())
	if err != nil {
		return 0, fmt.Errorf("reading the agent's own PID namespace: %w", err)
	}
	return own.Namespace, nil
}

// leastAge is how long a zombie must be dead to be a reason for an act, as it must be to be reported: a younger one may well
// be about to be reaped, and a look sees such a one now and then at every parent that has children.
var leastAge = time.Duration(v1alpha1.AgeEdgesSeconds[0]) * time.Second

// Zombies are the zombies of a container that have been dead for half a minute at least.
type Zombies struct {
	// Held are those that a parent in the container can reap.
	Held []scan.Key
	// Outside is how many have a parent outside of the container, or a tracer outside of its PID namespace, so that its end does
	// not rid it of them.
	Outside int
}

// Zombies finds the zombies of a container.
func (f Finder) Zombies(c inventory.Container) (Zombies, error) {
	host, err := f.hostNamespace()
	if err != nil {
		return Zombies{}, err
	}
	processes, _, err := f.Proc.Processes()
	if err != nil {
		return Zombies{}, fmt.Errorf("counting zombies of container %q: %w", c.ID, err)
	}
	clocks, err := f.Proc.Clocks()
	if err != nil {
		return Zombies{}, fmt.Errorf("counting zombies of container %q: %w", c.ID, err)
	}
	l := look{Finder: f, container: c, table: attribute.NewTable(host, []attribute.Container{c.Container}), clocks: clocks, parents: map[int]*scan.Parent{}}
	var found Zombies
	for _, p := range processes {
		switch place, err := l.place(p); {
		case err != nil:
			return Zombies{}, err
		case place == attribute.InContainer:
			found.Held = append(found.Held, key(p))
		case place == attribute.ParentOutside:
			found.Outside++
		}
	}
	return found, nil
}

// look is one look at the zombies of a container.
type look struct {
	Finder

	container inventory.Container
	table     attribute.Table
	clocks    scan.Clocks
	// parents are those read so far, by PID; nil is one that is gone.
	parents map[int]*scan.Parent
}

// place says where a zombie of the container belongs. All that does not count is at an unknown place.
func (l look) place(p kernel.Process) (attribute.Place, error) {
	identity, err := l.zombie(p)
	if identity == nil || err != nil {
		return attribute.Unknown, err
	}
	zombie := scan.Zombie{Key: key(p), Identity: *identity, ParentPID: p.ParentPID, Command: p.Command}
	parent, err := l.parentOf(zombie)
	if err != nil {
		return attribute.Unknown, err
	}
	place := l.table.Attribute(zombie, parent).Place
	counts := false
	switch place {
	case attribute.InContainer:
		var foreign bool
		if foreign, err = l.foreignTracer(l.container, zombie.PID, zombie.TracerPID); foreign || err != nil {
			place, counts = attribute.ParentOutside, foreign // until the tracer lets go it is as if it were the parent
			break
		}
		counts, err = l.canBeReaped(p, *identity)
	case attribute.ParentOutside:
		// A parent in the same PID namespace is in another container of a pod that shares it, and holds up nothing.
		counts = parent.Namespace != l.container.Namespace
	case attribute.Unknown, attribute.Host:
	}
	if counts && err == nil {
		counts, err = old(l.clocks, p)
	}
	if !counts || err != nil {
		return attribute.Unknown, err
	}
	return place, nil
}

// parentOf returns the parent of a zombie; nil when it is just ending, or outside of what the proc mount shows.
func (l look) parentOf(zombie scan.Zombie) (*scan.Parent, error) {
	if parent, read := l.parents[zombie.ParentPID]; read {
		return parent, nil
	}
	identity, err := l.Proc.Identity(zombie.ParentPID)
	switch {
	case kernel.IsVanished(err):
		l.parents[zombie.ParentPID] = nil
	case err != nil:
		return nil, fmt.Errorf("reading parent %d of a zombie: %w", zombie.ParentPID, err)
	default:
		l.parents[zombie.ParentPID] = &scan.Parent{Identity: identity}
	}
	return l.parents[zombie.ParentPID], nil
}

// zombie returns the identity of a process if it is a zombie with all its threads, and nil if not.
func (f Finder) zombie(p kernel.Process) (*scan.Identity, error) {
	if !dead(p) {
		return nil, nil //nolint:nilnil // nil is "no zombie"
	}
	identity, err := f.Proc.Identity(p.PID)
	switch {
	case kernel.IsVanished(err):
		return nil, nil //nolint:nilnil // it was reaped just now
	case err != nil:
		return nil, fmt.Errorf("reading zombie %d: %w", p.PID, err)
	}
	return &identity, nil
}

// reapable says whether a process is a zombie that its parent can reap.
func (f Finder) reapable(p kernel.Process) (bool, error) {
	identity, err := f.zombie(p)
	if identity == nil || err != nil {
		return false, err
	}
	return f.canBeReaped(p, *identity)
}

// canBeReaped says whether a wait() of the parent would end for a zombie: not while a tracer other than the parent holds it,
// and not when it was made to end with another signal than SIGCHLD, or none, because only a wait with __WALL or __WCLONE sees
// such a child.
func (f Finder) canBeReaped(p kernel.Process, identity scan.Identity) (bool, error) {
	exit, err := f.Proc.Exit(p.PID)
	switch {
	case kernel.IsVanished(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("reading zombie %d: %w", p.PID, err)
	}
	_, alike := scan.KindOf(p, identity, exit)
	return !alike, nil
}

// old says whether a zombie has been dead long enough to be a reason for an act. The age may read too small, by what a
// hypervisor stole, and then nothing is done for now. Where the kernel does not tell when a process died every zombie counts
// as old: there the caller's second look, which must find the very same zombie, is all there is.
func old(clocks scan.Clocks, p kernel.Process) (bool, error) {
	age, err := clocks.DeadFor(p)
	switch {
	case errors.Is(err, kernel.ErrNoDeathTime):
		return true, nil
	case kernel.IsVanished(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("reading the age of zombie %d: %w", p.PID, err)
	}
	return age >= leastAge, nil
}

// Left returns those of some zombies that are zombies still, with the parents that they have now.
func (f Finder) Left(zombies []scan.Key) ([]kernel.Process, error) {
	var left []kernel.Process
	for _, z := range zombies {
		p, err := f.Proc.Process(z.PID)
		switch {
		case kernel.IsVanished(err):
		case err != nil:
			return nil, fmt.Errorf("looking for zombie %d: %w", z.PID, err)
		case key(p) == z && dead(p):
			left = append(left, p)
		}
	}
	return left, nil
}

// dead says whether a process is a zombie with all its threads. One whose main thread alone has ended shows the same state.
func dead(p kernel.Process) bool { return p.State == kernel.StateZombie && p.Threads <= 1 }

func key(p kernel.Process) scan.Key { return scan.Key{PID: p.PID, StartTicks: p.StartTicks} }

func stale(format string, args ...any) *act.NotDoneError {
	return &act.NotDoneError{Outcome: v1alpha1.OutcomeStale, Message: fmt.Sprintf(format, args...)}
}

func refused(format string, args ...any) *act.NotDoneError {
	return &act.NotDoneError{Outcome: v1alpha1.OutcomeRefused, Message: fmt.Sprintf(format, args...)}
}
