package remedy

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

var (
	errBroken = errors.New("broken")
	key       = types.NamespacedName{Namespace: "shop", Name: "web-1"}
)

// server is an API server in memory that notes every call. A call is "read", or a write named after what it stores:
// "claim", "intent" or "outcome".
type server struct {
	client.Client
	t     *testing.T
	calls []string
	// before runs before a call, once. Its error is the answer, and then nothing is stored.
	before map[string]func() error
	// after runs after a call, once. Its error is the answer, although the call worked.
	after map[string]func() error
}

func newServer(t *testing.T, objects ...client.Object) *server {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, before: map[string]func() error{}, after: map[string]func() error{}}
	s.Client = fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.ZombieRemediation{}).WithObjects(objects...).
		WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
				return s.call("read", func() error { return c.Get(ctx, key, obj, opts...) })
			},
			SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
				if sub != "status" {
					t.Errorf("updating subresource %q", sub)
				}
				return s.call(nameOf(obj), func() error {
					if ctx.Err() != nil {
						return ctx.Err() // as a real one has it
					}
					return c.Status().Update(ctx, obj, opts...)
				})
			},
		}).Build()
	return s
}

func nameOf(obj client.Object) string {
	r := obj.(*v1alpha1.ZombieRemediation)
	switch {
	case is(r, v1alpha1.ConditionCompleted):
		return "outcome"
	case is(r, v1alpha1.ConditionExecuting):
		return "intent"
	}
	return "claim"
}

func (s *server) call(name string, do func() error) error {
	s.calls = append(s.calls, name)
	if err := once(s.before, name); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return once(s.after, name)
}

func once(hooks map[string]func() error, name string) error {
	hook := hooks[name]
	delete(hooks, name)
	if hook == nil {
		return nil
	}
	return hook()
}

// stored is the remediation as it is stored.
func (s *server) stored() *v1alpha1.ZombieRemediation {
	s.t.Helper()
	var r v1alpha1.ZombieRemediation
	calls := s.calls
	if err := s.Get(s.t.Context(), key, &r); err != nil {
		s.t.Fatal(err)
	}
	s.calls = calls
	return &r
}

// change lets somebody else change the stored status.
func (s *server) change(changes ...func(*v1alpha1.ZombieRemediation)) {
	s.t.Helper()
	hooks := [2]map[string]func() error{s.before, s.after}
	s.before, s.after = nil, nil
	calls := s.calls
	r := s.stored()
	for _, change := range changes {
		change(r)
	}
	if err := s.Status().Update(s.t.Context(), r); err != nil {
		s.t.Fatal(err)
	}
	s.before, s.after = hooks[0], hooks[1]
	s.calls = calls
}

// remove lets somebody else delete the remediation.
func (s *server) remove() {
	s.t.Helper()
	if err := s.Delete(s.t.Context(), s.stored()); err != nil {
		s.t.Fatal(err)
	}
}

// kind is a kind of act in memory that counts what is asked of it.
type kind struct {
	prepared, acted, settled, closed int
	// prepare, do and settle run when they are asked for, once.
	prepare, do, settle func() error
	result              act.Result
}

func (k *kind) Prepare(context.Context, *v1alpha1.ZombieRemediation) (act.Prepared, error) {
	k.prepared++
	if err := run(&k.prepare); err != nil {
		return nil, err
	}
	return ready{k}, nil
}

func (k *kind) Settle(context.Context, *v1alpha1.ZombieRemediation) (act.Result, error) {
	k.settled++
	if err := run(&k.settle); err != nil {
		return act.Result{}, err
	}
	return act.Result{Outcome: v1alpha1.OutcomeInterrupted, After: 3, Message: "It cannot be known."}, nil
}

func run(hook *func() error) error {
	f := *hook
	*hook = nil
	if f == nil {
		return nil
	}
	return f()
}

type ready struct{ *kind }

func (ready) Before() int32 { return 5 }

func (r ready) Do(context.Context) (act.Result, error) {
	r.acted++
	if err := run(&r.do); err != nil {
		return act.Result{}, err
	}
	return r.result, nil
}

func (r ready) Close() { r.closed++ }

// fixture is a node with an agent, an API server and a kind of act.
type fixture struct {
	*server
	kind  *kind
	agent *Reconciler
	cache *staleCache
}

// staleCache shows what is stored, or a remediation as it was at an earlier time.
type staleCache struct {
	client.Reader
	shows *v1alpha1.ZombieRemediation
}

func (c *staleCache) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if c.shows == nil {
		return c.Reader.Get(ctx, key, obj, opts...)
	}
	c.shows.DeepCopyInto(obj.(*v1alpha1.ZombieRemediation))
	return nil
}

// silent reads what is stored without being noted as a call.
type silent struct{ *server }

func (s silent) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	before, after, calls := s.before, s.after, s.calls
	s.server.before, s.server.after = nil, nil
	defer func() { s.server.before, s.server.after, s.server.calls = before, after, calls }()
	return s.Client.Get(ctx, key, obj, opts...)
}

func newFixture(t *testing.T, changes ...func(*v1alpha1.ZombieRemediation)) *fixture {
	t.Helper()
	s := newServer(t, remediation(changes...))
	f := &fixture{
		server: s, cache: &staleCache{Reader: silent{s}},
		kind: &kind{result: act.Result{Outcome: v1alpha1.OutcomeCured, Message: "All 5 zombies were reaped."}},
	}
	f.restartAgent()
	return f
}

// restartAgent lets a new agent come, with no memory.
func (f *fixture) restartAgent() {
	kinds := map[v1alpha1.RemediationAction]act.Kind{v1alpha1.RemediationSignalParent: f.kind}
	self := Self{Node: "node-1", BootID: "boot-1", PodUID: "pod-a"}
	f.agent = New(f.cache, f.server, self, kinds, func() time.Time { return noon }, slog.New(slog.DiscardHandler))
}

func (f *fixture) reconcile(ctx context.Context) error {
	_, err := f.agent.Reconcile(ctx, request())
	return err
}

func request() reconcile.Request { return reconcile.Request{NamespacedName: key} }

// settleDown reconciles as often as a queue would, and once more.
func (f *fixture) settleDown() {
	f.t.Helper()
	for range 10 {
		if f.reconcile(f.t.Context()) == nil {
			break
		}
	}
	if err := f.reconcile(f.t.Context()); err != nil {
		f.t.Errorf("it does not end: %v", err)
	}
}

func (f *fixture) wantActs(want int) {
	f.t.Helper()
	if f.kind.acted != want {
		f.t.Errorf("acted %d times, want %d", f.kind.acted, want)
	}
}

func (f *fixture) wantOutcome(want v1alpha1.Outcome) {
	f.t.Helper()
	if got := f.stored().Status.Outcome; got != want {
		f.t.Errorf("outcome = %q, want %q", got, want)
	}
}
