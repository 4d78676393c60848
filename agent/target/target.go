// Package target takes the last look before an act: it finds the exact container and the exact process that an act was
// decided on, or says why they must not be touched.
package target

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/agent/attribute"
	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Proc is the part of a proc mount that a last look needs.
type Proc interface {
	Processes() (processes []kernel.Process, unreadable int, err error)
	Process(pid int) (kernel.Process, error)
	Identity(pid int) (scan.Identity, error)
	// Children lists children of a process; it may leave some out, and fails with kernel.ErrNoChildren where it cannot tell.
	Children(pid int) ([]int, error)
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

// Zombies counts the reapable zombies whose parent is in a container.
func (f Finder) Zombies(c inventory.Container) (int, error) {
	host, err := f.hostNamespace()
	if err != nil {
		return 0, err
	}
	processes, _, err := f.Proc.Processes()
	if err != nil {
		return 0, fmt.Errorf("counting zombies of container %q: %w", c.ID, err)
	}
	table := attribute.NewTable(host, []attribute.Container{c.Container})
	parents := map[int]*scan.Parent{}
	count := 0
	for _, p := range processes {
		identity, err := f.reapable(p)
		switch {
		case err != nil:
			return 0, err
		case identity == nil:
			continue
		}
		zombie := scan.Zombie{Key: key(p), Identity: *identity, ParentPID: p.ParentPID, Command: p.Command}
		if _, read := parents[p.ParentPID]; !read {
			if parents[p.ParentPID], err = f.parentOf(zombie); err != nil {
				return 0, err
			}
		}
		if table.Attribute(zombie, parents[p.ParentPID]).Place == attribute.InContainer {
			count++
		}
	}
	return count, nil
}

// parentOf reads the parent of a zombie; nil when it is just ending, or outside of what the proc mount shows.
func (f Finder) parentOf(zombie scan.Zombie) (*scan.Parent, error) {
	identity, err := f.Proc.Identity(zombie.ParentPID)
	if kernel.IsVanished(err) {
		return nil, nil //nolint:nilnil // nil is a parent that is gone, as for attribute.Table
	}
	if err != nil {
		return nil, fmt.Errorf("reading parent %d of a zombie: %w", zombie.ParentPID, err)
	}
	return &scan.Parent{Identity: identity}, nil
}

// reapable returns the identity of a process if it is a zombie that its parent can reap: dead with all its threads, and
// not held by a tracer. It returns nil if not.
func (f Finder) reapable(p kernel.Process) (*scan.Identity, error) {
	if !dead(p) {
		return nil, nil //nolint:nilnil // nil is "no zombie"
	}
	identity, err := f.Proc.Identity(p.PID)
	switch {
	case kernel.IsVanished(err):
		return nil, nil //nolint:nilnil // it was reaped just now
	case err != nil:
		return nil, fmt.Errorf("reading zombie %d: %w", p.PID, err)
	case identity.TracerPID != 0:
		return nil, nil //nolint:nilnil // wait() of its parent would not end for it
	}
	return &identity, nil
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
