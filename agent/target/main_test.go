package target_test

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

// roleVariable makes the test program play another process.
const roleVariable = "TARGET_TEST_ROLE"

// Roles that the test program plays.
const (
	// roleInit starts a child and waits for its standard input to end.
	roleInit = "init"
	// roleDebugger does the same, and traces the child.
	roleDebugger = "debugger"
	// roleChild is what they start.
	roleChild = "child"
)

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := play(role); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func play(role string) error {
	runtime.LockOSThread() // a tracer is a thread
	if role != roleChild {
		child := exec.Command("/proc/self/exe")
		child.Env, child.Stdin = append(os.Environ(), roleVariable+"="+roleChild), os.Stdin
		child.SysProcAttr = &syscall.SysProcAttr{Ptrace: role == roleDebugger}
		if err := child.Start(); err != nil {
			return err
		}
		fmt.Println("ready")
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}
