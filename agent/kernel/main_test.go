package kernel

import (
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// roleVariable makes the test program play another process.
const roleVariable = "KERNEL_TEST_ROLE"

// traceVariable is the PID that roleTrace traces.
const traceVariable = "KERNEL_TEST_TRACE"

// Roles that the test program plays.
const (
	// roleWait waits for its standard input to end.
	roleWait = "wait"
	// roleLeak starts a child that ends at once, does not wait for it, and then waits itself.
	roleLeak = "leak"
	// roleLeaderGone ends its main thread and waits in another one.
	roleLeaderGone = "leader gone"
	// roleExit7 ends at once, with 7.
	roleExit7 = "exit 7"
	// roleCore ends at once, by SIGABRT, and tries to leave a core in its working directory.
	roleCore = "core"
	// roleSilent makes a child that ends with 3 at once and tells nobody, and then waits itself.
	roleSilent = "silent"
	// roleUsr1 makes a child that ends with 3 at once and tells by SIGUSR1, and then waits itself.
	roleUsr1 = "usr1"
	// roleTrace traces the process that traceVariable names and waits, but not for that.
	roleTrace = "trace"
)

// role is known before main: the main goroutine is on the main thread then, and stays there when it is locked to it.
var role = func() string {
	role := os.Getenv(roleVariable)
	if role == roleLeaderGone {
		runtime.LockOSThread()
	}
	return role
}()

func TestMain(m *testing.M) {
	if role == "" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := play(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func play() error {
	if name, ok := os.LookupEnv("KERNEL_TEST_NAME"); ok {
		if err := os.WriteFile("/proc/self/comm", []byte(name), 0); err != nil {
			return err
		}
	}
	if err := prepare(); err != nil {
		return err
	}
	if _, err := fmt.Println("ready"); err != nil {
		return err
	}
	switch role {
	case roleExit7:
		os.Exit(7)
	case roleCore:
		return dumpCore()
	case roleLeaderGone:
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0) // this thread only
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// prepare does what a role does before it is ready.
func prepare() error {
	switch role {
	case roleLeak:
		child := exec.Command(os.Args[0])
		child.Env = []string{roleVariable + "=" + roleWait} // its standard input is empty: it ends at once
		return child.Start()
	case roleSilent:
		return clone(0)
	case roleUsr1:
		return clone(unix.SIGUSR1)
	case roleTrace:
		pid, err := strconv.Atoi(os.Getenv(traceVariable))
		if err != nil {
			return err
		}
		runtime.LockOSThread() // the tracer is a thread
		return unix.PtraceSeize(pid)
	case roleWait: // Yama lets a stranger trace only who allows it; without Yama this fails and is not needed
		_ = unix.Prctl(unix.PR_SET_PTRACER, math.MaxUint, 0, 0, 0)
	}
	return nil
}

// clone makes a child that ends with 3 and tells its parent by a signal, or not at all. The child is a copy of one thread
// of this program, without the others that Go needs: it must not do anything else.
//
//go:norace
func clone(sig syscall.Signal) error {
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(sig), 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 3, 0, 0)
	}
	return nil
}

// dumpCore dies by SIGABRT and leaves a core that is small, because it holds no memory. It returns only when it failed.
func dumpCore() error {
	if err := os.WriteFile("/proc/self/coredump_filter", []byte("0"), 0); err != nil {
		return err
	}
	const most = 1 << 20
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: most, Max: most}); err != nil {
		return err
	}
	debug.SetTraceback("crash") // the runtime ends itself by SIGABRT
	panic("as the test wants it")
}

// start starts the test program in a role and returns when it is ready. It is killed and waited for after the test.
func start(t *testing.T, role string, change func(*exec.Cmd)) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	if change != nil {
		change(cmd)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	if _, err := io.ReadFull(stdout, make([]byte, len("ready\n"))); err != nil {
		t.Fatalf("waiting until %s is ready: %v", role, err)
	}
	return cmd
}

// eventually looks again and again until done, for ten seconds.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(10 * time.Second)
	for !done() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// open returns the proc mount at root.
func open(tb testing.TB, root string) FS {
	tb.Helper()
	f, err := New(root)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// fixtures is a complete fake proc mount.
func fixtures(t *testing.T) FS {
	t.Helper()
	return open(t, filepath.Join("testdata", "proc"))
}
