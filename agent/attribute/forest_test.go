package attribute

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
)

// patience is how long an answer may take on a busy, emulated machine; waiting ends at once when it is there.
const patience = 2 * time.Minute

// forest is a machine of real processes. Its first one outlives the worlds that grow in it.
type forest struct {
	t       *testing.T
	proc    kernel.FS
	orders  []*os.File
	answers int
	cgroups *cgroups
	root    int
	numbers map[*process]int
}

func newForest(t *testing.T, proc kernel.FS, c *cgroups) *forest {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	f := &forest{t: t, proc: proc, answers: pair[0], cgroups: c}
	f.must("making a socket", err)
	t.Cleanup(func() { _ = unix.Close(f.answers) })
	// The kernel puts the PID of the sender to each answer, as it is here, in whatever namespace it answers.
	f.must("asking for PIDs", unix.SetsockoptInt(f.answers, unix.SOL_SOCKET, unix.SO_PASSCRED, 1))
	limit := unix.NsecToTimeval(patience.Nanoseconds())
	f.must("limiting the wait", unix.SetsockoptTimeval(f.answers, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit))
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"=forest")
	cmd.Stderr = os.Stderr
	theirs := []*os.File{os.NewFile(uintptr(pair[1]), "answers")}
	for range maxProcesses {
		read, write, err := os.Pipe()
		f.must("making a pipe", err)
		theirs, f.orders = append(theirs, read), append(f.orders, write)
	}
	cmd.ExtraFiles = theirs
	f.must("starting a process", cmd.Start())
	t.Cleanup(func() {
		for _, orders := range f.orders {
			f.must("closing a pipe", orders.Close()) // whoever still listens to it ends
		}
		_ = cmd.Wait() // it says that it failed, as it was not told to exit
		f.eventually("all cgroups are gone", c.remove)
	})
	for _, file := range theirs {
		f.must("closing what is not ours", file.Close())
	}
	f.root = cmd.Process.Pid
	f.tell(0, orderSubreap, 0, "")
	return f
}

func (f *forest) must(what string, err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("%s: %v", what, err)
	}
}

// tell gives an order to a process and waits for the answer. It returns who answered: its PID here and in its own namespace.
func (f *forest) tell(number int, kind, argument int, path string) (pid, own int) {
	f.t.Helper()
	message := binary.NativeEndian.AppendUint32(nil, uint32(kind))
	message = binary.NativeEndian.AppendUint32(message, uint32(int32(argument)))
	message = append(append(message, path...), 0)
	if _, err := f.orders[number].Write(message); err != nil {
		f.t.Fatalf("giving an order: %v", err)
	}
	if kind == orderExit {
		return 0, 0
	}
	answer, rights := make([]byte, 8), make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	n, err := 0, error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		_, n, _, _, err = unix.Recvmsg(f.answers, answer, rights, 0)
	}
	f.must(fmt.Sprintf("waiting for the answer to order %d %d %q of process %d", kind, argument, path, number), err)
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	f.must("parsing whose answer it is", err)
	sender, err := unix.ParseUnixCredentials(&messages[0])
	f.must("parsing whose answer it is", err)
	if own = int(int32(binary.NativeEndian.Uint32(answer[4:]))); own < 0 {
		f.t.Fatalf("order %d %d %q of process %d: %v", kind, argument, path, number, syscall.Errno(-own))
	}
	return int(sender.Pid), own
}

// born forks the process that its parent has in the world, into the namespace and the cgroup that it has there.
func (f *forest) born(p *process) {
	f.t.Helper()
	if p.parent == nil {
		f.numbers = map[*process]int{p: 0}
		p.pids = []int{f.root}
		f.join(p)
		return
	}
	number, parent := len(f.numbers), f.numbers[p.parent]
	f.numbers[p] = number
	argument, enters := number, false
	if p.space() != p.parent.space() {
		if enters = p.isInit(); enters {
			argument = -number
		}
		enters = !enters
	}
	if enters {
		f.tell(parent, orderEnter, p.space().init.pid(), "")
	}
	pid, own := f.tell(parent, orderFork, argument, "")
	if enters {
		f.tell(parent, orderEnter, p.parent.pid(), "")
	}
	status, err := f.proc.Status(pid)
	f.must("reading the PIDs of a process", err)
	p.pids = status.NamespacePIDs
	if len(p.pids) != len(p.spaces) || p.pids[0] != pid || p.pids[len(p.pids)-1] != own {
		f.t.Fatalf("PIDs of process %d, which calls itself %d, in %d namespaces: %v", pid, own, len(p.spaces), p.pids)
	}
	if p.cgroup != p.parent.cgroup {
		f.join(p)
	}
}

func (f *forest) join(p *process) {
	f.t.Helper()
	for _, dir := range f.cgroups.make(f.t, p.cgroup) {
		f.tell(f.numbers[p], orderJoin, 0, dir+"/cgroup.procs")
	}
}

func (f *forest) moved(p *process) {
	f.t.Helper()
	f.join(p)
}

func (f *forest) becameReaper(p *process) {
	f.t.Helper()
	f.tell(f.numbers[p], orderSubreap, 0, "")
}

// died ends a process and waits until it is a zombie. The first one of a namespace may have to wait for others.
func (f *forest) died(p *process) {
	f.t.Helper()
	f.tell(f.numbers[p], orderExit, 0, "")
	if !p.isInit() {
		f.eventually("it is a zombie", func() bool { return f.isZombie(p) })
	}
}

func (f *forest) isZombie(p *process) bool {
	f.t.Helper()
	seen, err := f.proc.Process(p.pid())
	f.must("looking for a zombie", err)
	return seen.State == kernel.StateZombie
}

// settle waits until all zombies of a world are zombies, and those that were reaped are gone.
func (f *forest) settle(w *world) {
	f.t.Helper()
	f.eventually("all zombies are zombies", func() bool {
		for _, z := range w.zombies() {
			if !f.isZombie(z) {
				return false
			}
		}
		return true
	})
}

// fell ends all that is left of a world.
func (f *forest) fell(w *world) {
	f.t.Helper()
	for _, p := range w.processes[1:] {
		if p.dead {
			continue
		}
		if err := unix.Kill(p.pid(), unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			f.t.Fatalf("killing a process: %v", err)
		}
	}
	f.tell(0, orderReap, 0, "")
	w.processes[0].cgroup = ""
	f.join(w.processes[0])
	f.eventually("its cgroups are gone", f.cgroups.remove)
}

// eventually looks again and again until the condition holds.
func (f *forest) eventually(what string, holds func() bool) {
	f.t.Helper()
	if holds() {
		return
	}
	ticker := time.NewTicker(100 * time.Microsecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			f.t.Fatalf("not within %s: %s", patience, what)
		}
	}
}
