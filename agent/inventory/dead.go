package inventory

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
)

// fate is what became of the first process of a container.
type fate int

const (
	// lives: it is the one that was seen, and not dead.
	lives fate = iota
	// dead: it is the one that was seen, and a zombie.
	dead
	// gone: it was reaped. Its PID may be another's.
	gone
)

// fateOf reads what became of the first process of a container. One whose main thread alone has ended lives.
func fateOf(proc Kernel, c Container) (fate, error) {
	process, err := proc.Process(c.InitPID)
	switch {
	case kernel.IsVanished(err):
		return gone, nil
	case err != nil:
		return lives, fmt.Errorf("reading first process of container %q: %w", c.ID, err)
	case process.StartTicks != c.InitTicks:
		return gone, nil
	case isDead(process):
		return dead, nil
	}
	return lives, nil
}

func isDead(process kernel.Process) bool {
	return process.State == kernel.StateZombie && process.Threads <= 1
}

// clockTolerance is how far apart the start of a first process may be by the runtime and by the kernel. Clocks are set by a second
// or less all the time, when the network's time is a little off, while it takes longer than this for a PID to come round again.
const clockTolerance = 5 * time.Second

// startedWith fails unless a process started when the runtime says that the container did. One that got the PID of a first
// process which is long gone started later. The runtime reads the clock on the wall twice, when it makes a container and when the
// first process runs, while the kernel counts from the boot: where that clock was set by more than the tolerance since, forwards or
// back, the two do not fit together, and the process is not believed to be the container's.
func startedWith(proc Kernel, process kernel.Process, status *runtimeapi.ContainerStatus) error {
	clocks, err := proc.Clocks()
	if err != nil {
		return fmt.Errorf("reading when process %d started: %w", process.PID, err)
	}
	if !between(status, time.Now().Add(-clocks.StartedFor(process))) {
		return fmt.Errorf("process %d is dead and did not start when the container did: %w", process.PID, ErrNotOurs)
	}
	return nil
}

// between says whether a time is one between the creation of a container and its start, which is in 1970 until it is started.
func between(status *runtimeapi.ContainerStatus, at time.Time) bool {
	created, started := time.Unix(0, status.GetCreatedAt()), time.Unix(0, status.GetStartedAt())
	return !at.Before(created.Add(-clockTolerance)) && !at.After(started.Add(clockTolerance))
}

// Lives says whether the first process of a container is still the one that was seen, and not dead.
func Lives(proc Kernel, c Container) (bool, error) {
	fate, err := fateOf(proc, c)
	return fate == lives && err == nil, err
}

// Dead returns the containers whose first process is a zombie though the runtime, when it last answered, listed them as
// running, sorted by pod and name. Every container that ends is one for a moment, until the runtime reaps its first
// process and notices: only one that stays for long is stuck.
func (i *Inventory) Dead() []Container { return sorted(i.dead) }

// dropDead forgets containers whose first process is gone, and sets aside those of which it became a zombie. Until the
// runtime lists containers again, their pods may have a new one that is not known. What cannot be read for now is not
// known to be dead.
func (i *Inventory) dropDead() {
	maps.DeleteFunc(i.dead, func(_ string, c Container) bool {
		fate, err := fateOf(i.kernel, c)
		return fate != dead && err == nil
	})
	maps.DeleteFunc(i.containers, func(id string, c Container) bool {
		fate, err := fateOf(i.kernel, c)
		if fate == lives || err != nil {
			return false
		}
		if fate == dead {
			i.dead[id] = c
		}
		i.incomplete[c.Pod] = true
		return true
	})
}

// buryUnlisted forgets the dead containers that were missing in missingTwice lists of the runtime in a row: one that is starting may
// answer with an empty list.
func (i *Inventory) buryUnlisted(listed []*runtimeapi.Container) {
	unlisted := map[string]int{}
	maps.DeleteFunc(i.dead, func(id string, _ Container) bool {
		if slices.ContainsFunc(listed, func(c *runtimeapi.Container) bool { return c.GetId() == id }) {
			return false
		}
		unlisted[id] = i.unlisted[id] + 1
		return unlisted[id] >= missingTwice
	})
	i.unlisted = unlisted
}

// add takes a container that was examined into the inventory, where it belongs by what became of its first process.
func (i *Inventory) add(c Container) error {
	switch fate, err := fateOf(i.kernel, c); {
	case err != nil:
		return err
	case fate == gone:
		return fmt.Errorf("first process of container %q: %w", c.ID, fs.ErrNotExist)
	case fate == dead:
		i.dead[c.ID] = c
	default:
		i.containers[c.ID] = c
	}
	return nil
}
