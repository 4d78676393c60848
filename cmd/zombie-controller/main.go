// Command zombie-controller is the part of zombie-operator that runs once in a cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/cmd/internal/cli"
	"github.com/zombie-operator/zombie-operator/cmd/internal/metrics"
	"github.com/zombie-operator/zombie-operator/controllers/agentpods"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
	"github.com/zombie-operator/zombie-operator/controllers/nodereport"
	"github.com/zombie-operator/zombie-operator/controllers/policystatus"
	"github.com/zombie-operator/zombie-operator/controllers/remediation"
	"github.com/zombie-operator/zombie-operator/controllers/remedy"
	"github.com/zombie-operator/zombie-operator/controllers/report"
)

const (
	leaseName = "zombie-controller.zombie-operator.io"
	// recorderName is how Events name who reports them.
	recorderName = "zombie-operator"

	// A reconcile costs one read, and rarely one write more. At 50 a second, 5,000 reports are judged within two
	// minutes of a start, and the API server does not notice.
	clientQPS   = 50
	clientBurst = 100

	// shutdownTimeout is below the 30 s that a pod gets to end, so that the lease is still released.
	shutdownTimeout = 20 * time.Second
	// readyTimeout is below the 1 s after which a kubelet gives up a probe.
	readyTimeout = 500 * time.Millisecond
)

func main() {
	parse := func(stdout io.Writer) (options, error) { return parseFlags(os.Args[1:], os.Getenv, stdout) }
	os.Exit(cli.Main("zombie-controller", parse, serve))
}

// serve works until its context ends or it cannot go on.
func serve(ctx context.Context, o options) error {
	logger := logr.FromSlogHandler(cli.SetUpLogging(os.Stderr, o.logLevel).Handler())
	mgr, err := newManager(o, logger)
	if err != nil {
		return err
	}
	if err := setUpReports(ctx, mgr, o); err != nil {
		return err
	}
	if err := setUpRemedies(ctx, mgr, o.agentNamespace); err != nil {
		return err
	}
	if err := setUpMetrics(mgr); err != nil {
		return err
	}
	logger.Info("Starting controller", "version", cli.Version(), "agentNamespace", o.agentNamespace,
		"agentSelector", o.agentSelector.String(), "leaderElect", o.leaderElect)
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("running controllers: %w", err)
	}
	logger.Info("Stopped controller")
	return nil
}

// setUpReports adds what keeps the reports of pods and nodes true.
func setUpReports(ctx context.Context, mgr manager.Manager, o options) error {
	agentPods, err := agentpods.NewCache(ctx, mgr, o.agentNamespace, o.agentSelector)
	if err != nil {
		return err
	}
	// While the agent of a node is not ready, each report of the node asks again within DeleteStaleAfter.
	agents := agentpods.NewView(clock.RealClock{}, agentPods, o.agentNamespace, 2*o.reports.DeleteStaleAfter)
	reports := report.New(clock.RealClock{}, mgr.GetClient(), mgr.GetAPIReader(), agents, o.reports)
	if err := reports.SetupWithManager(ctx, mgr, agentPods); err != nil {
		return err
	}
	nodes := nodereport.New(clock.RealClock{}, mgr.GetClient(), mgr.GetAPIReader(), agents, mgr.GetEventRecorder(recorderName), o.reports)
	return nodes.SetupWithManager(mgr, agentPods)
}

// setUpMetrics adds the program's own metrics to those of controller-runtime.
func setUpMetrics(mgr manager.Manager) error {
	if err := ctrlmetrics.Registry.Register(metrics.BuildInfo("zombie_controller")); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return remedy.RegisterMetrics(ctrlmetrics.Registry, mgr.GetCache(), mgr.Elected())
}

// setUpRemedies adds what judges leaks by policies. namespace is the operator's own.
func setUpRemedies(ctx context.Context, mgr manager.Manager, namespace string) error {
	store := ledger.NewStore(mgr.GetClient(), namespace)
	remedies := remedy.New(clock.RealClock{}, mgr.GetClient(), mgr.GetCache(), mgr.GetAPIReader(), store, mgr.GetEventRecorder(recorderName), namespace)
	if err := remedies.SetupWithManager(ctx, mgr); err != nil {
		return err
	}
	if err := remediation.New(clock.RealClock{}, mgr.GetClient(), remediation.Defaults()).SetupWithManager(mgr); err != nil {
		return err
	}
	return policystatus.New(clock.RealClock{}, mgr.GetClient(), mgr.GetCache()).SetupWithManager(mgr)
}

func newManager(o options, logger logr.Logger) (manager.Manager, error) {
	cfg, err := config.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the cluster, neither in a pod nor by KUBECONFIG: %w", err)
	}
	cfg = limited(cfg)
	mapper, err := newMapper(cfg)
	if err != nil {
		return nil, err
	}
	mgr, err := manager.New(cfg, managerOptions(o, logger, mapper))
	if err != nil {
		return nil, fmt.Errorf("creating the manager: %w", err)
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, fmt.Errorf("adding the liveness check: %w", err)
	}
	if err := mgr.AddReadyzCheck("caches", synced(mgr.GetCache())); err != nil {
		return nil, fmt.Errorf("adding the readiness check: %w", err)
	}
	return mgr, nil
}

func limited(cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = clientQPS, clientBurst
	return cfg
}

// newMapper is made before the manager, which fails without the CRDs too, and not as clearly.
func newMapper(cfg *rest.Config) (meta.RESTMapper, error) {
	httpClient, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("creating the HTTP client: %w", err)
	}
	mapper, err := apiutil.NewDynamicRESTMapper(cfg, httpClient)
	if err != nil {
		return nil, fmt.Errorf("creating the mapper of kinds: %w", err)
	}
	return mapper, requireCRDs(mapper)
}

func managerOptions(o options, logger logr.Logger, mapper meta.RESTMapper) manager.Options {
	scheme := apiruntime.NewScheme()
	for _, add := range []func(*apiruntime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(fmt.Sprintf("registering kinds: %v", err)) // two kinds of one name: a bug, and no input leads to it
		}
	}
	timeout := shutdownTimeout
	return manager.Options{
		Scheme:         scheme,
		Logger:         logger,
		MapperProvider: func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return mapper, nil },
		Cache:          cache.Options{ByObject: cached()},
		// A pod read through the cache by mistake would bring every pod of the cluster into memory, whole. The ledger, a
		// ConfigMap, must be the stored one.
		Client:                        client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Pod{}, &corev1.ConfigMap{}}}},
		Metrics:                       metrics.Options(o.metricsAddr),
		HealthProbeBindAddress:        o.healthAddr,
		LeaderElection:                o.leaderElect,
		LeaderElectionNamespace:       o.leaderElectionNamespace,
		LeaderElectionID:              leaseName,
		LeaderElectionReleaseOnCancel: true, // safe because the process ends as soon as the manager does
		GracefulShutdownTimeout:       &timeout,
	}
}

// cached says what the manager's cache keeps for all controllers.
func cached() map[client.Object]cache.ByObject {
	all := map[client.Object]cache.ByObject{}
	for _, some := range []map[client.Object]cache.ByObject{report.Cached(), nodereport.Cached(), remediation.Cached(), policystatus.Cached()} {
		maps.Copy(all, some)
	}
	return all
}

// requireCRDs says what is missing and how to mend it.
func requireCRDs(mapper meta.RESTMapper) error {
	for _, kind := range []string{"ZombieReport", "ZombieNodeReport", "ZombiePolicy", "ClusterZombiePolicy", "ZombieRemediation"} {
		_, err := mapper.RESTMapping(v1alpha1.GroupVersion.WithKind(kind).GroupKind(), v1alpha1.GroupVersion.Version)
		if meta.IsNoMatchError(err) {
			return fmt.Errorf("the CRD of %s in %s with version %s is not in the cluster: install it with the chart "+
				"(helm upgrade --install, crds.enabled=true) or with kubectl apply -f config/crd/bases: %w",
				kind, v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version, err)
		}
		if err != nil {
			return fmt.Errorf("asking the API server for the kind %s: %w", kind, err)
		}
	}
	return nil
}

// synced is ready once the caches that every replica keeps are full, be it the leader or not.
func synced(c cache.Cache) healthz.Checker {
	return func(req *http.Request) error {
		ctx, cancel := context.WithTimeout(req.Context(), readyTimeout)
		defer cancel()
		if !c.WaitForCacheSync(ctx) {
			return errors.New("the caches are not filled yet: see the log for what the API server refuses")
		}
		return nil
	}
}
