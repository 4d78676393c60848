// Package scan takes one look at the processes of the node: which are zombies, and who are their parents.
package scan

import (
	"cmp"
	"fmt"
	"slices"
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
	// Owner is the process below the host's PID 1 that it descends from; see owners.
	Owner int
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
	// Zombies are what a plain wait() of their parents would end, sorted by PID. The Scanner hands out the same ones at the next
	// look, so they must not be changed.
	Zombies []*Zombie
	// Parents are the parents of Zombies and LookAlikes that could be read, by PID.
	Parents map[int]*Parent
	// Unreadable is how many processes could not be read.
	Unreadable int
	// LookAlikes are in state Z too, but no zombies that a parent could reap.
	LookAlikes []LookAlike
	// Beyond counts, by their owner, the look-alikes beyond MaxLookAlikes.
	Beyond map[int]int
}

// MaxLookAlikes is how many look-alikes one look keeps of one owner, the first by PID. A report counts them by container and
// names one, so more tell nobody anything, while a tenant may make as many as it has PIDs: it must not take the place of
// another's.
const MaxLookAlikes = 64

// Scanner takes looks. It remembers between looks what a process in state Z cannot change any more.
//
// There may be as many zombies as the node has PIDs, and then the agent must not be what ends first. So each is kept once,
// whatever passes it on passes a pointer, and what they have in common is kept once for all.
type Scanner struct {
	reader Reader
	// known are the zombies of the last look, sorted by PID.
	known []*Zombie
	// others are the known ones of OtherExitSignal, however many: else those that are not kept would be read at every look.
	others map[Key]*LookAlike
	common common
}

// New returns a Scanner that reads from reader.
func New(reader Reader) *Scanner { return &Scanner{reader: reader, common: newCommon()} }

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
	slices.SortFunc(processes, func(a, b kernel.Process) int { return cmp.Compare(a.PID, b.PID) })
	l := look{
		Scanner: s, clocks: clocks, processes: processes,
		result:     Result{At: now, Unreadable: unreadable, Parents: map[int]*Parent{}, Beyond: map[int]int{}},
		nextOthers: map[Key]*LookAlike{},
		owners:     newOwners(processes), kept: map[int]int{},
	}
	for _, p := range processes {
		if p.State != kernel.StateZombie {
			continue
		}
		if err := l.take(p); err != nil && !kernel.IsVanished(err) {
			l.result.Unreadable++
		}
	}
	s.known, s.others = l.result.Zombies, l.nextOthers
	l.readParents()
	return l.result, nil
}

// look is one look that is being taken.
type look struct {
	*Scanner

	clocks    Clocks
	processes []kernel.Process
	result    Result
	// nextOthers are those that the Scanner knows after this look.
	nextOthers map[Key]*LookAlike
	owners     owners
	// kept counts the look-alikes of the result by their owner.
	kept map[int]int
}

// take sorts a process in state Z, by what it knows of it or else by reading it.
func (l *look) take(p kernel.Process) error {
	key := Key{PID: p.PID, StartTicks: p.StartTicks}
	if zombie, ok := l.knownAs(key); ok {
		if zombie.ParentPID != p.ParentPID { // the one thing that changes: orphans get a new parent
			moved := *zombie
			moved.ParentPID = p.ParentPID
			zombie = &moved
		}
		l.result.Zombies = append(l.result.Zombies, zombie)
		return nil
	}
	// A new parent makes the kernel set the exit signal to SIGCHLD.
	if other, ok := l.others[key]; ok && other.ParentPID == p.ParentPID {
		l.setAside(p, other)
		return nil
	}
	if p.Threads > 1 && l.beyond(p) { // known to be a look-alike before it is read
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
	identity.Cgroups, p.Command = l.common.paths(identity.Cgroups), l.common.command(p.Command)
	if kind, ok := KindOf(p, identity, exit); ok {
		l.setAside(p, &LookAlike{Key: key, Identity: identity, Kind: kind, ParentPID: p.ParentPID, Command: p.Command, Exit: exit})
		return nil
	}
	l.result.Zombies = append(l.result.Zombies, l.zombie(p, identity, exit))
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

// knownAs finds a zombie of the last look. A search in what is kept anyway takes a microsecond where reading a process takes
// ten, and no memory.
func (l *look) knownAs(key Key) (*Zombie, bool) {
	i, ok := slices.BinarySearchFunc(l.known, key.PID, func(z *Zombie, pid int) int { return cmp.Compare(z.PID, pid) })
	if !ok || l.known[i].Key != key {
		return nil, false
	}
	return l.known[i], true
}

// setAside takes in a look-alike. Those with another exit signal are remembered; the others may change until the next look:
// the last thread may end, and a tracer may let go.
func (l *look) setAside(p kernel.Process, other *LookAlike) {
	if other.Kind == OtherExitSignal {
		l.nextOthers[other.Key] = other
	}
	if l.beyond(p) {
		return
	}
	kept := *other
	kept.Owner = l.owners.of(p)
	l.kept[kept.Owner]++
	l.result.LookAlikes = append(l.result.LookAlikes, kept)
}

// beyond says whether enough look-alikes of the owner of another one are kept, and then counts it.
func (l *look) beyond(p kernel.Process) bool {
	owner := l.owners.of(p)
	if l.kept[owner] < MaxLookAlikes {
		return false
	}
	l.result.Beyond[owner]++
	return true
}

func (l *look) zombie(p kernel.Process, identity Identity, exit kernel.Exit) *Zombie {
	zombie := &Zombie{
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
		if parent := l.parent(p); parent != nil {
			l.result.Parents[p.PID] = parent
		}
	}
}

// parent reads where a listed process belongs, and then its start time again: all of it must be of the one process that
// was the parent when the zombies were listed. It returns nil when it is not.
func (l *look) parent(listed kernel.Process) *Parent {
	identity, err := l.reader.Identity(listed.PID)
	if err != nil {
		return nil
	}
	after, err := l.reader.Process(listed.PID)
	if err != nil || after.StartTicks != listed.StartTicks {
		return nil
	}
	identity.Cgroups = l.common.paths(identity.Cgroups)
	return &Parent{Key: Key{PID: after.PID, StartTicks: after.StartTicks}, Identity: identity, Command: l.common.command(after.Command)}
}
