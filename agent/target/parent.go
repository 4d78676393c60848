package target

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
)

// Parent is a living process of a container that is held by a pidfd.
type Parent struct {
	scan.Identity
	// Process is what it was when it was found; its PID is the host's.
	Process kernel.Process
	// Container is the container it is in.
	Container inventory.Container

	finder Finder
	handle Handle
}

// Parent finds the process with a PID in the container's PID namespace and a start time. It fails with an
// *act.NotDoneError when there is no such process any more, or when it is one that must not be touched.
func (f Finder) Parent(c inventory.Container, want scan.Key) (*Parent, error) {
	processes, _, err := f.Proc.Processes()
	if err != nil {
		return nil, fmt.Errorf("finding process %d of container %q: %w", want.PID, c.ID, err)
	}
	var outside error
	for _, p := range processes {
		if p.StartTicks != want.StartTicks {
			continue
		}
		identity, err := f.Proc.Identity(p.PID)
		if kernel.IsVanished(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("finding process %d of container %q: %w", want.PID, c.ID, err)
		}
		// Most processes that started in the same tick, or have the same PID in their own container, are strangers.
		if !slices.Contains(identity.NamespacePIDs, want.PID) || !c.InCgroup(identity) && identity.Namespace != c.Namespace {
			continue
		}
		parent, err := f.hold(c, want, p.PID)
		if err == nil {
			return parent, nil
		}
		outside = err
	}
	if outside != nil {
		return nil, outside
	}
	return nil, stale("Process %d that started at tick %d is gone.", want.PID, want.StartTicks)
}

// hold takes hold of a process first and compares afterwards: from then on its PID cannot become another process' unseen.
func (f Finder) hold(c inventory.Container, want scan.Key, pid int) (*Parent, error) {
	handle, err := f.Open(pid)
	if errors.Is(err, unix.ESRCH) {
		return nil, gone(want.PID)
	}
	if err != nil {
		return nil, fmt.Errorf("taking hold of process %d: %w", pid, err)
	}
	p := &Parent{Process: kernel.Process{PID: pid, StartTicks: want.StartTicks}, Container: c, finder: f, handle: handle}
	if err := p.compare(want.PID); err != nil {
		_ = handle.Close()
		return nil, err
	}
	return p, nil
}

// Same compares the process once more with the one that was found. It fails with an *act.NotDoneError when it ended, or
// is outside of its container now.
func (p *Parent) Same() error { return p.compare(p.PID()) }

// compare reads the process that has the PID now, and asks the handle last: if what is held is still alive then, the PID was its all the time.
func (p *Parent) compare(inner int) error {
	process, err := p.finder.Proc.Process(p.Process.PID)
	if err != nil {
		return p.unread(inner, err)
	}
	identity, err := p.finder.Proc.Identity(p.Process.PID)
	if err != nil {
		return p.unread(inner, err)
	}
	alive, err := p.handle.Alive()
	switch {
	case err != nil:
		return fmt.Errorf("looking at process %d: %w", inner, err)
	case !alive:
		return gone(inner)
	case process.StartTicks != p.Process.StartTicks:
		return stale("Process %d started at tick %d, not at tick %d: it is another one.", inner, process.StartTicks, p.Process.StartTicks)
	}
	if err := belongs(p.Container, identity, process.PID, inner); err != nil {
		return err
	}
	p.Process, p.Identity = process, identity
	return nil
}

func (p *Parent) unread(inner int, err error) error {
	if kernel.IsVanished(err) {
		return gone(inner)
	}
	return fmt.Errorf("looking at process %d: %w", inner, err)
}

func gone(inner int) error { return stale("Process %d is gone.", inner) }

// belongs fails unless a process is in the cgroup of a container and in its PID namespace or one nested in it.
func belongs(c inventory.Container, identity scan.Identity, pid, inner int) error {
	depth := len(identity.NamespacePIDs)
	switch {
	case pid == os.Getpid():
		return refused("Process %d is the agent itself.", inner)
	case identity.Namespace == 0:
		return refused("The PID namespace of process %d cannot be read, so it cannot be proven that it is the container's; the agent needs the capability SYS_PTRACE.", inner)
	case !c.InCgroup(identity):
		return refused("Process %d is not in the cgroup of the container.", inner)
	case depth < c.Depth, depth == c.Depth && identity.Namespace != c.Namespace:
		return refused("Process %d is not in the PID namespace of the container.", inner)
	case identity.NamespacePIDs[c.Depth-1] != inner:
		return stale("Process %d has another PID in the container.", inner)
	}
	return nil
}

// PID is its PID in the PID namespace of the container.
func (p *Parent) PID() int { return p.NamespacePIDs[p.Container.Depth-1] }

// EndsMore says whether the end of the process is the end of more than itself: it is the first process of the container, or
// of a PID namespace, whose processes the kernel ends with it.
func (p *Parent) EndsMore() bool {
	return p.Process.PID == p.Container.InitPID || p.NamespacePIDs[len(p.NamespacePIDs)-1] == 1
}

// Zombies returns its children that are reapable zombies, and have been dead for half a minute at least.
func (p *Parent) Zombies() ([]scan.Key, error) {
	children, err := p.children()
	if err != nil {
		return nil, err
	}
	clocks, err := p.finder.Proc.Clocks()
	if err != nil {
		return nil, fmt.Errorf("counting zombies of process %d: %w", p.PID(), err)
	}
	var zombies []scan.Key
	for _, child := range children {
		reapable, err := p.finder.reapable(child)
		if err != nil {
			return nil, err
		}
		if !reapable {
			continue
		}
		switch old, err := old(clocks, child); {
		case err != nil:
			return nil, err
		case old:
			zombies = append(zombies, key(child))
		}
	}
	return zombies, nil
}

// HasLiveChild says whether any child lives, so that a wait() without a zombie would not return. A dead main thread with
// living ones counts as alive, and so does a zombie that is held by a tracer or ended with another signal than SIGCHLD: wait()
// does not return for them either. One child in the quick list is proof; that there is none only a walk through all processes
// proves.
func (p *Parent) HasLiveChild() (bool, error) {
	listed, err := p.children()
	if err != nil {
		return false, err
	}
	if live, err := p.anyLive(listed); live || err != nil {
		return live, err
	}
	all, complete, err := p.walk()
	if err != nil {
		return false, err
	}
	live, err := p.anyLive(all)
	return live || !complete, err
}

func (p *Parent) anyLive(children []kernel.Process) (bool, error) {
	for _, child := range children {
		reapable, err := p.finder.reapable(child)
		if err != nil {
			return false, err
		}
		if reapable {
			continue
		}
		if _, err := p.finder.Proc.Process(child.PID); !kernel.IsVanished(err) {
			return true, nil
		}
	}
	return false, nil
}

// children lists its children, by the kernel's own list where there is one.
func (p *Parent) children() ([]kernel.Process, error) {
	pids, err := p.finder.Proc.Children(p.Process.PID)
	switch {
	case errors.Is(err, kernel.ErrNoChildren):
		children, _, err := p.walk()
		return children, err
	case kernel.IsVanished(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("listing children of process %d: %w", p.PID(), err)
	}
	children := make([]kernel.Process, 0, len(pids))
	for _, pid := range pids {
		child, err := p.finder.Proc.Process(pid)
		switch {
		case kernel.IsVanished(err):
		case err != nil:
			return nil, fmt.Errorf("reading child %d: %w", pid, err)
		case child.ParentPID == p.Process.PID: // and no later process with its PID
			children = append(children, child)
		}
	}
	return children, nil
}

// walk finds its children among all processes, and says whether all could be read.
func (p *Parent) walk() (children []kernel.Process, complete bool, err error) {
	processes, unreadable, err := p.finder.Proc.Processes()
	if err != nil {
		return nil, false, fmt.Errorf("listing children of process %d: %w", p.PID(), err)
	}
	for _, process := range processes {
		if process.ParentPID == p.Process.PID {
			children = append(children, process)
		}
	}
	return children, unreadable == 0, nil
}

// Alive says whether it lives, wherever it is by now.
func (p *Parent) Alive() (bool, error) {
	alive, err := p.handle.Alive()
	if err != nil {
		return false, fmt.Errorf("looking at process %d: %w", p.PID(), err)
	}
	return alive, nil
}

// Signal sends a signal to it, and to no other process whatever its PID became. It fails with unix.ESRCH when it was
// waited for.
func (p *Parent) Signal(sig unix.Signal) error {
	if err := p.handle.Signal(sig); err != nil {
		return fmt.Errorf("signalling process %d: %w", p.PID(), err)
	}
	return nil
}

// Close lets go of it.
func (p *Parent) Close() { _ = p.handle.Close() }
