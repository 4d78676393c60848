package kernel

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// roleVariable makes the test program play another process.
const roleVariable = "KERNEL_TEST_ROLE"

// Roles that the test program plays.
const (
	// roleWait waits for its standard input to end.
	roleWait = "wait"
	// roleLeak starts a child that ends at once, does not wait for it, and then waits itself.
	roleLeak = "leak"
	// roleLeaderGone ends its main thread and waits in another one.
	roleLeaderGone = "leader gone"
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
	if role == roleLeak {
		child := exec.Command(os.Args[0])
		child.Env = []string{roleVariable + "=" + roleWait} // its standard input is empty: it ends at once
		if err := child.Start(); err != nil {
			return err
		}
	}
	if _, err := fmt.Println("ready"); err != nil {
		return err
	}
	if role == roleLeaderGone {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0) // this thread only
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
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
