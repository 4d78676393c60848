package remedy

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

func TestARemediationAsksForItsReportAndTheSweep(t *testing.T) {
	t.Parallel()
	r := remediation("r", "app", 1)
	r.Namespace = "shop"
	if diff := cmp.Diff([]reconcile.Request{webRequest, sweep(webUID)}, reportOfRemediation(t.Context(), &r)); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if got := reportOfRemediation(t.Context(), &corev1.Pod{}); got != nil {
		t.Errorf("requests of a pod: %v", got)
	}
}

func TestAPodAsksForItsReport(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]reconcile.Request{webRequest}, reportOfPod(t.Context(), leakingPod())); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestPoliciesAndNamespacesAskForTheirReports(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	theirs := leakingReport()
	theirs.Namespace = "bank"
	w.must(w.api.Create(t.Context(), theirs))
	both := []reconcile.Request{request("bank", theirs.Name), webRequest}
	for name, tc := range map[string]struct {
		got, want []reconcile.Request
	}{
		"a ZombiePolicy those of its namespace": {w.r.reportsOfNamespace(t.Context(), webPolicy(leaking())), both[1:]},
		"a ClusterZombiePolicy all":             {w.r.reportsOfNamespace(t.Context(), &v1alpha1.ClusterZombiePolicy{}), both},
		"a namespace its own":                   {w.r.reportsIn(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "bank"}}), both[:1]},
		"a namespace without any none":          {w.r.reportsIn(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "empty"}}), nil},
	} {
		if diff := cmp.Diff(tc.want, tc.got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	w.r.cached = interceptor.NewClient(w.api, interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			return errors.New("no cache")
		},
	})
	if got := w.r.reportsIn(t.Context(), &corev1.Namespace{}); got != nil {
		t.Errorf("requests without a cache: %v", got)
	}
}

func TestWhatOfPodsAndNamespacesIsLetThrough(t *testing.T) {
	t.Parallel()
	metadata := func(edit func(*metav1.ObjectMeta)) client.Object {
		m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "web-0", Labels: map[string]string{"app": "web"}, ResourceVersion: "1"}}
		edit(&m.ObjectMeta)
		return m
	}
	before := metadata(func(*metav1.ObjectMeta) {})
	for name, tc := range map[string]struct {
		edit func(*metav1.ObjectMeta)
		want bool
	}{
		"another label":             {func(m *metav1.ObjectMeta) { m.Labels = map[string]string{"app": "web", "tier": "front"} }, true},
		"another value of a label":  {func(m *metav1.ObjectMeta) { m.Labels = map[string]string{"app": "api"} }, true},
		"the annotation opting out": {func(m *metav1.ObjectMeta) { m.Annotations = map[string]string{v1alpha1.AnnotationOptOut: "true"} }, true},
		"one that says nothing":     {func(m *metav1.ObjectMeta) { m.Annotations = map[string]string{v1alpha1.AnnotationOptOut: ""} }, true},
		"the beginning of its end":  {func(m *metav1.ObjectMeta) { m.DeletionTimestamp = new(at(0)) }, true},
		"another annotation":        {func(m *metav1.ObjectMeta) { m.Annotations = map[string]string{"example.com/x": "y"} }, false},
		"nothing but its version":   {func(m *metav1.ObjectMeta) { m.ResourceVersion = "2" }, false},
	} {
		if got := selectionChanged().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: metadata(tc.edit)}); got != tc.want {
			t.Errorf("%s: %t, want %t", name, got, tc.want)
		}
		if got := selectionChanged().Update(event.UpdateEvent{ObjectOld: metadata(tc.edit), ObjectNew: before}); got != tc.want {
			t.Errorf("%s, taken away: %t, want %t", name, got, tc.want)
		}
	}
	if selectionChanged().Create(event.CreateEvent{Object: before}) || selectionChanged().Delete(event.DeleteEvent{Object: before}) {
		t.Error("a pod that comes or goes is let through")
	}
}

func TestAtAStartOnlyRemediationsUnderWayAskForTheirReports(t *testing.T) {
	t.Parallel()
	over, underWay := ended("over", v1alpha1.OutcomeCured, 0), remediation("r", "app", 1)
	meta.SetStatusCondition(&over.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionCompleted, Status: metav1.ConditionTrue})
	if notOver().Create(event.CreateEvent{Object: &over}) {
		t.Error("one that is over is let through")
	}
	if !notOver().Create(event.CreateEvent{Object: &underWay}) {
		t.Error("one under way is not let through")
	}
	if !notOver().Update(event.UpdateEvent{ObjectOld: &underWay, ObjectNew: &over}) {
		t.Error("one that ends is not let through")
	}
}

func TestRemediationsAreFoundByTheirPod(t *testing.T) {
	t.Parallel()
	r := remediation("r", "app", 1)
	if diff := cmp.Diff([]string{webUID}, indexByPodUID(&r)); diff != "" {
		t.Errorf("index (-want +got):\n%s", diff)
	}
	if got := indexByPodUID(&corev1.Pod{}); got != nil {
		t.Errorf("index of a pod: %v", got)
	}
}
