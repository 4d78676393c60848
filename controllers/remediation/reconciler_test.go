package remediation

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// world is an API server in memory with some remediations and no pod, and what reconciles did to it.
type world struct {
	reconciler *Reconciler
	api        client.WithWatch
	clock      *clocktesting.FakePassiveClock
	request    reconcile.Request // of the first remediation
	log        bytes.Buffer
	deletes    []client.DeleteOptions
	updates    int
	// refuse is the API server's answer to every write when it is set.
	refuse error
	// beforeWrite happens between a reconcile's read and its write.
	beforeWrite func()
}

func newWorld(t *testing.T, remediations ...*v1alpha1.ZombieRemediation) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	w := &world{clock: clocktesting.NewFakePassiveClock(now)}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.ZombieRemediation{})
	for _, r := range remediations {
		builder.WithObjects(r)
	}
	w.api = builder.Build()
	if len(remediations) > 0 {
		w.request.NamespacedName = client.ObjectKeyFromObject(remediations[0])
	}
	cached := interceptor.NewClient(w.api, interceptor.Funcs{Delete: w.delete, SubResourceUpdate: w.update})
	w.reconciler = New(w.clock, cached, settings)
	return w
}

func (w *world) delete(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
	var o client.DeleteOptions
	w.deletes = append(w.deletes, *o.ApplyOptions(opts))
	if err := w.answer(); err != nil {
		return err
	}
	return c.Delete(ctx, obj, opts...)
}

func (w *world) update(ctx context.Context, c client.Client, sub string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
	w.updates++
	if err := w.answer(); err != nil {
		return err
	}
	return c.SubResource(sub).Update(ctx, obj, opts...)
}

func (w *world) answer() error {
	if w.beforeWrite != nil {
		w.beforeWrite()
	}
	return w.refuse
}

func (w *world) reconcile(t *testing.T, req reconcile.Request) (reconcile.Result, error) {
	t.Helper()
	logger := logr.FromSlogHandler(slog.NewJSONHandler(&w.log, nil))
	return w.reconciler.Reconcile(log.IntoContext(t.Context(), logger), req)
}

func (w *world) mustReconcile(t *testing.T) reconcile.Result {
	t.Helper()
	result, err := w.reconcile(t, w.request)
	if err != nil {
		t.Fatalf("Reconcile() = %v", err)
	}
	return result
}

// stored is the first remediation as the API server has it now; nil when it has none.
func (w *world) stored(t *testing.T) *v1alpha1.ZombieRemediation {
	t.Helper()
	var r v1alpha1.ZombieRemediation
	err := w.api.Get(t.Context(), w.request.NamespacedName, &r)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return &r
}

// beginMeanwhile is an agent that stores its intent.
func (w *world) beginMeanwhile(t *testing.T) {
	t.Helper()
	r := w.stored(t)
	executing(0)(r)
	if err := w.api.Status().Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func TestReconcileEndsWhatNoAgentClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t, justMade())
	if got, want := w.mustReconcile(t), (reconcile.Result{RequeueAfter: time.Minute}); got != want {
		t.Errorf("Reconcile() = %+v, want %+v", got, want)
	}
	if w.updates > 0 || w.log.Len() > 0 {
		t.Errorf("%d writes and the log %s, want neither yet", w.updates, &w.log)
	}
	w.clock.SetTime(now.Add(time.Minute))
	if got := w.mustReconcile(t); got != (reconcile.Result{}) {
		t.Errorf("Reconcile() = %+v, want no further check before the event of its own write", got)
	}
	ending := metav1.NewTime(now.Add(time.Minute))
	message := `No agent of node "n1" claimed it within 1m0s. Nothing was done.`
	want := v1alpha1.ZombieRemediationStatus{
		Outcome: v1alpha1.OutcomeExpired, Message: message, CompletionTime: &ending,
		Conditions: []metav1.Condition{{
			Type: v1alpha1.ConditionCompleted, Status: metav1.ConditionTrue, Reason: "Expired", Message: message,
			ObservedGeneration: 1, LastTransitionTime: ending,
		}},
	}
	if diff := cmp.Diff(want, w.stored(t).Status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	for _, word := range []string{`"level":"INFO"`, "Expired", "web-0", "n1"} {
		if !strings.Contains(w.log.String(), word) {
			t.Errorf("logged %s, want it to name %s", &w.log, word)
		}
	}
}

func TestReconcileKeepsWhatTheAgentWrote(t *testing.T) {
	t.Parallel()
	w := newWorld(t, justMade(made(time.Hour), executing(time.Hour), func(r *v1alpha1.ZombieRemediation) {
		r.Status.AttemptID, r.Status.BootID, r.Status.ZombiesBefore = "attempt", "boot", new(int32(7))
	}))
	before := w.stored(t).Status
	w.mustReconcile(t)
	after := w.stored(t).Status
	if after.Outcome != v1alpha1.OutcomeInterrupted || len(after.Conditions) != 3 {
		t.Errorf("status = %+v, want it Interrupted with one condition more", after)
	}
	after.Outcome, after.Message, after.CompletionTime, after.Conditions = "", "", nil, after.Conditions[:2]
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("what the agent wrote changed:\n%s", diff)
	}
}

func TestReconcileKeepsTheTrailForADayThoughThePodIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, justMade(made(time.Hour), ended(0)))
	if got, want := w.mustReconcile(t), (reconcile.Result{RequeueAfter: 24 * time.Hour}); got != want {
		t.Errorf("Reconcile() = %+v, want %+v", got, want)
	}
	w.clock.SetTime(now.Add(24 * time.Hour))
	judged := w.stored(t)
	w.mustReconcile(t)
	want := []client.DeleteOptions{{Preconditions: &metav1.Preconditions{UID: &judged.UID, ResourceVersion: &judged.ResourceVersion}}}
	if diff := cmp.Diff(want, w.deletes, cmpopts.IgnoreUnexported(client.DeleteOptions{})); diff != "" {
		t.Errorf("delete options (-want +got):\n%s", diff)
	}
	if w.stored(t) != nil || w.updates > 0 {
		t.Errorf("the remediation is still there, or %d writes went into it", w.updates)
	}
	if !strings.Contains(w.log.String(), "Deleted remediation") || !strings.Contains(w.log.String(), "Cured") {
		t.Errorf("logged %s, want the end of the trail", &w.log)
	}
}

func TestReconcileDoesNotOverruleAnAgentThatBeganMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, justMade(made(time.Minute)))
	w.beforeWrite = func() { w.beginMeanwhile(t) }
	w.mustReconcile(t)
	if got := w.stored(t).Status; got.Outcome != "" || got.StartTime == nil {
		t.Errorf("status = %+v, want the agent's", got)
	}
	if w.updates != 1 || w.log.Len() > 0 {
		t.Errorf("%d writes and the log %s, want one try and silence", w.updates, &w.log)
	}
	w.beforeWrite = nil
	if got, want := w.mustReconcile(t), (reconcile.Result{RequeueAfter: 5 * time.Minute}); got != want {
		t.Errorf("Reconcile() = %+v, want %+v", got, want)
	}
}

func TestReconcileLeavesWhatIsGoneOrGoing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, justMade(made(time.Hour), func(r *v1alpha1.ZombieRemediation) { r.Finalizers = []string{"example.com/hold"} }))
	if err := w.api.Delete(t.Context(), w.stored(t)); err != nil {
		t.Fatal(err)
	}
	w.mustReconcile(t)
	w.request.Name = "gone"
	w.mustReconcile(t)
	if w.updates+len(w.deletes) > 0 || w.log.Len() > 0 {
		t.Errorf("wrote %d times, deleted %d times, logged %s", w.updates, len(w.deletes), &w.log)
	}
}

func TestReconcileBoundsTheirNumber(t *testing.T) {
	t.Parallel()
	named := func(name string, changes ...change) *v1alpha1.ZombieRemediation {
		r := justMade(changes...)
		r.Name = name
		return r
	}
	w := newWorld(t, named("newest", ended(1*time.Second)), named("oldest", ended(3*time.Second)),
		named("older", ended(2*time.Second)), named("underway", made(time.Minute), executing(time.Minute)))
	w.reconciler.settings.MaxCompleted = 1
	result, err := w.reconcile(t, everyCompleted)
	if err != nil || result != (reconcile.Result{}) {
		t.Fatalf("Reconcile() = %+v, %v", result, err)
	}
	var left v1alpha1.ZombieRemediationList
	if err := w.api.List(t.Context(), &left); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range left.Items {
		names = append(names, r.Name)
	}
	if diff := cmp.Diff([]string{"newest", "underway"}, names); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

func TestReconcileAnswersToTheAPIServer(t *testing.T) {
	t.Parallel()
	remediations := schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "zombieremediations"}
	tests := map[string]struct {
		refuse  error
		wantErr bool
	}{
		"a remediation that is gone is no error":  {apierrors.NewNotFound(remediations, "web"), false},
		"a remediation that changed is no error":  {apierrors.NewConflict(remediations, "web", errors.New("changed")), false},
		"a right that is missing is an error":     {apierrors.NewForbidden(remediations, "web", errors.New("RBAC")), true},
		"an API server without space is an error": {apierrors.NewInternalError(errors.New("etcdserver: no space")), true},
		"a write that takes too long is an error": {context.DeadlineExceeded, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, r := range map[string]*v1alpha1.ZombieRemediation{
				"end": justMade(made(time.Hour)), "delete": justMade(made(time.Hour), ended(24*time.Hour)), "bound": justMade(ended(0)),
			} {
				w := newWorld(t, r)
				w.refuse = tc.refuse
				if what == "bound" {
					w.request, w.reconciler.settings.MaxCompleted = everyCompleted, 0
				}
				_, err := w.reconcile(t, w.request)
				if (err != nil) != tc.wantErr || (tc.wantErr && !errors.Is(err, tc.refuse)) {
					t.Errorf("%s: Reconcile() = %v, want an error: %t", what, err, tc.wantErr)
				}
				if w.updates+len(w.deletes) != 1 || w.log.Len() > 0 {
					t.Errorf("%s: %d tries, logged %s", what, w.updates+len(w.deletes), &w.log)
				}
			}
		})
	}
}
