package scan

import (
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// leaderlessVariable makes the test program a process whose main thread ends while another one holds a zombie.
const leaderlessVariable = "SCAN_TEST_LEADERLESS"

// tracesVariable makes the test program trace the process with that PID, nobody if that is 0, until its standard input ends.
const tracesVariable = "SCAN_TEST_TRACES"

// leaderless is known before main: the main goroutine is on the main thread then, and stays there when it is locked to it.
var leaderless = func() bool {
	asked := os.Getenv(leaderlessVariable) != ""
	if asked {
		runtime.LockOSThread()
	}
	return asked
}()

func TestMain(m *testing.M) {
	switch traced, traces := os.LookupEnv(tracesVariable); {
	case traces:
		exitOn(trace(traced))
		_, _ = fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
	case leaderless:
		endLeader()
	default:
		goleak.VerifyTestMain(m)
	}
}

// trace traces a process from the calling thread, which must not end.
func trace(pid string) error {
	runtime.LockOSThread()
	traced, err := strconv.Atoi(pid)
	if err != nil || traced == 0 {
		// Yama lets a stranger trace only who allows it; without Yama this fails and is not needed.
		_ = unix.Prctl(unix.PR_SET_PTRACER, math.MaxUint, 0, 0, 0)
		return err
	}
	return unix.PtraceSeize(traced)
}

// endLeader ends the main thread; another one holds a zombie.
func endLeader() {
	child := exec.Command("/proc/self/exe", "-test.run=^$")
	child.Env = []string{leaderlessVariable + "="}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // the zombie hangs on this thread
		ready <- child.Start()
		_, _ = fmt.Println("ready") // to who reads it
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = child.Wait()
		os.Exit(0)
	}()
	exitOn(<-ready)
	// The scheduler must be free to take over what this thread holds: RawSyscall would stop the next garbage collection for ever.
	_, _, _ = syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
