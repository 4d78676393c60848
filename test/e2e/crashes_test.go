package e2e

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/remedy"
)

// crashGrace leaves time to kill somebody while a container is being stopped.
const crashGrace = 20

// crashes kills agent and controller in the middle of an act. Nothing else is cured meanwhile.
func crashes(t *testing.T) {
	names := []string{"agent-killed", "control-killed"}
	pods := make([]*corev1.Pod, len(names))
	for i, name := range names {
		pods[i] = stubborn(namespace(t, name), name, crashGrace)
		create(t, pods[i])
	}
	for _, p := range pods {
		waitInPlace(t, p, "app")
	}
	t.Run("an agent killed in the middle of a grace", func(t *testing.T) { agentKilled(t, pods[0]) })
	t.Run("a controller killed between creating and finishing", func(t *testing.T) { controllerKilled(t, pods[1]) })
}

// agentKilled: containerd forgets to kill when the one who asked for the stop goes away, so the next agent has to ask again.
func agentKilled(t *testing.T, p *corev1.Pod) {
	id := containerID(t, p, "app")
	enforce(t, p, restart)
	waitBegun(t, p)
	waitLogged(t, p, "stop: SIGTERM")
	agent := agentPod(t, nodeName, "")
	if err := syscall.Kill(processNamed(t, agent, "zombie-agent"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	acts := waitActs(t, p, 1)
	checkAct(t, acts[0], wantAct{v1alpha1.RemediationRestartContainer, v1alpha1.OutcomeCleared, 20, 0})
	if acts[0].Spec.Attempt != 1 {
		t.Errorf("it is attempt %d, want 1", acts[0].Spec.Attempt)
	}
	checkStopped(t, acts[0], waitRestarted(t, p, id))
	if n := appStatus(t, agent).RestartCount; n == 0 {
		t.Error("the agent was not killed")
	}
	checkNoFurtherAct(t, p)
}

// controllerKilled: the next controller must find the act under way, and neither do it again nor lose it.
func controllerKilled(t *testing.T, p *corev1.Pod) {
	id := containerID(t, p, "app")
	enforce(t, p, restart)
	waitBegun(t, p)
	controller := controllerPod(t)
	if err := syscall.Kill(processNamed(t, controller, "zombie-controller"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	acts := waitActs(t, p, 1)
	checkAct(t, acts[0], wantAct{v1alpha1.RemediationRestartContainer, v1alpha1.OutcomeCleared, 20, 0})
	checkStopped(t, acts[0], waitRestarted(t, p, id))
	if n := appStatus(t, controller).RestartCount; n == 0 {
		t.Error("the controller was not killed")
	}
	checkNoFurtherAct(t, p)
	judgement, err := judgementOf(t.Context(), p)
	if err != nil || judgement.LastAct == nil || judgement.LastAct.Remediation != acts[0].Name || judgement.LastAct.Outcome != v1alpha1.OutcomeCleared {
		t.Errorf("the judgement is %+v, error %v; want it to tell the act", judgement, err)
	}
	waitTold(t, p.Namespace, "Pod", p.Name, remedy.EventActDone)
}

// checkStopped wants a container that ignores the stop signal killed when its grace was over, and not much later.
func checkStopped(t *testing.T, act v1alpha1.ZombieRemediation, now corev1.ContainerStatus) {
	t.Helper()
	last := now.LastTerminationState.Terminated
	if last.ExitCode != killedExitCode {
		t.Errorf("the container ended with %d, want %d", last.ExitCode, killedExitCode)
	}
	// A killed agent is back within seconds; the grace that is left is for its first run.
	took := last.FinishedAt.Sub(act.Status.StartTime.Time)
	if took < crashGrace*time.Second-2*time.Second || took > crashGrace*time.Second+2*slack {
		t.Errorf("the container ended %s after the act began, want the grace of %d s", took, crashGrace)
	}
}

// checkNoFurtherAct lets the leak come back, and wants it left alone.
func checkNoFurtherAct(t *testing.T, p *corev1.Pod) {
	t.Helper()
	waitNext(t, p, remedy.ReasonCooldown)
	waitActs(t, p, 1)
	if n := appStatus(t, p).RestartCount; n != 1 {
		t.Errorf("the container was restarted %d times, want once", n)
	}
}

// waitLogged waits for a line that begins with a text.
func waitLogged(t *testing.T, p *corev1.Pod, text string) {
	t.Helper()
	eventually(t, patience, func(ctx context.Context) string {
		log, err := logOf(ctx, p, "", false)
		if err != nil {
			return err.Error()
		}
		for line := range strings.Lines(log) {
			if strings.HasPrefix(line, text) {
				return ""
			}
		}
		return fmt.Sprintf("no line %q in the log of %s:\n%s", text, p.Name, log)
	})
}

// controllerPod is the one that runs.
func controllerPod(t *testing.T) *corev1.Pod {
	t.Helper()
	var list corev1.PodList
	if err := api.List(t.Context(), &list, client.InNamespace(operatorNamespace), client.MatchingLabels{"app.kubernetes.io/component": "controller"}); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 1 {
		t.Fatalf("there are %d pods of the controller, want 1", len(list.Items))
	}
	return &list.Items[0]
}

// interruptedAct leaves what an agent leaves that is killed between its intent and its act. Meanwhile the agent of the second
// node stands still, so that nobody else touches the act.
func interruptedAct(t *testing.T) {
	p := pod(namespace(t, "interrupted"), "interrupted", container("app", "/leaks/tini", "middle-leaks", "-middle=buildd"))
	p.Spec.NodeName = secondNode
	p, truth := leakingPod(t, p)
	report := waitReport(t, p, truth.zombies, 2*time.Minute)
	agent := processNamed(t, agentPod(t, secondNode, ""), "zombie-agent")
	if err := syscall.Kill(agent, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	wake := func() {
		if err := syscall.Kill(agent, syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(wake)
	intend(t, p, report.Status.Observed.Containers[0])
	wake()
	act := waitActs(t, p, 1)[0]
	if act.Status.Outcome != v1alpha1.OutcomeInterrupted || act.Status.Message == "" {
		t.Errorf("the outcome is %s (%s), want Interrupted", act.Status.Outcome, act.Status.Message)
	}
	// The parent says so when it gets the signal.
	if log, err := output(kubectl, "logs", "-n", p.Namespace, p.Name); err != nil || strings.Contains(log, "stop:") {
		t.Errorf("the signal was sent, or the log cannot be read: %v\n%s", err, log)
	}
	if left := zombiesUnder(t, processNamed(t, p, "buildd")); left != int(truth.zombies) {
		t.Errorf("%d zombies are left, want all %d", left, truth.zombies)
	}
}

// byHand is the name of a policy that is not there: no controller decided the act.
const byHand = "by-hand"

// intend makes a remediation of which an agent that is gone stored its intent, to end the parent of the zombies.
func intend(t *testing.T, p *corev1.Pod, observed v1alpha1.ContainerObservation) {
	t.Helper()
	parent := observed.Parents[0]
	spec := v1alpha1.ZombieRemediationSpec{
		PodName: p.Name, PodUID: string(p.UID), NodeName: p.Spec.NodeName,
		ContainerName: observed.Name, ContainerID: observed.ContainerID,
		Policy:       v1alpha1.PolicyReference{Kind: "ZombiePolicy", Name: byHand, Generation: 1},
		Attempt:      1,
		Action:       v1alpha1.RemediationSignalParent,
		SignalParent: &v1alpha1.SignalParentAct{Signal: v1alpha1.SignalTerminate, PID: *parent.PID, StartTicks: parent.StartTicks, Command: parent.Command},
	}
	act := &v1alpha1.ZombieRemediation{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: v1alpha1.RemediationName(spec)}, Spec: spec}
	create(t, act)
	now := metav1.Now()
	act.Status = v1alpha1.ZombieRemediationStatus{
		AttemptID: "of-an-agent-that-was-killed", AgentPodUID: "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
		BootID: readFile(t, "/proc/sys/kernel/random/boot_id"), StartTime: &now, ZombiesBefore: &parent.Zombies,
	}
	for _, condition := range []string{v1alpha1.ConditionClaimed, v1alpha1.ConditionExecuting} {
		meta.SetStatusCondition(&act.Status.Conditions, metav1.Condition{
			Type: condition, Status: metav1.ConditionTrue, Reason: condition, ObservedGeneration: act.Generation, LastTransitionTime: now,
		})
	}
	if err := api.Status().Update(t.Context(), act); err != nil {
		t.Fatal(err)
	}
}
