package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/agent/publish"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// reportsOf reads the reports of leaks, by pod.
func reportsOf(t *testing.T, leaks []leak) map[string]*v1alpha1.ZombieReport {
	t.Helper()
	reports := map[string]*v1alpha1.ZombieReport{}
	for _, l := range leaks {
		report, err := getReport(t.Context(), l.pod.Namespace, l.pod.Name, l.pod.UID)
		if err != nil || report == nil {
			t.Fatalf("pod %s has no report: %v", l.pod.Name, err)
		}
		reports[l.pod.Name] = report
	}
	return reports
}

// sameReports fails when a report was written meanwhile.
func sameReports(t *testing.T, before, after map[string]*v1alpha1.ZombieReport) {
	t.Helper()
	for name, old := range before {
		now := after[name]
		if now.UID != old.UID || now.ResourceVersion != old.ResourceVersion {
			t.Errorf("the report of pod %s was rewritten, from %+v to %+v", name, old.Status, now.Status)
		}
	}
}

// waitBetweenEdges waits until no zombie of the lasting leaks crosses an age edge for some time: each such crossing is
// worth a write.
func waitBetweenEdges(t *testing.T, quiet time.Duration) {
	t.Helper()
	eventually(t, 8*time.Minute, func(ctx context.Context) string {
		var list v1alpha1.ZombieReportList
		if err := api.List(ctx, &list); err != nil {
			return err.Error()
		}
		for _, report := range list.Items {
			if !lasts(report.Namespace) {
				continue
			}
			if report.Status.Observed == nil {
				return "report " + report.Name + " says nothing yet"
			}
			for _, c := range report.Status.Observed.Containers {
				for _, p := range c.Parents {
					age := time.Since(p.OldestZombieTime.Time)
					if edge := nextEdge(age - 2*scanInterval); edge-age < quiet {
						return fmt.Sprintf("zombies of report %s reach %s soon or just did", report.Name, edge)
					}
				}
			}
		}
		return ""
	})
}

// lasts says whether a namespace holds leaks that last through all phases.
func lasts(namespace string) bool {
	return namespace == leaksNamespace || namespace == staticNamespace
}

func nextEdge(age time.Duration) time.Duration {
	for _, seconds := range v1alpha1.AgeEdgesSeconds {
		if edge := time.Duration(seconds) * time.Second; edge > age {
			return edge
		}
	}
	return 365 * 24 * time.Hour
}

// agentPod waits for a ready agent of a node that is not the one of a UID.
func agentPod(t *testing.T, node string, not types.UID) *corev1.Pod {
	t.Helper()
	var found corev1.Pod
	eventually(t, time.Minute, func(ctx context.Context) string {
		var list corev1.PodList
		if err := api.List(ctx, &list, client.InNamespace(operatorNamespace), client.MatchingLabels{"app.kubernetes.io/component": "agent"}); err != nil {
			return err.Error()
		}
		for _, p := range list.Items {
			if p.UID != not && p.DeletionTimestamp == nil && p.Spec.NodeName == node && podReady(p) {
				found = p
				return ""
			}
		}
		return "no other agent is ready"
	})
	return &found
}

func podReady(p corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func agentRestart(t *testing.T, leaks []leak) {
	quiet := 10*time.Second + 5*scanInterval
	waitBetweenEdges(t, quiet)
	before, began := reportsOf(t, leaks), time.Now()
	old := agentPod(t, nodeName, "")
	if err := api.Delete(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	fresh := agentPod(t, nodeName, old.UID)
	if took := time.Since(began); took > staleAfter {
		t.Errorf("the agent took %s to be replaced", took)
	}
	// Four looks: in the second the new agent counts, and would write if it knew less than its forerunner.
	waitSince(t, fresh.Status.StartTime.Add(4*scanInterval+time.Second))
	sameReports(t, before, reportsOf(t, leaks))
	for _, w := range auditedWrites(t, began) {
		if lasts(w.namespace) {
			t.Errorf("the operator wrote: %+v", w)
		}
	}
}

// staticAgesSurvive shows that the new agent knows the ages, and does not only keep quiet: a zombie that died before the
// restart crosses five minutes when it is five minutes old.
func staticAgesSurvive(t *testing.T) {
	eventually(t, 6*time.Minute, func(ctx context.Context) string {
		reports, err := staticReports(ctx)
		if err != nil {
			return err.Error()
		}
		if len(reports) != 1 {
			return fmt.Sprintf("the static pod has %d reports", len(reports))
		}
		observed := reports[0].Status.Observed
		old := time.Since(observed.OldestZombieTime.Time) > 5*time.Minute+3*scanInterval
		for _, age := range observed.Containers[0].Ages {
			if age.MinAgeSeconds == 300 {
				return ""
			}
		}
		if old {
			t.Fatalf("zombies that died %s ago are not counted among the five minutes old: %+v", time.Since(observed.OldestZombieTime.Time), observed)
		}
		return "its zombies are not five minutes old yet"
	})
}

// waitSince waits until a time has passed.
func waitSince(t *testing.T, until time.Time) {
	t.Helper()
	eventually(t, time.Until(until)+time.Minute, func(context.Context) string {
		if left := time.Until(until); left > 0 {
			return fmt.Sprintf("%s are left", left)
		}
		return ""
	})
}

func containerdRestart(t *testing.T, leaks []leak) {
	waitBetweenEdges(t, 10*time.Second+5*scanInterval)
	agent := agentPod(t, nodeName, "")
	restarts := appStatus(t, agent).RestartCount
	before, began := reportsOf(t, leaks), time.Now()
	if err := zcluster("restart-containerd", "--name", clusterName, "--node", nodeName); err != nil {
		t.Fatal(err)
	}
	waitSince(t, time.Now().Add(4*scanInterval))
	sameReports(t, before, reportsOf(t, leaks))
	for _, w := range auditedWrites(t, began) {
		if lasts(w.namespace) {
			t.Errorf("the operator wrote: %+v", w)
		}
	}
	if now := appStatus(t, agent).RestartCount; now != restarts {
		t.Errorf("the agent was restarted: %d times before, %d now", restarts, now)
	}
	// And it still sees what is new.
	ns := namespace(t, "after-containerd")
	l := oneContainer(t, pod(ns, "after", container("app", "/leaks/start-no-wait", "start-no-wait", "-count=2")), "start-no-wait", v1alpha1.CausePID1DoesNotReap)
	checkReport(t, waitReport(t, l.pod, l.total, 2*time.Minute), l.pod, l.wants...)
}

// idleMinute wants no write in a minute in which nothing happens, by agents and a controller that live.
func idleMinute(t *testing.T) {
	// Of pods that just went, the agent tells once more that they have no zombies.
	eventually(t, 3*time.Minute, func(context.Context) string {
		if last := auditedWrites(t, time.Now().Add(-publish.RewriteInterval-3*scanInterval)); len(last) > 0 {
			return fmt.Sprintf("the operator is not done with earlier tests: %+v", last)
		}
		return ""
	})
	waitBetweenEdges(t, 80*time.Second)
	agents, began := agentsNow(t), time.Now()
	waitSince(t, began.Add(time.Minute))
	for _, w := range auditedWrites(t, began) {
		if mayBeDue(t, w) {
			t.Logf("of a node that was told of longer ago than better news waits: %+v", w)
			continue
		}
		t.Errorf("the operator wrote in an idle minute: %+v", w)
	}
	if auditedRenewals(t, began) == 0 {
		t.Error("the audit log shows no renewal of the leader's lease: it is not the operator that is silent")
	}
	if now := agentsNow(t); now != agents {
		t.Errorf("the agents were replaced or restarted: %s before, %s now", agents, now)
	}
}

// agentsNow names the agents of both nodes, which must be ready, with how often each was restarted.
func agentsNow(t *testing.T) string {
	t.Helper()
	first, second := agentPod(t, nodeName, ""), agentPod(t, secondNode, "")
	return fmt.Sprintf("%s restarted %d times, %s restarted %d times",
		first.Name, appStatus(t, first).RestartCount, second.Name, appStatus(t, second).RestartCount)
}

// mayBeDue says whether a write may be of what changed for the better on a node in the tests before, such as the number of zombies: that comes
// when the agent's last write of the report is publish.ReblameInterval ago. Nothing gets better about the leaks that last.
func mayBeDue(t *testing.T, w auditedWrite) bool {
	t.Helper()
	if w.resource != "zombienodereports/status" {
		return false
	}
	// The agent reckons from look to look.
	before := auditedWrites(t, w.at.Add(-publish.ReblameInterval+scanInterval))
	return !slices.ContainsFunc(before, func(x auditedWrite) bool {
		return x.user == w.user && x.resource == w.resource && x.name == w.name && x.at.Before(w.at)
	})
}

// neverBlamed: nothing was written of parents that reap, and of a process that lives without its main thread only that it does.
func neverBlamed(t *testing.T) {
	found := map[string]bool{}
	for _, w := range auditedWrites(t, time.Time{}) {
		if !strings.HasPrefix(w.resource, "zombiereports") {
			continue
		}
		for _, name := range []string{"sentinel-", "slow-sentinel-", "repo-server-"} {
			found[name] = found[name] || strings.HasPrefix(w.name, name)
		}
	}
	// repo-server shows that the log is read right.
	if found["sentinel-"] || found["slow-sentinel-"] || !found["repo-server-"] {
		t.Errorf("reports were written of pods %v, want of repo-server- only", found)
	}
	var search corev1.Pod
	if err := api.Get(t.Context(), types.NamespacedName{Namespace: leaksNamespace, Name: "search"}, &search); err != nil {
		t.Fatal(err)
	}
	report := waitFinding(t, &search, v1alpha1.ConditionLeaderExited)
	leaking := meta.FindStatusCondition(report.Status.Conditions, v1alpha1.ConditionLeaking)
	// The condition would tell of a later change.
	if report.Status.Observed.Zombies != 0 || leaking.LastTransitionTime.After(report.CreationTimestamp.Add(time.Second)) {
		t.Errorf("the report of a pod without zombies says %+v, condition Leaking %+v", report.Status.Observed, leaking)
	}
}

func staleReports(t *testing.T) {
	ns := namespace(t, "stale")
	l := oneContainer(t, fromManifest(t, ns, "invoicer"), "invoicer", v1alpha1.CausePID1DoesNotReap)
	report := waitReport(t, l.pod, l.total, 2*time.Minute)
	var agents appsv1.DaemonSet
	if err := api.Get(t.Context(), types.NamespacedName{Namespace: operatorNamespace, Name: release + "-agent"}, &agents); err != nil {
		t.Fatal(err)
	}
	patchNodes(t, &agents, `{"spec":{"template":{"spec":{"nodeSelector":{"e2e":"nowhere"}}}}}`)
	eventually(t, staleAfter+time.Minute, func(ctx context.Context) string {
		now, err := getReport(ctx, ns, l.pod.Name, l.pod.UID)
		if err != nil || now == nil {
			return fmt.Sprintf("the report is gone before it was marked: %v", err)
		}
		if !meta.IsStatusConditionTrue(now.Status.Conditions, v1alpha1.ConditionStale) {
			return fmt.Sprintf("the report is not stale: %+v", now.Status.Conditions)
		}
		return ""
	})
	waitGone(t, report, deleteStaleAfter+time.Minute)
	patchNodes(t, &agents, `{"spec":{"template":{"spec":{"nodeSelector":{"e2e":null}}}}}`)
	again := waitReport(t, l.pod, l.total, 2*time.Minute)
	if !again.Status.Observed.OldestZombieTime.Time.Before(report.CreationTimestamp.Time) {
		t.Errorf("the oldest zombie died at %s, after the first report was made at %s: its age was lost",
			again.Status.Observed.OldestZombieTime, report.CreationTimestamp)
	}
}

func patchNodes(t *testing.T, agents *appsv1.DaemonSet, patch string) {
	t.Helper()
	if err := api.Patch(t.Context(), agents, client.RawPatch(types.StrategicMergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
}
