package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
	shim := statFields(first)[1]
	writeFile(t, shimCgroup+"/cgroup.procs", shim)
	fillPIDs(t, podCgroup, room)
	roomAfter(t, first, podCgroup)
	if _, err := output(kubectl, "exec", "-n", p.Namespace, p.Name, "--", "/leaks/say", "say", "hello"); err == nil {
		t.Fatal("the runtime can still fork: this test shows nothing")
	}
	enforce(t, p, restart)
	act := waitActs(t, p, 1)[0]
	t.Logf("the shim was refused processes: %s; it is %v", readFile(t, shimCgroup+"/pids.events"), statFields(parsePID(t, shim)))
	checkAct(t, act, wantAct{v1alpha1.RemediationRestartContainer, v1alpha1.OutcomeCleared, truth.zombies, 0})
	if !strings.Contains(act.Status.Message, "SIGKILL") {
		t.Errorf("the remediation says %q, want it to say how the container was ended", act.Status.Message)
	}
	if last := waitRestarted(t, p, id).LastTerminationState.Terminated; last.ExitCode != killedExitCode {
		t.Errorf("the container ended with %d, want %d", last.ExitCode, killedExitCode)
	}
	if statFields(parsePID(t, shim)) == nil {
		t.Error("the shim did not live through it")
	}
}

// roomAfter takes the limit of a cgroup away when a process has ended: what starts in its place is as large, and may end for want of a thread.
func roomAfter(t *testing.T, pid int, cgroup string) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	pidfd := os.NewFile(uintptr(fd), "pidfd")
	go func() {
		defer pidfd.Close()
		for {
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1); !errors.Is(err, unix.EINTR) {
				break
			}
		}
		_ = os.WriteFile(cgroup+"/pids.max", []byte("max"), 0o600) // it may be gone
	}()
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
