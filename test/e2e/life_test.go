package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

func deletedPod(t *testing.T) {
	ns := namespace(t, "deleted")
	l := oneContainer(t, fromManifest(t, ns, "invoicer"), "invoicer", v1alpha1.CausePID1DoesNotReap)
	report := waitReport(t, l.pod, l.total, 2*time.Minute)
	if err := api.Delete(t.Context(), l.pod); err != nil {
		t.Fatal(err)
	}
	waitGone(t, report, time.Minute)
}

func waitGone(t *testing.T, report *v1alpha1.ZombieReport, timeout time.Duration) {
	t.Helper()
	eventually(t, timeout, func(ctx context.Context) string {
		var now v1alpha1.ZombieReport
		err := api.Get(ctx, client.ObjectKeyFromObject(report), &now)
		switch {
		case apierrors.IsNotFound(err):
			return ""
		case err != nil:
			return err.Error()
		case now.UID != report.UID:
			return fmt.Sprintf("report %s was made anew", report.Name)
		}
		return fmt.Sprintf("report %s is still there: %+v", report.Name, now.Status)
	})
}

func replacedPod(t *testing.T) {
	ns := namespace(t, "replaced")
	template := fromManifest(t, ns, "invoicer")
	template.Labels = map[string]string{"app": "db"}
	create(t, &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "db"},
		Spec: appsv1.StatefulSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: template.Labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: template.Labels}, Spec: template.Spec},
		},
	})
	first := waitPod(t, ns, "db-0", "")
	old := waitReport(t, first, waitInPlace(t, first, "invoicer").zombies, 2*time.Minute)
	if err := api.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	second := waitPod(t, ns, "db-0", first.UID)
	fresh := waitReport(t, second, waitInPlace(t, second, "invoicer").zombies, 2*time.Minute)
	if fresh.Name == old.Name || fresh.UID == old.UID {
		t.Errorf("the new pod's report is %s, UID %s: the old pod's", fresh.Name, fresh.UID)
	}
	waitGone(t, old, time.Minute)
}

// waitPod waits for a running pod of this name with another UID than the one given.
func waitPod(t *testing.T, namespace, name string, not types.UID) *corev1.Pod {
	t.Helper()
	var p corev1.Pod
	eventually(t, patience, func(ctx context.Context) string {
		if err := api.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &p); err != nil {
			return err.Error()
		}
		if p.UID == not || p.Status.Phase != corev1.PodRunning {
			return fmt.Sprintf("pod %s with UID %s is %s", name, p.UID, p.Status.Phase)
		}
		return ""
	})
	return &p
}

func healedPod(t *testing.T) {
	ns := namespace(t, "healed")
	l := oneContainer(t, fromManifest(t, ns, "webhook"), "webhook", v1alpha1.CausePID1DoesNotReap)
	waitReport(t, l.pod, l.total, 2*time.Minute)
	// The one leak that a signal cures: its handler waits for all, but missed its signals.
	if err := syscall.Kill(hostPID(t, l.pod), syscall.SIGCHLD); err != nil {
		t.Fatal(err)
	}
	report := waitReport(t, l.pod, 0, 2*time.Minute)
	condition := meta.FindStatusCondition(report.Status.Conditions, v1alpha1.ConditionLeaking)
	if condition == nil || condition.Status != metav1.ConditionFalse || condition.Reason != v1alpha1.ReasonNoZombies {
		t.Errorf("condition Leaking is %+v, want False for NoZombies", condition)
	}
	waitGone(t, report, healedRetention+30*time.Second)
}

// containerID reads the ID of a running container from the Pod, without the runtime's prefix.
func containerID(t *testing.T, p *corev1.Pod, name string) string {
	t.Helper()
	var id string
	eventually(t, patience, func(ctx context.Context) string {
		var now corev1.Pod
		if err := api.Get(ctx, client.ObjectKeyFromObject(p), &now); err != nil {
			return err.Error()
		}
		for _, c := range now.Status.ContainerStatuses {
			if _, after, found := strings.Cut(c.ContainerID, "://"); found && c.Name == name && c.State.Running != nil {
				id = after
				return ""
			}
		}
		return fmt.Sprintf("container %s does not run: %+v", name, now.Status.ContainerStatuses)
	})
	return id
}

func restartedContainer(t *testing.T) {
	ns := namespace(t, "restarted")
	l := oneContainer(t, fromManifest(t, ns, "invoicer"), "invoicer", v1alpha1.CausePID1DoesNotReap)
	before := waitReport(t, l.pod, l.total, 2*time.Minute)
	if err := syscall.Kill(hostPID(t, l.pod), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	old := before.Status.Observed.Containers[0].ContainerID
	var id string
	eventually(t, time.Minute, func(context.Context) string {
		if id = containerID(t, l.pod, "invoicer"); id == old {
			return "the container was not restarted"
		}
		return ""
	})
	eventually(t, 2*time.Minute, func(ctx context.Context) string {
		after, err := getReport(ctx, ns, l.pod.Name, l.pod.UID)
		switch {
		case err != nil:
			return err.Error()
		case after == nil || after.Status.Observed == nil:
			return "the pod has no report, or one that says nothing yet" // the healed one is kept for a short time here
		case after.Status.Observed.Zombies != l.total || after.Status.Observed.Containers[0].ContainerID != id:
			return fmt.Sprintf("the report does not tell of the new container %s: %+v", id, after.Status.Observed)
		}
		return ""
	})
}

const staticNamespace = "default"

// staticReport remembers the report of the static pod between the phases.
var staticReport struct {
	uid  types.UID
	name string
	at   time.Time
}

// makeStaticPod lets a leaking pod be started by the kubelet itself. Its UID at the runtime is not that of its mirror pod.
func makeStaticPod(t *testing.T) {
	t.Helper()
	p := fromManifest(t, staticNamespace, "invoicer")
	p.Name = "static-leak"
	p.APIVersion, p.Kind = "v1", "Pod"
	raw, err := yaml.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	file := manifests(nodeName) + "/static-leak.yaml"
	writeFile(t, file, string(raw))
	t.Cleanup(func() {
		if err := os.Remove(file); err != nil {
			t.Error(err)
		}
	})
}

func staticPodReported(t *testing.T) {
	eventually(t, 3*time.Minute, func(ctx context.Context) string {
		reports, err := staticReports(ctx)
		if err != nil {
			return err.Error()
		}
		if len(reports) != 1 {
			return fmt.Sprintf("the static pod has %d reports", len(reports))
		}
		staticReport.uid, staticReport.name, staticReport.at = reports[0].UID, reports[0].Name, time.Now()
		return ""
	})
}

func staticReports(ctx context.Context) ([]v1alpha1.ZombieReport, error) {
	var list v1alpha1.ZombieReportList
	err := api.List(ctx, &list, client.InNamespace(staticNamespace), client.MatchingFields{"spec.podName": "static-leak-" + nodeName})
	return list.Items, err
}

func staticPodKeepsReport(t *testing.T) {
	eventually(t, 6*time.Minute, func(ctx context.Context) string {
		reports, err := staticReports(ctx)
		if err != nil {
			return err.Error()
		}
		if len(reports) != 1 || reports[0].UID != staticReport.uid {
			t.Fatalf("after %s the static pod has reports %+v, want one with UID %s", time.Since(staticReport.at), reports, staticReport.uid)
		}
		if kept := time.Since(staticReport.at); kept < 5*time.Minute {
			return fmt.Sprintf("the report was kept for %s only", kept)
		}
		return ""
	})
	for _, w := range auditedWrites(t, staticReport.at) {
		if w.name == staticReport.name && (w.verb == "delete" || w.verb == "create") {
			t.Errorf("the report of the static pod was written meanwhile: %+v", w)
		}
	}
}

// lyingReport shows that the controller believes no report whose pod does not run where the report says.
func lyingReport(t *testing.T) {
	ns := namespace(t, "lies")
	p := pod(ns, "innocent", container("app", "/leaks/sleep", "sleep"))
	create(t, p)
	waitInPlace(t, p, "app")
	report := &v1alpha1.ZombieReport{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: v1alpha1.ReportName(p.Name, string(p.UID))},
		Spec:       v1alpha1.ZombieReportSpec{PodName: p.Name, PodUID: string(p.UID), NodeName: "elsewhere"},
	}
	if err := api.Create(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	waitGone(t, report, time.Minute)
}

// otherNode shows that each agent speaks of its own node's pods only: all nodes of this cluster share one kernel, so
// every agent sees the zombies of all.
func otherNode(t *testing.T) {
	ns := namespace(t, "other-node")
	p := fromManifest(t, ns, "invoicer")
	p.Spec.NodeName = secondNode
	create(t, p)
	truth := waitInPlace(t, p, "invoicer")
	waitReport(t, p, truth.zombies, 2*time.Minute)
	// Both agents have looked twice by then.
	waitSince(t, time.Now().Add(2*scanInterval))
	var list v1alpha1.ZombieReportList
	if err := api.List(t.Context(), &list, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 1 || list.Items[0].Spec.NodeName != secondNode {
		t.Errorf("reports are %+v, want one of node %s", list.Items, secondNode)
	}
}
