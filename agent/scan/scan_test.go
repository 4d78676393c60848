package scan

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
)

var (
	noon      = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	errBroken = errors.New("broken")
	errGone   = fmt.Errorf("reading: %w", fs.ErrNotExist)
)

// node is a Reader in memory.
type node struct {
	processes  map[int]kernel.Process
	identities map[int]Identity
	// failing are the processes whose identity cannot be read.
	failing map[int]error
	// readAs are the start ticks that successive reads of one process show.
	readAs map[int][]uint64
	// exits are those of all that end otherwise than with 0 and SIGCHLD.
	exits map[int]kernel.Exit
	// exitFailing are the processes whose exit cannot be read.
	exitFailing map[int]error
	diedAgo     map[int]time.Duration
	unreadable  int
	listErr     error
	clocksErr   error
	identityOf  []int
	processRead []int
}

func newNode(processes ...kernel.Process) *node {
	n := &node{
		processes: map[int]kernel.Process{}, identities: map[int]Identity{}, failing: map[int]error{},
		readAs: map[int][]uint64{}, diedAgo: map[int]time.Duration{}, exits: map[int]kernel.Exit{}, exitFailing: map[int]error{},
	}
	for _, p := range processes {
		n.add(p)
	}
	return n
}

func (n *node) add(p kernel.Process) {
	n.processes[p.PID] = p
	n.identities[p.PID] = Identity{Namespace: 7, NamespacePIDs: []int{p.PID, p.PID % 100}, Cgroups: []string{"/a"}}
}

// change changes what process 11, the zombie of the tests, shows of itself.
func (n *node) change(change func(*Identity)) {
	identity := n.identities[11]
	change(&identity)
	n.identities[11] = identity
}

func (n *node) Processes() (processes []kernel.Process, unreadable int, err error) {
	for _, p := range n.processes {
		processes = append(processes, p)
	}
	slices.SortFunc(processes, func(a, b kernel.Process) int { return a.PID - b.PID })
	return processes, n.unreadable, n.listErr
}

func (n *node) Process(pid int) (kernel.Process, error) {
	n.processRead = append(n.processRead, pid)
	p, ok := n.processes[pid]
	if !ok {
		return kernel.Process{}, errGone
	}
	if ticks := n.readAs[pid]; len(ticks) > 0 {
		p.StartTicks, n.readAs[pid] = ticks[0], ticks[1:]
		if p.StartTicks == 0 {
			return kernel.Process{}, errGone
		}
	}
	return p, nil
}

func (n *node) Identity(pid int) (Identity, error) {
	n.identityOf = append(n.identityOf, pid)
	return n.identities[pid], n.failing[pid]
}

// plainExit is how a zombie ends by default.
var plainExit = kernel.Exit{Signal: int(unix.SIGCHLD), Readable: true}

func (n *node) Exit(pid int) (kernel.Exit, error) {
	exit, ok := n.exits[pid]
	if !ok {
		exit = plainExit
	}
	return exit, n.exitFailing[pid]
}

func (n *node) Clocks() (Clocks, error) { return n, n.clocksErr }

func (n *node) DeadFor(zombie kernel.Process) (time.Duration, error) {
	ago, ok := n.diedAgo[zombie.PID]
	if !ok {
		return 0, kernel.ErrNoDeathTime
	}
	return ago, nil
}

func (n *node) StartedFor(process kernel.Process) time.Duration {
	return time.Hour - time.Duration(process.StartTicks)*time.Second
}

func live(pid, parent int) kernel.Process {
	return kernel.Process{PID: pid, ParentPID: parent, State: "S", Threads: 1, StartTicks: uint64(pid), Command: fmt.Sprint("live", pid)}
}

func dead(pid, parent int) kernel.Process {
	return kernel.Process{PID: pid, ParentPID: parent, State: "Z", Threads: 1, StartTicks: uint64(pid), Command: fmt.Sprint("dead", pid)}
}

func mustScan(t *testing.T, s *Scanner, now time.Time) Result {
	t.Helper()
	result, err := s.Scan(now)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestScanTellsAllOfAZombieAndItsParent(t *testing.T) {
	t.Parallel()
	n := newNode(live(1, 0), live(10, 1), dead(11, 10), dead(12, 10))
	n.diedAgo[11] = time.Minute
	n.exits[11] = kernel.Exit{Signal: int(unix.SIGCHLD), Status: 9, Readable: true}
	n.unreadable = 3
	got := mustScan(t, New(n), noon)
	want := Result{
		At: noon,
		Zombies: []*Zombie{
			{
				Key: Key{11, 11}, Identity: n.identities[11], ParentPID: 10, Command: "dead11",
				StartedAt: noon.Add(11*time.Second - time.Hour), DiedAt: noon.Add(-time.Minute),
				Exit: kernel.Exit{Signal: int(unix.SIGCHLD), Status: 9, Readable: true},
			},
			{
				Key: Key{12, 12}, Identity: n.identities[12], ParentPID: 10, Command: "dead12",
				StartedAt: noon.Add(12*time.Second - time.Hour), // the kernel does not tell when it died
				Exit:      plainExit,
			},
		},
		Parents:    map[int]*Parent{10: {Key: Key{10, 10}, Identity: n.identities[10], Command: "live10"}},
		Unreadable: 3,
		Beyond:     map[int]int{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func TestScanReadsTheIdentityOfAZombieOnce(t *testing.T) {
	t.Parallel()
	n := newNode(live(10, 1), dead(11, 10), dead(12, 10))
	n.diedAgo[11] = time.Minute
	s := New(n)
	first := mustScan(t, s, noon)
	n.identityOf = nil
	second := mustScan(t, s, noon.Add(time.Minute))
	if diff := cmp.Diff([]int{10}, n.identityOf); diff != "" {
		t.Errorf("identities read again, want the parent's only (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(first.Zombies, second.Zombies); diff != "" {
		t.Errorf("zombies of the second look (-first +second):\n%s", diff)
	}
	if diff := cmp.Diff([]int{10, 10}, n.processRead); diff != "" {
		t.Errorf("processes read, want the parent once a look (-want +got):\n%s", diff)
	}
}

func TestScanForgetsAZombieThatWasReaped(t *testing.T) {
	t.Parallel()
	n := newNode(live(10, 1), dead(11, 10))
	s := New(n)
	mustScan(t, s, noon)
	delete(n.processes, 11)
	if got := mustScan(t, s, noon); len(got.Zombies) > 0 || len(got.Parents) > 0 {
		t.Errorf("result = %+v, want neither zombies nor parents", got)
	}
	n.add(dead(11, 10))
	n.identityOf = nil
	mustScan(t, s, noon)
	if !slices.Contains(n.identityOf, 11) {
		t.Error("the identity of a new zombie was not read, as if it were the one that had its PID and ticks before")
	}
}

func TestScanReadsALaterProcessWithTheSamePIDAnew(t *testing.T) {
	t.Parallel()
	n := newNode(live(10, 1), dead(11, 10))
	s := New(n)
	mustScan(t, s, noon)
	later := dead(11, 10)
	later.StartTicks = 500
	n.add(later)
	n.change(func(i *Identity) { i.Namespace = 8 })
	if got := mustScan(t, s, noon).Zombies[0]; got.Namespace != 8 || got.StartTicks != 500 {
		t.Errorf("zombie = %+v, want the later one", got)
	}
}

func TestScanFollowsAChangeOfParent(t *testing.T) {
	t.Parallel()
	n := newNode(live(1, 0), live(10, 1), dead(11, 10))
	s := New(n)
	before := mustScan(t, s, noon)
	delete(n.processes, 10)
	n.add(dead(11, 1))
	got := mustScan(t, s, noon)
	if got.Zombies[0].ParentPID != 1 || before.Zombies[0].ParentPID != 10 {
		t.Errorf("parent = %d after %d, want 1 after 10", got.Zombies[0].ParentPID, before.Zombies[0].ParentPID)
	}
	if _, ok := got.Parents[1]; !ok || len(got.Parents) != 1 {
		t.Errorf("parents = %v, want 1 only", got.Parents)
	}
}

func TestScanTellsLookAlikes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		happen func(*node)
		want   LookAlikeKind
	}{
		"a leader that is gone while threads live": {gone, LeaderExited},
		"a zombie that a tracer holds":             {held, HeldByTracer},
		"a zombie that told nobody":                {ended(0), OtherExitSignal},
		"a zombie that told by SIGUSR1":            {ended(unix.SIGUSR1), OtherExitSignal},
		"a gone leader that is traced lives":       {func(n *node) { gone(n); held(n) }, LeaderExited},
		"a gone leader of another signal lives":    {func(n *node) { gone(n); ended(0)(n) }, LeaderExited},
		"the tracer comes before the exit signal":  {func(n *node) { held(n); ended(0)(n) }, HeldByTracer},
		"a gone leader that its parent traces":     {func(n *node) { gone(n); heldBy(10)(n) }, LeaderExited},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(live(1, 0), live(10, 1), dead(11, 10))
			tc.happen(n)
			s := New(n)
			exit, ok := n.exits[11]
			if !ok {
				exit = plainExit
			}
			want := Result{
				At: noon,
				LookAlikes: []LookAlike{{
					Key: Key{11, 11}, Identity: n.identities[11], Kind: tc.want, ParentPID: 10, Owner: 10, Command: "dead11", Exit: exit,
				}},
				Beyond:  map[int]int{},
				Parents: map[int]*Parent{10: {Key: Key{10, 10}, Identity: n.identities[10], Command: "live10"}},
			}
			for range 2 {
				if diff := cmp.Diff(want, mustScan(t, s, noon)); diff != "" {
					t.Errorf("result (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// gone makes process 11 one whose leader alone is gone.
func gone(n *node) {
	p := n.processes[11]
	p.Threads = 2
	n.processes[11] = p
}

// held makes process 11 one that a stranger traces.
func held(n *node) { heldBy(99)(n) }

// heldBy makes process 11 one that a process traces.
func heldBy(tracer int) func(*node) {
	return func(n *node) { n.change(func(i *Identity) { i.TracerPID = tracer }) }
}

// ended makes process 11 one that told its end by a signal.
func ended(sig unix.Signal) func(*node) {
	return func(n *node) { n.exits[11] = kernel.Exit{Signal: int(sig), Status: 3 << 8, Readable: true} }
}

func TestALookAlikeBecomesAZombie(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ before, after func(*node) }{
		"when the last thread ends":                {gone, func(n *node) { n.add(dead(11, 10)) }},
		"when the tracer lets go":                  {held, heldBy(0)},
		"when the tracer is seen to be its parent": {held, heldBy(10)},
		// The kernel sets the exit signal of an orphan to SIGCHLD.
		"when it gets a new parent": {ended(0), func(n *node) { n.add(dead(11, 1)); delete(n.exits, 11) }},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(live(1, 0), live(10, 1), dead(11, 10))
			tc.before(n)
			s := New(n)
			mustScan(t, s, noon)
			tc.after(n)
			for range 2 {
				if got := mustScan(t, s, noon); len(got.LookAlikes) != 0 || len(got.Zombies) != 1 || got.Zombies[0].Exit != plainExit {
					t.Errorf("result = %+v, want one zombie", got)
				}
			}
		})
	}
}

func TestScanReadsALookAlikeAgainOnlyWhereItMayChange(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		happen func(*node)
		again  bool
	}{
		"a gone leader":                  {gone, true},
		"one that a tracer holds":        {held, true},
		"one that ended by other signal": {ended(0), false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(live(1, 0), live(10, 1), dead(11, 10))
			tc.happen(n)
			s := New(n)
			for range 2 {
				mustScan(t, s, noon)
			}
			n.identityOf = nil
			mustScan(t, s, noon)
			if got := slices.Contains(n.identityOf, 11); got != tc.again {
				t.Errorf("read again = %t, want %t", got, tc.again)
			}
		})
	}
}

// The list of /proc is sorted, but nothing says that it must be.
func TestScanKnowsZombiesInAnyOrder(t *testing.T) {
	t.Parallel()
	n := newNode(live(1, 0), dead(11, 1), dead(12, 1), dead(13, 1))
	s := New(backwards{n})
	first := mustScan(t, s, noon)
	n.identityOf = nil
	second := mustScan(t, s, noon)
	if diff := cmp.Diff([]int{1}, n.identityOf); diff != "" {
		t.Errorf("identities read again, want the parent's only (-want +got):\n%s", diff)
	}
	if first.Zombies[0].PID != 11 || first.Zombies[2].PID != 13 || first.Zombies[1] != second.Zombies[1] {
		t.Errorf("zombies = %+v, want them sorted by PID, and the same ones at the next look", first.Zombies)
	}
}

// backwards is a node that lists its processes from the last to the first.
type backwards struct{ *node }

func (b backwards) Processes() (processes []kernel.Process, unreadable int, err error) {
	processes, unreadable, err = b.node.Processes()
	slices.Reverse(processes)
	return processes, unreadable, err
}

func TestScanDropsAParentThatIsNotOneProcess(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*node){
		"when its PID went to another process meanwhile": func(n *node) { n.readAs[10] = []uint64{11} },
		"when it ended before its identity was read":     func(n *node) { n.failing[10] = errGone },
		"when it ended after its identity was read":      func(n *node) { n.readAs[10] = []uint64{0} },
		"when it was not there when all were listed":     func(n *node) { delete(n.processes, 10) },
		"when its identity cannot be read":               func(n *node) { n.failing[10] = errBroken },
	}
	for name, happen := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(live(10, 1), dead(11, 10))
			happen(n)
			got := mustScan(t, New(n), noon)
			if len(got.Parents) != 0 || len(got.Zombies) != 1 {
				t.Errorf("result = %+v, want the zombie without a parent", got)
			}
		})
	}
}

func TestScanReadsAParentOncePerLook(t *testing.T) {
	t.Parallel()
	n := newNode(live(1, 0), live(10, 1), dead(11, 10), dead(12, 10), dead(13, 0), dead(14, 99))
	if got := mustScan(t, New(n), noon); len(got.Zombies) != 4 || len(got.Parents) != 1 {
		t.Errorf("result = %+v, want four zombies and one parent", got)
	}
	if diff := cmp.Diff([]int{10}, n.processRead); diff != "" {
		t.Errorf("processes read (-want +got):\n%s", diff)
	}
}

func TestScanCounts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		happen              func(*node)
		zombies, unreadable int
	}{
		"a zombie that vanishes while it is read nowhere": {happen: func(n *node) { n.failing[11] = errGone }},
		"a zombie that cannot be read as unreadable":      {happen: func(n *node) { n.failing[11] = errBroken }, unreadable: 1},
		"unreadable ones of the list and of its own": {
			happen:     func(n *node) { n.failing[11] = errBroken; n.unreadable = 2 },
			unreadable: 3,
		},
		"a zombie that vanishes before its exit is read nowhere": {happen: func(n *node) { n.exitFailing[11] = errGone }},
		"a zombie whose exit cannot be read as unreadable":       {happen: func(n *node) { n.exitFailing[11] = errBroken }, unreadable: 1},
		"a zombie whose namespace is hidden as a zombie": {
			happen:  func(n *node) { n.change(func(i *Identity) { i.Namespace = 0 }) },
			zombies: 1,
		},
		"a zombie that its own parent traces as a zombie": {happen: heldBy(10), zombies: 1},
		"also one that tells nobody, as that wait() sees it": {
			happen: func(n *node) { heldBy(10)(n); ended(0)(n) }, zombies: 1,
		},
		"the dead state X as no zombie": {
			happen: func(n *node) {
				p := dead(11, 10)
				p.State = "X"
				n.add(p)
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(live(10, 1), dead(11, 10))
			tc.happen(n)
			got := mustScan(t, New(n), noon)
			if len(got.Zombies) != tc.zombies || got.Unreadable != tc.unreadable || len(got.LookAlikes) > 0 {
				t.Errorf("result = %+v", got)
			}
		})
	}
}

func TestScanFails(t *testing.T) {
	t.Parallel()
	n := newNode(live(10, 1), dead(11, 10))
	s := New(n)
	first := mustScan(t, s, noon)
	n.listErr = errBroken
	if _, err := s.Scan(noon); !errors.Is(err, errBroken) {
		t.Errorf("error without a list = %v", err)
	}
	n.listErr, n.clocksErr = nil, errBroken
	if _, err := s.Scan(noon); !errors.Is(err, errBroken) {
		t.Errorf("error without clocks = %v", err)
	}
	n.clocksErr = nil
	n.diedAgo[11] = time.Hour // must not be asked again
	if diff := cmp.Diff(first, mustScan(t, s, noon)); diff != "" {
		t.Errorf("a failed look changed what is known (-before +after):\n%s", diff)
	}
}
