package report

import (
	"context"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

func podMetadata(uid string, annotations map[string]string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "web-0", UID: types.UID(uid), ResourceVersion: "7", Annotations: annotations,
	}}
}

func requestFor(uid string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: v1alpha1.ReportName("web-0", uid)}}
}

func TestPodsThatGo(t *testing.T) {
	t.Parallel()
	mirrored := map[string]string{"kubernetes.io/config.mirror": staticUID, "kubernetes.io/config.hash": "older"}
	hashed := map[string]string{"kubernetes.io/config.hash": staticUID}
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	deleted := func(pod client.Object) func(context.Context, queue) {
		return func(ctx context.Context, q queue) { podsThatGo().Delete(ctx, event.DeleteEvent{Object: pod}, q) }
	}
	updated := func(before, after client.Object) func(context.Context, queue) {
		return func(ctx context.Context, q queue) {
			podsThatGo().Update(ctx, event.UpdateEvent{ObjectOld: before, ObjectNew: after}, q)
		}
	}
	tests := map[string]struct {
		happens func(context.Context, queue)
		want    []reconcile.Request
	}{
		"a pod that is deleted enqueues its report": {
			deleted(podMetadata(podUID, nil)), []reconcile.Request{requestFor(podUID)},
		},
		"a mirror pod that is deleted enqueues the report of its static pod too": {
			deleted(podMetadata(podUID, mirrored)), []reconcile.Request{requestFor(podUID), requestFor(staticUID)},
		},
		"a mirror pod with only the older annotation does so too": {
			deleted(podMetadata(podUID, hashed)), []reconcile.Request{requestFor(podUID), requestFor(staticUID)},
		},
		"a pod that was replaced unseen enqueues the report of the old one": {
			updated(podMetadata("old", nil), podMetadata("new", nil)), []reconcile.Request{requestFor("old")},
		},
		"a pod that is merely updated enqueues nothing": {
			updated(podMetadata(podUID, nil), podMetadata(podUID, hashed)), nil,
		},
		"a pod that is created enqueues nothing": {
			func(ctx context.Context, q queue) {
				podsThatGo().Create(ctx, event.CreateEvent{Object: podMetadata(podUID, nil)}, q)
			}, nil,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
			defer q.ShutDown()
			tc.happens(t.Context(), q)
			var got []reconcile.Request
			for q.Len() > 0 {
				request, _ := q.Get()
				got = append(got, request)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("enqueued (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReportsOfNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled())
	other := settled().report
	other.Name, other.ResourceVersion = v1alpha1.ReportName("db-0", "other"), ""
	other.Spec.NodeName = "n2"
	if err := w.api.Create(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	on := func(node string) []reconcile.Request {
		return w.reconciler.reportsOfNode(t.Context(), &corev1.Pod{Spec: corev1.PodSpec{NodeName: node}})
	}
	for node, want := range map[string][]reconcile.Request{
		"n1": {requestFor(podUID)},
		"n2": {{NamespacedName: types.NamespacedName{Namespace: "shop", Name: other.Name}}},
		"n3": nil,
		"":   nil, // an agent pod that waits for a node
	} {
		if diff := cmp.Diff(want, on(node), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("reports of node %q (-want +got):\n%s", node, diff)
		}
	}
}

func TestCachedStripsPods(t *testing.T) {
	t.Parallel()
	pod := podMetadata(podUID, map[string]string{
		"kubernetes.io/config.mirror": "m", "kubernetes.io/config.hash": "h",
		"zombie-operator.io/opt-out": "true", "example.com/big": "x",
	})
	pod.Labels = map[string]string{"app": "web"}
	pod.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet"}}
	pod.OwnerReferences = []metav1.OwnerReference{{Kind: "Node", Controller: new(true)}}
	pod.Finalizers = []string{"example.com/hold"}
	pod.DeletionTimestamp = new(metav1.NewTime(now))

	want := podMetadata(podUID, map[string]string{
		"kubernetes.io/config.mirror": "m", "kubernetes.io/config.hash": "h", "zombie-operator.io/opt-out": "true",
	})
	want.Labels = map[string]string{"app": "web"}
	want.DeletionTimestamp = pod.DeletionTimestamp
	strip := transformOf(t, "PartialObjectMetadata")
	got, err := strip(pod)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Errorf("stripped (-want +got):\n%s", diff)
	}
	if again, err := strip(got); err != nil || !cmp.Equal(again, got) {
		t.Errorf("stripped twice = %v, %v, want the same", again, err)
	}
	if bare, err := strip(podMetadata(podUID, nil)); err != nil || !cmp.Equal(bare, any(podMetadata(podUID, nil))) {
		t.Errorf("stripped of nothing = %v, %v, want the same", bare, err)
	}
}

// transformOf is what Cached does to objects of a Go type.
func transformOf(t *testing.T, goType string) toolscache.TransformFunc {
	t.Helper()
	for obj, options := range Cached() {
		if reflect.TypeOf(obj).Elem().Name() == goType {
			return options.Transform
		}
	}
	t.Fatalf("no %s is cached", goType)
	return nil
}

func TestCachedNamesPodsByTheirMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled())
	var kinds []string
	for obj, options := range Cached() {
		gvk, err := apiutil.GVKForObject(obj, w.api.Scheme())
		if err != nil {
			t.Fatal(err)
		}
		if options.Transform == nil {
			t.Errorf("%s is cached whole", gvk.Kind)
		}
		kinds = append(kinds, gvk.Kind)
	}
	if diff := cmp.Diff([]string{"Pod", "ZombieReport"}, kinds, cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
		t.Errorf("kinds in the cache (-want +got):\n%s", diff)
	}
}

func TestTheCacheKeepsWhoWroteAReportWhen(t *testing.T) {
	t.Parallel()
	entry := metav1.ManagedFieldsEntry{Manager: v1alpha1.FieldManagerAgent, Subresource: "status", Time: new(metav1.NewTime(now))}
	whole := entry
	whole.FieldsV1 = metav1.NewFieldsV1(`{"f:status":{}}`)
	report := settled().report
	report.ManagedFields = []metav1.ManagedFieldsEntry{whole}
	for object, kept := range Cached() {
		if _, ok := object.(*v1alpha1.ZombieReport); !ok {
			continue
		}
		if _, err := kept.Transform(report); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]metav1.ManagedFieldsEntry{entry}, report.ManagedFields); diff != "" {
			t.Errorf("managed fields (-want +got):\n%s", diff)
		}
		return
	}
	t.Error("reports are not cached")
}
