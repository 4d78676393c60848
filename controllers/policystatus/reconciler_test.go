package policystatus

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/zombie-operator/zombie-operator/api/applyconfiguration"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// world is an API server in memory with the objects of some facts, and what reconciles did to it.
type world struct {
	reconciler *Reconciler
	api        client.WithWatch
	clock      *clocktesting.FakePassiveClock
	log        bytes.Buffer
	applies    []client.SubResourceApplyOptions
	// refuse is the API server's answer to the next writes when it is set.
	refuse []error
	// refuseReads is its answer to the lists of a type.
	refuseReads map[string]error
	// beforeWrite happens between a reconcile's reads and its write.
	beforeWrite func()
}

func newWorld(t *testing.T, f facts) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	w := &world{clock: clocktesting.NewFakePassiveClock(now)}
	w.api = fake.NewClientBuilder().WithScheme(scheme).
		WithTypeConverters(applyconfiguration.NewTypeConverter(scheme)).
		WithObjects(objectsOf(f)...).
		WithStatusSubresource(&v1alpha1.ZombiePolicy{}, &v1alpha1.ClusterZombiePolicy{}).
		Build()
	cached := interceptor.NewClient(w.api, interceptor.Funcs{List: w.list, SubResourceApply: w.apply})
	w.reconciler = New(w.clock, cached, cached)
	return w
}

func objectsOf(f facts) []client.Object {
	var objects []client.Object
	for i := range f.zps {
		objects = append(objects, &f.zps[i])
	}
	for i := range f.czps {
		objects = append(objects, &f.czps[i])
	}
	for i := range f.namespaces {
		objects = append(objects, &corev1.Namespace{ObjectMeta: f.namespaces[i].ObjectMeta})
	}
	for i := range f.pods {
		objects = append(objects, &corev1.Pod{ObjectMeta: f.pods[i].ObjectMeta})
	}
	for i := range f.reports {
		objects = append(objects, &f.reports[i])
	}
	for i := range f.remediations {
		objects = append(objects, &f.remediations[i])
	}
	return objects
}

func (w *world) list(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
	kind := list.GetObjectKind().GroupVersionKind().Kind
	if _, isMetadata := list.(*metav1.PartialObjectMetadataList); !isMetadata {
		gvk, err := c.GroupVersionKindFor(list)
		if err != nil {
			return err
		}
		kind = gvk.Kind
	}
	if err := w.refuseReads[kind]; err != nil {
		return err
	}
	return c.List(ctx, list, opts...)
}

func (w *world) apply(ctx context.Context, c client.Client, sub string, obj runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
	var o client.SubResourceApplyOptions
	w.applies = append(w.applies, *o.ApplyOpts(opts))
	if w.beforeWrite != nil {
		w.beforeWrite()
	}
	if len(w.refuse) > 0 {
		err := w.refuse[0]
		w.refuse = w.refuse[1:]
		return err
	}
	return c.SubResource(sub).Apply(ctx, obj, opts...)
}

func (w *world) reconcile(t *testing.T) (reconcile.Result, error) {
	t.Helper()
	logger := logr.FromSlogHandler(slog.NewJSONHandler(&w.log, nil))
	return w.reconciler.Reconcile(log.IntoContext(t.Context(), logger), everything)
}

func (w *world) mustReconcile(t *testing.T) reconcile.Result {
	t.Helper()
	result, err := w.reconcile(t)
	if err != nil {
		t.Fatalf("Reconcile() = %v", err)
	}
	return result
}

func (w *world) storedZP(t *testing.T, name string) *v1alpha1.ZombiePolicy {
	t.Helper()
	var p v1alpha1.ZombiePolicy
	if err := w.api.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: name}, &p); err != nil {
		t.Fatal(err)
	}
	return &p
}

func (w *world) storedCZP(t *testing.T, name string) *v1alpha1.ClusterZombiePolicy {
	t.Helper()
	var p v1alpha1.ClusterZombiePolicy
	if err := w.api.Get(t.Context(), client.ObjectKey{Name: name}, &p); err != nil {
		t.Fatal(err)
	}
	return &p
}

func busyShop() facts {
	return given(
		namespace("shop"), pod("shop", "web-0", "web"), pod("shop", "web-1", "web"), pod("shop", "db-0", "db"),
		zp("shop", "web", spec(enforce, "web")), czp("all", "", spec(dryRun, "")),
		leak("web-0", "app"),
		act("ZombiePolicy", "web", "shop", "r1", madeAfter(-time.Hour), endedAfter(-time.Minute)), act("ClusterZombiePolicy", "all", "shop", "r2"),
	)
}

func TestReconcileWritesTheStatusesOfBothKinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, busyShop())
	if got := w.mustReconcile(t); got != (reconcile.Result{}) {
		t.Errorf("Reconcile() = %+v, want no further count", got)
	}
	ready := func(reason, message string) []metav1.Condition {
		return []metav1.Condition{{
			Type: "Ready", Status: metav1.ConditionTrue, Reason: reason, Message: message,
			ObservedGeneration: 1, LastTransitionTime: metav1.NewTime(now),
		}}
	}
	want := v1alpha1.ZombiePolicyStatus{
		Conditions: ready("Enforce", "Acts on the pods it governs, but where it is held back. "+
			`ClusterZombiePolicy "all" holds it to DryRun for pods in namespace shop.`),
		ObservedGeneration: 1, Governed: new(int32(2)), Leaking: new(int32(1)), InFlight: new(int32(0)),
		LastAct: &v1alpha1.LastAct{
			Remediation: "r1", PodName: "web-0", Action: v1alpha1.ActionSignalParent,
			Outcome: v1alpha1.OutcomeCured, Time: metav1.NewTime(now.Add(-time.Minute)),
		},
	}
	if diff := cmp.Diff(want, w.storedZP(t, "web").Status); diff != "" {
		t.Errorf("ZombiePolicy (-want +got):\n%s", diff)
	}
	want = v1alpha1.ZombiePolicyStatus{
		Conditions: ready("DryRun", "Tells what it would do about the pods it governs, and does nothing. "+
			"Holds every ZombiePolicy that selects the same containers to DryRun at most."),
		ObservedGeneration: 1, Governed: new(int32(1)), Leaking: new(int32(0)), InFlight: new(int32(1)),
		LastAct: &v1alpha1.LastAct{
			Remediation: "r2", PodName: "web-0", Action: v1alpha1.ActionSignalParent, Time: metav1.NewTime(now),
		},
	}
	if diff := cmp.Diff(want, w.storedCZP(t, "all").Status); diff != "" {
		t.Errorf("ClusterZombiePolicy (-want +got):\n%s", diff)
	}
	for _, o := range w.applies {
		if o.FieldManager != v1alpha1.FieldManagerController || o.Force == nil {
			t.Errorf("applied by %q, forced %v, want by %q, forced", o.FieldManager, o.Force, v1alpha1.FieldManagerController)
		}
	}
	if len(w.applies) != 2 || w.log.Len() > 0 {
		t.Errorf("%d writes and the log %s, want two and no line of level info", len(w.applies), &w.log)
	}
}

func TestReconcileWritesNothingWhenNothingChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, busyShop())
	w.mustReconcile(t)
	w.clock.SetTime(now.Add(time.Hour))
	w.mustReconcile(t)
	if len(w.applies) != 2 {
		t.Errorf("%d writes, want two in the first count and none in the second", len(w.applies))
	}
}

func TestReconcileWritesOnlyTheStatusThatChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, busyShop())
	w.mustReconcile(t)
	gone := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1"}}
	if err := w.api.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	w.mustReconcile(t)
	if got := w.storedZP(t, "web").Status.Governed; *got != 1 || len(w.applies) != 3 {
		t.Errorf("governed = %d after %d writes, want 1 after one more than two", *got, len(w.applies))
	}
}

func TestReconcileForgetsALastActWhoseTrailIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, busyShop())
	w.mustReconcile(t)
	if err := w.api.DeleteAllOf(t.Context(), &v1alpha1.ZombieRemediation{}, client.InNamespace("shop")); err != nil {
		t.Fatal(err)
	}
	w.mustReconcile(t)
	if got := w.storedZP(t, "web").Status.LastAct; got != nil {
		t.Errorf("last act = %+v, want none", got)
	}
}

func TestReconcileLeavesOtherConditionsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, busyShop())
	policy := w.storedZP(t, "web")
	other := metav1.Condition{Type: "Reviewed", Status: metav1.ConditionTrue, Reason: "Team", LastTransitionTime: metav1.NewTime(now)}
	policy.Status.Conditions = []metav1.Condition{other}
	if err := w.api.Status().Update(t.Context(), policy, client.FieldOwner("somebody")); err != nil {
		t.Fatal(err)
	}
	w.mustReconcile(t)
	conditions := w.storedZP(t, "web").Status.Conditions
	if len(conditions) != 2 {
		t.Errorf("conditions = %+v, want Ready and Reviewed", conditions)
	}
}

func TestReconcileLeavesAPolicyThatIsBeingDeleted(t *testing.T) {
	t.Parallel()
	f := given(zp("shop", "web", spec(enforce, "")), czp("all", "", spec(enforce, "")))
	f.zps[0].Finalizers, f.czps[0].Finalizers = []string{"example.com/hold"}, []string{"example.com/hold"}
	w := newWorld(t, f)
	for _, obj := range []client.Object{&f.zps[0], &f.czps[0]} {
		if err := w.api.Delete(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	w.mustReconcile(t)
	if len(w.applies) > 0 {
		t.Errorf("%d writes, want none", len(w.applies))
	}
}

func TestReconcileCountsAgainWhenAPolicyChangedMeanwhile(t *testing.T) {
	t.Parallel()
	f := given(zp("shop", "web", spec(enforce, "")), czp("all", "", spec(enforce, "")))
	w := newWorld(t, f)
	change := func(obj client.Object, mode *v1alpha1.PolicyMode) {
		*mode = paused
		obj.SetGeneration(obj.GetGeneration() + 1)
		if err := w.api.Update(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
	}
	w.beforeWrite = func() {
		namespaced, clusterWide := w.storedZP(t, "web"), w.storedCZP(t, "all")
		change(namespaced, &namespaced.Spec.Mode)
		change(clusterWide, &clusterWide.Spec.Mode)
	}
	if got, want := w.mustReconcile(t), (reconcile.Result{RequeueAfter: soon}); got != want {
		t.Errorf("Reconcile() = %+v, want %+v", got, want)
	}
	statuses := func() []v1alpha1.ZombiePolicyStatus {
		return []v1alpha1.ZombiePolicyStatus{w.storedZP(t, "web").Status, w.storedCZP(t, "all").Status}
	}
	for _, got := range statuses() {
		if got.Conditions != nil {
			t.Errorf("conditions = %+v, want none about a version that is gone", got.Conditions)
		}
	}
	w.beforeWrite = nil
	w.mustReconcile(t)
	for _, got := range statuses() {
		if got.ObservedGeneration != 3 || got.Conditions[0].Reason != ReasonPaused {
			t.Errorf("status = %+v, want Paused of generation 3", got)
		}
	}
}

func TestReconcileAnswersToTheAPIServer(t *testing.T) {
	t.Parallel()
	policies := schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "zombiepolicies"}
	tests := map[string]struct {
		refuse  error
		wantErr bool
	}{
		"a policy that is gone is no error":        {apierrors.NewNotFound(policies, "web"), false},
		"a policy that changed is no error":        {apierrors.NewConflict(policies, "web", errors.New("changed")), false},
		"a right that is missing is an error":      {apierrors.NewForbidden(policies, "web", errors.New("RBAC")), true},
		"an object it does not accept is an error": {apierrors.NewInvalid(schema.GroupKind{Kind: "ZombiePolicy"}, "web", nil), true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, given(zp("shop", "a", spec(enforce, "")), zp("shop", "b", spec(enforce, ""))))
			w.refuse = []error{tc.refuse}
			_, err := w.reconcile(t)
			if (err != nil) != tc.wantErr || (tc.wantErr && !errors.Is(err, tc.refuse)) {
				t.Errorf("Reconcile() = %v, want an error: %t", err, tc.wantErr)
			}
			if got := w.storedZP(t, "b").Status.Conditions; len(got) != 1 {
				t.Errorf("conditions of the next policy = %+v, want Ready all the same", got)
			}
		})
	}
}

func TestReconcileWritesNothingOnFactsItCouldNotRead(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{
		"ZombiePolicyList", "ClusterZombiePolicyList", "NamespaceList", "PodList", "ZombieReportList", "ZombieRemediationList",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, busyShop())
			frozen := apierrors.NewInternalError(errors.New("etcd is frozen"))
			w.refuseReads = map[string]error{kind: frozen}
			if _, err := w.reconcile(t); !errors.Is(err, frozen) {
				t.Errorf("Reconcile() = %v, want the refusal", err)
			}
			if len(w.applies) > 0 {
				t.Error("wrote all the same")
			}
		})
	}
}
