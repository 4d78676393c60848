package scan

import (
	"errors"
	"io/fs"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
)

// Proc is the Reader of a proc mount.
type Proc struct{ kernel.FS }

// Clocks returns the clocks of this look.
func (p Proc) Clocks() (Clocks, error) { return p.FS.Clocks() }

// Identity reads where a process belongs. A PID namespace that may not be read is left 0.
func (p Proc) Identity(pid int) (Identity, error) {
	status, err := p.Status(pid)
	if err != nil {
		return Identity{}, err
	}
	read := p.Cgroups
	if status.State == kernel.StateZombie && status.Threads > 1 {
		read = p.LiveCgroups
	}
	cgroups, err := read(pid)
	if err != nil {
		return Identity{}, err
	}
	namespace, err := p.PIDNamespace(pid)
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return Identity{}, err
	}
	return Identity{
		Namespace:     namespace,
		NamespacePIDs: status.NamespacePIDs,
		Cgroups:       cgroups,
		TracerPID:     p.tracer(status.TracerPID),
	}, nil
}

// tracer finds the process whose thread traces another. One that cannot be read, mostly because it ended just now, stays the
// thread that was told: then it is not known to be the parent, and what it holds counts as held. That accuses nobody, and
// the next look, which reads what is held anew, corrects it.
func (p Proc) tracer(thread int) int {
	if thread == 0 {
		return 0
	}
	status, err := p.Status(thread)
	if err != nil || status.ThreadGroup == 0 {
		return thread
	}
	return status.ThreadGroup
}
