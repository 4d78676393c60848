package scan

import (
	"cmp"
	"slices"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
)

const (
	// hostInit is the PID of the host's first process.
	hostInit = 1
	// nobody is the owner where the line of parents is broken, because one of them ended while they were listed, or leads
	// out of what the proc mount shows.
	nobody = 0
)

// owners find out whose a process is by its line of parents alone, which the list of processes holds: that costs no read. The
// owner is the ancestor right below the host's PID 1. For whatever is in a pod, orphans included, as these go to a PID 1 below,
// that is the runtime's shim: one for each pod with containerd, one for each container with CRI-O. A tenant without the host's
// PID namespace cannot get out from under it. What the host's PID 1 took over itself is its own.
type owners struct {
	// processes are sorted by PID.
	processes []kernel.Process
	// known are the owners found so far, by PID.
	known map[int]int
}

func newOwners(processes []kernel.Process) owners {
	return owners{processes: processes, known: map[int]int{hostInit: hostInit, nobody: nobody}}
}

// of returns the PID of the owner of a process.
func (o owners) of(p kernel.Process) int {
	var line []int
	owner := nobody
	for pid := p.ParentPID; ; {
		if found, ok := o.known[pid]; ok {
			owner = found
			break
		}
		// Processes that took over PIDs while they were listed may seem to be their own ancestors.
		o.known[pid] = nobody
		line = append(line, pid)
		parent, ok := o.parent(pid)
		if !ok {
			break
		}
		if parent == hostInit {
			owner = pid
			break
		}
		pid = parent
	}
	for _, pid := range line {
		o.known[pid] = owner
	}
	return owner
}

func (o owners) parent(pid int) (int, bool) {
	i, ok := slices.BinarySearchFunc(o.processes, pid, func(p kernel.Process, pid int) int { return cmp.Compare(p.PID, pid) })
	if !ok {
		return 0, false
	}
	return o.processes[i].ParentPID, true
}
