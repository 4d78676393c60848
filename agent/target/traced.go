package target

import (
	"fmt"

	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
)

// Traced is a living process of a container with a tracer that is not known to end with the container. Killed, it would stay a
// zombie until that tracer waits for it, and the container could not end before.
type Traced struct {
	// PID is its PID in the PID namespace of the container, and Command its command name, as it set it: foreign bytes.
	PID     int
	Command string
	// TracerPID is the PID on the host of the thread that traces it, and TracerCommand the name of that one: foreign bytes.
	TracerPID     int
	TracerCommand string
}

// Traced finds the living processes of a container that a tracer may keep from ending with it. Those that are zombies already
// are among Zombies.
func (f Finder) Traced(c inventory.Container) ([]Traced, error) {
	processes, _, err := f.Proc.Processes()
	if err != nil {
		return nil, fmt.Errorf("looking for tracers of container %q: %w", c.ID, err)
	}
	var traced []Traced
	for _, p := range processes {
		if dead(p) {
			continue
		}
		identity, err := f.Proc.Identity(p.PID)
		if kernel.IsVanished(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("looking for a tracer of process %d: %w", p.PID, err)
		}
		if !c.Encloses(identity) {
			continue
		}
		tracer, err := f.holder(c, p.PID)
		if err != nil {
			return nil, err
		}
		if tracer != 0 {
			traced = append(traced, f.tracedBy(c, p, identity, tracer))
		}
	}
	return traced, nil
}

// holder is a tracer of any thread of a process of a container that is not known to end with the container; 0 when there is none.
func (f Finder) holder(c inventory.Container, pid int) (int, error) {
	tracers, err := f.tracers(pid)
	if err != nil {
		return 0, err
	}
	for _, tracer := range tracers {
		if foreign, err := f.foreignTracer(c, pid, tracer); foreign || err != nil {
			return tracer, err
		}
	}
	return 0, nil
}

// tracers are the tracers of all threads of a process; one that has ended has none.
func (f Finder) tracers(pid int) ([]int, error) {
	tracers, err := f.Proc.Tracers(pid)
	if err != nil && !kernel.IsVanished(err) {
		return nil, fmt.Errorf("looking for tracers of process %d: %w", pid, err)
	}
	return tracers, nil
}

// tracedBy names a process and its tracer. A tracer of which no more can be read is told by its PID alone.
func (f Finder) tracedBy(c inventory.Container, p kernel.Process, identity scan.Identity, tracer int) Traced {
	traced := Traced{PID: identity.NamespacePIDs[c.Depth-1], Command: p.Command, TracerPID: tracer}
	if process, err := f.Proc.Process(tracer); err == nil {
		traced.TracerCommand = process.Command
	}
	return traced
}

// foreignTracer says whether a process of a container is held by a tracer that is not known to end with the container. One in the
// PID namespace of the container, or in one nested in it, is killed with it and lets go; for another the first process would wait
// for ever. tracer is 0 where there is none.
func (f Finder) foreignTracer(c inventory.Container, pid, tracer int) (bool, error) {
	if tracer == 0 {
		return false, nil
	}
	identity, err := f.Proc.Identity(tracer)
	if kernel.IsVanished(err) {
		return f.tracedStill(pid)
	}
	if err != nil {
		return false, fmt.Errorf("reading tracer %d of process %d: %w", tracer, pid, err)
	}
	return c.IsHeldUp(pid, identity), nil
}

// tracedStill looks once more at a process whose tracer is gone. The kernel has let go of it by then, but another may have come,
// of which nothing is known.
func (f Finder) tracedStill(pid int) (bool, error) {
	tracers, err := f.tracers(pid)
	return len(tracers) > 0, err
}
