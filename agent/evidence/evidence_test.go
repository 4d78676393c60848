package evidence

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/diagnose"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// fake is a proc mount with one process, and what its container holds.
type fake struct {
	start   uint64
	threads kernel.Threads
	waits   map[int]kernel.Wait
	reads   bool
	all     bool
	hidden  bool
	isGo    bool
	known   bool
	read    int
	files   int
	// peeked is the container whose program was looked at.
	peeked scan.Key
}

func (f *fake) Process(pid int) (kernel.Process, error) {
	return kernel.Process{PID: pid, StartTicks: f.start}, nil
}

func (f *fake) Threads(int) (kernel.Threads, error) {
	f.read++
	if len(f.threads.Live) == 0 {
		return kernel.Threads{}, unix.ESRCH
	}
	return f.threads, nil
}

func (f *fake) Wait(_, tid int) (kernel.Wait, error) {
	wait, ok := f.waits[tid]
	if !ok {
		return kernel.Wait{}, fs.ErrPermission
	}
	return wait, nil
}

func (f *fake) SignalFD(int, int) (reads, all bool, err error) {
	f.files++
	if f.hidden {
		return false, false, fs.ErrPermission
	}
	return f.reads, f.all, nil
}

func (f *fake) InitInImage(init scan.Key) string {
	if init == (scan.Key{PID: 90, StartTicks: 9}) {
		return "/usr/bin/tini"
	}
	return "/wrong"
}

func (f *fake) GoProgram(container, process scan.Key) (isGo, known bool) {
	f.peeked = container
	return f.isGo && process.PID == 100, f.known
}

func sleeper(tid int) kernel.Thread {
	return kernel.Thread{TID: tid, State: "S", Wchan: "do_epoll_wait", Switches: 5}
}

func in(state, wchan string, switches uint64) kernel.Thread {
	return kernel.Thread{TID: 100, State: state, Wchan: wchan, Switches: switches}
}

func blocking(tid int) kernel.Thread {
	thread := sleeper(tid)
	thread.Blocks = true
	return thread
}

func waiter(tid int) kernel.Thread {
	return kernel.Thread{TID: tid, State: "S", Wchan: kernel.WchanWait}
}

func all(live ...kernel.Thread) kernel.Threads { return kernel.Threads{Live: live, All: true} }

func pending(threads kernel.Threads) kernel.Threads {
	threads.Pending = true
	return threads
}

func caught(threads kernel.Threads) kernel.Threads {
	threads.Caught = true
	return threads
}

func some(live ...kernel.Thread) kernel.Threads { return kernel.Threads{Live: live} }

// sleeping is the evidence of a sleeper that slept at both looks.
func sleeping(change func(*diagnose.Evidence)) diagnose.Evidence {
	e := diagnose.Evidence{Read: true, State: "S", StateNow: "S", Wchan: "do_epoll_wait"}
	if change != nil {
		change(&e)
	}
	return e
}

func TestTwoLooks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		before, now kernel.Threads
		fake        fake
		want        diagnose.Evidence // of the parent itself
	}{
		"what is the same at two looks is told":                      {all(sleeper(100)), all(sleeper(100)), fake{}, sleeping(nil)},
		"a first look knows the state of now alone":                  {kernel.Threads{}, all(sleeper(100)), fake{}, diagnose.Evidence{Read: true, StateNow: "S"}},
		"another state is not told":                                  {all(in("R", "", 1)), all(sleeper(100)), fake{}, diagnose.Evidence{Read: true, StateNow: "S"}},
		"another function is not told":                               {all(in("S", "do_wait", 1)), all(sleeper(100)), fake{}, diagnose.Evidence{Read: true, State: "S", StateNow: "S"}},
		"another leader is another thread":                           {all(sleeper(100)), all(sleeper(101)), fake{}, diagnose.Evidence{Read: true, StateNow: "S"}},
		"a sleeper may run in between":                               {all(in("S", "do_poll", 1)), all(in("S", "do_poll", 2)), fake{}, sleeping(func(e *diagnose.Evidence) { e.Wchan = "do_poll" })},
		"a state D without a break hangs":                            {all(in("D", "nfs_wait", 3)), all(in("D", "nfs_wait", 3)), fake{}, diagnose.Evidence{Read: true, State: "D", StateNow: "D", Wchan: "nfs_wait"}},
		"a state D that passed is a busy disk":                       {all(in("D", "nfs_wait", 3)), all(in("D", "nfs_wait", 4)), fake{}, diagnose.Evidence{Read: true, StateNow: "D"}},
		"a state T without a break is stopped":                       {all(in("T", "do_signal_stop", 3)), all(in("T", "do_signal_stop", 3)), fake{}, diagnose.Evidence{Read: true, State: "T", StateNow: "T", Wchan: "do_signal_stop"}},
		"a state T that passed is not stopped":                       {all(in("T", "do_signal_stop", 3)), all(in("T", "do_signal_stop", 5)), fake{}, diagnose.Evidence{Read: true, StateNow: "T"}},
		"a state t without a break is held":                          {all(in("t", "ptrace_stop", 3)), all(in("t", "ptrace_stop", 3)), fake{}, diagnose.Evidence{Read: true, State: "t", StateNow: "t", Wchan: "ptrace_stop"}},
		"a state t that passed is traced and runs":                   {all(in("t", "ptrace_stop", 3)), all(in("t", "ptrace_stop", 9)), fake{}, diagnose.Evidence{Read: true, StateNow: "t"}},
		"a thread that hangs hides a leader that sleeps":             {all(sleeper(100), kernel.Thread{TID: 101, State: "D", Wchan: "x"}), all(sleeper(100), kernel.Thread{TID: 101, State: "D", Wchan: "x"}), fake{}, diagnose.Evidence{Read: true, State: "D", StateNow: "S", Wchan: "x", OthersRun: true}},
		"a thread in D that was not there does not hang":             {all(sleeper(100)), all(sleeper(100), kernel.Thread{TID: 101, State: "D", Wchan: "x"}), fake{}, sleeping(nil)},
		"threads that all hang leave none to run":                    {all(in("D", "x", 1), kernel.Thread{TID: 101, State: "D", Wchan: "y"}), all(in("D", "x", 1), kernel.Thread{TID: 101, State: "D", Wchan: "y"}), fake{}, diagnose.Evidence{Read: true, State: "D", StateNow: "D", Wchan: "x"}},
		"of threads that hang one that SIGKILL may not wake is told": {all(in("D", "kernel_clone", 1), kernel.Thread{TID: 101, State: "D", Wchan: "y"}), all(in("D", "kernel_clone", 1), kernel.Thread{TID: 101, State: "D", Wchan: "y"}), fake{}, diagnose.Evidence{Read: true, State: "D", StateNow: "D", Wchan: "y"}},
		"threads that were not looked at may run":                    {some(in("D", "x", 1)), some(in("D", "x", 1)), fake{all: true}, diagnose.Evidence{Read: true, State: "D", StateNow: "D", Wchan: "x", OthersRun: true}},

		"a signal pending at two looks stays so":             {pending(all(sleeper(100))), pending(all(sleeper(100))), fake{}, sleeping(func(e *diagnose.Evidence) { e.Pending = true })},
		"a signal pending now may be taken in a moment":      {all(sleeper(100)), pending(all(sleeper(100))), fake{}, sleeping(nil)},
		"a signal blocked in every thread is blocked":        {all(blocking(100), blocking(101)), all(blocking(100), blocking(101)), fake{all: true}, sleeping(func(e *diagnose.Evidence) { e.Blocked = true })},
		"a signal blocked in some threads is not":            {all(blocking(100), sleeper(101)), all(blocking(100), sleeper(101)), fake{all: true}, sleeping(nil)},
		"of more threads than are read none may unblock it":  {some(blocking(100)), some(blocking(100)), fake{all: true}, sleeping(nil)},
		"a thread in sigwait is seen":                        {all(sleeper(100)), all(sleeper(100), kernel.Thread{TID: 101, State: "S", Wchan: kernel.WchanSigwait}), fake{}, sleeping(func(e *diagnose.Evidence) { e.SigWait = true })},
		"a signalfd is looked for where a thread blocks":     {all(sleeper(100), blocking(101)), all(sleeper(100), blocking(101)), fake{reads: true, all: true}, sleeping(func(e *diagnose.Evidence) { e.SignalFD = true })},
		"a signalfd is not looked for where none blocks":     {all(sleeper(100)), all(sleeper(100)), fake{reads: true, hidden: true}, sleeping(nil)},
		"hidden files may read the signal":                   {all(blocking(100)), all(blocking(100)), fake{hidden: true}, sleeping(func(e *diagnose.Evidence) { e.Blocked, e.FilesUnread = true, true })},
		"files that were not looked at may read the signal":  {all(blocking(100)), all(blocking(100)), fake{}, sleeping(func(e *diagnose.Evidence) { e.Blocked, e.FilesUnread = true, true })},
		"a Go program is known by its program":               {caught(all(sleeper(100))), caught(all(sleeper(100))), fake{isGo: true, known: true}, sleeping(func(e *diagnose.Evidence) { e.Caught, e.Go = true, true })},
		"a program that was not looked at may be a Go one":   {caught(all(sleeper(100))), caught(all(sleeper(100))), fake{}, sleeping(func(e *diagnose.Evidence) { e.Caught, e.ProgramUnread = true, true })},
		"a program without a handler need not be looked at":  {all(sleeper(100)), all(sleeper(100)), fake{isGo: true}, sleeping(nil)},
		"an ignored signal is ignored":                       {all(sleeper(100)), kernel.Threads{Live: []kernel.Thread{sleeper(100)}, All: true, Ignored: true}, fake{}, sleeping(func(e *diagnose.Evidence) { e.Ignored = true })},
		"a SIGHUP that is handled is told":                   {all(sleeper(100)), kernel.Threads{Live: []kernel.Thread{sleeper(100)}, All: true, HandlesHup: true}, fake{}, sleeping(func(e *diagnose.Evidence) { e.HandlesHup = true })},
		"a SIGTERM that is handled is told":                  {all(sleeper(100)), kernel.Threads{Live: []kernel.Thread{sleeper(100)}, All: true, HandlesTerm: true}, fake{}, sleeping(func(e *diagnose.Evidence) { e.HandlesTerm = true })},
		"who waits for one child is known by its call":       {all(sleeper(100), waiter(101)), all(sleeper(100), waiter(101)), fake{waits: map[int]kernel.Wait{101: {Child: 12}}}, sleeping(func(e *diagnose.Evidence) { e.Waiting, e.WaitsFor = true, 12 })},
		"who waits where calls are hidden waits for someone": {all(sleeper(100), waiter(101)), all(sleeper(100), waiter(101)), fake{}, sleeping(func(e *diagnose.Evidence) { e.Waiting = true })},
		"who waits for any child passes over none":           {all(sleeper(100), waiter(101)), all(sleeper(100), waiter(101)), fake{waits: map[int]kernel.Wait{101: {Any: true}}}, sleeping(nil)},
		"who just began to wait may find them yet":           {all(sleeper(100), sleeper(101)), all(sleeper(100), waiter(101)), fake{waits: map[int]kernel.Wait{101: {Child: 12}}}, sleeping(nil)},
		"of several that wait the one that tells most is told": {
			all(sleeper(100), waiter(101), waiter(102), waiter(103)), all(sleeper(100), waiter(101), waiter(102), waiter(103)),
			fake{waits: map[int]kernel.Wait{101: {Any: true}, 103: {Child: 12}}}, sleeping(func(e *diagnose.Evidence) { e.Waiting, e.WaitsFor = true, 12 }),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := tc.fake
			f.start, f.threads = 1000, tc.before
			g := New(&f, &f)
			s := Subject{Parent: scan.Parent{Key: scan.Key{PID: 100, StartTicks: 1000}, Identity: scan.Identity{NamespacePIDs: []int{100, 7}}, Command: "app"}, PID: 7}
			g.Look([]Subject{s})
			f.threads = tc.now
			want := tc.want
			want.Command, want.PID = "app", 7
			want.OneThread = tc.now.All && len(tc.now.Live) == 1
			if diff := cmp.Diff(want, g.Look([]Subject{s})[s.Parent.Key]); diff != "" {
				t.Errorf("evidence (-want +got):\n%s", diff)
			}
		})
	}
}

// Node.js handles SIGCHLD only while a child lives that it started. A cause must not come and go with that.
func TestAHandlerIsRememberedForAsLongAsTheProgramIsTheSame(t *testing.T) {
	t.Parallel()
	f := fake{start: 1000, known: true}
	g := New(&f, &f)
	s := Subject{Parent: scan.Parent{Key: scan.Key{PID: 100, StartTicks: 1000}, Command: "node"}, PID: 1}
	without, with := all(sleeper(100), sleeper(101)), caught(all(sleeper(100), sleeper(101)))
	for i, look := range []struct {
		threads         kernel.Threads
		command         string
		caught, atTimes bool
		cause           v1alpha1.Cause
	}{
		{without, "node", false, false, v1alpha1.CausePID1DoesNotReap},
		{with, "node", true, false, v1alpha1.CauseHandlerLeavesChildren},
		{without, "node", true, true, v1alpha1.CauseHandlerLeavesChildren},
		{without, "node", true, true, v1alpha1.CauseHandlerLeavesChildren},
		{with, "node", true, false, v1alpha1.CauseHandlerLeavesChildren},
		{without, "sleep", false, false, v1alpha1.CausePID1DoesNotReap},
		{without, "node", false, false, v1alpha1.CausePID1DoesNotReap},
	} {
		f.threads, s.Parent.Command = look.threads, look.command
		e := g.Look([]Subject{s})[s.Parent.Key]
		d := diagnose.Diagnose(e)
		if e.Caught != look.caught || e.AtTimes != look.atTimes || d.Cause != look.cause || cannot(d, v1alpha1.RemedySIGCHLD) == look.caught {
			t.Errorf("look %d: caught %t, at times %t, cause %s, cannot help %v; want %+v", i, e.Caught, e.AtTimes, d.Cause, d.CannotHelp, look)
		}
	}
}

func TestChildrenOfANestedNamespaceHaveOtherNumbers(t *testing.T) {
	t.Parallel()
	f := fake{start: 1000, threads: all(waiter(100)), waits: map[int]kernel.Wait{100: {Child: 12}}}
	g := New(&f, &f)
	s := Subject{Parent: scan.Parent{Key: scan.Key{PID: 100, StartTicks: 1000}, Identity: scan.Identity{NamespacePIDs: []int{100, 7, 1}}}, PID: 7}
	g.Look([]Subject{s})
	if e := g.Look([]Subject{s})[s.Parent.Key]; !e.Waiting || e.WaitsFor != 0 {
		t.Errorf("evidence = %+v, want that it waits, but not for which child: the number is not one of the container", e)
	}
}

func TestWhoIsInThePIDNamespaceOfTheContainer(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		parent, container uint64
		want              bool
	}{
		"one whose namespace is the container's is":   {5, 5, true},
		"one of another namespace is not":             {6, 5, false},
		"of one that could not be read nothing is":    {0, 5, false},
		"nor of one where both could not be read":     {0, 0, false},
		"nor where the container's could not be read": {5, 0, false},
	} {
		f := fake{}
		s := Subject{Parent: scan.Parent{Key: scan.Key{PID: 100}, Identity: scan.Identity{Namespace: tc.parent}}, ContainerNamespace: tc.container}
		if e := New(&f, &f).Look([]Subject{s})[s.Parent.Key]; e.SameNamespace != tc.want {
			t.Errorf("%s: same namespace = %t, want %t", name, e.SameNamespace, tc.want)
		}
	}
}

func TestWhoHasOneThread(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		threads kernel.Threads
		want    bool
	}{
		"one that is all": {all(sleeper(100)), true},
		"one of more":     {some(sleeper(100)), false},
		"two":             {all(sleeper(100), sleeper(101)), false},
	} {
		f := fake{start: 1000, threads: tc.threads}
		s := Subject{Parent: scan.Parent{Key: scan.Key{PID: 100, StartTicks: 1000}}}
		if e := New(&f, &f).Look([]Subject{s})[s.Parent.Key]; e.OneThread != tc.want {
			t.Errorf("%s: one thread = %t, want %t", name, e.OneThread, tc.want)
		}
	}
}

func TestWhatIsKnownWithoutTheParent(t *testing.T) {
	t.Parallel()
	f := fake{start: 1000}
	s := Subject{
		Parent: scan.Parent{Key: scan.Key{PID: 100, StartTicks: 1000}, Command: "a\nb\xff" + strings.Repeat("x", v1alpha1.MaxCommand)},
		PID:    7, Zombies: 9, Moved: 3, MovedFrom: "\x1b[31m", Reaped: 5, Frozen: true, ReaperHolds: true, TracerOutside: true,
		ContainerInit: scan.Key{PID: 90, StartTicks: 9},
	}
	want := diagnose.Evidence{
		Command: "a?b?" + strings.Repeat("x", v1alpha1.MaxCommand-len("a?b?")), PID: 7, Zombies: 9, Moved: 3, MovedFrom: "?[31m", Reaped: 5,
		Frozen: true, ReaperHolds: true, TracerOutside: true, InitInImage: "/usr/bin/tini",
	}
	got := New(&f, &f).Look([]Subject{s})[s.Parent.Key]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
	f.threads, f.start = all(sleeper(100)), 1001
	if diff := cmp.Diff(want, New(&f, &f).Look([]Subject{s})[s.Parent.Key]); diff != "" {
		t.Errorf("evidence of a parent whose PID another process has (-want +got):\n%s", diff)
	}
}

func TestOfSomeOnlyTheThreadsAreRead(t *testing.T) {
	t.Parallel()
	hanging := caught(all(in("D", "nfs_wait", 3)))
	hanging.Live[0].Blocks = true
	f := fake{start: 1000, threads: hanging, reads: true, all: true, isGo: true, known: true}
	g := New(&f, &f)
	s := Subject{Parent: scan.Parent{Key: scan.Key{PID: 100, StartTicks: 1000}}, PID: 7, ThreadsOnly: true}
	g.Look([]Subject{s})
	want := diagnose.Evidence{
		PID: 7, Read: true, State: "D", StateNow: "D", Wchan: "nfs_wait", Blocked: true, FilesUnread: true, Caught: true, ProgramUnread: true,
		OneThread: true,
	}
	if diff := cmp.Diff(want, g.Look([]Subject{s})[s.Parent.Key]); diff != "" || f.files != 0 {
		t.Errorf("files were looked at %d times; evidence (-want +got):\n%s", f.files, diff)
	}
}

func TestAProgramIsLookedAtInItsContainer(t *testing.T) {
	t.Parallel()
	f := fake{start: 1000, threads: caught(all(sleeper(100)))}
	init := scan.Key{PID: 90, StartTicks: 9}
	New(&f, &f).Look([]Subject{{Parent: scan.Parent{Key: scan.Key{PID: 100, StartTicks: 1000}}, ContainerInit: init}})
	if f.peeked != init {
		t.Errorf("container = %+v, want %+v: when it hangs, nothing more is asked of it", f.peeked, init)
	}
}

func TestWithoutAnInitOfTheContainerNothingIsPeekedAt(t *testing.T) {
	t.Parallel()
	f := fake{start: 1000, threads: all(sleeper(100))}
	s := Subject{Parent: scan.Parent{Key: scan.Key{PID: 100, StartTicks: 1000}}}
	if e := New(&f, &f).Look([]Subject{s})[s.Parent.Key]; e.InitInImage != "" {
		t.Errorf("init = %q, want none", e.InitInImage)
	}
}

func TestAParentIsReadOncePerLook(t *testing.T) {
	t.Parallel()
	f := fake{start: 1000, threads: all(sleeper(100))}
	g := New(&f, &f)
	s := Subject{Parent: scan.Parent{Key: scan.Key{PID: 100, StartTicks: 1000}}, PID: 7}
	if result := g.Look([]Subject{s, s}); len(result) != 1 || f.read != 1 {
		t.Errorf("%d entries after %d reads, want 1 of each", len(result), f.read)
	}
	if g.Look(nil); len(g.last) != 0 {
		t.Errorf("%d parents are remembered, want none: it was no subject any more", len(g.last))
	}
	if e := g.Look([]Subject{s})[s.Parent.Key]; e.State != "" {
		t.Errorf("state = %q, want none: the look before the last does not count", e.State)
	}
}

// gone is a parent that ends between the reads of a look.
type gone struct{ fake }

func (*gone) Process(int) (kernel.Process, error) { return kernel.Process{}, errors.New("gone") }

func TestAParentThatEndsWhileItIsReadIsNotRead(t *testing.T) {
	t.Parallel()
	f := gone{fake{threads: pending(all(blocking(100)))}}
	g := New(&f, &f)
	s := Subject{Parent: scan.Parent{Key: scan.Key{PID: 100, StartTicks: 1000}, Command: "app"}, PID: 7}
	if diff := cmp.Diff(diagnose.Evidence{Command: "app", PID: 7}, g.Look([]Subject{s})[s.Parent.Key]); diff != "" || len(g.last) != 0 {
		t.Errorf("%d are remembered; evidence (-want +got):\n%s", len(g.last), diff)
	}
}
