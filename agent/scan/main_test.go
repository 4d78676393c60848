package scan

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// leaderlessVariable makes the test program a process whose main thread ends while another one holds a zombie.
const leaderlessVariable = "SCAN_TEST_LEADERLESS"

// leaderless is known before main: the main goroutine is on the main thread then, and stays there when it is locked to it.
var leaderless = func() bool {
	asked := os.Getenv(leaderlessVariable) != ""
	if asked {
		runtime.LockOSThread()
	}
	return asked
}()

func TestMain(m *testing.M) {
	if !leaderless {
		goleak.VerifyTestMain(m)
		return
	}
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
	if err := <-ready; err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// The scheduler must be free to take over what this thread holds: RawSyscall would stop the next garbage collection for ever.
	_, _, _ = syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0)
}
