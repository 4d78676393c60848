package evidence

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// Roles that the test program plays.
const (
	roleVariable = "EVIDENCE_TEST_ROLE"
	// roleStage starts an actor, tells its PID, and waits for its standard input to end.
	roleStage = "stage"
	// roleGo is a Go program that does not wait for its dead child.
	roleGo = "go"
	// roleLeaderGone is the same, and its main thread has ended.
	roleLeaderGone = "leader gone"
	// roleThreadInD is the same, with a thread in state D.
	roleThreadInD = "thread in D"
	// roleNothing ends at once.
	roleNothing = "nothing"
)

// role is known before main: the main goroutine is on the main thread then, and stays there when it is locked to it.
var role = func() string {
	role := os.Getenv(roleVariable)
	if role != "" {
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
	switch role {
	case roleNothing:
		return nil
	case roleStage:
		n, err := strconv.Atoi(os.Getenv("EVIDENCE_TEST_ACTOR"))
		if err != nil {
			return err
		}
		fmt.Println(startActor(actorRole(n)))
	default:
		child := exec.Command(os.Args[0])
		child.Env = []string{roleVariable + "=" + roleNothing}
		if err := child.Start(); err != nil {
			return err
		}
		fmt.Println(os.Getpid())
	}
	end := func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	switch role {
	case roleLeaderGone:
		go end()
		_, _, _ = unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0) // this thread only
	case roleThreadInD:
		go end()
		if fork(unix.CLONE_VFORK) == 0 {
			sleep()
		}
	}
	end()
	return nil
}

// start starts the test program in a role and returns the PID of the parent that it plays or starts. All of it is killed after
// the test.
func start(t *testing.T, role string, env ...string) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), roleVariable+"="+role), env...)
	return startCommand(t, cmd)
}

// startCommand starts a program that prints a PID when it is ready.
func startCommand(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	cmd.Stderr = os.Stderr
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
	var pid int
	if _, err := fmt.Fscan(stdout, &pid); err != nil || pid <= 0 {
		t.Fatalf("waiting until the program is ready: PID %d, %v", pid, err)
	}
	return pid
}

func startRole(t *testing.T, actor actorRole) int {
	t.Helper()
	return start(t, roleStage, "EVIDENCE_TEST_ACTOR="+strconv.Itoa(int(actor)))
}

// eventually looks again and again until done, for twenty seconds.
func eventually(t *testing.T, what func() string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for !done() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited in vain for: %s", what())
		}
	}
}
