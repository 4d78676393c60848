package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/remedy"
)

// killedExitCode is that of a process that was ended by SIGKILL.
const killedExitCode = 128 + 9

// stubborn makes a pod that leaks and ignores the stop signal, with a grace.
func stubborn(namespace, name string, grace int64) *corev1.Pod {
	p := pod(namespace, name, container("app", "/leaks/never-waits", "never-waits", "-ignore-term"))
	p.Spec.TerminationGracePeriodSeconds = &grace
	return p
}

const (
	hookGrace = 14 * time.Second
	hookTime  = 6 * time.Second
	// slack is what the kubelet and the runtime need to end a container and to say so.
	slack = 5 * time.Second
)

func preStopExec(t *testing.T) {
	act, log, ended := stopWithHook(t, "hook-exec", corev1.LifecycleHandler{Exec: &corev1.ExecAction{
		Command: []string{"/leaks/say", "say", "-sleep", strconv.Itoa(int(hookTime / time.Second)), "draining"},
	}})
	began := loggedAt(t, log, "said: draining")
	done, stopped := loggedAt(t, log, "done: draining"), loggedAt(t, log, "stop: SIGTERM")
	if stopped.Before(done) {
		t.Errorf("the stop signal came at %s, before the hook was through at %s", stopped, done)
	}
	if took := ended.Sub(began); took < hookGrace-slack || took > hookGrace+slack {
		t.Errorf("the container ended %s after the hook began, want the grace of %s", took, hookGrace)
	}
	t.Log(act.Status.Message)
}

func preStopSleep(t *testing.T) {
	act, log, ended := stopWithHook(t, "hook-sleep", corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: int64(hookTime / time.Second)}})
	began := act.Status.StartTime.Time
	// The start is known to the second only.
	if slept := loggedAt(t, log, "stop: SIGTERM").Sub(began); slept < hookTime-time.Second {
		t.Errorf("the stop signal came %s after the act began, want it after the hook's %s", slept, hookTime)
	}
	if took := ended.Sub(began); took < hookGrace-slack || took > hookGrace+slack {
		t.Errorf("the container ended %s after the act began, want the grace of %s", took, hookGrace)
	}
}

// stopWithHook has a container with a preStop hook restarted that ignores the stop signal, and returns the log and the end
// of its first run.
func stopWithHook(t *testing.T, name string, hook corev1.LifecycleHandler) (v1alpha1.ZombieRemediation, string, time.Time) {
	t.Helper()
	p := stubborn(namespace(t, name), name, int64(hookGrace/time.Second))
	p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &hook}
	p, truth := leakingPod(t, p)
	id := containerID(t, p, "app")
	enforce(t, p, restart)
	act := waitActs(t, p, 1)[0]
	checkAct(t, act, wantAct{v1alpha1.RemediationRestartContainer, v1alpha1.OutcomeCleared, truth.zombies, 0})
	last := waitRestarted(t, p, id).LastTerminationState.Terminated
	if last.ExitCode != killedExitCode {
		t.Errorf("the container ended with %d, want %d", last.ExitCode, killedExitCode)
	}
	log, err := output(kubectl, "logs", "--previous", "--timestamps", "-n", p.Namespace, p.Name)
	if err != nil {
		t.Fatal(err)
	}
	return act, log, last.FinishedAt.Time
}

// loggedAt is when the first line that begins with a text was logged.
func loggedAt(t *testing.T, log, text string) time.Time {
	t.Helper()
	for line := range strings.Lines(log) {
		if at, rest, _ := strings.Cut(line, " "); strings.HasPrefix(rest, text) {
			return parseTime(t, at)
		}
	}
	t.Fatalf("no line %q in the log:\n%s", text, log)
	return time.Time{}
}

// runtimeCannotFork restarts a container in the state to which a leak leads: the cgroup of the zombies is full, and the
// runtime's shim is in it, as with containerd's setting shim_cgroup. It cannot start runc, and so not kill.
func runtimeCannotFork(t *testing.T) { restartWithRoom(t, "cannot-fork", 0) }

// runtimeGetsNoThreads leaves room for runc itself, but not for its threads: it starts and ends with another error.
func runtimeGetsNoThreads(t *testing.T) { restartWithRoom(t, "no-threads", 2) }

func restartWithRoom(t *testing.T, name string, room int) {
	p, truth := leaking(t, name, "/leaks/never-waits", "never-waits")
	id := containerID(t, p, "app")
	first := hostPID(t, p)
	podCgroup := filepath.Dir(pidsCgroup(t, first))
	shimCgroup := podCgroup + "/shim" // a v2 cgroup with others below holds no process
	if err := os.Mkdir(shimCgroup, 0o755); err != nil {
		t.Fatal(err)
	}
	shim := parsePID(t, statFields(first)[1])
	started := startTicks(shim)
	writeFile(t, shimCgroup+"/cgroup.procs", strconv.Itoa(shim))
	startThreads(t, p)
	extraAgents.Wait() // apply waits for them too; that must not be while the cgroup is full
	waitSteady(t, podCgroup)
	fillPIDs(t, podCgroup, room)
	t.Cleanup(func() { tellOfRestart(t, p, shim, podCgroup, shimCgroup) })
	roomAfter(t, first, podCgroup)
	before := refusedForks(t, podCgroup, shimCgroup)
	if _, err := output(kubectl, "exec", "-n", p.Namespace, p.Name, "--", "/leaks/say", "say", "hello"); err == nil {
		t.Fatal("the runtime can still fork: this test shows nothing")
	}
	if now := refusedForks(t, podCgroup, shimCgroup); now == before {
		t.Fatal("the kernel refused the runtime no process and no thread: this test shows nothing")
	}
	enforce(t, p, restart)
	act := waitActs(t, p, 1)[0]
	checkAct(t, act, wantAct{v1alpha1.RemediationRestartContainer, v1alpha1.OutcomeCleared, truth.zombies, 0})
	if !strings.Contains(act.Status.Message, "so SIGKILL was sent") {
		t.Errorf("the remediation says %q, want it to say how the container was ended", act.Status.Message)
	}
	if last := waitRestarted(t, p, id).LastTerminationState.Terminated; last.ExitCode != killedExitCode {
		t.Errorf("the container ended with %d, want %d", last.ExitCode, killedExitCode)
	}
	if f := statFields(shim); len(f) == 0 || f[0] == "Z" || startTicks(shim) != started {
		t.Errorf("the shim is %v, started at %s; want it to live through it, and started at %s", f, startTicks(shim), started)
	}
}

// refusedForks is how many processes and threads were refused in some cgroups. Which of them counts it depends on the kernel.
func refusedForks(t *testing.T, cgroups ...string) int {
	t.Helper()
	refused := 0
	for _, cgroup := range cgroups {
		refused += parsePID(t, strings.TrimPrefix(readFile(t, cgroup+"/pids.events"), "max "))
	}
	return refused
}

// startThreads has four commands run in a container at once, which the shim starts threads for. Go keeps a thread once it is started. A shim
// that needs one more while there is no room, as for the garbage collection that it forces every 30 s, aborts, and its pod ends with it: not by
// what is tested here.
func startThreads(t *testing.T, p *corev1.Pod) {
	t.Helper()
	const count, program = 4, "say"
	var commands []*exec.Cmd
	for range count {
		c := command(t.Context(), kubectl, "exec", "-n", p.Namespace, p.Name, "--", "/leaks/"+program, program, "-sleep", "600", "hello")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		commands = append(commands, c)
	}
	var running []int
	eventually(t, time.Minute, func(context.Context) string {
		if running = processesNamed(t, p, program); len(running) != count {
			return fmt.Sprintf("%d commands run in the container, want %d", len(running), count)
		}
		return ""
	})
	for _, pid := range running {
		kill(t, pid, syscall.SIGKILL)
	}
	for _, c := range commands {
		_ = c.Wait() // what it ran was killed
	}
}

// waitSteady waits until a cgroup has as many processes and threads as a second before.
func waitSteady(t *testing.T, cgroup string) {
	t.Helper()
	last, since := "", time.Now()
	eventually(t, time.Minute, func(context.Context) string {
		if now := readFile(t, cgroup+"/pids.current"); now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) < time.Second {
			return "the processes of " + cgroup + " come and go"
		}
		return ""
	})
}

// roomAfter takes the limit of a cgroup away when a process has ended. What starts in its place leaks as much, and with the limit may end by
// it: then the container is restarted once more, by the kubelet.
func roomAfter(t *testing.T, pid int, cgroup string) {
	t.Helper()
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer unix.Close(pidfd)
		for {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, -1)
			if err == nil {
				_ = os.WriteFile(cgroup+"/pids.max", []byte("max"), 0o600) // it may be gone
			}
			if !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}()
}

// tellOfRestart tells what a test that failed left, which is gone soon after.
func tellOfRestart(t *testing.T, p *corev1.Pod, shim int, cgroups ...string) {
	t.Helper()
	if !t.Failed() {
		return
	}
	t.Logf("the shim is %v, started at %s", statFields(shim), startTicks(shim)) // the 18th of these is how many threads it has
	for _, cgroup := range cgroups {
		for _, file := range []string{"pids.current", "pids.max", "pids.events"} {
			text, err := os.ReadFile(filepath.Join(cgroup, file))
			t.Logf("%s/%s: %s %v", cgroup, file, text, err)
		}
	}
	for _, args := range [][]string{{"describe", "pod", p.Name}, {"logs", p.Name}, {"logs", "--previous", p.Name}} {
		text, err := output(kubectl, append(args, "-n", p.Namespace)...)
		t.Logf("kubectl %v: %s %v", args, text, err)
	}
}

// secondWaits has two pods leak at once, of which the first takes its time to stop.
func secondWaits(t *testing.T) {
	ns := namespace(t, "one-at-once")
	first, second := stubborn(ns, "first", 20), pod(ns, "second", container("app", "/leaks/start-no-wait", "start-no-wait", "-count=5"))
	create(t, second)
	first, _ = leakingPod(t, first)
	waitInPlace(t, second, "app")
	// So that the second pod is judged as soon as its policy comes, while the act on the first is under way.
	waitReport(t, second, 5, 2*time.Minute)
	enforce(t, first, restart)
	begun := waitBegun(t, first)
	enforce(t, second, restart)
	next := waitNext(t, second, remedy.ReasonInFlight)
	if next.Action != v1alpha1.ActionRestartContainer || !strings.Contains(next.Message, "disruptive act is under way") {
		t.Errorf("the next step of the second pod is %+v; want it to wait for another act", next)
	}
	ended, later := waitActs(t, first, 1)[0], waitActs(t, second, 1)[0]
	if ended.Name != begun.Name || ended.Status.Outcome != v1alpha1.OutcomeCleared || later.Status.Outcome != v1alpha1.OutcomeCleared {
		t.Errorf("outcomes are %s and %s, want Cleared", ended.Status.Outcome, later.Status.Outcome)
	}
	if later.CreationTimestamp.Before(ended.Status.CompletionTime) {
		t.Errorf("the second act was decided at %s, before the first ended at %s", later.CreationTimestamp, ended.Status.CompletionTime)
	}
	checkNotToldTwice(t, second, remedy.ReasonInFlight)
}
