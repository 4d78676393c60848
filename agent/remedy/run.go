package remedy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

const (
	// Workers is how many remediations are worked on at once. Nearly all of their time they wait: a signal for its proof, half
	// a minute, and a restart for its grace and then for the new container, minutes. None must hold up the others until
	// the controller takes them for unclaimed, after one minute; a policy may be switched on for many pods of a node at once.
	Workers = 32

	// lookers is how many of them may take their first look at the same time. A look reads all processes of the node; more
	// at once would take more of its CPUs, and of the agent's memory, just when it is short of both.
	lookers = 4

	// One act costs five requests, and four acts may go at once. At five requests a second all workers claim and begin
	// within half a minute. They have a limit of their own, beside that of the reports: a node with many reports to write
	// must not hold up an act. Acts are few, as the controller bounds them, so many agents seldom use it at a time.
	clientQPS   = 5
	clientBurst = 20

	// retryFirst and retryMost are the shortest and the longest pause before what failed is tried again. The API server
	// may be away for long: more than one try a minute would not bring it back.
	retryFirst = time.Second
	retryMost  = time.Minute

	// watchEnds is how long the end of the watch is waited for. One that pauses because nobody answered ends up to 30 s
	// later, and a pod is killed after as many.
	watchEnds = 8 * time.Second
)

// Run executes the remediations of a node until the context ends, and then waits for what is under way to stop. It waits as
// long as the API server is away. tell is told how the watch is doing: nil when it was granted, and else why not.
//
// It is a cache and a controller without a manager. A manager would bring leader election, metrics and a recorder of
// events, which it starts even when it stops; the agent has no use for them and emits no events.
func Run(ctx context.Context, cfg *rest.Config, self Self, kinds map[v1alpha1.RemediationAction]act.Kind, tell func(error), log *slog.Logger) error {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = clientQPS, clientBurst
	cfg.Timeout = 0 // it would cut the watch; see callTimeout
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return watched{next: next, tell: tell} })
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return fmt.Errorf("registering kinds: %w", err)
	}
	server, err := client.New(cfg, client.Options{Scheme: scheme, Mapper: mapper()})
	if err != nil {
		return fmt.Errorf("making a client of the API server: %w", err)
	}
	mine, err := cache.New(cfg, cache.Options{Scheme: scheme, Mapper: mapper(), ByObject: cached(self.Node)})
	if err != nil {
		return fmt.Errorf("making a cache of remediations: %w", err)
	}
	c, err := newController(mine, New(mine, server, self, kinds, time.Now, log), log)
	if err != nil {
		return err
	}
	return start(ctx, mine, c)
}

// start runs a cache and its controller until the context ends.
func start(ctx context.Context, mine cache.Cache, c controller.Controller) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	watch := make(chan error, 1)
	go func() {
		defer stop() // without a cache there is nothing to control
		watch <- mine.Start(ctx)
	}()
	err := c.Start(ctx)
	stop()
	late := time.NewTimer(watchEnds)
	defer late.Stop()
	select {
	case watchErr := <-watch:
		err = errors.Join(err, watchErr)
	case <-late.C:
	}
	if err != nil {
		return fmt.Errorf("executing remediations: %w", err)
	}
	return nil
}

// cached is what the cache keeps: the remediations of one node, and of each no more than is used.
func cached(node string) map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{&v1alpha1.ZombieRemediation{}: {
		Field:     fields.OneTermEqualSelector("spec.nodeName", node),
		Transform: cache.TransformStripManagedFields(),
	}}
}

// mapper knows the one kind that is used, so that nobody need be asked for it.
func mapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	m.Add(v1alpha1.GroupVersion.WithKind("ZombieRemediation"), meta.RESTScopeNamespace)
	return m
}

// newController returns what calls a reconciler for each remediation that changes. A remediation has no time limit: it ends
// in its own time, or with the agent.
func newController(mine cache.Cache, r *Reconciler, log *slog.Logger) (controller.Controller, error) {
	c, err := controller.NewUnmanaged("zombieremediation", controller.Options{
		Reconciler:              r,
		MaxConcurrentReconciles: Workers,
		CacheSyncTimeout:        math.MaxInt64, // however long the API server is away, the agent goes on
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](retryFirst, retryMost),
		SkipNameValidation:      new(true), // names are for metrics, and none are served
		Logger:                  logr.FromSlogHandler(log.Handler()),
	})
	if err != nil {
		return nil, fmt.Errorf("making the controller of remediations: %w", err)
	}
	remediations := source.Kind(mine, &v1alpha1.ZombieRemediation{}, &handler.TypedEnqueueRequestForObject[*v1alpha1.ZombieRemediation]{})
	if err := c.Watch(remediations); err != nil {
		return nil, fmt.Errorf("watching remediations: %w", err)
	}
	return c, nil
}
