package restart

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/agent/attribute"
	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/agent/target"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

var errBroken = errors.New("broken")

// node is a container runtime and a finder in memory, around one container whose first process is a real one.
type node struct {
	t         *testing.T
	init      *os.Process
	procRoot  string
	container inventory.Container
	// zombies are those in the container, outside is how many have a parent outside of it, and left those that its end leaves.
	zombies []scan.Key
	outside int
	left    []kernel.Process
	// traced are its living processes that a tracer outside of it holds.
	traced []target.Traced
	// runs is what the runtime says of the old container, successor the ID of the new one.
	runs      bool
	successor string
	// calls are what was asked of the runtime, with the seconds since the start.
	calls []string
	began time.Time

	// later is what happens on the node by itself, in order.
	later []event

	// look, count, trace, askLeft, stop, exec and askRuns run when they are asked for.
	look    func() error
	count   func() error
	trace   func() error
	askLeft func() error
	stop    func(ctx context.Context) error
	exec    func(ctx context.Context) error
	askRuns func() error
}

// debugged is a process of the container that a debugger of the node holds.
var debugged = []target.Traced{{PID: 7, Command: "api", TracerPID: 4711, TracerCommand: "gdb\n"}}

// event happens when the test ran for so long; whoever asks the node next sees it.
type event struct {
	at time.Duration
	do func()
}

// pass lets happen what is due.
func (n *node) pass() {
	for len(n.later) > 0 && time.Since(n.began) >= n.later[0].at {
		do := n.later[0].do
		n.later = n.later[1:]
		do()
	}
}

// start starts a process that does nothing.
func start(t *testing.T) *os.Process {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_, _ = cmd.Process.Wait() // the test may have waited for it
	})
	return cmd.Process
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{t: t, init: start(t), procRoot: t.TempDir(), zombies: dead(100, 37), runs: true, successor: "c2"}
	n.container = inventory.Container{Container: attribute.Container{ID: "c1", InitPID: n.init.Pid}, InitTicks: 100}
	n.stop = func(context.Context) error { n.end(); return nil }
	if err := os.MkdirAll(filepath.Join(n.procRoot, strconv.Itoa(n.init.Pid), "root/dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(n.message(), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	return n
}

// message is the path of the container's termination message.
func (n *node) message() string {
	return filepath.Join(n.procRoot, strconv.Itoa(n.init.Pid), "root/dev/termination-log")
}

// end ends the container: its first process is reaped, and the runtime knows it.
func (n *node) end() {
	n.t.Helper()
	n.die()
	n.runs = false
}

// die ends the first process.
func (n *node) die() {
	n.t.Helper()
	if err := n.init.Kill(); err != nil {
		n.t.Error(err)
	}
	n.reap()
}

// killed reaps the first process, to which the kernel brings a signal in its own time and not in that of a bubble.
func (n *node) killed() {
	n.t.Helper()
	fd, err := unix.PidfdOpen(n.init.Pid, 0)
	if err != nil {
		n.t.Error(err)
		return
	}
	defer func() { _ = unix.Close(fd) }()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if ready, err := unix.Poll(fds, 10_000); ready != 1 {
		n.t.Errorf("the first process was not killed: %v", err)
		return
	}
	n.reap()
}

// reap waits for the first process, which was killed.
func (n *node) reap() {
	n.t.Helper()
	if _, err := n.init.Wait(); err != nil {
		n.t.Error(err)
	}
}

func (n *node) note(format string, args ...any) {
	n.calls = append(n.calls, fmt.Sprintf("%ds ", int(time.Since(n.began).Seconds()))+fmt.Sprintf(format, args...))
}

func (n *node) Container(context.Context, *v1alpha1.ZombieRemediation) (inventory.Container, error) {
	n.pass()
	return n.container, call(n.look)
}

func (n *node) Zombies(inventory.Container) (target.Zombies, error) {
	n.pass()
	return target.Zombies{Held: n.zombies, Outside: n.outside}, call(n.count)
}

func (n *node) Traced(inventory.Container) ([]target.Traced, error) {
	n.pass()
	return n.traced, call(n.trace)
}

func (n *node) Left(zombies []scan.Key) ([]kernel.Process, error) {
	n.pass()
	var left []kernel.Process
	for _, p := range n.left {
		if slices.Contains(zombies, scan.Key{PID: p.PID, StartTicks: p.StartTicks}) {
			left = append(left, p)
		}
	}
	return left, call(n.askLeft)
}

// dead is a number of zombies, the first of which has a PID.
func dead(first, n int) []scan.Key {
	zombies := make([]scan.Key, n)
	for i := range zombies {
		zombies[i] = scan.Key{PID: first + i, StartTicks: 1000}
	}
	return zombies
}

func call(hook func() error) error {
	if hook == nil {
		return nil
	}
	return hook()
}

func (n *node) StopContainer(ctx context.Context, id string, grace time.Duration) error {
	n.note("stop %s %s", id, grace)
	return n.stop(ctx)
}

func (n *node) ExecSync(ctx context.Context, id string, command []string, timeout time.Duration) error {
	n.note("exec %s %s %s", id, strings.Join(command, " "), timeout)
	return n.exec(ctx)
}

func (n *node) Runs(context.Context, string) (bool, error) {
	n.pass()
	return n.runs, call(n.askRuns)
}

func (n *node) Successor(_ context.Context, podUID, name, ended string) (string, error) {
	n.pass()
	if podUID != "pod-1" || name != "app" || ended != "c1" {
		n.t.Errorf("asked for the successor of %q in pod %q, named %q", ended, podUID, name)
	}
	if n.successor == "" {
		return "", errBroken // which is as good as no answer yet
	}
	return n.successor, nil
}

// kind is the kind of act on this node.
func (n *node) kind() *Kind {
	n.began = time.Now()
	k := New(n, n, n.procRoot)
	k.words.stat = mounted
	return k
}

// nobody makes the node answer to a look that the container is not there.
func (n *node) nobody() { n.look = func() error { return stale("The container ended.") } }

func remediation(how v1alpha1.RestartContainerAct) *v1alpha1.ZombieRemediation {
	return &v1alpha1.ZombieRemediation{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0123"},
		Spec: v1alpha1.ZombieRemediationSpec{
			PodName: "web", PodUID: "pod-1", ContainerName: "app", ContainerID: "c1",
			Policy: v1alpha1.PolicyReference{Name: "web"}, Action: v1alpha1.RemediationRestartContainer, RestartContainer: &how,
		},
	}
}

var plain = v1alpha1.RestartContainerAct{GracePeriodSeconds: 30}

// inBubble runs a test on a node whose time passes as soon as everybody waits.
func inBubble(t *testing.T, f func(n *node)) {
	t.Helper()
	n := newNode(t)
	synctest.Test(t, func(t *testing.T) {
		n.t = t
		f(n)
	})
}

// restart prepares and does.
func (n *node) restart(ctx context.Context, how v1alpha1.RestartContainerAct) (act.Result, error) {
	n.t.Helper()
	p, err := n.kind().Prepare(ctx, remediation(how))
	if err != nil {
		n.t.Fatal(err)
	}
	defer p.Close()
	if p.Before() != 37 {
		n.t.Errorf("Before() = %d, want 37", p.Before())
	}
	return p.Do(ctx)
}

func wantResult(t *testing.T, got act.Result, err error, outcome v1alpha1.Outcome, after int32, texts ...string) {
	t.Helper()
	if err != nil {
		t.Fatalf("error = %v, want none", err)
	}
	if got.Outcome != outcome || got.After != after {
		t.Errorf("outcome %s with %d zombies left, want %s with %d (%s)", got.Outcome, got.After, outcome, after, got.Message)
	}
	for _, text := range texts {
		if !strings.Contains(got.Message, text) {
			t.Errorf("message %q lacks %q", got.Message, text)
		}
	}
}

func wantNotDone(t *testing.T, err error, outcome v1alpha1.Outcome, text string) {
	t.Helper()
	var notDone *act.NotDoneError
	if !errors.As(err, &notDone) || notDone.Outcome != outcome || !strings.Contains(notDone.Message, text) {
		t.Errorf("error = %v, want %s with %q", err, outcome, text)
	}
}

func (n *node) wantCalls(want ...string) {
	n.t.Helper()
	if got := strings.Join(n.calls, "; "); got != strings.Join(want, "; ") {
		n.t.Errorf("calls = %q, want %q", got, strings.Join(want, "; "))
	}
}

// wantAlive says that the first process was not touched.
func (n *node) wantAlive() {
	n.t.Helper()
	if err := n.init.Signal(unix.Signal(0)); err != nil {
		n.t.Errorf("the first process was touched: %v", err)
	}
}
