package scan

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
)

// The kernel hides a zombie that a stranger traces from its parent's wait(), until the tracer lets go.
func TestProcScansAZombieThatAStrangerTraces(t *testing.T) {
	t.Parallel()
	fs, err := kernel.New("/proc")
	if err != nil {
		t.Fatal(err)
	}
	traced, end := startRole(t, tracesVariable, 0)
	tracer, _ := startRole(t, tracesVariable, traced.Process.Pid)
	_ = end.Close()
	pid, scanner := traced.Process.Pid, New(Proc{FS: fs})
	var alike LookAlike
	await(t, "the zombie shows", func() bool {
		result := mustScan(t, scanner, time.Now())
		alike, _ = lookAlikeOf(result, pid)
		ended := alike.PID == pid && alike.Kind != LeaderExited // its threads end one after the other
		return ended || isZombie(result, pid)
	})
	if alike.Kind != HeldByTracer || alike.TracerPID != tracer.Process.Pid {
		t.Errorf("look-alike = %+v, want one that is held by %d", alike, tracer.Process.Pid)
	}
	if got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil); got != 0 || err != nil {
		t.Errorf("wait = %d, %v, want none: it is hidden", got, err)
	}
	if err := tracer.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	await(t, "the zombie is let go", func() bool { return isZombie(mustScan(t, scanner, time.Now()), pid) })
}

// What a thread of the parent traces, that parent's wait() ends, in any thread of it and whatever its exit signal.
func TestProcScansAZombieThatItsOwnParentTraces(t *testing.T) {
	t.Parallel()
	fs, err := kernel.New("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for about, sig := range map[string]syscall.Signal{"that tells by SIGCHLD": syscall.SIGCHLD, "that tells nobody": 0} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			pid, scanner := startTraced(t, sig), New(Proc{FS: fs})
			tracer := 0
			await(t, "the zombie shows", func() bool {
				status, err := fs.Status(pid)
				if err != nil {
					t.Fatal(err)
				}
				tracer = status.TracerPID
				return status.State == kernel.StateZombie
			})
			if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", tracer)); err != nil {
				t.Fatalf("the tracer is %d: %v, want a thread of this process", tracer, err)
			}
			if result := mustScan(t, scanner, time.Now()); !isZombie(result, pid) {
				alike, _ := lookAlikeOf(result, pid)
				t.Errorf("it is no zombie but %+v", alike)
			}
			if got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil); got != pid || err != nil {
				t.Errorf("wait = %d, %v, want the zombie", got, err)
			}
		})
	}
}

func isZombie(result Result, pid int) bool {
	for _, z := range result.Zombies {
		if z.PID == pid {
			return true
		}
	}
	return false
}

// startTraced makes a child that is traced by the thread that made it, tells its end by a signal, and ends. It returns its PID.
func startTraced(t *testing.T, sig syscall.Signal) int {
	t.Helper()
	pids, stop, stopped := make(chan int), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		runtime.LockOSThread() // and never unlocked: the thread must not make or trace anything else, and ends with this goroutine
		pids <- clone(sig)
		<-stop
	}()
	t.Cleanup(func() { close(stop); <-stopped })
	pid := <-pids
	if pid < 0 {
		t.Fatal("no child")
	}
	t.Cleanup(func() { _, _ = syscall.Wait4(pid, nil, unix.WALL|syscall.WNOHANG, nil) })
	return pid
}

// clone makes a child that lets its maker trace it and ends. The child is a copy of one thread of this program, without the
// others that Go needs: it must not do anything else.
//
//go:norace
//go:nosplit
func clone(sig syscall.Signal) int {
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(sig), 0, 0, 0, 0, 0)
	if errno != 0 {
		return -1
	}
	if pid == 0 {
		_, _, _ = syscall.RawSyscall6(syscall.SYS_PTRACE, syscall.PTRACE_TRACEME, 0, 0, 0, 0, 0)
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return int(pid)
}

func TestProcNamesTheProcessWhoseThreadTraces(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status map[int]string // of threads, which only their process lists
		tracer int
		want   int
	}{
		"that of a thread":                           {map[int]string{7: "Tgid:\t6\nNSpid:\t7\n"}, 7, 6},
		"the thread where it just ended":             {nil, 7, 7},
		"the thread where its status makes no sense": {map[int]string{7: "Tgid:\tx\n"}, 7, 7},
		"the thread where its status tells none":     {map[int]string{7: "NSpid:\t7\n"}, 7, 7},
		"none":                                       {map[int]string{0: "Tgid:\t6\nNSpid:\t7\n"}, 0, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProc(t)
			p.process(t, 5, 1, "Z")
			p.write(t, "5/status", fmt.Sprintf("TracerPid:\t%d\nNSpid:\t5\n", tc.tracer))
			for thread, status := range tc.status {
				p.write(t, fmt.Sprint(thread)+"/status", status)
			}
			if got, err := p.open(t).Identity(5); got.TracerPID != tc.want || err != nil {
				t.Errorf("tracer = %d, %v, want %d", got.TracerPID, err, tc.want)
			}
		})
	}
}
