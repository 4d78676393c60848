package nodereport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/reference"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/zombie-operator/zombie-operator/api/applyconfiguration"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/agentpods"
)

// agentsInMemory is AgentPods without a cluster.
type agentsInMemory map[string]agentpods.Agent

func (a agentsInMemory) OnNode(_ context.Context, node string) (agentpods.Agent, error) {
	agent, ok := a[node]
	if !ok {
		return agentpods.Agent{}, errors.New("no cache")
	}
	return agent, nil
}

// world is an API server in memory with the objects of some facts, and what a reconcile did to it.
type world struct {
	t          *testing.T
	reconciler *Reconciler
	api        client.WithWatch
	request    reconcile.Request
	log        bytes.Buffer
	deletes    []client.DeleteOptions
	applies    []client.SubResourceApplyOptions
	// told are the Events, with what they are about.
	told []string
	// refuse is the API server's answer to every write when it is set.
	refuse error
	// refuseReads is its answer to every live read.
	refuseReads error
	// beforeWrite happens between a reconcile's read and its write.
	beforeWrite func()
}

func newWorld(t *testing.T, f facts) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	objects := []client.Object{f.report}
	if f.node != nil {
		objects = append(objects, &corev1.Node{ObjectMeta: f.node.ObjectMeta})
	}
	w := &world{t: t, request: reconcile.Request{NamespacedName: client.ObjectKeyFromObject(f.report)}}
	w.api = fake.NewClientBuilder().WithScheme(scheme).
		WithTypeConverters(applyconfiguration.NewTypeConverter(scheme)).
		WithObjects(objects...).WithStatusSubresource(&v1alpha1.ZombieNodeReport{}).
		Build()
	cached := interceptor.NewClient(w.api, interceptor.Funcs{Delete: w.delete, SubResourceApply: w.apply})
	live := interceptor.NewClient(w.api, interceptor.Funcs{Get: w.get})
	agents := agentsInMemory{f.report.Spec.NodeName: f.agent}
	w.reconciler = New(clocktesting.NewFakePassiveClock(now), cached, live, agents, w, settings)
	return w
}

// Eventf is an event recorder.
func (w *world) Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any) {
	about, err := reference.GetReference(w.api.Scheme(), regarding)
	if err != nil || related != nil || action == "" {
		w.t.Errorf("Event %s about %v and %v with action %q: %v", reason, regarding, related, action, err)
		return
	}
	w.told = append(w.told, fmt.Sprintf("%s %s %s %q: %s %s %s",
		about.APIVersion, about.Kind, about.Name, about.UID, kind, reason, fmt.Sprintf(note, args...)))
}

func (w *world) get(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if w.refuseReads != nil {
		return w.refuseReads
	}
	if _, ok := obj.(*metav1.PartialObjectMetadata); !ok {
		w.t.Errorf("read a whole %T", obj)
	}
	return c.Get(ctx, key, obj, opts...)
}

func (w *world) delete(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
	var o client.DeleteOptions
	w.deletes = append(w.deletes, *o.ApplyOptions(opts))
	if err := w.answer(); err != nil {
		return err
	}
	return c.Delete(ctx, obj, opts...)
}

func (w *world) apply(ctx context.Context, c client.Client, sub string, obj runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
	var o client.SubResourceApplyOptions
	w.applies = append(w.applies, *o.ApplyOpts(opts))
	if err := w.answer(); err != nil {
		return err
	}
	return c.SubResource(sub).Apply(ctx, obj, opts...)
}

func (w *world) answer() error {
	if len(w.told) > 0 {
		w.t.Errorf("told %q before the write", w.told)
	}
	if w.beforeWrite != nil {
		w.beforeWrite()
	}
	return w.refuse
}

func (w *world) reconcile() (reconcile.Result, error) {
	logger := logr.FromSlogHandler(slog.NewJSONHandler(&w.log, nil))
	return w.reconciler.Reconcile(log.IntoContext(w.t.Context(), logger), w.request)
}

func (w *world) mustReconcile() reconcile.Result {
	w.t.Helper()
	result, err := w.reconcile()
	if err != nil {
		w.t.Fatalf("Reconcile() = %v", err)
	}
	return result
}

// stored is the report that the API server has now; nil when it has none.
func (w *world) stored() *v1alpha1.ZombieNodeReport {
	w.t.Helper()
	var stored v1alpha1.ZombieNodeReport
	err := w.api.Get(w.t.Context(), w.request.NamespacedName, &stored)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return &stored
}

// touch changes the report the way an agent would, so that it has a newer resource version.
func (w *world) touch() {
	w.t.Helper()
	stored := w.stored()
	stored.Status.Observed.HostZombies++
	if err := w.api.Status().Update(w.t.Context(), stored); err != nil {
		w.t.Fatal(err)
	}
}

// quiet checks that nothing was told or logged.
func (w *world) quiet() {
	w.t.Helper()
	if len(w.told) > 0 || w.log.Len() > 0 {
		w.t.Errorf("told %q and logged %s, want silence", w.told, w.log.String())
	}
}

func TestReconcileDoesNothingWhenNothingChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled())
	if got := w.mustReconcile(); got != (reconcile.Result{}) {
		t.Errorf("Reconcile() = %+v, want no further check", got)
	}
	if len(w.deletes)+len(w.applies) > 0 {
		t.Errorf("wrote: deletes %v, applies %v", w.deletes, w.applies)
	}
	w.quiet()
}

func TestReconcileIgnoresAReportThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled())
	w.request.Name = "gone"
	w.mustReconcile()
	w.quiet()
}

func TestReconcileIgnoresAReportThatIsBeingDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled(nodeIsGone, func(f *facts) { f.report.Finalizers = []string{"example.com/hold"} }))
	if err := w.api.Delete(t.Context(), w.stored()); err != nil {
		t.Fatal(err)
	}
	w.mustReconcile()
	if len(w.deletes) > 0 {
		t.Error("deleted it again")
	}
}

func TestReconcileDeletesExactlyTheReportItJudged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled(nodeIsGone))
	judged := w.stored()
	w.mustReconcile()
	want := []client.DeleteOptions{{Preconditions: &metav1.Preconditions{UID: &judged.UID, ResourceVersion: &judged.ResourceVersion}}}
	if diff := cmp.Diff(want, w.deletes, cmpopts.IgnoreUnexported(client.DeleteOptions{})); diff != "" {
		t.Errorf("delete options (-want +got):\n%s", diff)
	}
	if w.stored() != nil {
		t.Error("the report is still there")
	}
	if logged := w.log.String(); !strings.Contains(logged, ReasonNodeGone) || !strings.Contains(logged, "n1") {
		t.Errorf("logged %s, want the reason and the node", logged)
	}
}

func TestReconcileKeepsAReportThatChangedWhileItWasJudged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled(healedFor(2*time.Hour)))
	w.beforeWrite = w.touch
	w.mustReconcile()
	if w.stored() == nil {
		t.Error("deleted a report that was written after it was judged")
	}
	w.quiet()
}

func TestReconcileTellsOnTheNodeAfterTheWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled(conditionsAreUnset))
	before := w.stored()
	w.mustReconcile()
	want := []string{`v1 Node n1 "node-uid": Warning ZombiesOnNode There are 12 zombies outside of every container, and 0 that cannot be attributed. Most are children of cron (9).`}
	if diff := cmp.Diff(want, w.told); diff != "" {
		t.Errorf("Events (-want +got):\n%s", diff)
	}
	after := w.stored()
	if diff := cmp.Diff(before.Status.Observed, after.Status.Observed); diff != "" {
		t.Errorf("the observation changed:\n%s", diff)
	}
	var got []string
	for _, c := range after.Status.Conditions {
		got = append(got, c.Type+"="+string(c.Status))
	}
	conditions := []string{"Leaking=True", "PIDPressure=False", "Stale=False", "Told=True"}
	if diff := cmp.Diff(conditions, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	if len(w.applies) != 1 || w.applies[0].FieldManager != v1alpha1.FieldManagerController || w.applies[0].Force == nil {
		t.Errorf("applies = %+v, want one, forced, by %s", w.applies, v1alpha1.FieldManagerController)
	}
}

func TestReconcileTellsNothingTwiceAfterARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled(conditionsAreUnset))
	w.mustReconcile()
	w.told = nil
	w.log.Reset()
	w.reconciler = New(w.reconciler.clock, w.reconciler.client, w.reconciler.liveNodes, w.reconciler.agents, w, settings)
	w.mustReconcile()
	if len(w.applies) != 1 {
		t.Errorf("%d writes, want 1", len(w.applies))
	}
	w.quiet()
}

func TestReconcileTellsNothingThatItCouldNotWriteDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled(conditionsAreUnset))
	w.beforeWrite = w.touch
	w.mustReconcile()
	w.quiet()
	w.beforeWrite = nil
	w.mustReconcile()
	if len(w.told) != 1 {
		t.Errorf("Events = %q, want the one that was not told before", w.told)
	}
}

func TestReconcileChecksAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled(agentNotReadyFor(5*time.Minute)))
	if got, want := w.mustReconcile(), (reconcile.Result{RequeueAfter: 10 * time.Minute}); got != want {
		t.Errorf("Reconcile() = %+v, want %+v", got, want)
	}
}

func TestReconcileAnswersToTheAPIServer(t *testing.T) {
	t.Parallel()
	reports := schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "zombienodereports"}
	tests := map[string]struct {
		refuse  error
		wantErr bool
	}{
		"a report that is gone is no error":        {apierrors.NewNotFound(reports, "n1"), false},
		"a report that changed is no error":        {apierrors.NewConflict(reports, "n1", errors.New("changed")), false},
		"a right that is missing is an error":      {apierrors.NewForbidden(reports, "n1", errors.New("RBAC")), true},
		"a write that takes too long is an error":  {context.DeadlineExceeded, true},
		"an object it does not accept is an error": {apierrors.NewInvalid(schema.GroupKind{Kind: "ZombieNodeReport"}, "n1", nil), true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, f := range map[string]facts{"delete": settled(nodeIsGone), "apply": settled(conditionsAreUnset)} {
				w := newWorld(t, f)
				w.refuse = tc.refuse
				_, err := w.reconcile()
				if (err != nil) != tc.wantErr || (tc.wantErr && !errors.Is(err, tc.refuse)) {
					t.Errorf("%s: Reconcile() = %v, want an error: %t", what, err, tc.wantErr)
				}
				w.quiet()
			}
		})
	}
}

func TestReconcileDecidesNothingOnFactsItCouldNotRead(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*world){
		"when the node cannot be read": func(w *world) { w.refuseReads = apierrors.NewInternalError(errors.New("etcd is frozen")) },
		"when the agent is not known":  func(w *world) { w.reconciler.agents = agentsInMemory{} },
	}
	for name, happen := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, settled(conditionsAreUnset))
			happen(w)
			if _, err := w.reconcile(); err == nil {
				t.Error("Reconcile() = nil, want an error")
			}
			if len(w.deletes)+len(w.applies) > 0 {
				t.Error("wrote all the same")
			}
			w.quiet()
		})
	}
}
