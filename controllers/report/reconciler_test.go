package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
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
	reconciler *Reconciler
	api        client.WithWatch
	request    reconcile.Request
	log        bytes.Buffer
	deletes    []client.DeleteOptions
	applies    []client.SubResourceApplyOptions
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
	if f.pod != nil {
		objects = append(objects, f.pod)
	}
	w := &world{request: reconcile.Request{NamespacedName: client.ObjectKeyFromObject(f.report)}}
	w.api = fake.NewClientBuilder().WithScheme(scheme).
		WithTypeConverters(applyconfiguration.NewTypeConverter(scheme)).
		WithObjects(objects...).WithStatusSubresource(&v1alpha1.ZombieReport{}).
		WithIndex(&v1alpha1.ZombieReport{}, nodeNameIndex, indexByNodeName).
		Build()
	agents := agentsInMemory{f.report.Spec.NodeName: f.agent}
	cached := interceptor.NewClient(w.api, interceptor.Funcs{Delete: w.delete, SubResourceApply: w.apply})
	live := interceptor.NewClient(w.api, interceptor.Funcs{Get: w.get})
	w.reconciler = New(clocktesting.NewFakePassiveClock(now), cached, live, agents, settings)
	return w
}

func (w *world) get(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if w.refuseReads != nil {
		return w.refuseReads
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
	if w.beforeWrite != nil {
		w.beforeWrite()
	}
	return w.refuse
}

func (w *world) reconcile(t *testing.T) (reconcile.Result, error) {
	t.Helper()
	logger := logr.FromSlogHandler(slog.NewJSONHandler(&w.log, nil))
	return w.reconciler.Reconcile(log.IntoContext(t.Context(), logger), w.request)
}

func (w *world) mustReconcile(t *testing.T) reconcile.Result {
	t.Helper()
	result, err := w.reconcile(t)
	if err != nil {
		t.Fatalf("Reconcile() = %v", err)
	}
	return result
}

// stored is the report that the API server has now; nil when it has none.
func (w *world) stored(t *testing.T) *v1alpha1.ZombieReport {
	t.Helper()
	var report v1alpha1.ZombieReport
	err := w.api.Get(t.Context(), w.request.NamespacedName, &report)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return &report
}

// touch changes the report the way an agent would, so that it has a newer resource version.
func (w *world) touch(t *testing.T) {
	t.Helper()
	report := w.stored(t)
	report.Status.Observed.Zombies++
	if err := w.api.Status().Update(t.Context(), report); err != nil {
		t.Fatal(err)
	}
}

// wantLog checks that there is one line for each level, with some words in it.
func (w *world) wantLog(t *testing.T, level string, words ...string) {
	t.Helper()
	logged := strings.TrimSpace(w.log.String())
	if level == "" {
		if logged != "" {
			t.Errorf("logged %s, want silence", logged)
		}
		return
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(logged), &line); err != nil {
		t.Fatalf("logged %q, want one line of JSON: %v", logged, err)
	}
	if line["level"] != level {
		t.Errorf("logged level %v, want %s", line["level"], level)
	}
	for _, word := range words {
		if !strings.Contains(logged, word) {
			t.Errorf("logged %s, want it to name %q", logged, word)
		}
	}
}

func TestReconcileDoesNothingWhenNothingChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled())
	if got := w.mustReconcile(t); got != (reconcile.Result{}) {
		t.Errorf("Reconcile() = %+v, want no further check", got)
	}
	if len(w.deletes)+len(w.applies) > 0 {
		t.Errorf("wrote: deletes %v, applies %v", w.deletes, w.applies)
	}
	w.wantLog(t, "")
}

func TestReconcileIgnoresAReportThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled())
	w.request.Name = "gone"
	w.mustReconcile(t)
	w.wantLog(t, "")
}

func TestReconcileIgnoresAReportThatIsBeingDeleted(t *testing.T) {
	t.Parallel()
	f := settled(podIsGone, func(f *facts) { f.report.Finalizers = []string{"example.com/hold"} })
	w := newWorld(t, f)
	if err := w.api.Delete(t.Context(), w.stored(t)); err != nil {
		t.Fatal(err)
	}
	w.mustReconcile(t)
	if len(w.deletes) > 0 {
		t.Error("deleted it again")
	}
}

func TestReconcileDeletesExactlyTheReportItJudged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled(podIsGone))
	judged := w.stored(t)
	w.mustReconcile(t)
	want := []client.DeleteOptions{{Preconditions: &metav1.Preconditions{UID: &judged.UID, ResourceVersion: &judged.ResourceVersion}}}
	if diff := cmp.Diff(want, w.deletes, cmpopts.IgnoreUnexported(client.DeleteOptions{})); diff != "" {
		t.Errorf("delete options (-want +got):\n%s", diff)
	}
	if w.stored(t) != nil {
		t.Error("the report is still there")
	}
	w.wantLog(t, "INFO", ReasonPodGone, "web-0", "n1")
}

func TestReconcileWarnsOfAReportItDoesNotBelieve(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled(podIsElsewhere))
	w.mustReconcile(t)
	if w.stored(t) != nil {
		t.Error("the report is still there")
	}
	w.wantLog(t, "WARN", ReasonNodeMismatch, "n1", "n2")
}

func TestReconcileKeepsAReportThatChangedWhileItWasJudged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled(podIsGone))
	w.beforeWrite = func() { w.touch(t) }
	w.mustReconcile(t)
	if w.stored(t) == nil {
		t.Error("deleted a report that was written after it was judged")
	}
	w.wantLog(t, "")
}

func TestReconcileDoesNotVerifyAnObservationItDidNotSee(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled(conditionsAreUnset))
	w.beforeWrite = func() { w.touch(t) }
	w.mustReconcile(t)
	if c := meta.FindStatusCondition(w.stored(t).Status.Conditions, v1alpha1.ConditionVerified); c != nil {
		t.Errorf("wrote %+v on a report that changed meanwhile", c)
	}
	w.wantLog(t, "")
}

func TestReconcileAppliesItsConditionsAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled(conditionsAreUnset, agentNotReadyFor(5*time.Minute)))
	before := w.stored(t)
	if got, want := w.mustReconcile(t), (reconcile.Result{RequeueAfter: 10 * time.Minute}); got != want {
		t.Errorf("Reconcile() = %+v, want %+v", got, want)
	}
	after := w.stored(t)
	if diff := cmp.Diff(before.Status.Observed, after.Status.Observed); diff != "" {
		t.Errorf("the observation changed:\n%s", diff)
	}
	var got []string
	for _, c := range after.Status.Conditions {
		got = append(got, c.Type+"="+string(c.Status))
	}
	if diff := cmp.Diff([]string{"Leaking=True", "Stale=True", "Verified=True"}, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	if len(w.applies) != 1 || w.applies[0].FieldManager != v1alpha1.FieldManagerController || w.applies[0].Force == nil {
		t.Errorf("applies = %+v, want one, forced, by %s", w.applies, v1alpha1.FieldManagerController)
	}
	w.wantLog(t, "INFO", "Verified=True (PodMatches)", "Stale=True (AgentNotReady)", "web-0", "n1")
}

func TestReconcileSettlesAfterOneWrite(t *testing.T) {
	t.Parallel()
	for name, changes := range map[string][]change{
		"for a new report":                         {conditionsAreUnset},
		"for a container that is not current":      {containerIsNewer},
		"for an agent that is not ready":           {agentNotReadyFor(6 * time.Minute)},
		"for an agent that is missing":             {agentMissingFor(6 * time.Minute)},
		"for an agent that is ready again":         {agentNotReadyFor(9 * time.Minute), markedStaleFor(4 * time.Minute), func(f *facts) { f.agent.Ready = true }},
		"for a report without any observation yet": {conditionsAreUnset, nothingIsObserved},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, settled(changes...))
			first := w.mustReconcile(t)
			second := w.mustReconcile(t)
			if len(w.applies) != 1 {
				t.Errorf("%d writes, want 1", len(w.applies))
			}
			if first != second {
				t.Errorf("Reconcile() = %+v, then %+v", first, second)
			}
			w.wantLog(t, "INFO")
		})
	}
}

func TestReconcileTakesBackTheFieldsItOwns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled())
	report := w.stored(t)
	report.Status.Conditions[1].Status = metav1.ConditionUnknown
	if err := w.api.Status().Update(t.Context(), report, client.FieldOwner("somebody")); err != nil {
		t.Fatal(err)
	}
	w.mustReconcile(t)
	c := meta.FindStatusCondition(w.stored(t).Status.Conditions, v1alpha1.ConditionVerified)
	if c == nil || c.Status != metav1.ConditionTrue {
		t.Errorf("Verified = %+v, want True", c)
	}
}

func TestReconcileAnswersToTheAPIServer(t *testing.T) {
	t.Parallel()
	reports := schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "zombiereports"}
	tests := map[string]struct {
		refuse  error
		wantErr bool
	}{
		"a report that is gone is no error":        {apierrors.NewNotFound(reports, "web"), false},
		"a report that changed is no error":        {apierrors.NewConflict(reports, "web", errors.New("changed")), false},
		"a right that is missing is an error":      {apierrors.NewForbidden(reports, "web", errors.New("RBAC")), true},
		"an API server without space is an error":  {apierrors.NewInternalError(errors.New("etcdserver: no space")), true},
		"an API server that is busy is an error":   {apierrors.NewTooManyRequestsError("later"), true},
		"a write that takes too long is an error":  {context.DeadlineExceeded, true},
		"an object it does not accept is an error": {apierrors.NewInvalid(schema.GroupKind{Kind: "ZombieReport"}, "web", nil), true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, f := range map[string]facts{"delete": settled(podIsGone), "apply": settled(conditionsAreUnset)} {
				w := newWorld(t, f)
				w.refuse = tc.refuse
				_, err := w.reconcile(t)
				if (err != nil) != tc.wantErr || (tc.wantErr && !errors.Is(err, tc.refuse)) {
					t.Errorf("%s: Reconcile() = %v, want an error: %t", what, err, tc.wantErr)
				}
				w.wantLog(t, "")
			}
		})
	}
}

func TestReconcileDecidesNothingOnFactsItCouldNotRead(t *testing.T) {
	t.Parallel()
	t.Run("when the pod cannot be read", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, settled())
		w.refuseReads = apierrors.NewInternalError(errors.New("etcd is frozen"))
		if _, err := w.reconcile(t); !errors.Is(err, w.refuseReads) {
			t.Errorf("Reconcile() = %v, want the refusal", err)
		}
		if len(w.deletes)+len(w.applies) > 0 {
			t.Error("wrote all the same")
		}
	})
	t.Run("when the agent is not known", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, settled(conditionsAreUnset))
		w.reconciler.agents = agentsInMemory{}
		if _, err := w.reconcile(t); err == nil {
			t.Error("Reconcile() = nil, want an error")
		}
		if len(w.applies) > 0 {
			t.Error("wrote all the same")
		}
	})
}
