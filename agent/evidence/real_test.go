package evidence

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/diagnose"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/peek"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// These tests look at real processes of the kernel they run on.

// inC is a program that is known not to be in Go: the actors are as good as that, though they are copies of a Go program.
type inC struct{}

func (inC) InitInImage(scan.Key) string                { return "" }
func (inC) GoProgram(_, _ scan.Key) (isGo, known bool) { return false, true }

// subject is a real parent of a real zombie. It is one inside of a container, if it were one.
func subject(t *testing.T, proc scan.Proc, pid int) Subject {
	t.Helper()
	what := func() string { return fmt.Sprintf("process %d has a dead child", pid) }
	eventually(t, what, func() bool {
		children, err := proc.Children(pid)
		if err != nil {
			t.Fatal(err)
		}
		for _, child := range children {
			if p, err := proc.Process(child); err == nil && p.State == kernel.StateZombie {
				return true
			}
		}
		return false
	})
	p, err := proc.Process(pid)
	if err != nil {
		t.Fatal(err)
	}
	status, err := proc.Status(pid)
	if err != nil {
		t.Fatal(err)
	}
	pids := status.NamespacePIDs
	return Subject{
		Parent: scan.Parent{
			Key:      scan.Key{PID: pid, StartTicks: p.StartTicks},
			Identity: scan.Identity{NamespacePIDs: pids},
			Command:  p.Command,
		},
		PID:     pids[len(pids)-1],
		Zombies: 1,
	}
}

func openProc(t *testing.T) scan.Proc {
	t.Helper()
	f, err := kernel.New("/proc")
	if err != nil {
		t.Fatal(err)
	}
	return scan.Proc{FS: f}
}

// settle looks until the diagnosis is of that cause and the evidence is as wanted, and then once more: it has to stay so.
func settle(t *testing.T, s Subject, p Peek, cause v1alpha1.Cause, fits func(diagnose.Evidence) bool) diagnose.Diagnosis {
	t.Helper()
	g := New(openProc(t), p)
	var e diagnose.Evidence
	var d diagnose.Diagnosis
	look := func() bool {
		e = g.Look([]Subject{s})[s.Parent.Key]
		d = diagnose.Diagnose(e)
		return d.Cause == cause && e.Read && fits(e)
	}
	what := func() string { return fmt.Sprintf("cause %s; last was %s of %+v", cause, d.Cause, e) }
	eventually(t, what, look)
	if !look() {
		t.Errorf("it did not stay so: %s", what())
	}
	return d
}

func TestRealParents(t *testing.T) {
	t.Parallel()
	sleeps := func(e diagnose.Evidence) bool { return e.State == "S" && e.StateNow == "S" && e.Wchan != "" }
	tests := map[string]struct {
		role     actorRole
		cause    v1alpha1.Cause
		fits     func(diagnose.Evidence) bool
		evidence string // that the sentence must hold
		child    bool   // SIGCHLD may help
	}{
		"a parent with default disposition does not wait": {
			actorDefault, v1alpha1.CauseParentDoesNotWait,
			func(e diagnose.Evidence) bool {
				return sleeps(e) && !e.Caught && !e.Ignored && !e.Blocked && !e.Pending && !e.Waiting
			}, "SIGCHLD default", false,
		},
		"a parent that ignores SIGCHLD after the death keeps the zombie": {
			actorIgnores, v1alpha1.CauseSignalIgnored, sleeps, "SIGCHLD ignored", false,
		},
		"a parent that blocks SIGCHLD has it pending": {
			actorBlocks, v1alpha1.CauseSignalBlocked,
			func(e diagnose.Evidence) bool { return sleeps(e) && !e.FilesUnread }, "SIGCHLD default, blocked, pending", false,
		},
		"a reader of a signalfd that does not wait leaves the child": {
			actorReads, v1alpha1.CauseHandlerLeavesChildren,
			func(e diagnose.Evidence) bool { return sleeps(e) && e.Blocked && !e.Pending && e.SignalFD }, "signalfd; SIGCHLD default, blocked", true,
		},
		"a sleeper in sigtimedwait may read SIGCHLD": {
			actorSigwaits, v1alpha1.CauseParentDoesNotWait,
			func(e diagnose.Evidence) bool { return sleeps(e) && e.SigWait && e.Wchan == kernel.WchanSigwait }, "a thread in sigwait()", true,
		},
		"a parent that waits for one child passes over the other": {
			actorWaits, v1alpha1.CauseWaitsForOtherChild,
			func(e diagnose.Evidence) bool {
				return sleeps(e) && e.Wchan == kernel.WchanWait && (e.WaitsFor != 0) == mayReadCalls()
			}, "State S in do_wait", false,
		},
		"a parent that waits for a group passes over the other": {
			actorWaitsForGroup, v1alpha1.CauseWaitsForOtherChild,
			func(e diagnose.Evidence) bool { return sleeps(e) && e.WaitsFor == 0 }, "a thread in wait()", false,
		},
		"a parent that waits for a vforked child hangs in D": {
			actorVforks, v1alpha1.CauseParentStuckInD,
			func(e diagnose.Evidence) bool {
				return e.State == "D" && e.StateNow == "D" && !e.OthersRun && e.Wchan != ""
			}, "State D in", false,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := subject(t, openProc(t), startRole(t, tc.role))
			d := settle(t, s, inC{}, tc.cause, tc.fits)
			if !strings.Contains(d.Evidence, tc.evidence) {
				t.Errorf("evidence = %q, want %q in it", d.Evidence, tc.evidence)
			}
			if may := !cannot(d, v1alpha1.RemedySIGCHLD); may != tc.child {
				t.Errorf("SIGCHLD may help: %t, want %t", may, tc.child)
			}
		})
	}
}

func cannot(d diagnose.Diagnosis, remedy v1alpha1.Remedy) bool {
	return slices.Contains(d.CannotHelp, remedy)
}

// mayReadCalls says whether system calls of other processes of the same user can be read: Yama and kernels built without that forbid it.
func mayReadCalls() bool {
	_, err := os.ReadFile("/proc/self/syscall")
	return err == nil
}

// A sleep in state D that SIGKILL ends is ended by every signal that ends the process.
func TestRealParentThatHangsTakesWhatEndsIt(t *testing.T) {
	t.Parallel()
	hangs := func(e diagnose.Evidence) bool { return e.State == "D" && diagnose.Killable(e.Wchan) }
	for remedy, signal := range map[v1alpha1.Remedy]syscall.Signal{v1alpha1.RemedySIGHUP: syscall.SIGHUP, v1alpha1.RemedySIGTERM: syscall.SIGTERM} {
		t.Run(string(remedy)+" by default", func(t *testing.T) {
			t.Parallel()
			s := subject(t, openProc(t), startRole(t, actorVforks))
			if d := settle(t, s, inC{}, v1alpha1.CauseParentStuckInD, hangs); cannot(d, remedy) {
				t.Errorf("cannot help: %v, want %s to be tried", d.CannotHelp, remedy)
			}
			send(t, s.Parent.PID, signal)
			g := New(openProc(t), inC{})
			eventually(t, func() string { return "its end" }, func() bool { return !g.Look([]Subject{s})[s.Parent.Key].Read })
		})
		t.Run(string(remedy)+" that is handled", func(t *testing.T) {
			t.Parallel()
			s := subject(t, openProc(t), startRole(t, actorVforksAndHandles))
			settle(t, s, inC{}, v1alpha1.CauseParentStuckInD, hangs)
			send(t, s.Parent.PID, signal)
			d := settle(t, s, inC{}, v1alpha1.CauseParentStuckInD, hangs) // it hangs all the same
			if !cannot(d, remedy) || cannot(d, v1alpha1.RemedySIGKILL) {
				t.Errorf("cannot help: %v, want %s, but not SIGKILL", d.CannotHelp, remedy)
			}
		})
	}
}

func send(t *testing.T, pid int, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		t.Fatal(err)
	}
}

func TestRealParentThatIsStopped(t *testing.T) {
	t.Parallel()
	s := subject(t, openProc(t), startRole(t, actorDefault))
	send(t, s.Parent.PID, syscall.SIGSTOP)
	d := settle(t, s, inC{}, v1alpha1.CauseParentStopped, func(e diagnose.Evidence) bool { return e.State == "T" && e.StateNow == "T" })
	if cannot(d, v1alpha1.RemedySIGCONT) || !cannot(d, v1alpha1.RemedySIGTERM) || cannot(d, v1alpha1.RemedySIGKILL) {
		t.Errorf("cannot help: %v, want SIGTERM, but neither SIGCONT nor SIGKILL", d.CannotHelp)
	}
	send(t, s.Parent.PID, syscall.SIGCONT)
	d = settle(t, s, inC{}, v1alpha1.CauseParentDoesNotWait, func(e diagnose.Evidence) bool { return e.State == "S" })
	if !cannot(d, v1alpha1.RemedySIGCONT) {
		t.Errorf("cannot help: %v, want SIGCONT", d.CannotHelp)
	}
}

func TestRealParentThatIsTraced(t *testing.T) {
	t.Parallel()
	s := subject(t, openProc(t), startRole(t, actorDefault))
	seized, done, ended := make(chan error), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // and end the thread with the goroutine: the end of a tracer lets go
		_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(s.Parent.PID), 0, 0, 0, 0)
		if errno == 0 {
			_, _, errno = unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_INTERRUPT, uintptr(s.Parent.PID), 0, 0, 0, 0)
		}
		if errno != 0 {
			seized <- errno
			return
		}
		seized <- nil
		<-done
	}()
	t.Cleanup(func() {
		close(done)
		<-ended
	})
	if err := <-seized; errors.Is(err, unix.EPERM) && os.Getuid() != 0 {
		leaveOut(t, "only root may trace here")
	} else if err != nil {
		t.Fatal(err)
	}
	settle(t, s, inC{}, v1alpha1.CauseParentTraced, func(e diagnose.Evidence) bool { return e.State == "t" && e.StateNow == "t" })
}

func TestRealGoPrograms(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		role  string
		cause v1alpha1.Cause
		fits  func(diagnose.Evidence) bool
	}{
		"a Go program does not wait":                             {roleGo, v1alpha1.CauseParentDoesNotWait, func(e diagnose.Evidence) bool { return e.Caught && e.Go && !e.ProgramUnread }},
		"a Go program whose main thread has ended lives":         {roleLeaderGone, v1alpha1.CauseParentDoesNotWait, func(e diagnose.Evidence) bool { return e.Caught && e.Go && e.StateNow != "Z" }},
		"a Go program with a thread in D is held up by a thread": {roleThreadInD, v1alpha1.CauseParentStuckInD, func(e diagnose.Evidence) bool { return e.State == "D" && e.OthersRun && e.Go }},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			worker := peeker(t)
			s := subject(t, openProc(t), start(t, tc.role))
			settle(t, s, worker, tc.cause, tc.fits)
		})
	}
}

// peeker is a real worker that peeks.
func peeker(t *testing.T) *peek.Worker {
	t.Helper()
	worker, err := peek.New("/proc")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	ctx := t.Context() // it ends before cleaning up begins
	go func() {
		defer close(done)
		worker.Run(ctx)
	}()
	t.Cleanup(func() { <-done })
	return worker
}

func TestRealHandlerThatDoesNotWait(t *testing.T) {
	t.Parallel()
	perl, err := exec.LookPath("perl")
	if err != nil {
		leaveOut(t, "there is no perl")
	}
	worker := peeker(t)
	const program = `$| = 1; $SIG{CHLD} = sub {}; fork or exit; print "$$\n"; sleep 1 while 1`
	s := subject(t, openProc(t), startCommand(t, exec.Command(perl, "-e", program)))
	d := settle(t, s, worker, v1alpha1.CauseHandlerLeavesChildren, func(e diagnose.Evidence) bool { return e.Caught && !e.Go && !e.ProgramUnread })
	if cannot(d, v1alpha1.RemedySIGCHLD) {
		t.Errorf("cannot help: %v, want SIGCHLD to be tried", d.CannotHelp)
	}
}

func TestRealParentThatEnded(t *testing.T) {
	t.Parallel()
	s := subject(t, openProc(t), startRole(t, actorDefault))
	g := New(openProc(t), inC{})
	if e := g.Look([]Subject{s})[s.Parent.Key]; !e.Read {
		t.Fatalf("evidence = %+v, want it read", e)
	}
	later := s
	later.Parent.StartTicks++
	if e := g.Look([]Subject{later})[later.Parent.Key]; e.Read || e.StateNow != "" {
		t.Errorf("evidence of a parent with this PID that ended = %+v, want nothing read", e)
	}
	send(t, s.Parent.PID, syscall.SIGKILL)
	eventually(t, func() string { return "its end" }, func() bool { return !g.Look([]Subject{s})[s.Parent.Key].Read })
}

// leaveOut leaves a test out, except where leaving it out would hide a failure.
func leaveOut(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("REQUIRE_E2E") == "1" {
		t.Fatal("REQUIRE_E2E=1, but " + why)
	}
	t.Skip(why)
}
