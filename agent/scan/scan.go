// Package scan takes one look at the processes of the node: which are zombies, and who are their parents.
package scan

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
)

// Reader is the part of a proc mount that a scan needs.
type Reader interface {
	Processes() (processes []kernel.Process, unreadable int, err error)
	Process(pid int) (kernel.Process, error)
	Identity(pid int) (Identity, error)
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
	// TracerPID is the process that traces it, or 0.
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
	// HeldByTracer: a tracer has to let go first.
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
	// Unreadable is how many processes could not be read.
	Unreadable int
	// LookAlikes are in state Z too, but no zombies that a parent could reap.
	LookAlikes []LookAlike
}

// Scanner takes looks. It remembers the identity of zombies between looks, because a zombie cannot change it.
type Scanner struct {
	reader Reader
	known  map[Key]Zombie
}

// New returns a Scanner that reads from reader.
func New(reader Reader) *Scanner {
	return &Scanner{reader: reader, known: map[Key]Zombie{}}
}

// Scan takes one look at time now.
func (s *Scanner) Scan(now time.Time) (Result, error) {
	processes, unreadable, err := s.reader.Processes()
	if err != nil {
		return Result{}, fmt.Errorf("scanning processes: %w", err)
	}
	result := Result{At: now, Unreadable: unreadable, Parents: map[int]Parent{}}
	clocks, err := s.reader.Clocks()
	if err != nil {
		return Result{}, fmt.Errorf("scanning processes: %w", err)
	}
	known := make(map[Key]Zombie)
	for _, p := range processes {
		if p.State != kernel.StateZombie {
			continue
		}
		if p.Threads > 1 {
			result.LiveLeaders++
			continue
		}
		zombie, err := s.zombie(p, clocks, now)
		if err != nil {
			if !kernel.IsVanished(err) {
				result.Unreadable++
			}
			continue
		}
		if zombie.TracerPID != 0 {
			result.Traced++
			continue // and read anew next time: the tracer may let go
		}
		known[zombie.Key] = zombie
		result.Zombies = append(result.Zombies, zombie)
	}
	s.known = known
	s.readParents(&result, processes)
	return result, nil
}

func (s *Scanner) zombie(p kernel.Process, clocks Clocks, now time.Time) (Zombie, error) {
	key := Key{PID: p.PID, StartTicks: p.StartTicks}
	if zombie, ok := s.known[key]; ok {
		zombie.ParentPID = p.ParentPID // the one thing that changes: orphans get a new parent
		return zombie, nil
	}
	identity, err := s.reader.Identity(p.PID)
	if err != nil {
		return Zombie{}, err
	}
	zombie := Zombie{
		Key:       key,
		Identity:  identity,
		ParentPID: p.ParentPID,
		Command:   p.Command,
		StartedAt: now.Add(-clocks.StartedFor(p)),
	}
	// Whatever hides the time of death, the zombie is there; the time of first sight has to do.
	if age, err := clocks.DeadFor(p); err == nil {
		zombie.DiedAt = now.Add(-age)
	}
	return zombie, nil
}

func (s *Scanner) readParents(result *Result, processes []kernel.Process) {
	wanted := map[int]bool{}
	for _, zombie := range result.Zombies {
		wanted[zombie.ParentPID] = true
	}
	for _, p := range processes {
		if !wanted[p.PID] {
			continue
		}
		if parent, ok := s.parent(p); ok {
			result.Parents[p.PID] = parent
		}
	}
}

// parent reads where a listed process belongs, and then its start time again: all of it must be of the one process that
// was the parent when the zombies were listed.
func (s *Scanner) parent(listed kernel.Process) (Parent, bool) {
	identity, err := s.reader.Identity(listed.PID)
	if err != nil {
		return Parent{}, false
	}
	after, err := s.reader.Process(listed.PID)
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
	cgroups, err := p.Cgroups(pid)
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
		TracerPID:     status.TracerPID,
	}, nil
}
