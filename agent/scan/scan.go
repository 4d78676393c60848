// Package scan takes one look at the processes of the node: which are zombies, and who are their parents.
package scan

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
)

// Reader is the part of a proc mount that a scan needs.
type Reader interface {
	Processes() (processes []kernel.Process, unreadable int, err error)
	Process(pid int) (kernel.Process, error)
	Identity(pid int) (Identity, error)
	// Exit tells how a zombie ended.
	Exit(pid int) (kernel.Exit, error)
	Clocks() (Clocks, error)
}

// Clocks tell the times of processes, as of one look.
type Clocks interface {
	// DeadFor tells how long ago a zombie died. It fails with kernel.ErrNoDeathTime where the kernel does not tell.
	DeadFor(zombie kernel.Process) (time.Duration, error)
	// StartedFor tells how long ago a process started.
	StartedFor(process kernel.Process) time.Duration
}

// Key tells a process from a later one that got the same PID, between two scans seconds apart.
type Key struct {
	PID        int
	StartTicks uint64
}

// Identity is where a process belongs.
type Identity struct {
	// Namespace is the inode of its PID namespace; 0 when it could not be read.
	Namespace uint64
	// NamespacePIDs are its PIDs from the host's PID namespace down to its own.
	NamespacePIDs []int
	// Cgroups are its cgroup paths, as seen by the agent.
	Cgroups []string
	// TracerPID is the process that traces it, or 0. Where that could not be read it is the thread of it that does.
	TracerPID int
}

// Zombie is a process that exited and was not waited for.
type Zombie struct {
	Key
	Identity
	ParentPID int
	// Command is its command name, as it set it: foreign bytes.
	Command string
	// StartedAt is when it started.
	StartedAt time.Time
	// DiedAt is when it died, or the zero time where the kernel does not tell.
	DiedAt time.Time
	// Exit is how it ended.
	Exit kernel.Exit
}

// LookAlikeKind says what a process is that looks like a zombie, or is one that its parent's wait() would not end.
type LookAlikeKind int

const (
	// LeaderExited: the leader of the thread group has exited, other threads live. The process is alive.
	LeaderExited LookAlikeKind = iota
	// HeldByTracer: a tracer that is not its parent has to let go first.
	HeldByTracer
	// OtherExitSignal: it told its parent of its end by another signal than SIGCHLD, or by none.
	OtherExitSignal
)

// LookAlike is a process in state Z that is no reapable zombie.
type LookAlike struct {
	Key
	Identity
	Kind      LookAlikeKind
	ParentPID int
	// Command is its command name, as it set it: foreign bytes.
	Command string
	// Exit is how it ended; of no meaning where the leader alone has exited.
	Exit kernel.Exit
}

// Parent is the parent of at least one zombie.
type Parent struct {
	Key
	Identity
	// Command is its command name, as it set it: foreign bytes.
	Command string
}

// Result is what one look saw.
type Result struct {
	// At is when the look began.
	At time.Time
	// Zombies have exited whole, are not traced, and wait for their parent.
	Zombies []Zombie
	// Parents are the parents of Zombies and LookAlikes that could be read, by PID.
	Parents map[int]Parent
	// Unreadable is how many processes could not be read, and how many look-alikes there are beyond MaxLookAlikes.
	Unreadable int
	// LookAlikes are in state Z too, but no zombies that a parent could reap.
	LookAlikes []LookAlike
}

// MaxLookAlikes is how many look-alikes one look keeps. A report counts them by container and names few, so more tell nobody
// anything, while a tenant may make as many as it has PIDs: at about half a KiB each these take 2 MiB.
const MaxLookAlikes = 4096

// Scanner takes looks. It remembers between looks what a process in state Z cannot change any more.
type Scanner struct {
	reader Reader
	known  map[Key]Zombie
	// others are the known ones of OtherExitSignal.
	others map[Key]LookAlike
}

// New returns a Scanner that reads from reader.
func New(reader Reader) *Scanner { return &Scanner{reader: reader} }

// Scan takes one look at time now.
func (s *Scanner) Scan(now time.Time) (Result, error) {
	processes, unreadable, err := s.reader.Processes()
	if err != nil {
		return Result{}, fmt.Errorf("scanning processes: %w", err)
	}
	clocks, err := s.reader.Clocks()
	if err != nil {
		return Result{}, fmt.Errorf("scanning processes: %w", err)
	}
	l := look{
		Scanner: s, clocks: clocks, processes: processes,
		result:    Result{At: now, Unreadable: unreadable, Parents: map[int]Parent{}},
		nextKnown: map[Key]Zombie{}, nextOthers: map[Key]LookAlike{},
	}
	for _, p := range processes {
		if p.State != kernel.StateZombie {
			continue
		}
		if err := l.take(p); err != nil && !kernel.IsVanished(err) {
			l.result.Unreadable++
		}
	}
	s.known, s.others = l.nextKnown, l.nextOthers
	l.readParents()
	return l.result, nil
}

// look is one look that is being taken.
type look struct {
	*Scanner

	clocks    Clocks
	processes []kernel.Process
	result    Result
	// nextKnown and nextOthers are what the Scanner knows after this look.
	nextKnown  map[Key]Zombie
	nextOthers map[Key]LookAlike
}

// take sorts a process in state Z, by what it knows of it or else by reading it.
func (l *look) take(p kernel.Process) error {
	key := Key{PID: p.PID, StartTicks: p.StartTicks}
	if zombie, ok := l.known[key]; ok {
		zombie.ParentPID = p.ParentPID // the one thing that changes: orphans get a new parent
		l.keep(zombie)
		return nil
	}
	// A new parent makes the kernel set the exit signal to SIGCHLD.
	if other, ok := l.others[key]; ok && other.ParentPID == p.ParentPID {
		l.setAside(other)
		return nil
	}
	if p.Threads > 1 && len(l.result.LookAlikes) >= MaxLookAlikes {
		l.result.Unreadable++
		return nil
	}
	identity, err := l.reader.Identity(p.PID)
	if err != nil {
		return err
	}
	exit, err := l.reader.Exit(p.PID)
	if err != nil {
		return err
	}
	if kind, ok := KindOf(p, identity, exit); ok {
		l.setAside(LookAlike{Key: key, Identity: identity, Kind: kind, ParentPID: p.ParentPID, Command: p.Command, Exit: exit})
		return nil
	}
	l.keep(l.zombie(p, identity, exit))
	return nil
}

// KindOf says what a process in state Z is if it is no zombie that a plain wait() of its parent would end.
//
// A child that is traced is hidden from its parent's wait(), unless a thread of the parent is what traces it: then the wait()
// ends for it, whatever its exit signal.
func KindOf(p kernel.Process, identity Identity, exit kernel.Exit) (LookAlikeKind, bool) {
	switch {
	case p.Threads > 1:
		return LeaderExited, true
	case identity.TracerPID != 0 && identity.TracerPID == p.ParentPID:
		return 0, false
	case identity.TracerPID != 0:
		return HeldByTracer, true
	case exit.Signal != int(unix.SIGCHLD):
		return OtherExitSignal, true
	}
	return 0, false
}

func (l *look) keep(zombie Zombie) {
	l.nextKnown[zombie.Key] = zombie
	l.result.Zombies = append(l.result.Zombies, zombie)
}

// setAside takes in a look-alike. Those with another exit signal are remembered; the others may change until the next look:
// the last thread may end, and a tracer may let go.
func (l *look) setAside(other LookAlike) {
	if len(l.result.LookAlikes) >= MaxLookAlikes {
		l.result.Unreadable++
		return
	}
	if other.Kind == OtherExitSignal {
		l.nextOthers[other.Key] = other
	}
	l.result.LookAlikes = append(l.result.LookAlikes, other)
}

func (l *look) zombie(p kernel.Process, identity Identity, exit kernel.Exit) Zombie {
	zombie := Zombie{
		Key:       Key{PID: p.PID, StartTicks: p.StartTicks},
		Identity:  identity,
		ParentPID: p.ParentPID,
		Command:   p.Command,
		StartedAt: l.result.At.Add(-l.clocks.StartedFor(p)),
		Exit:      exit,
	}
	// Whatever hides the time of death, the zombie is there; the time of first sight has to do.
	if age, err := l.clocks.DeadFor(p); err == nil {
		zombie.DiedAt = l.result.At.Add(-age)
	}
	return zombie
}

func (l *look) readParents() {
	wanted := map[int]bool{}
	for _, zombie := range l.result.Zombies {
		wanted[zombie.ParentPID] = true
	}
	for _, other := range l.result.LookAlikes {
		wanted[other.ParentPID] = true
	}
	for _, p := range l.processes {
		if !wanted[p.PID] {
			continue
		}
		if parent, ok := l.parent(p); ok {
			l.result.Parents[p.PID] = parent
		}
	}
}

// parent reads where a listed process belongs, and then its start time again: all of it must be of the one process that
// was the parent when the zombies were listed.
func (l *look) parent(listed kernel.Process) (Parent, bool) {
	identity, err := l.reader.Identity(listed.PID)
	if err != nil {
		return Parent{}, false
	}
	after, err := l.reader.Process(listed.PID)
	if err != nil || after.StartTicks != listed.StartTicks {
		return Parent{}, false
	}
	return Parent{Key: Key{PID: after.PID, StartTicks: after.StartTicks}, Identity: identity, Command: after.Command}, true
}

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
