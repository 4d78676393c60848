package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// hostZombiesCount is how many zombies the test leaves on the machine, hostParent whose they are.
const (
	hostZombiesCount = 30
	hostParent       = "fake-kubelet"
)

// nodeZombies leaves zombies outside of every pod. Each node of this cluster sees them, because all share one kernel. They are
// told of, and nothing is done to them.
func nodeZombies(t *testing.T) {
	parent := leaveHostZombies(t)
	for _, node := range []string{nodeName, secondNode} {
		report := waitNodeReport(t, node)
		if !meta.IsStatusConditionTrue(report.Status.Conditions, v1alpha1.ConditionLeaking) {
			t.Errorf("conditions of node %s are %+v, want Leaking=True", node, report.Status.Conditions)
		}
		if pids := report.Status.Observed.PIDs; pids == nil || pids.Used < hostZombiesCount ||
			(pids.LimitedBy != v1alpha1.PIDLimitPIDMax && pids.LimitedBy != v1alpha1.PIDLimitThreadsMax) {
			t.Errorf("PIDs of node %s are %+v, want those of the machine", node, pids)
		}
		waitNodeEvent(t, node)
	}
	table, err := output(kubectl, "get", "znr")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("kubectl get znr:\n%s", table)
	if lines := strings.Split(strings.TrimSpace(table), "\n"); len(lines) != 3 || !strings.Contains(table, nodeName) || !strings.Contains(table, secondNode) {
		t.Errorf("the table has %d lines, want a heading and two nodes", len(lines))
	}
	for _, p := range operatorPods(t) {
		if p.Labels["app.kubernetes.io/component"] == "agent" {
			if text := scrape(t, &p); !strings.Contains(text, hostParent) {
				t.Errorf("the metrics of %s do not name %s:\n%s", p.Name, hostParent, text)
			}
		}
	}
	if f := statFields(parent); len(f) == 0 || f[0] != "S" || zombiesUnder(t, parent) != hostZombiesCount {
		t.Errorf("the parent on the host is %v with %d zombies, want it as it was", f, zombiesUnder(t, parent))
	}
	shown(t, "D acs-engine#521")
}

// leaveHostZombies starts a parent on the machine itself, which lives until the test ends.
func leaveHostZombies(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("perl", "-e", tree(t, "host"), "--", hostParent, strconv.Itoa(hostZombiesCount))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // its zombies pass to the machine's init, which reaps them
		_ = cmd.Wait()
	})
	eventually(t, 30*time.Second, func(context.Context) string {
		if n := zombiesUnder(t, cmd.Process.Pid); n != hostZombiesCount {
			return fmt.Sprintf("%d zombies are in place", n)
		}
		return ""
	})
	return cmd.Process.Pid
}

// waitNodeReport waits until the report of a node tells of the zombies of the host.
func waitNodeReport(t *testing.T, node string) *v1alpha1.ZombieNodeReport {
	t.Helper()
	var report v1alpha1.ZombieNodeReport
	eventually(t, patience, func(ctx context.Context) string {
		if err := api.Get(ctx, types.NamespacedName{Name: node}, &report); err != nil {
			return err.Error()
		}
		if report.Status.Observed == nil || report.Status.Observed.HostZombies < hostZombiesCount {
			return fmt.Sprintf("the report of node %s says %+v", node, report.Status.Observed)
		}
		for _, p := range report.Status.Observed.Parents {
			if p.Command == hostParent && p.Zombies == hostZombiesCount {
				return ""
			}
		}
		return fmt.Sprintf("the report of node %s does not name %s: %+v", node, hostParent, report.Status.Observed)
	})
	return &report
}

// waitNodeEvent waits for an Event that kubectl describe node shows: it must be in the namespace default and bear the Node's
// UID.
func waitNodeEvent(t *testing.T, name string) {
	t.Helper()
	var node corev1.Node
	if err := api.Get(t.Context(), types.NamespacedName{Name: name}, &node); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, func(ctx context.Context) string {
		events, err := eventsOn(ctx, corev1.NamespaceDefault, "Node", name)
		if err != nil {
			return err.Error()
		}
		for _, e := range events {
			if e.Regarding.UID == node.UID && strings.Contains(e.ReportingController, "zombie") {
				checkPrintable(t, "the Event on node "+name, e.Note)
				return ""
			}
		}
		return fmt.Sprintf("node %s, UID %s, has no Event of the operator:\n%s", name, node.UID, describeEvents(events))
	})
	text, err := output(kubectl, "describe", "node", name)
	if err != nil {
		t.Fatal(err)
	}
	if _, events, found := strings.Cut(text, "\nEvents:"); !found || !strings.Contains(events, "ombie") {
		t.Errorf("kubectl describe node %s does not show the Event:\n%s", name, events)
	}
}
