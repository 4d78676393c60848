package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/remedy"
)

// cures shows what a policy does. Disruptive acts queue, so the tests run beside each other and wait for their turn.
func cures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"SIGCHLD cures a parent that missed its signals", missedSignalsCured},
		{"a parent with the default disposition gets the next rung", nextRung},
		{"SIGTERM to a middle process cures under a PID 1 that reaps", middleCured},
		{"SIGTERM to a middle process only moves zombies to a PID 1 that does not reap", middleMoved},
		{"DryRun changes nothing and tells the plan of Enforce", dryRun},
		{"a Paused policy does nothing", pausedPolicy},
		{"a Paused ClusterZombiePolicy holds a policy that enforces", pausedAbove},
		{"a preStop exec hook runs before the stop signal in the time of the grace", preStopExec},
		{"a preStop sleep hook runs before the stop signal in the time of the grace", preStopSleep},
		{"a restart succeeds while the runtime cannot fork", runtimeCannotFork},
		{"a restart succeeds while the runtime's program gets no threads", runtimeGetsNoThreads},
		{"an act whose agent ended before it acted is finished and not done", interruptedAct},
		{"a second disruptive act waits for the first", secondWaits},
		{"a restart is refused while a tracer on the node holds PID 1", tracerOfAnother},
		{"guards", guards},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t)
		})
	}
}

// leaking makes a pod of one container that leaks in a namespace of its own, and waits until its zombies are in place.
func leaking(t *testing.T, name string, command ...string) (*corev1.Pod, inPlace) {
	t.Helper()
	p, truth := leakingPod(t, pod(namespace(t, name), name, container("app", command...)))
	// A first report may tell only of those that are old enough by then.
	waitReport(t, p, truth.zombies, 3*time.Minute)
	return p, truth
}

func leakingPod(t *testing.T, p *corev1.Pod) (*corev1.Pod, inPlace) {
	t.Helper()
	create(t, p)
	truth := waitInPlace(t, p, "app")
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
		t.Fatal(err)
	}
	return p, truth
}

// appStatus reads the status of the sidecar of a pod or, when it has none, of its first container.
func appStatus(t *testing.T, p *corev1.Pod) corev1.ContainerStatus {
	t.Helper()
	var now corev1.Pod
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(p), &now); err != nil {
		t.Fatal(err)
	}
	statuses := slices.Concat(now.Status.InitContainerStatuses, now.Status.ContainerStatuses)
	if now.UID != p.UID || len(statuses) == 0 {
		t.Fatalf("pod %s has UID %s and containers %+v, want UID %s", p.Name, now.UID, statuses, p.UID)
	}
	return statuses[0]
}

// checkUntouched wants the container that was there from the first, never restarted.
func checkUntouched(t *testing.T, p *corev1.Pod, id string) {
	t.Helper()
	now := appStatus(t, p)
	if !strings.HasSuffix(now.ContainerID, id) || now.RestartCount != 0 || now.State.Running == nil {
		t.Errorf("the container is %+v, want %s, running, not restarted", now, id)
	}
}

// waitRestarted waits until the container of a pod runs anew, restarted once, in the same pod.
func waitRestarted(t *testing.T, p *corev1.Pod, id string) corev1.ContainerStatus {
	t.Helper()
	var now corev1.ContainerStatus
	eventually(t, time.Minute, func(context.Context) string {
		now = appStatus(t, p)
		if now.State.Running == nil || now.LastTerminationState.Terminated == nil || strings.HasSuffix(now.ContainerID, id) {
			return fmt.Sprintf("the container does not run anew: %+v", now)
		}
		return ""
	})
	if now.RestartCount != 1 {
		t.Errorf("the container was restarted %d times, want once", now.RestartCount)
	}
	return now
}

func missedSignalsCured(t *testing.T) {
	p, _ := leaking(t, "cure-webhook", "/leaks/webhook", "missed-sigchld", "-count=12")
	id := containerID(t, p, "app")
	policy := enforce(t, p, send(v1alpha1.SignalChild), restart)
	policyStatus(t, policy, func(s v1alpha1.ZombiePolicyStatus) bool {
		return s.Governed != nil && *s.Governed == 1 && *s.Leaking == 1
	})
	acts := waitActs(t, p, 1)
	checkAct(t, acts[0], wantAct{v1alpha1.RemediationSignalParent, v1alpha1.OutcomeCured, 12, 0})
	checkUntouched(t, p, id)
	if left := zombiesUnder(t, hostPID(t, p)); left != 0 {
		t.Errorf("%d zombies are left", left)
	}
	told := []string{remedy.EventLeakFound, remedy.EventActPlanned, remedy.EventActDone}
	waitTold(t, p.Namespace, "Pod", p.Name, told...)
	waitTold(t, p.Namespace, "ZombiePolicy", policy.Name, told...)
	text := describePod(t, p)
	for _, reason := range told {
		if !strings.Contains(text, reason) {
			t.Errorf("kubectl describe pod does not tell %s:\n%s", reason, text)
		}
	}
	policyStatus(t, policy, func(s v1alpha1.ZombiePolicyStatus) bool {
		return s.LastAct != nil && s.LastAct.Outcome == v1alpha1.OutcomeCured && s.LastAct.Remediation == acts[0].Name &&
			*s.Leaking == 0 && *s.InFlight == 0
	})
}

// policyStatus waits for a status of a policy, which must be in force as it was written.
func policyStatus(t *testing.T, policy *v1alpha1.ZombiePolicy, want func(v1alpha1.ZombiePolicyStatus) bool) {
	t.Helper()
	eventually(t, 3*time.Minute, func(ctx context.Context) string {
		var now v1alpha1.ZombiePolicy
		if err := api.Get(ctx, client.ObjectKeyFromObject(policy), &now); err != nil {
			return err.Error()
		}
		inForce := meta.FindStatusCondition(now.Status.Conditions, v1alpha1.ConditionReady)
		if inForce == nil || inForce.Status != metav1.ConditionTrue || inForce.Reason != string(now.Spec.Mode) ||
			inForce.ObservedGeneration != now.Generation || now.Status.ObservedGeneration != now.Generation || !want(now.Status) {
			return fmt.Sprintf("the status of policy %s is %+v", policy.Name, now.Status)
		}
		return ""
	})
}

// nextRung shows the ladder, what Last State tells when no Event is left, and that a leak that comes back too soon is left
// alone.
func nextRung(t *testing.T) {
	p, truth := leaking(t, "next-rung", "/leaks/never-waits", "never-waits")
	id := containerID(t, p, "app")
	enforce(t, p, send(v1alpha1.SignalChild), restart)
	acts := waitActs(t, p, 2)
	checkAct(t, acts[0], wantAct{v1alpha1.RemediationSignalParent, v1alpha1.OutcomeNoEffect, truth.zombies, truth.zombies})
	checkAct(t, acts[1], wantAct{v1alpha1.RemediationRestartContainer, v1alpha1.OutcomeCleared, truth.zombies, 0})
	waitRestarted(t, p, id)
	waitTold(t, p.Namespace, "Pod", p.Name, remedy.EventActDone)
	t.Run("with all Events deleted kubectl describe pod still names the remediation", func(t *testing.T) {
		if _, err := output(kubectl, "delete", "events", "--all", "-n", p.Namespace); err != nil {
			t.Fatal(err)
		}
		if text := describePod(t, p); !strings.Contains(text, acts[1].Name) {
			t.Errorf("kubectl describe pod does not name remediation %s:\n%s", acts[1].Name, text)
		}
	})
	t.Run("a leak that comes back within ten minutes is not restarted again", func(t *testing.T) {
		waitNext(t, p, remedy.ReasonCooldown)
		waitSince(t, time.Now().Add(3*scanInterval))
		if acts := waitActs(t, p, 2); len(acts) != 2 {
			t.Errorf("there were %d acts, want 2", len(acts))
		}
		checkNotToldTwice(t, p, remedy.ReasonCooldown)
	})
}

func middleCured(t *testing.T) {
	p, truth := leaking(t, "middle-cured", "/leaks/tini", "middle-leaks", "-middle=buildd")
	id := containerID(t, p, "app")
	enforce(t, p, send(v1alpha1.SignalTerminate))
	checkAct(t, waitActs(t, p, 1)[0], wantAct{v1alpha1.RemediationSignalParent, v1alpha1.OutcomeCured, truth.zombies, 0})
	checkUntouched(t, p, id)
	if left := zombiesUnder(t, hostPID(t, p)); left != 0 {
		t.Errorf("%d zombies are left under PID 1", left)
	}
}

func middleMoved(t *testing.T) {
	p, truth := leaking(t, "middle-moved", "/leaks/tini", "middle-leaks", "-middle=buildd", "-reap=false")
	id := containerID(t, p, "app")
	enforce(t, p, send(v1alpha1.SignalTerminate))
	act := waitActs(t, p, 1)[0]
	if act.Status.Outcome != v1alpha1.OutcomeMoved {
		t.Errorf("the outcome is %s (%s), want Moved", act.Status.Outcome, act.Status.Message)
	}
	checkUntouched(t, p, id)
	// Those of the process that ended, and itself.
	if left := zombiesUnder(t, hostPID(t, p)); left != int(truth.zombies)+1 {
		t.Errorf("PID 1 has %d zombies, want %d", left, truth.zombies+1)
	}
}

func dryRun(t *testing.T) {
	p, _ := leaking(t, "dry-run", "/leaks/webhook", "missed-sigchld", "-count=12")
	id := containerID(t, p, "app")
	policy := policyFor(p, v1alpha1.ModeDryRun, send(v1alpha1.SignalChild), restart)
	apply(t, policy)
	plan := waitNext(t, p, remedy.ReasonDryRun)
	if plan.Action != v1alpha1.ActionSignalParent || plan.Mode != v1alpha1.ModeDryRun || plan.Doing != "DryRun:SIGCHLD" ||
		!strings.Contains(plan.Message, "12 zombies") {
		t.Errorf("the plan is %+v, want SIGCHLD for 12 zombies", plan)
	}
	checkNoActs(t, p)
	checkUntouched(t, p, id)
	if left := zombiesUnder(t, hostPID(t, p)); left != 12 {
		t.Errorf("%d zombies are there, want all 12", left)
	}
	events := waitTold(t, p.Namespace, "Pod", p.Name, remedy.EventLeakFound, remedy.EventActNotDone)
	if n := countTold(events, remedy.EventActNotDone); n != 1 {
		t.Errorf("%d Events tell what is not done, want 1:\n%s", n, describeEvents(events))
	}
	setMode(t, policy, v1alpha1.ModeEnforce)
	checkAct(t, waitActs(t, p, 1)[0], wantAct{v1alpha1.RemediationSignalParent, v1alpha1.OutcomeCured, 12, 0})
	for _, e := range waitTold(t, p.Namespace, "Pod", p.Name, remedy.EventActPlanned) {
		if e.Reason == remedy.EventActPlanned && !strings.Contains(e.Note, plan.Message) {
			t.Errorf("Enforce planned %q; DryRun told %q", e.Note, plan.Message)
		}
	}
}

func pausedPolicy(t *testing.T) {
	p, _ := leaking(t, "paused", "/leaks/webhook", "missed-sigchld")
	apply(t, policyFor(p, v1alpha1.ModePaused, send(v1alpha1.SignalChild)))
	if next := waitNext(t, p, remedy.ReasonPaused); next.Mode != v1alpha1.ModePaused || next.Action != "" {
		t.Errorf("the next step is %+v, want none", next)
	}
	checkNoActs(t, p)
}

func pausedAbove(t *testing.T) {
	p, _ := leaking(t, "held", "/leaks/webhook", "missed-sigchld", "-count=12")
	above := &v1alpha1.ClusterZombiePolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "hold-still"},
		Spec: v1alpha1.ClusterZombiePolicySpec{
			NamespaceSelector: v1alpha1.Selector{MatchLabels: map[string]v1alpha1.LabelValue{corev1.LabelMetadataName: v1alpha1.LabelValue(p.Namespace)}},
			ZombiePolicySpec:  policyFor(p, v1alpha1.ModePaused, restart).Spec,
		},
	}
	above.Spec.Selector = v1alpha1.Selector{Match: v1alpha1.MatchEverything}
	apply(t, above)
	waitNext(t, p, remedy.ReasonPaused) // it governs, and is known, before the other one comes
	enforce(t, p, send(v1alpha1.SignalChild))
	checkNoActs(t, p)
	if next := waitNext(t, p, remedy.ReasonPaused); !strings.Contains(next.Message, above.Name) || next.Mode != v1alpha1.ModePaused {
		t.Errorf("the next step is %+v, want it held by %s", next, above.Name)
	}
	if judgement, err := judgementOf(t.Context(), p); err != nil || judgement.Policy == nil || judgement.Policy.Kind != "ZombiePolicy" {
		t.Errorf("the judgement is %+v, want the namespaced policy to govern: %v", judgement, err)
	}
	if err := api.Delete(t.Context(), above); err != nil {
		t.Fatal(err)
	}
	checkAct(t, waitActs(t, p, 1)[0], wantAct{v1alpha1.RemediationSignalParent, v1alpha1.OutcomeCured, 12, 0})
}
