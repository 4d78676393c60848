package kernel

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// These tests look at how real processes of the kernel they run on end.

func TestRealZombieTellsHowItEnded(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		role string
		kill bool
		want func(syscall.WaitStatus) bool
	}{
		"by an exit code": {role: roleExit7, want: func(w syscall.WaitStatus) bool { return w.ExitStatus() == 7 }},
		"by a signal":     {role: roleWait, kill: true, want: func(w syscall.WaitStatus) bool { return w.Signal() == syscall.SIGKILL }},
		// Whether there is a core is up to the machine; the status tells it as wait() does.
		"by a signal that leaves a core": {role: roleCore, want: func(w syscall.WaitStatus) bool { return w.Signal() == syscall.SIGABRT }},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t, "/proc")
			cmd := start(t, tc.role, func(cmd *exec.Cmd) { cmd.Dir, cmd.Stderr = t.TempDir(), nil })
			if tc.kill {
				becomeZombie(t, f, cmd)
			} else {
				awaitZombie(t, f, cmd.Process.Pid)
			}
			exit, err := f.Exit(cmd.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			state, _ := cmd.Process.Wait()
			status, _ := state.Sys().(syscall.WaitStatus)
			if want := (Exit{Signal: int(syscall.SIGCHLD), Status: int(status), Readable: true}); exit != want || !tc.want(status) {
				t.Errorf("Exit() = %+v, but wait() tells %+v", exit, want)
			}
		})
	}
}

// awaitZombie waits until a process that ends by itself is a zombie.
func awaitZombie(t *testing.T, f FS, pid int) {
	t.Helper()
	eventually(t, "the process becomes a zombie", func() bool {
		p, err := f.Process(pid)
		if err != nil {
			t.Fatal(err)
		}
		return p.State == StateZombie && p.Threads == 1
	})
}

func TestRealZombieTellsItsExitSignal(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		role string
		want Exit
	}{
		"of an ordinary child":                {roleLeak, Exit{Signal: int(syscall.SIGCHLD), Readable: true}},
		"of a child that tells nobody":        {roleSilent, Exit{Status: 3 << 8, Readable: true}},
		"of a child that tells by other ways": {roleUsr1, Exit{Signal: int(syscall.SIGUSR1), Status: 3 << 8, Readable: true}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t, "/proc")
			_, zombie := startWithZombie(t, f, tc.role)
			if got, err := f.Exit(zombie.PID); got != tc.want || err != nil {
				t.Errorf("Exit() = %+v, %v, want %+v", got, err, tc.want)
			}
		})
	}
}

func TestRealZombieNamesItsTracerUntilThatIsGone(t *testing.T) {
	t.Parallel()
	f := open(t, "/proc")
	traced := start(t, roleWait, nil)
	tracer := start(t, roleTrace, func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", traceVariable, traced.Process.Pid))
	})
	zombie := becomeZombie(t, f, traced)
	status, err := f.Status(zombie.PID)
	if err != nil {
		t.Fatal(err)
	}
	if status.TracerPID != tracer.Process.Pid || status.State != StateZombie || status.Threads != 1 {
		t.Errorf("status = %+v, want a zombie held by %d", status, tracer.Process.Pid)
	}
	if err := tracer.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the zombie is let go", func() bool {
		if status, err = f.Status(zombie.PID); err != nil {
			t.Fatal(err)
		}
		return status.TracerPID == 0
	})
}

// A thread that gave up CAP_SYS_PTRACE stands in for an agent that was not given it.
func TestRealExitCodeIsHiddenWithoutTheRight(t *testing.T) {
	t.Parallel()
	needRoot(t, "have a right to give up")
	f := open(t, "/proc")
	killed := becomeZombie(t, f, start(t, roleWait, nil))
	var got Exit
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var sets [2]unix.CapUserData
		if failed = unix.Capget(&header, &sets[0]); failed != nil {
			return
		}
		sets[0].Effective &^= 1 << unix.CAP_SYS_PTRACE
		if failed = unix.Capset(&header, &sets[0]); failed == nil {
			got, failed = f.Exit(killed.PID)
		}
	}()
	<-done
	if want := (Exit{Signal: int(syscall.SIGCHLD)}); got != want || failed != nil {
		t.Errorf("Exit() = %+v, %v, want an unreadable status: %+v", got, failed, want)
	}
}

func TestRealProcessWhoseLeaderIsGoneTellsItsCgroupsByAThread(t *testing.T) {
	t.Parallel()
	f := open(t, "/proc")
	pid := start(t, roleLeaderGone, nil).Process.Pid
	var status Status
	eventually(t, "the main thread ends", func() bool {
		var err error
		if status, err = f.Status(pid); err != nil {
			t.Fatal(err)
		}
		return status.State == StateZombie
	})
	if status.Threads < 2 {
		t.Errorf("status = %+v, want more than one thread: it lives", status)
	}
	want, err := f.Cgroups(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.LiveCgroups(pid); err != nil || !cmp.Equal(want, got) {
		t.Errorf("LiveCgroups() = %q, %v, want this process' %q", got, err, want)
	}
	// Why it must be a thread: on v1 the leader itself does not tell.
	raw, err := f.read(os.Getpid(), "cgroup")
	if err != nil {
		t.Fatal(err)
	}
	unified := parseCgroups([]byte(unifiedLine(string(raw))))
	if own, err := f.Cgroups(pid); err != nil || !cmp.Equal(unified, own) {
		t.Errorf("Cgroups() = %q, %v, want what v2 tells: %q", own, err, unified)
	}
}

// unifiedLine is the line of cgroup v2 in /proc/PID/cgroup.
func unifiedLine(raw string) string {
	lines := strings.Split(raw, "\n")
	if i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, "0::") }); i >= 0 {
		return lines[i]
	}
	return ""
}
