package cgroup

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// roleVariable makes the test program play another process.
const roleVariable = "CGROUP_TEST_ROLE"

// roleFork starts a child that ends at once, and is not waited for, for each line of its standard input, and tells
// whether it could.
const roleFork = "fork"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "":
		goleak.VerifyTestMain(m)
	case roleFork:
		fmt.Println("ready")
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			_, err := os.StartProcess(os.Args[0], nil, &os.ProcAttr{Env: []string{roleVariable + "=end"}})
			fmt.Println(map[bool]string{true: "forked", false: "refused"}[err == nil])
		}
	}
}

// forker is the test program in roleFork.
type forker struct {
	cmd   *exec.Cmd
	stdin io.Writer
	lines *bufio.Scanner
}

// startForker starts it. It is killed and waited for after the test.
func startForker(t *testing.T) forker {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+roleFork)
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
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	f := forker{cmd, stdin, bufio.NewScanner(stdout)}
	f.next(t)
	return f
}

func (f forker) next(t *testing.T) string {
	t.Helper()
	if !f.lines.Scan() {
		t.Fatal("the other process ended")
	}
	return f.lines.Text()
}

// fork lets it leave one zombie more, and says whether it could.
func (f forker) fork(t *testing.T) bool {
	t.Helper()
	if _, err := io.WriteString(f.stdin, "\n"); err != nil {
		t.Fatal(err)
	}
	return f.next(t) == "forked"
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
