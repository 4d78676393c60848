package target_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/agent/target"
	"github.com/zombie-operator/zombie-operator/agent/target/targettest"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// wanted is how a remediation names the parent.
var wanted = scan.Key{PID: targettest.Inner(parent), StartTicks: parent}

func mustParent(t *testing.T, n *targettest.Node) *target.Parent {
	t.Helper()
	p, err := n.Finder().Parent(mustContainer(t, n), wanted)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestParentIsFoundAmongOthers(t *testing.T) {
	t.Parallel()
	n := newNode()
	// The same PID and start time in another container, and the same start time in this one.
	n.Live(90, 1)
	n.Change(90, func(p *targettest.Process) {
		p.StartTicks, p.NamespacePIDs, p.Namespace, p.Cgroups = parent, []int{90, wanted.PID}, 3, []string{"/kubepods/pod2/other"}
	})
	n.Live(91, parent)
	n.Change(91, func(p *targettest.Process) { p.StartTicks = parent })
	// One that ends while it is looked at.
	n.Live(92, parent)
	n.Change(92, func(p *targettest.Process) { p.StartTicks = parent })
	n.Before = func(call string) {
		if call == "identity 92" {
			n.Reap(92)
		}
	}
	p := mustParent(t, n)
	if p.Process.PID != parent || p.PID() != wanted.PID || p.Process.Command != "p107" || p.EndsMore() {
		t.Errorf("parent = %+v, PID %d", p, p.PID())
	}
	if err := p.Same(); err != nil {
		t.Errorf("Same() = %v", err)
	}
}

func TestParentMayBeDeeperInTheContainer(t *testing.T) {
	t.Parallel()
	n := newNode()
	n.Change(parent, func(p *targettest.Process) {
		p.Namespace, p.NamespacePIDs, p.Cgroups = 9, []int{parent, wanted.PID, 5}, []string{targettest.Cgroup + "/inner"}
	})
	if p := mustParent(t, n); p.PID() != wanted.PID || p.EndsMore() {
		t.Errorf("parent = %+v, PID %d", p, p.PID())
	}
}

func TestParentThatWouldEndMoreThanItself(t *testing.T) {
	t.Parallel()
	n := newNode()
	n.Change(parent, func(p *targettest.Process) { p.Namespace, p.NamespacePIDs = 9, []int{parent, wanted.PID, 1} })
	if !mustParent(t, n).EndsMore() {
		t.Error("EndsMore() of the first process of a PID namespace in the container = false")
	}
	n = newNode()
	c := mustContainer(t, n)
	c.InitPID = parent // as in a pod that shares its PID namespace: another process is PID 1
	p, err := n.Finder().Parent(c, wanted)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if !p.EndsMore() {
		t.Error("EndsMore() of the first process of the container = false")
	}
}

// changes of the parent, and what they make of it, both when it is looked for and when it is compared once more.
var changes = map[string]struct {
	happen  func(*targettest.Node)
	outcome v1alpha1.Outcome
}{
	"a parent that was reaped is stale": {func(n *targettest.Node) { n.Reap(parent) }, v1alpha1.OutcomeStale},
	"a parent that is a zombie is stale": {
		func(n *targettest.Node) { n.End(parent, targettest.Init) }, v1alpha1.OutcomeStale,
	},
	"a process that started at another time is stale": {
		func(n *targettest.Node) { n.Change(parent, func(p *targettest.Process) { p.StartTicks++ }) }, v1alpha1.OutcomeStale,
	},
	"a process with another PID in the container is stale": {
		func(n *targettest.Node) {
			n.Change(parent, func(p *targettest.Process) { p.NamespacePIDs = []int{parent, 77} })
		}, v1alpha1.OutcomeStale,
	},
	"a process outside of the container's cgroup is refused": {
		func(n *targettest.Node) {
			n.Change(parent, func(p *targettest.Process) { p.Cgroups = []string{targettest.Cgroup + "0"} })
		}, v1alpha1.OutcomeRefused,
	},
	"a process that shows no cgroup is refused": {
		func(n *targettest.Node) { n.Change(parent, func(p *targettest.Process) { p.Cgroups = nil }) }, v1alpha1.OutcomeRefused,
	},
	"a process of the container's cgroup in another PID namespace is refused": {
		func(n *targettest.Node) { n.Change(parent, func(p *targettest.Process) { p.Namespace = 9 }) }, v1alpha1.OutcomeRefused,
	},
	"a process of the container's cgroup in the PID namespace of the host is refused": {
		func(n *targettest.Node) {
			n.Change(parent, func(p *targettest.Process) {
				p.Namespace, p.NamespacePIDs = targettest.HostNamespace, []int{wanted.PID}
			})
		}, v1alpha1.OutcomeRefused,
	},
	"a process whose PID namespace cannot be read is refused": {
		func(n *targettest.Node) { n.Change(parent, func(p *targettest.Process) { p.Namespace = 0 }) }, v1alpha1.OutcomeRefused,
	},
	"a process whose PID namespace cannot be read, though it is a nested one, is refused": {
		func(n *targettest.Node) {
			n.Change(parent, func(p *targettest.Process) { p.Namespace, p.NamespacePIDs = 0, append(p.NamespacePIDs, 5) })
		}, v1alpha1.OutcomeRefused,
	},
}

func TestParentMustBeTheOneThatWasDecidedOn(t *testing.T) {
	t.Parallel()
	for name, tc := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode()
			c := mustContainer(t, n)
			tc.happen(n)
			if _, err := n.Finder().Parent(c, wanted); outcome(err) != tc.outcome {
				t.Errorf("error = %v, want %s", err, tc.outcome)
			}
		})
	}
}

func TestParentMustStayTheSame(t *testing.T) {
	t.Parallel()
	for name, tc := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode()
			p := mustParent(t, n)
			tc.happen(n)
			if err := p.Same(); outcome(err) != tc.outcome {
				t.Errorf("error = %v, want %s", err, tc.outcome)
			}
		})
	}
}

// A later process may get the PID of the parent, and start in the same tick: only the handle tells them apart.
func TestParentIsNotALaterProcessWithItsPIDAndStartTime(t *testing.T) {
	t.Parallel()
	n := newNode()
	p := mustParent(t, n)
	n.Reap(parent)
	n.Live(parent, targettest.Init)
	if err := p.Same(); outcome(err) != v1alpha1.OutcomeStale {
		t.Errorf("Same() = %v, want %s", err, v1alpha1.OutcomeStale)
	}
	if err := p.Signal(unix.SIGTERM); !errors.Is(err, unix.ESRCH) || len(n.Sent()) > 0 {
		t.Errorf("Signal() = %v, sent %v, want nothing sent", err, n.Sent())
	}
}

// What was found may be gone when it is opened, and what is opened may be another process with its PID: it must be opened
// first and compared afterwards.
func TestParentIsComparedAfterItWasOpened(t *testing.T) {
	t.Parallel()
	later := func(n *targettest.Node) {
		n.Reap(parent)
		n.Live(parent, targettest.Init)
		n.Change(parent, func(p *targettest.Process) { p.StartTicks++ })
	}
	tests := map[string]struct {
		happen func(*targettest.Node)
		closed int
	}{
		"when it was reaped before":                   {func(n *targettest.Node) { n.Reap(parent) }, 0},
		"when its PID went to another process before": {later, 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode()
			c := mustContainer(t, n)
			closed := 0
			n.Before = func(call string) {
				switch call {
				case fmt.Sprint("open ", parent):
					tc.happen(n)
				case fmt.Sprint("close ", parent):
					closed++
				}
			}
			if _, err := n.Finder().Parent(c, wanted); outcome(err) != v1alpha1.OutcomeStale {
				t.Errorf("error = %v, want %s", err, v1alpha1.OutcomeStale)
			}
			if closed != tc.closed {
				t.Errorf("closed %d times, want %d", closed, tc.closed)
			}
		})
	}
}

func TestParentIsNeverTheAgent(t *testing.T) {
	t.Parallel()
	n := newNode()
	c := mustContainer(t, n)
	n.Change(os.Getpid(), func(p *targettest.Process) {
		p.StartTicks, p.Namespace, p.NamespacePIDs, p.Cgroups = 5, targettest.Namespace, []int{os.Getpid(), 5}, []string{targettest.Cgroup}
	})
	if _, err := n.Finder().Parent(c, scan.Key{PID: 5, StartTicks: 5}); outcome(err) != v1alpha1.OutcomeRefused {
		t.Errorf("error = %v, want %s", err, v1alpha1.OutcomeRefused)
	}
}

func TestParentLookThatFailsMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"processes", "identity 107", "open 107", "process 107", "alive 107"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			n := newNode()
			c := mustContainer(t, n)
			n.Fail(call, targettest.ErrBroken)
			if _, err := n.Finder().Parent(c, wanted); !errors.Is(err, targettest.ErrBroken) || outcome(err) != "" {
				t.Errorf("error = %v, want %v", err, targettest.ErrBroken)
			}
		})
	}
}

func TestParentWithoutItsMainThreadIsAlive(t *testing.T) {
	t.Parallel()
	n := newNode()
	n.Change(parent, func(p *targettest.Process) { p.State, p.Threads = kernel.StateZombie, 2 })
	p := mustParent(t, n)
	if zombies, err := p.Zombies(); len(zombies) != 2 || err != nil {
		t.Errorf("Zombies() = %v, %v, want two", zombies, err)
	}
}

func TestZombiesOfAParent(t *testing.T) {
	t.Parallel()
	both := []scan.Key{{PID: 201, StartTicks: 201}, {PID: 202, StartTicks: 202}}
	second := both[1:]
	tests := map[string]struct {
		happen func(*targettest.Node)
		want   []scan.Key
	}{
		"all its dead children count": {func(*targettest.Node) {}, both},
		"they count on a kernel that lists no children, too": {
			func(n *targettest.Node) { n.Fail("children 107", kernel.ErrNoChildren) }, both,
		},
		"those of another process do not":        {func(n *targettest.Node) { n.Dead(301, 203) }, both},
		"one that is traced does not":            {func(n *targettest.Node) { n.Change(201, func(p *targettest.Process) { p.TracerPID = 203 }) }, second},
		"one with a living thread does not":      {func(n *targettest.Node) { n.Change(201, func(p *targettest.Process) { p.Threads = 2 }) }, second},
		"one that just died does not":            {change(func(p *targettest.Process) { p.DeadFor = 30*time.Second - 1 }), second},
		"one that died half a minute ago counts": {change(func(p *targettest.Process) { p.DeadFor = 30 * time.Second }), both},
		"one that ended with no signal does not": {change(func(p *targettest.Process) { p.ExitSignal = 0 }), second},
		"one counts of which the kernel does not tell when it died": {
			func(n *targettest.Node) { n.Fail("dead 201", kernel.ErrNoDeathTime) }, both,
		},
		"a later process with its PID does not":     {happens("process 201", func(n *targettest.Node) { n.Dead(201, targettest.Init) }), second},
		"one that is reaped meanwhile does not":     {happens("process 201", func(n *targettest.Node) { n.Reap(201) }), second},
		"one that is reaped a bit later does not":   {happens("identity 201", func(n *targettest.Node) { n.Reap(201) }), second},
		"there are none once the parent was reaped": {func(n *targettest.Node) { n.Reap(parent) }, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode()
			p := mustParent(t, n)
			tc.happen(n)
			got, err := p.Zombies()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("zombies (-want +got):\n%s", diff)
			}
		})
	}
}

// happens lets something happen right before a call.
func happens(before string, what func(*targettest.Node)) func(*targettest.Node) {
	return func(n *targettest.Node) {
		n.Before = func(call string) {
			if call == before {
				what(n)
			}
		}
	}
}

func TestParentHasALiveChild(t *testing.T) {
	t.Parallel()
	// Each begins with a live child less.
	tests := map[string]struct {
		happen func(*targettest.Node)
		want   bool
	}{
		"not when all are zombies": {func(*targettest.Node) {}, false},
		"when one lives":           {func(n *targettest.Node) { n.Live(204, parent) }, true},
		"when one lives that the quick list leaves out": {
			func(n *targettest.Node) { n.Live(204, parent); n.Unlisted[204] = true }, true,
		},
		"when one lives on a kernel that lists no children": {
			func(n *targettest.Node) { n.Live(204, parent); n.Fail("children 107", kernel.ErrNoChildren) }, true,
		},
		"when the threads of one live": {
			func(n *targettest.Node) { n.Change(201, func(p *targettest.Process) { p.Threads = 2 }) }, true,
		},
		"when one is held by a tracer": {
			func(n *targettest.Node) { n.Change(201, func(p *targettest.Process) { p.TracerPID = 5 }) }, true,
		},
		"when one ended with another signal than SIGCHLD, for which no wait returns": {
			change(func(p *targettest.Process) { p.ExitSignal = unix.SIGUSR1 }), true,
		},
		"not when one just died, for which a wait returns": {change(func(p *targettest.Process) { p.DeadFor = 0 }), false},
		"when a process cannot be read, which may be one":  {func(n *targettest.Node) { n.Unreadable = 1 }, true},
		"not when a zombie is reaped meanwhile": {
			happens("identity 201", func(n *targettest.Node) { n.Reap(201) }), false,
		},
		"not when a process lives that is another's child": {func(n *targettest.Node) { n.Live(204, targettest.Init) }, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode()
			n.Reap(203)
			p := mustParent(t, n)
			tc.happen(n)
			if got, err := p.HasLiveChild(); got != tc.want || err != nil {
				t.Errorf("HasLiveChild() = %t, %v, want %t", got, err, tc.want)
			}
		})
	}
}

func TestChildrenThatCannotBeReadFail(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"children 107", "process 201", "identity 201", "exit signal 201"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			n := newNode()
			p := mustParent(t, n)
			n.Fail(call, targettest.ErrBroken)
			if got, err := p.Zombies(); !errors.Is(err, targettest.ErrBroken) {
				t.Errorf("Zombies() = %v, %v, want %v", got, err, targettest.ErrBroken)
			}
			if got, err := p.HasLiveChild(); !errors.Is(err, targettest.ErrBroken) {
				t.Errorf("HasLiveChild() = %t, %v, want %v", got, err, targettest.ErrBroken)
			}
		})
	}
	for _, call := range []string{"clocks", "dead 201"} {
		n := newNode()
		p := mustParent(t, n)
		n.Fail(call, targettest.ErrBroken)
		if got, err := p.Zombies(); !errors.Is(err, targettest.ErrBroken) {
			t.Errorf("Zombies() without %q = %v, %v, want %v", call, got, err, targettest.ErrBroken)
		}
	}
	n := newNode()
	n.Reap(203)
	p := mustParent(t, n)
	n.Fail("processes", targettest.ErrBroken)
	if got, err := p.HasLiveChild(); !errors.Is(err, targettest.ErrBroken) {
		t.Errorf("HasLiveChild() = %t, %v, want %v", got, err, targettest.ErrBroken)
	}
}

func TestRealPidfdIsOfOneProcess(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	h, err := target.OpenPidfd(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Signal(unix.SIGSTOP); err != nil { // may come after its end
		t.Error(err)
	}
	if err := h.Signal(unix.SIGKILL); err != nil {
		t.Error(err)
	}
	deadline := time.After(10 * time.Second)
	for alive := true; alive; {
		if alive, err = h.Alive(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-deadline:
			t.Fatal("it is alive after SIGKILL")
		case <-time.After(time.Millisecond):
		}
	}
	_, _ = cmd.Process.Wait()
	if err := h.Signal(unix.SIGKILL); !errors.Is(err, unix.ESRCH) {
		t.Errorf("Signal() after its end = %v, want %v", err, unix.ESRCH)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if _, err := target.OpenPidfd(1 << 22); err == nil { // beyond the highest PID
		t.Error("a pidfd of a PID that cannot be, want an error")
	}
}
