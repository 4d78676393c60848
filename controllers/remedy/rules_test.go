package remedy

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/govern"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

const chldPlan = "Alert people. Send SIGCHLD to process 7 (worker) of container app (20 zombies)."

func TestALeakIsActedOnWhenNothingStandsInTheWay(t *testing.T) {
	t.Parallel()
	v := decide(leaking(), now)
	wantUnit := ledger.Unit{
		Target: web, Namespace: "shop", PodName: "web-0", ContainerID: appID, ReservedAt: now,
		Action: "SignalParent", Word: "SIGCHLD", Message: chldPlan, Attempt: 1, EndsBy: now.Add(longestSignal),
	}
	spec := v1alpha1.ZombieRemediationSpec{
		PodName: "web-0", PodUID: webUID, NodeName: "n1", ContainerName: "app", ContainerID: appID, Attempt: 1,
		Policy:       v1alpha1.PolicyReference{Kind: govern.KindNamespaced, Name: "web", Generation: 3},
		Action:       v1alpha1.RemediationSignalParent,
		SignalParent: &v1alpha1.SignalParentAct{Signal: v1alpha1.SignalChild, PID: 7, StartTicks: 1007, Command: "worker"},
	}
	wantUnit.Remediations = []string{v1alpha1.RemediationName(spec)}
	want := &act{
		unit:         wantUnit,
		position:     ledger.Position{Target: web, Policy: webMark, ContainerID: appID, Rung: 1, Attempts: 1, Seen: observationMark(leakingContainer())},
		remediations: []v1alpha1.ZombieRemediationSpec{spec},
	}
	if diff := cmp.Diff(want, v.act, cmp.AllowUnexported(act{})); diff != "" {
		t.Errorf("act (-want +got):\n%s", diff)
	}
	wantNext := &v1alpha1.NextStep{Action: v1alpha1.ActionSignalParent, Mode: v1alpha1.ModeEnforce, Reason: ReasonActing, Doing: "SIGCHLD", Message: chldPlan}
	if diff := cmp.Diff(wantNext, v.judgement.Next); diff != "" {
		t.Errorf("next (-want +got):\n%s", diff)
	}
	if v.checkAgainAfter != 0 {
		t.Errorf("check again after %s, want the remediation's own events to tell", v.checkAgainAfter)
	}
}

// A refusal is one case of a rule that keeps from acting.
type refusalCase struct {
	change  change
	reason  string
	message string
	again   time.Duration
	// told says that an Event tells it, and action is the rung it is about.
	told   bool
	action v1alpha1.Action
}

func TestWhatKeepsFromActing(t *testing.T) {
	t.Parallel()
	for _, group := range []map[string]refusalCase{tooEarly, guardedPods, guardedContainers, unfitRungs, limits} {
		for name, tc := range group {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				tc.check(t)
			})
		}
	}
}

func (tc refusalCase) check(t *testing.T) {
	t.Helper()
	f := leaking(tc.change)
	v := decide(f, now)
	if v.act != nil {
		t.Fatalf("acts: %+v", v.act)
	}
	next := v.judgement.Next
	if next.Reason != tc.reason || next.Doing != tc.reason || next.Message != tc.message {
		t.Errorf("next = %s (%s): %s\nwant   %s: %s", next.Reason, next.Doing, next.Message, tc.reason, tc.message)
	}
	if v.checkAgainAfter != tc.again {
		t.Errorf("check again after %s, want %s", v.checkAgainAfter, tc.again)
	}
	var want []string
	if tc.told {
		want = []string{"Warning ActRefused " + tc.reason + " " + tc.reason + ": " + tc.message}
	}
	if tc.told && next.Action != tc.action {
		t.Errorf("action %q, want %q", next.Action, tc.action)
	}
	if diff := cmp.Diff(want, about(occurrences(f.report, v), EventActRefused)); diff != "" {
		t.Errorf("Events (-want +got):\n%s", diff)
	}
	again := afterwards(t, f, v)
	v2 := decide(again, now.Add(500*time.Millisecond))
	if changed(again.report, v2) {
		t.Errorf("a second look writes the report again (-first +second):\n%s", cmp.Diff(v.judgement, v2.judgement))
	}
	if told := lines(occurrences(again.report, v2)); told != nil {
		t.Errorf("a second look tells again: %q", told)
	}
}

var tooEarly = map[string]refusalCase{
	"fewer zombies of the trigger's age than it wants": {
		change:  trigger(func(tr *v1alpha1.Trigger) { tr.Zombies = 13 }),
		reason:  ReasonNotTriggered,
		message: "Container app has 12 zombies that are dead for 300 s or longer; policy web wants 13, for 60 s.",
	},
	"no line in the report for the trigger's age": {
		change:  trigger(func(tr *v1alpha1.Trigger) { tr.MinAgeSeconds = 900 }),
		reason:  ReasonNotTriggered,
		message: "Container app has 0 zombies that are dead for 900 s or longer; policy web wants 10, for 60 s.",
	},
	"less PIDs in use than the trigger wants": {
		change:  changes(pidTrigger(80), container(func(c *v1alpha1.ContainerObservation) { c.PIDs = usedOf(158, 200, 79) })),
		reason:  ReasonNotTriggered,
		message: "Container app has 79 % of its PIDs in use (158 of 200 by limit Pod, 20 by its zombies); policy web wants 80 %, a tenth of it zombies, for 60 s.",
	},
	"a forecast that is not yet near enough, until exactly when it is": {
		change:  changes(forecastTrigger(3600), endsIn(time.Hour+90*time.Second)),
		reason:  ReasonNotTriggered,
		message: "Container app has PIDs until 2026-03-01T13:01:30Z; policy web wants an end within 3600 s, a tenth by its births, for 60 s.",
		again:   90 * time.Second,
	},
	"no part of a trigger with all three": {
		change: trigger(func(tr *v1alpha1.Trigger) {
			tr.Zombies, tr.PIDUsagePercent, tr.ExhaustionWithinSeconds = 13, 50, 60
		}),
		reason: ReasonNotTriggered,
		message: "Container app has 12 zombies that are dead for 300 s or longer, PIDs of unknown use, no forecast of their end; " +
			"policy web wants 13 or 50 %, a tenth of it zombies or an end within 60 s, a tenth by its births, for 60 s.",
	},
	"a trigger that has not held for its time": {
		change:  trigger(func(tr *v1alpha1.Trigger) { tr.ForSeconds = new(int32(601)) }),
		reason:  ReasonHolding,
		message: "Container app has 12 zombies that are dead for 300 s or longer; policy web wants 10, for 601 s. It has held since 2026-03-01T11:50:00Z.",
		again:   time.Second,
	},
	"a policy that is paused": {
		change: mode(v1alpha1.ModePaused), reason: ReasonPaused, message: "ZombiePolicy web is Paused.",
	},
	"a paused ClusterZombiePolicy above the policy": {
		change: ruled1(func(r *govern.Ruling) { r.Mode, r.HeldBy = v1alpha1.ModePaused, "stop" }),
		reason: ReasonPaused, message: "ClusterZombiePolicy stop is Paused and selects this container too.",
	},
	"a report that still says what it said before the last act": {
		change: position(func(p *ledger.Position) {
			p.Rung, p.Await, p.Seen, p.EndedAt = 1, true, observationMark(leakingContainer()), now.Add(-9*time.Minute)
		}),
		reason:  ReasonSettling,
		message: "The last act on container app ended at 2026-03-01T11:51:00Z; the agent has yet to report what is left.",
		again:   time.Minute,
	},
}

var guardedPods = map[string]refusalCase{
	"an agent that is not ready": {
		change:  report(func(r *v1alpha1.ZombieReport) { r.Status.Conditions[1].Status = metav1.ConditionTrue }),
		reason:  ReasonStale,
		message: "The agent of node n1 is not ready: what it reported may be out of date.",
		told:    true, action: v1alpha1.ActionSignalParent,
	},
	"a pod that is gone": {
		change: func(f *facts) { f.pod = nil },
		reason: ReasonNotVerified, message: "The pod of the report is gone.", told: true, action: v1alpha1.ActionSignalParent,
	},
	"a pod that was replaced under its name": {
		change: pod(func(p *corev1.Pod) { p.UID = "new" }),
		reason: ReasonNotVerified, message: "The pod was replaced: its UID is new now.", told: true, action: v1alpha1.ActionSignalParent,
	},
	"a pod on another node": {
		change: pod(func(p *corev1.Pod) { p.Spec.NodeName = "n2" }),
		reason: ReasonNotVerified, message: "The pod runs on node n2, the report says n1.", told: true, action: v1alpha1.ActionSignalParent,
	},
	"a container that was replaced, which every restart brings and nobody needs to be told": {
		change: pod(func(p *corev1.Pod) { p.Status.ContainerStatuses[0].ContainerID = "containerd://new" }),
		reason: ReasonNotVerified, message: "Container app was replaced; the agent has yet to look into the new one.", again: recheck,
	},
	"a container without a status": {
		change: pod(func(p *corev1.Pod) { p.Status.ContainerStatuses = nil }),
		reason: ReasonNotVerified, message: "Container app was replaced; the agent has yet to look into the new one.", again: recheck,
	},
	"a pod that opts out": {
		change: pod(func(p *corev1.Pod) { p.Annotations = map[string]string{v1alpha1.AnnotationOptOut: ""} }),
		reason: ReasonOptedOut, message: "The pod carries the annotation zombie-operator.io/opt-out.", told: true, action: v1alpha1.ActionSignalParent,
	},
	"a namespace that opts out": {
		change: func(f *facts) { f.namespaceOptsOut = true },
		reason: ReasonOptedOut, message: "Namespace shop carries the annotation zombie-operator.io/opt-out.", told: true, action: v1alpha1.ActionSignalParent,
	},
	"a pod in the operator's own namespace": {
		change: func(f *facts) { f.operatorNamespace = "shop" },
		reason: ReasonOwnNamespace, message: "The pod is in shop, the namespace of the operator.", told: true, action: v1alpha1.ActionSignalParent,
	},
	"a static pod, by its annotation, although its UID is another in the report": {
		change: pod(func(p *corev1.Pod) {
			p.UID, p.Annotations = "mirror", map[string]string{corev1.MirrorPodAnnotationKey: "x"}
		}),
		reason: ReasonStaticPod, message: "The pod is a static pod of node n1.", told: true, action: v1alpha1.ActionSignalParent,
	},
	"a static pod, by its owner": {
		change: pod(func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n1", Controller: new(true)}}
		}),
		reason: ReasonStaticPod, message: "The pod is a static pod of node n1.", told: true, action: v1alpha1.ActionSignalParent,
	},
	"a pod in the node's PID namespace": {
		change: pod(func(p *corev1.Pod) { p.Spec.HostPID = true }),
		reason: ReasonHostPID, message: "The pod is in the PID namespace of the node (hostPID: true).", told: true, action: v1alpha1.ActionSignalParent,
	},
	"a pod of system-critical priority": {
		change: pod(func(p *corev1.Pod) { p.Spec.Priority = new(int32(2000000000)) }),
		reason: ReasonCritical, message: "The pod has system-critical priority (2000000000).", told: true, action: v1alpha1.ActionSignalParent,
	},
	"a pod that is being deleted": {
		change: pod(func(p *corev1.Pod) { p.DeletionTimestamp = new(at(0)) }),
		reason: ReasonTerminating, message: "The pod is being deleted.", told: true, action: v1alpha1.ActionSignalParent,
	},
	"a namespace that is being deleted": {
		change: func(f *facts) { f.namespaceTerminates = true },
		reason: ReasonTerminating, message: "Namespace shop is being deleted.", told: true, action: v1alpha1.ActionSignalParent,
	},
	"a pod that does not run": {
		change: pod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }),
		reason: ReasonNotRunning, message: "The pod is Pending and not Running.", told: true, action: v1alpha1.ActionSignalParent, again: recheck,
	},
	"a container that does not run": {
		change: pod(func(p *corev1.Pod) { p.Status.ContainerStatuses[0].State = corev1.ContainerState{} }),
		reason: ReasonNotRunning, message: "Container app does not run.", told: true, action: v1alpha1.ActionSignalParent, again: recheck,
	},
}

var guardedContainers = map[string]refusalCase{
	"a pod whose restart policy is OnFailure": {
		change: pod(func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure }),
		reason: ReasonRestartPolicy, message: "The pod has restartPolicy OnFailure and not Always.", told: true, action: v1alpha1.ActionSignalParent,
	},
	"a container with a restart policy of its own": {
		change: pod(func(p *corev1.Pod) { p.Spec.Containers[0].RestartPolicy = new(corev1.ContainerRestartPolicyNever) }),
		reason: ReasonRestartPolicy, message: "Container app has restartPolicy Never and not Always.", told: true, action: v1alpha1.ActionSignalParent,
	},
	"a container with restart rules of its own": {
		change: pod(func(p *corev1.Pod) { p.Spec.Containers[0].RestartPolicyRules = []corev1.ContainerRestartRule{{}} }),
		reason: ReasonRestartPolicy, message: "Container app has rules of its own on when it is restarted.", told: true, action: v1alpha1.ActionSignalParent,
	},
	"an init container": {
		change: pod(func(p *corev1.Pod) { p.Spec.InitContainers, p.Spec.Containers = p.Spec.Containers, nil }),
		reason: ReasonRestartPolicy, message: "Container app is an init container and no sidecar.", told: true, action: v1alpha1.ActionSignalParent,
	},
	"an ephemeral container": {
		change: pod(func(p *corev1.Pod) { p.Spec.Containers = nil }),
		reason: ReasonRestartPolicy, message: "Container app is an ephemeral container, which is never restarted.", told: true, action: v1alpha1.ActionSignalParent,
	},
}

var unfitRungs = map[string]refusalCase{
	"zombies with a parent outside of the container": {
		change: changes(ladder(signal(v1alpha1.SignalChild)), parents(outside(20))),
		reason: ReasonParentOutside, told: true, action: v1alpha1.ActionSignalParent,
		message: "Zombies of container app have a parent outside of it (containerd-shim): no signal goes there.",
	},
	"a restart that could not finish": {
		change: changes(ladder(restart), parents(parent(7, 19), outside(1))),
		reason: ReasonParentOutside, told: true, action: v1alpha1.ActionRestartContainer,
		message: "Zombies of container app have a parent outside of it (containerd-shim): a restart could not finish while it does not wait for them.",
	},
	"so many parents that none matters": {
		change: changes(ladder(signal(v1alpha1.SignalChild)), parents(parent(7, 1), outside(1))),
		reason: ReasonManyParents, told: true, action: v1alpha1.ActionSignalParent,
		message: "No parent holds a tenth of the zombies of container app: no signal would help much.",
	},
	"SIGTERM to PID 1": {
		change: changes(ladder(signal(v1alpha1.SignalTerminate)), parents(parent(1, 20))),
		reason: ReasonSignalToPID1, told: true, action: v1alpha1.ActionSignalParent,
		message: "SIGTERM never goes to PID 1 of a container: use RestartContainer to end app.",
	},
	"SIGKILL to PID 1": {
		change: changes(ladder(signal(v1alpha1.SignalKill)), parents(parent(1, 20))),
		reason: ReasonSignalToPID1, told: true, action: v1alpha1.ActionSignalParent,
		message: "SIGKILL never goes to PID 1 of a container: use RestartContainer to end app.",
	},
	"a signal that cannot help": {
		change: changes(ladder(signal(v1alpha1.SignalChild)), parents(beyond(parent(7, 18), v1alpha1.RemedySIGCHLD), outside(2))),
		reason: ReasonCannotHelp, told: true, action: v1alpha1.ActionSignalParent,
		message: "SIGCHLD cannot help process 7 (worker) of container app: without a handler, or while one is pending, SIGCHLD is discarded there.",
	},
	"a signal to a parent in state D": {
		change: changes(ladder(signal(v1alpha1.SignalKill)), parents(caused(beyond(parent(7, 20), v1alpha1.RemedySIGKILL), v1alpha1.CauseParentStuckInD))),
		reason: ReasonParentStuckInD, told: true, action: v1alpha1.ActionSignalParent,
		message: "SIGKILL cannot help process 7 (worker) of container app: it hangs in state D and may not end, or its end would not free its zombies.",
	},
	"a restart with a parent in state D": {
		change: changes(ladder(restart), parents(parent(1, 19), caused(beyond(parent(7, 1), v1alpha1.RemedyRestartContainer), v1alpha1.CauseParentStuckInD))),
		reason: ReasonParentStuckInD, told: true, action: v1alpha1.ActionRestartContainer,
		message: "A restart cannot help process 7 (worker) of container app: it hangs in state D, and a restart may hang with it.",
	},
	"a restart with a parent that is frozen": {
		change: changes(ladder(restart), parents(caused(beyond(parent(7, 20), v1alpha1.RemedyRestartContainer), v1alpha1.CauseParentFrozen))),
		reason: ReasonParentFrozen, told: true, action: v1alpha1.ActionRestartContainer,
		message: "A restart cannot help process 7 (worker) of container app: its cgroup is frozen, and no restart is done while it is.",
	},
	"a restart that the agent says cannot help for another cause": {
		change: changes(ladder(restart), parents(beyond(parent(7, 20), v1alpha1.RemedyRestartContainer))),
		reason: ReasonCannotHelp, told: true, action: v1alpha1.ActionRestartContainer,
		message: "A restart cannot help process 7 (worker) of container app: the container could not end.",
	},
	"a restart of a pod with a dead container": {
		change: changes(ladder(restart), isTrue(v1alpha1.ConditionContainerDead)),
		reason: ReasonContainerDead, told: true, action: v1alpha1.ActionRestartContainer,
		message: "A restart of container app would hang: PID 1 of a container of the pod is a zombie itself.",
	},
	"a ladder of which the last rung that is left cannot help": {
		change: changes(rung(1), parents(beyond(parent(7, 20), v1alpha1.RemedySIGCHLD)), isTrue(v1alpha1.ConditionContainerDead)),
		reason: ReasonContainerDead, told: true, action: v1alpha1.ActionRestartContainer,
		message: "A restart of container app would hang: PID 1 of a container of the pod is a zombie itself.",
	},
	"a hook that the agent cannot run": {
		change: changes(ladder(restart), preStop(corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{}})),
		reason: ReasonPreStopHook, told: true, action: v1alpha1.ActionRestartContainer,
		message: "The preStop hook of container app cannot be run by the agent: only exec, of at most 64 words, and sleep can.",
	},
	"a ladder of which every rung was tried": {
		change: rung(3), reason: ReasonLadderExhausted, told: true, action: v1alpha1.ActionAlert,
		message: "No rung keeps the container from leaking. " + appFix,
	},
	"a ladder without an Alert of which every rung was tried": {
		change: changes(ladder(restart), rung(1)), reason: ReasonLadderExhausted, told: true,
		message: "No rung keeps the container from leaking. " + appFix,
	},
}

var limits = map[string]refusalCase{
	"a disruptive act while another is under way in the cluster": {
		change: changes(ladder(restart), underway(otherUnit(true))),
		reason: ReasonInFlight, told: true, action: v1alpha1.ActionRestartContainer, again: recheck,
		message: "A disruptive act is under way elsewhere in the cluster; there is one at a time.",
	},
	"any act while one is under way in the same pod": {
		change: underway(ledger.Unit{Target: ledger.Target{PodUID: webUID, Container: "log"}, Namespace: "shop", PodName: "web-0"}),
		reason: ReasonInFlight, told: true, action: v1alpha1.ActionSignalParent, again: recheck,
		message: "An act on container log of the pod is under way; there is one at a time in a pod.",
	},
	"any act while a remediation of the pod is not completed that the ledger does not know of": {
		change: remediations(v1alpha1.ZombieRemediation{Spec: v1alpha1.ZombieRemediationSpec{PodName: "web-0", PodUID: webUID, ContainerName: "app"}}),
		reason: ReasonInFlight, told: true, action: v1alpha1.ActionSignalParent, again: recheck,
		message: "A remediation of the pod is not completed that the ledger does not know of.",
	},
	"any act while as many are under way as there may be": {
		change: func(f *facts) {
			for range ledger.MaxUnits {
				f.book.Units = append(f.book.Units, otherUnit(false))
			}
		},
		reason: ReasonInFlight, told: true, action: v1alpha1.ActionSignalParent, again: recheck,
		message: "100 acts are under way in the cluster, which is as many as there may be at a time.",
	},
	"a disruptive act less than 600 s after the last on the pod": {
		change: changes(ladder(restart), position(func(p *ledger.Position) { p.DisruptedAt = now.Add(-599 * time.Second) })),
		reason: ReasonCooldown, told: true, action: v1alpha1.ActionRestartContainer, again: time.Second,
		message: "The last disruptive act on the pod was at 2026-03-01T11:50:01Z; the next may be 600 s later, at 2026-03-01T12:00:01Z.",
	},
	"a disruptive act less than 600 s after the last on another container of the pod": {
		change: changes(ladder(restart), position(func(p *ledger.Position) { p.Container, p.DisruptedAt = "log", now.Add(-5*time.Minute) })),
		reason: ReasonCooldown, told: true, action: v1alpha1.ActionRestartContainer, again: 5 * time.Minute,
		message: "The last disruptive act on the pod was at 2026-03-01T11:55:00Z; the next may be 600 s later, at 2026-03-01T12:05:00Z.",
	},
}

func preStop(hook corev1.LifecycleHandler) change {
	return pod(func(p *corev1.Pod) { p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &hook} })
}

func TestWhatDoesNotKeepFromActing(t *testing.T) {
	t.Parallel()
	tests := map[string]change{
		"exactly as many zombies as the trigger wants": trigger(func(tr *v1alpha1.Trigger) { tr.Zombies = 12 }),
		"a trigger that has held exactly for its time": trigger(func(tr *v1alpha1.Trigger) { tr.ForSeconds = new(int32(600)) }),
		"a trigger without a time, which just holds": changes(
			trigger(func(tr *v1alpha1.Trigger) { tr.ForSeconds = nil }),
			report(func(r *v1alpha1.ZombieReport) { r.Status.Judgement = nil })),
		"a trigger of no time, which just holds": changes(
			trigger(func(tr *v1alpha1.Trigger) { tr.ForSeconds = new(int32(0)) }),
			report(func(r *v1alpha1.ZombieReport) { r.Status.Judgement = nil })),
		"an annotation that opts in":                                 pod(func(p *corev1.Pod) { p.Annotations = map[string]string{v1alpha1.AnnotationOptOut: "false"} }),
		"a report that was not yet asked whether its agent is ready": report(func(r *v1alpha1.ZombieReport) { r.Status.Conditions = nil }),
		"the highest priority that is not critical":                  pod(func(p *corev1.Pod) { p.Spec.Priority = new(int32(1999999999)) }),
		"no priority": pod(func(p *corev1.Pod) { p.Spec.Priority = nil }),
		"an owner that is no node": pod(func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", Controller: new(true)}}
		}),
		"a sidecar": pod(func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "app", RestartPolicy: &always}}
			p.Status.InitContainerStatuses, p.Status.ContainerStatuses = p.Status.ContainerStatuses, nil
		}),
		"a container that always restarts in a pod that does not": pod(func(p *corev1.Pod) {
			p.Spec.RestartPolicy, p.Spec.Containers[0].RestartPolicy = corev1.RestartPolicyNever, &always
		}),
		"a harmless act while a disruptive one is under way elsewhere": underway(otherUnit(true)),
		"a disruptive act while a harmless one is under way elsewhere": changes(ladder(restart), underway(otherUnit(false))),
		"a disruptive act exactly 600 s after the last on the pod": changes(ladder(restart),
			position(func(p *ledger.Position) { p.DisruptedAt = now.Add(-600 * time.Second) })),
		"a disruptive act soon after one on another pod": changes(ladder(restart),
			position(func(p *ledger.Position) { p.PodUID, p.DisruptedAt = "other", now.Add(-time.Second) })),
		"a harmless act soon after a disruptive one": position(func(p *ledger.Position) { p.DisruptedAt = now.Add(-time.Second) }),
		"a report that says something else than before the last act": position(func(p *ledger.Position) {
			p.Rung, p.Await, p.Seen, p.EndedAt = 1, true, "another", now.Add(-time.Second)
		}),
		"a report that still says the same ten minutes after the last act": position(func(p *ledger.Position) {
			p.Rung, p.Await, p.Seen, p.EndedAt = 1, true, observationMark(leakingContainer()), now.Add(-settleTime)
		}),
		"the same report after an act that did not help": position(func(p *ledger.Position) {
			p.Rung, p.Seen, p.EndedAt = 1, observationMark(leakingContainer()), now.Add(-time.Second)
		}),
		"as many acts under way as leave room for one": func(f *facts) {
			for range ledger.MaxUnits - 1 {
				f.book.Units = append(f.book.Units, otherUnit(false))
			}
		},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if v := decide(leaking(c), now); v.act == nil {
				t.Errorf("does not act: %+v", v.judgement.Next)
			}
		})
	}
}
