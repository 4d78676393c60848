// Package evidence reads what there is to read of the parents of zombies, for their diagnosis.
package evidence

import (
	"slices"

	"github.com/zombie-operator/zombie-operator/agent/diagnose"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/printable"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Reader is the part of a proc mount that evidence is read from.
type Reader interface {
	Process(pid int) (kernel.Process, error)
	Threads(pid int) (kernel.Threads, error)
	// Wait fails where it cannot be seen for whom a thread waits.
	Wait(pid, tid int) (kernel.Wait, error)
	// SignalFD fails where file descriptors cannot be seen.
	SignalFD(pid, tid int) (reads, all bool, err error)
}

// Peek looks at what the file system of a container holds. It never waits: what is not known yet is known at a later look.
type Peek interface {
	// InitInImage is the path of an init below the root directory of a container's PID 1 that this PID 1 does not run; "" when
	// none is known.
	InitInImage(init scan.Key) string
	// GoProgram is whether a process of the container with this PID 1 runs a Go program.
	GoProgram(container, process scan.Key) (isGo, known bool)
}

// Subject is a parent of zombies.
type Subject struct {
	Parent scan.Parent
	// PID is the parent's PID in the container's PID namespace; 0 when it is outside of the container.
	PID int
	// ContainerNamespace is the inode of the container's PID namespace; 0 when that is not known.
	ContainerNamespace uint64
	// Zombies is how many it holds, Moved how many of them another parent had before, and MovedFrom the command name of that
	// one, as it set it: foreign bytes.
	Zombies, Moved int
	MovedFrom      string
	// Reaped is how many it was seen to reap within the last hour.
	Reaped int
	// Frozen is whether its cgroup is frozen, ReaperHolds whether PID 1 of the container holds zombies itself.
	Frozen, ReaperHolds bool
	// TracerOutside is whether its tracer is known not to end with the container.
	TracerOutside bool
	// ThreadsOnly says that neither its files nor its program are to be looked at.
	ThreadsOnly bool
	// ContainerInit is PID 1 of the container, as a process of the host; the zero Key when that is not known.
	ContainerInit scan.Key
}

// Gatherer gathers evidence at each look, and remembers the last look: most of what a process does for a moment says nothing of
// its zombies. It is not safe for concurrent use.
type Gatherer struct {
	reader Reader
	peek   Peek
	last   map[scan.Key]memory
}

// memory is what is remembered of a parent.
type memory struct {
	// threads are those of the last look.
	threads kernel.Threads
	// command is its name then, and caught whether SIGCHLD had a handler at any look under this name: with another it may run
	// another program.
	command string
	caught  bool
}

// New returns a Gatherer that reads from reader and peeks through peek.
func New(reader Reader, peek Peek) *Gatherer {
	return &Gatherer{reader: reader, peek: peek}
}

// Look reads each parent once; of two subjects with one parent, the first counts. The result has an entry for every parent.
// Looks have to be seconds apart.
func (g *Gatherer) Look(subjects []Subject) map[scan.Key]diagnose.Evidence {
	result := make(map[scan.Key]diagnose.Evidence, len(subjects))
	next := make(map[scan.Key]memory, len(subjects))
	for _, s := range subjects {
		if _, done := result[s.Parent.Key]; done {
			continue
		}
		e := diagnose.Evidence{
			Command:       printable.Printable(s.Parent.Command, v1alpha1.MaxCommand),
			PID:           s.PID,
			SameNamespace: s.ContainerNamespace != 0 && s.Parent.Namespace == s.ContainerNamespace,
			Zombies:       s.Zombies,
			Moved:         s.Moved,
			MovedFrom:     printable.Printable(s.MovedFrom, v1alpha1.MaxCommand),
			Reaped:        s.Reaped,
			Frozen:        s.Frozen,
			ReaperHolds:   s.ReaperHolds,
			TracerOutside: s.TracerOutside,
		}
		if s.ContainerInit != (scan.Key{}) {
			e.InitInImage = g.peek.InitInImage(s.ContainerInit)
		}
		if threads, ok := g.read(&e, s); ok {
			next[s.Parent.Key] = memory{threads: threads, command: s.Parent.Command, caught: e.Caught}
		}
		result[s.Parent.Key] = e
	}
	g.last = next
	return result
}

// read reads the parent itself. Nothing is known of it when it ended meanwhile: what was read may be another process's then.
func (g *Gatherer) read(e *diagnose.Evidence, s Subject) (kernel.Threads, bool) {
	parent := s.Parent
	now, err := g.reader.Threads(parent.PID)
	if err != nil || len(now.Live) == 0 {
		return kernel.Threads{}, false
	}
	found := *e
	found.Read = true
	before := g.last[parent.Key]
	last := before.threads
	found.OneThread = now.All && len(now.Live) == 1
	readStates(&found, now, last)
	readSignal(&found, now, last)
	if before.caught && before.command == parent.Command && !found.Caught {
		found.Caught, found.AtTimes = true, true
	}
	g.readWait(&found, parent, now, last)
	if s.ThreadsOnly {
		found.FilesUnread, found.ProgramUnread = true, found.Caught
	} else {
		g.readFiles(&found, parent.PID, now)
		g.readProgram(&found, s)
	}
	after, err := g.reader.Process(parent.PID)
	if err != nil || after.StartTicks != parent.StartTicks {
		return kernel.Threads{}, false
	}
	*e = found
	return now, true
}

// States in which a process does not run until something else happens. It has to be in them without a break: to be in state D or t
// at two looks is usual for one that is busy with its disk, or traced.
const (
	stateStuck   = "D"
	stateStopped = "T"
	stateTraced  = "t"
)

// readStates finds out what the parent does: what its leader does, unless a thread hangs.
func readStates(e *diagnose.Evidence, now, last kernel.Threads) {
	leader := now.Live[0]
	e.StateNow = leader.State
	before, ok := find(last, leader.TID)
	halts := leader.State == stateStuck || leader.State == stateStopped || leader.State == stateTraced
	if ok && leader.State == before.State && (!halts || leader.Switches == before.Switches) {
		e.State = leader.State
		if leader.Wchan == before.Wchan {
			e.Wchan = leader.Wchan
		}
	}
	stuck := 0
	for _, thread := range now.Live {
		if !hangs(thread, last) {
			continue
		}
		stuck++
		if stuck == 1 || diagnose.Killable(e.Wchan) {
			e.State, e.Wchan = stateStuck, thread.Wchan
		}
	}
	e.OthersRun = stuck > 0 && (stuck < len(now.Live) || !now.All)
}

// hangs says whether a thread has been in state D since the last look.
func hangs(thread kernel.Thread, last kernel.Threads) bool {
	before, ok := find(last, thread.TID)
	return ok && thread.State == stateStuck && before.State == stateStuck && thread.Switches == before.Switches
}

func find(threads kernel.Threads, tid int) (kernel.Thread, bool) {
	i := slices.IndexFunc(threads.Live, func(t kernel.Thread) bool { return t.TID == tid })
	if i < 0 {
		return kernel.Thread{}, false
	}
	return threads.Live[i], true
}

// readSignal finds out what the parent does with signals, most of all with SIGCHLD. For a moment that is pending in every program that handles it.
func readSignal(e *diagnose.Evidence, now, last kernel.Threads) {
	e.Ignored, e.Caught = now.Ignored, now.Caught
	e.HandlesHup, e.HandlesTerm = now.HandlesHup, now.HandlesTerm
	e.Pending = now.Pending && last.Pending
	e.Blocked = now.All && !slices.ContainsFunc(now.Live, func(t kernel.Thread) bool { return !t.Blocks })
	e.SigWait = slices.ContainsFunc(now.Live, func(t kernel.Thread) bool { return t.Wchan == kernel.WchanSigwait })
}

// readFiles looks for a signalfd. It reads a signal that is blocked; where no thread blocks SIGCHLD there is nothing to look for.
func (g *Gatherer) readFiles(e *diagnose.Evidence, pid int, now kernel.Threads) {
	if now.All && !slices.ContainsFunc(now.Live, func(t kernel.Thread) bool { return t.Blocks }) {
		return
	}
	reads, all, err := g.reader.SignalFD(pid, now.Live[0].TID)
	e.SignalFD, e.FilesUnread = reads, err != nil || !all
}

// readProgram finds out what the handler of SIGCHLD is worth: the Go runtime always has one.
func (g *Gatherer) readProgram(e *diagnose.Evidence, s Subject) {
	if e.Caught {
		isGo, known := g.peek.GoProgram(s.ContainerInit, s.Parent.Key)
		e.Go, e.ProgramUnread = isGo, !known
	}
}

// readWait finds a thread that waits for a child and did so at the last look. Dead children stay only if it is for another child: one
// that waits for any child either does not see them, or they were reaped a moment ago.
func (g *Gatherer) readWait(e *diagnose.Evidence, parent scan.Parent, now, last kernel.Threads) {
	for _, thread := range now.Live {
		before, ok := find(last, thread.TID)
		if !ok || thread.Wchan != kernel.WchanWait || before.Wchan != kernel.WchanWait {
			continue
		}
		wait, err := g.reader.Wait(parent.PID, thread.TID)
		switch {
		case err != nil:
			e.Waiting = true
			continue // another thread may tell more
		case wait.Any:
			continue
		}
		e.Waiting = true
		// The number is one of the parent's own PID namespace, which need not be the container's.
		if pids := parent.NamespacePIDs; len(pids) > 0 && pids[len(pids)-1] == e.PID {
			e.WaitsFor = wait.Child
		}
		return
	}
}
