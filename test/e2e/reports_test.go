package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// getReport reads the report of a pod; nil when there is none. uid is the pod's UID as the runtime knows it.
func getReport(ctx context.Context, namespace, podName string, uid types.UID) (*v1alpha1.ZombieReport, error) {
	var list v1alpha1.ZombieReportList
	if err := api.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{"spec.podName": podName, "spec.podUID": string(uid)}); err != nil {
		return nil, fmt.Errorf("listing reports of pod %s: %w", podName, err)
	}
	switch len(list.Items) {
	case 0:
		return nil, nil
	case 1:
		return &list.Items[0], nil
	}
	return nil, fmt.Errorf("pod %s has %d reports", podName, len(list.Items))
}

// waitReport waits for a report of the pod with this many zombies.
func waitReport(t *testing.T, p *corev1.Pod, zombies int32, timeout time.Duration) *v1alpha1.ZombieReport {
	t.Helper()
	var report *v1alpha1.ZombieReport
	eventually(t, timeout, func(ctx context.Context) string {
		var err error
		report, err = getReport(ctx, p.Namespace, p.Name, p.UID)
		switch {
		case err != nil:
			return err.Error()
		case report == nil:
			return fmt.Sprintf("no report of pod %s/%s", p.Namespace, p.Name)
		case report.Status.Observed == nil:
			return fmt.Sprintf("the report of pod %s says nothing", p.Name)
		case report.Status.Observed.Zombies != zombies:
			return fmt.Sprintf("the report of pod %s says %d zombies, want %d", p.Name, report.Status.Observed.Zombies, zombies)
		}
		return ""
	})
	return report
}

// waitContainer waits until the report of a pod tells of its only container what it should; until then missing says what is missing.
func waitContainer(t *testing.T, p *corev1.Pod, timeout time.Duration, missing func(v1alpha1.ContainerObservation) string) v1alpha1.ContainerObservation {
	t.Helper()
	var c v1alpha1.ContainerObservation
	eventually(t, timeout, func(ctx context.Context) string {
		report, err := getReport(ctx, p.Namespace, p.Name, p.UID)
		switch {
		case err != nil:
			return err.Error()
		case report == nil || report.Status.Observed == nil || len(report.Status.Observed.Containers) == 0:
			return fmt.Sprintf("no report tells of a container of pod %s: %+v", p.Name, report)
		}
		c = report.Status.Observed.Containers[0]
		if why := missing(c); why != "" {
			return fmt.Sprintf("of pod %s the report says %+v: %s", p.Name, report.Status.Observed, why)
		}
		return ""
	})
	return c
}

// pidOf is the PID of a parent; 0 when it is outside of the container.
func pidOf(p v1alpha1.Parent) int32 {
	if p.PID == nil {
		return 0
	}
	return *p.PID
}

// want is what a report must say of one container.
type want struct {
	container, command string
	zombies, parentPID int32
	cause              v1alpha1.Cause
}

// checkReport checks who is blamed for what.
func checkReport(t *testing.T, report *v1alpha1.ZombieReport, p *corev1.Pod, wants ...want) {
	t.Helper()
	if report.Spec.PodName != p.Name || report.Spec.PodUID != string(p.UID) || report.Spec.NodeName != nodeName {
		t.Errorf("report is about pod %s, UID %s, node %s; want %s, %s, %s",
			report.Spec.PodName, report.Spec.PodUID, report.Spec.NodeName, p.Name, p.UID, nodeName)
	}
	if !meta.IsStatusConditionTrue(report.Status.Conditions, v1alpha1.ConditionLeaking) {
		t.Errorf("conditions are %v; want Leaking=True", report.Status.Conditions)
	}
	eventually(t, 15*time.Second, func(ctx context.Context) string {
		now, err := getReport(ctx, p.Namespace, p.Name, p.UID)
		if err != nil || now == nil || !meta.IsStatusConditionTrue(now.Status.Conditions, v1alpha1.ConditionVerified) {
			return fmt.Sprintf("the controller has not verified the report %+v: %v", now, err)
		}
		return ""
	})
	if got := len(report.Status.Observed.Containers); got != len(wants) {
		t.Fatalf("report tells of %d containers, want %d: %+v", got, len(wants), report.Status.Observed)
	}
	for _, w := range wants {
		checkContainer(t, report, p, w)
	}
}

func checkContainer(t *testing.T, report *v1alpha1.ZombieReport, p *corev1.Pod, w want) {
	t.Helper()
	for _, c := range report.Status.Observed.Containers {
		if string(c.Name) != w.container {
			continue
		}
		if len(c.Parents) != 1 || c.Parents[0].PID == nil {
			t.Fatalf("container %s has parents %+v; want one, with a PID", c.Name, c.Parents)
		}
		parent := c.Parents[0]
		got := want{string(c.Name), parent.Command, c.Zombies, *parent.PID, parent.Cause}
		if got != w {
			t.Errorf("report says %+v, want %+v", got, w)
		}
		if id := containerID(t, p, w.container); c.ContainerID != id {
			t.Errorf("container %s has ID %s in the report, %s in the pod", c.Name, c.ContainerID, id)
		}
		if parent.Message == "" || parent.Fix == "" || c.Image != leaksImage {
			t.Errorf("message %q, fix %q, image %q; want all three", parent.Message, parent.Fix, c.Image)
		}
		return
	}
	t.Errorf("report tells nothing of container %s: %+v", w.container, report.Status.Observed)
}
