package remedy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	coreconfiguration "k8s.io/client-go/applyconfigurations"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/zombie-operator/zombie-operator/api/applyconfiguration"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

// world is an API server in memory, a controller, and by its methods the agent, the kubelet and people.
type world struct {
	t     *testing.T
	api   client.WithWatch
	clock *clocktesting.FakePassiveClock
	r     *Reconciler
	// told are the Events since they were last asked for.
	told []string
	// writes is what the controller wrote, as verb and kind.
	writes []string
	// refuse answers a write in place of the API server when it returns an error.
	refuse func(verb string, obj client.Object) error
	// refuseRead answers a live read.
	refuseRead func(obj client.Object) error
	// before happens before a write.
	before func(verb string, obj client.Object)
}

// errAnswered says that a live read was answered by the test itself.
var errAnswered = errors.New("answered")

// newWorld is a world with the leaking pod of these facts, in which nothing was judged yet, and its policy.
func newWorld(t *testing.T, changes ...change) *world {
	t.Helper()
	f := leaking(changes...)
	f.report.Status.Judgement = nil
	f.report.Status.Conditions = f.report.Status.Conditions[:2]
	w := &world{t: t, clock: clocktesting.NewFakePassiveClock(now)}
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	w.api = fake.NewClientBuilder().WithScheme(scheme).
		WithTypeConverters(applyconfiguration.NewTypeConverter(scheme), coreconfiguration.NewTypeConverter(scheme)).
		WithStatusSubresource(&v1alpha1.ZombieReport{}, &v1alpha1.ZombieRemediation{}, &v1alpha1.ZombiePolicy{}).
		WithIndex(&v1alpha1.ZombieRemediation{}, podUIDIndex, indexByPodUID).
		WithObjects(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, f.report, f.pod, webPolicy(f)).
		Build()
	written := interceptor.NewClient(w.api, interceptor.Funcs{
		Create: w.create, Update: w.update, SubResourceUpdate: w.updateStatus, SubResourceApply: w.apply,
	})
	live := interceptor.NewClient(w.api, interceptor.Funcs{Get: w.get})
	w.r = New(w.clock, written, w.api, live, ledger.NewStore(written, ourSpace), w, ourSpace)
	return w
}

func webPolicy(f facts) *v1alpha1.ZombiePolicy {
	return &v1alpha1.ZombiePolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Generation: 3},
		Spec:       f.rulings["app"].Spec,
	}
}

// Eventf is an event recorder.
func (w *world) Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any) {
	about, ok := regarding.(client.Object)
	if !ok || action == "" {
		w.t.Errorf("Event %s about %T with action %q", reason, regarding, action)
		return
	}
	line := fmt.Sprintf("%s %s/%s: %s %s", strings.TrimPrefix(fmt.Sprintf("%T", regarding), "*"), about.GetNamespace(), about.GetName(), kind, reason)
	if related == nil {
		line += " (alone)"
	}
	w.told = append(w.told, line+" "+fmt.Sprintf(note, args...))
}

// onPod are the reasons and notes of the Events on the pods since they were last asked for.
func (w *world) onPod() []string {
	var lines []string
	for _, line := range w.told {
		if rest, ok := strings.CutPrefix(line, "v1.Pod shop/web-0: "); ok {
			lines = append(lines, rest)
		}
	}
	w.told = nil
	return lines
}

// reasons are the second words of lines: kind, reason, note.
func reasonsOf(lines []string) []string {
	var reasons []string
	for _, line := range lines {
		reasons = append(reasons, strings.Fields(line)[1])
	}
	return reasons
}

func (w *world) write(verb string, obj client.Object) error {
	if w.before != nil {
		w.before(verb, obj)
	}
	if w.refuse != nil {
		if err := w.refuse(verb, obj); err != nil {
			return err
		}
	}
	w.writes = append(w.writes, verb+" "+strings.TrimPrefix(fmt.Sprintf("%T", obj), "*v1alpha1."))
	return nil
}

func (w *world) create(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
	if err := w.write("create", obj); err != nil {
		return err
	}
	obj.SetCreationTimestamp(metav1.NewTime(w.clock.Now()).Rfc3339Copy())
	return c.Create(ctx, obj, opts...)
}

func (w *world) update(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
	if err := w.write("update", obj); err != nil {
		return err
	}
	return c.Update(ctx, obj, opts...)
}

func (w *world) updateStatus(ctx context.Context, c client.Client, sub string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
	if err := w.write("update "+sub, obj); err != nil {
		return err
	}
	return c.SubResource(sub).Update(ctx, obj, opts...)
}

func (w *world) apply(ctx context.Context, c client.Client, sub string, obj runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
	if err := w.write("apply "+sub, &v1alpha1.ZombieReport{}); err != nil {
		return err
	}
	return c.SubResource(sub).Apply(ctx, obj, opts...)
}

func (w *world) get(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if w.refuseRead != nil {
		if err := w.refuseRead(obj); errors.Is(err, errAnswered) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return c.Get(ctx, key, obj, opts...)
}

// slowReader lets something happen before each list that is read.
type slowReader struct {
	client.Reader

	before func()
}

func (r slowReader) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	r.before()
	return r.Reader.List(ctx, list, opts...)
}

// pass lets time go by.
func (w *world) pass(d time.Duration) { w.clock.SetTime(w.clock.Now().Add(d)) }

var webRequest = request("shop", v1alpha1.ReportName("web-0", webUID))

func (w *world) reconcile() time.Duration { return w.mustReconcile(webRequest) }

func (w *world) mustReconcile(req reconcile.Request) time.Duration {
	w.t.Helper()
	result, err := w.r.Reconcile(w.t.Context(), req)
	if err != nil {
		w.t.Fatalf("Reconcile() = %v", err)
	}
	return result.RequeueAfter
}

// judged reconciles a new report until its trigger has held for its time.
func (w *world) judged() {
	w.t.Helper()
	if again := w.reconcile(); again != time.Minute {
		w.t.Fatalf("a new leak is asked for again after %s, want %s", again, time.Minute)
	}
	w.pass(time.Minute)
	w.reconcile()
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(key client.ObjectKey, obj client.Object) {
	w.t.Helper()
	w.must(w.api.Get(w.t.Context(), key, obj))
}

func (w *world) report() *v1alpha1.ZombieReport {
	w.t.Helper()
	var r v1alpha1.ZombieReport
	w.read(webRequest.NamespacedName, &r)
	return &r
}

func (w *world) next() v1alpha1.NextStep {
	w.t.Helper()
	j := w.report().Status.Judgement
	if j == nil || j.Next == nil {
		return v1alpha1.NextStep{}
	}
	return *j.Next
}

func (w *world) book() ledger.Book {
	w.t.Helper()
	e, err := ledger.NewStore(w.api, ourSpace).Load(w.t.Context())
	w.must(err)
	return e.Book
}

// remediations are those of all pods, the first first.
func (w *world) remediations() []v1alpha1.ZombieRemediation {
	w.t.Helper()
	var list v1alpha1.ZombieRemediationList
	w.must(w.api.List(w.t.Context(), &list))
	slices.SortFunc(list.Items, func(a, b v1alpha1.ZombieRemediation) int { return int(a.Spec.Attempt - b.Spec.Attempt) })
	return list.Items
}

// one is the only remediation that is not completed.
func (w *world) one() *v1alpha1.ZombieRemediation {
	w.t.Helper()
	var open []*v1alpha1.ZombieRemediation
	all := w.remediations()
	for i := range all {
		if !completed(&all[i]) {
			open = append(open, &all[i])
		}
	}
	if len(open) != 1 {
		w.t.Fatalf("%d remediations under way, want one", len(open))
	}
	return open[0]
}

// condition is what an agent writes.
func (w *world) condition(r *v1alpha1.ZombieRemediation, kind string) {
	w.t.Helper()
	meta.SetStatusCondition(&r.Status.Conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: kind, LastTransitionTime: metav1.NewTime(w.clock.Now())})
	w.must(w.api.Status().Update(w.t.Context(), r))
}

// ends has the agent end the one act under way.
func (w *world) ends(outcome v1alpha1.Outcome) *v1alpha1.ZombieRemediation {
	w.t.Helper()
	r := w.one()
	r.Status.Outcome, r.Status.Message = outcome, "20 zombies before, 20 after."
	r.Status.CompletionTime = new(metav1.NewTime(w.clock.Now()).Rfc3339Copy())
	w.condition(r, v1alpha1.ConditionCompleted)
	return r
}

// reports has the agent write what it sees.
func (w *world) reports(edit func(*v1alpha1.Observed)) {
	w.t.Helper()
	r := w.report()
	edit(r.Status.Observed)
	w.must(w.api.Status().Update(w.t.Context(), r, client.FieldOwner(v1alpha1.FieldManagerAgent)))
}

// edit changes the pod, the policy or the namespace.
func edit[T client.Object](w *world, key client.ObjectKey, obj T, how func(T)) {
	w.t.Helper()
	w.read(key, obj)
	how(obj)
	w.must(w.api.Update(w.t.Context(), obj))
}

func (w *world) policy(how func(*v1alpha1.ZombiePolicy)) {
	w.t.Helper()
	edit(w, client.ObjectKey{Namespace: "shop", Name: "web"}, &v1alpha1.ZombiePolicy{}, func(p *v1alpha1.ZombiePolicy) {
		p.Generation++
		how(p)
	})
}

func (w *world) pod(how func(*corev1.Pod)) {
	w.t.Helper()
	key := client.ObjectKey{Namespace: "shop", Name: "web-0"}
	edit(w, key, &corev1.Pod{}, how)
	var p corev1.Pod
	w.read(key, &p)
	how(&p)
	w.must(w.api.Status().Update(w.t.Context(), &p))
}

// another adds a second leaking pod and returns the request for its report.
func (w *world) another(name string) reconcile.Request {
	w.t.Helper()
	uid := "uid-of-" + name
	p := leakingPod()
	p.Name, p.UID = name, types.UID(uid)
	r := leakingReport()
	r.Name, r.Spec.PodName, r.Spec.PodUID = v1alpha1.ReportName(name, uid), name, uid
	r.Status.Judgement.Next = nil
	w.must(w.api.Create(w.t.Context(), p))
	w.must(w.api.Create(w.t.Context(), r))
	return request("shop", r.Name)
}

// quietly runs something that must write and tell nothing.
func (w *world) quietly(what string, do func()) {
	w.t.Helper()
	w.writes, w.told = nil, nil
	do()
	if len(w.writes)+len(w.told) > 0 {
		w.t.Errorf("%s: wrote %q, told %q", what, w.writes, w.told)
	}
}
