// Command zombie-agent is the part of zombie-operator that runs on every node.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"github.com/zombie-operator/zombie-operator/agent"
	"github.com/zombie-operator/zombie-operator/agent/cgroup"
	"github.com/zombie-operator/zombie-operator/agent/evidence"
	"github.com/zombie-operator/zombie-operator/agent/health"
	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	agentmetrics "github.com/zombie-operator/zombie-operator/agent/metrics"
	"github.com/zombie-operator/zombie-operator/agent/nodereport"
	"github.com/zombie-operator/zombie-operator/agent/peek"
	"github.com/zombie-operator/zombie-operator/agent/publish"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/cmd/internal/cli"
	"github.com/zombie-operator/zombie-operator/cmd/internal/metrics"
)

const (
	// One agent may send one request a second, five at once: five thousand agents must not hurt the API server.
	clientQPS   = 1
	clientBurst = 5
	// A request that hangs is given up, so that newer looks get their turn.
	clientTimeout = 10 * time.Second
	// Probes are answered at once; a client that reads its answer more slowly is cut off.
	probeTimeout = 5 * time.Second
)

func main() {
	parse := func(stdout io.Writer) (options, error) { return parseFlags(os.Args[1:], os.Getenv, stdout) }
	os.Exit(cli.Main("zombie-agent", parse, serve))
}

// serve scans, reports and executes remediations until its context ends. What of it fails does not end the rest.
func serve(ctx context.Context, o options) error {
	reserveThreads()
	log := cli.SetUpLogging(os.Stderr, o.logLevel)
	cfg, err := config.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the cluster, neither in a pod nor by KUBECONFIG: %w", err)
	}
	reports, err := newClient(cfg)
	if err != nil {
		return err
	}
	n, err := openNode(o)
	if err != nil {
		return fmt.Errorf("starting the scans: %w", err)
	}
	defer func() { _ = n.socket.Close() }() // the process ends anyway
	h := health.New(o.scanInterval, time.Now)
	stopProbes, err := serveProbes(ctx, o.healthAddr, h, log)
	if err != nil {
		return err
	}
	defer stopProbes()
	log.Info("Starting agent", "version", cli.Version(), "node", o.nodeName, "scanInterval", o.scanInterval.String(), "criSocket", o.criSocket)
	own := prometheus.NewRegistry()
	own.MustRegister(metrics.BuildInfo("zombie_agent"))
	a := newAgent(o, n, reports, h, log)
	a.Metrics = agentmetrics.New(own, h.Parts)
	r := remedies{cfg: cfg, options: o, socket: n.socket, proc: n.proc, health: h, log: log}
	var beside sync.WaitGroup
	beside.Go(func() { n.peeker.Run(ctx) })
	beside.Go(func() { r.run(ctx) })
	beside.Go(func() { metrics.Serve(ctx, o.metricsAddr, cfg, own, log) })
	a.Run(ctx)
	beside.Wait()
	log.Info("Stopped agent")
	return nil
}

// node is what the agent reads its node through.
type node struct {
	proc   scan.Proc
	socket *inventory.Socket
	peeker *peek.Worker
}

func openNode(o options) (node, error) {
	fs, err := kernel.New(o.procRoot)
	if err != nil {
		return node{}, err //nolint:wrapcheck // serve wraps it
	}
	peeker, err := peek.New(o.procRoot)
	if err != nil {
		return node{}, err //nolint:wrapcheck // serve wraps it
	}
	socket, err := inventory.NewSocket(o.criSocket)
	if err != nil {
		return node{}, err //nolint:wrapcheck // serve wraps it
	}
	return node{proc: scan.Proc{FS: fs}, socket: socket, peeker: peeker}, nil
}

// newAgent returns an agent that lacks nothing but metrics.
func newAgent(o options, n node, reports client.Client, h *health.Health, log *slog.Logger) *agent.Agent {
	recall := agent.NewRecall()
	return &agent.Agent{
		Interval:      o.scanInterval,
		Proc:          n.proc,
		Inventory:     inventory.New(n.socket, n.proc, log),
		Cgroups:       openCgroups(o.cgroupRoot, log),
		Peek:          n.peeker,
		Evidence:      evidence.New(n.proc, n.peeker),
		Publisher:     publish.New(reports, o.nodeName, recall, log),
		NodePublisher: nodereport.New(reports, o.nodeName, log),
		Recall:        recall,
		Health:        h,
		Log:           log,
	}
}

// openCgroups returns the host's cgroups. Without them, nil, the agent goes on and says so again and again; why, is said here.
func openCgroups(root string, log *slog.Logger) *cgroup.FS {
	cgroups, err := cgroup.New(root)
	if err != nil {
		log.Warn("Limits of containers and pods on processes are not known; the rest goes on", "err", err)
		return nil
	}
	return cgroups
}

// newClient returns the client of the reports.
func newClient(cfg *rest.Config) (client.Client, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst, cfg.Timeout = clientQPS, clientBurst, clientTimeout
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("registering kinds: %w", err)
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("making a client of the API server: %w", err)
	}
	return c, nil
}

// serveProbes answers probes until the returned function is called.
func serveProbes(ctx context.Context, addr string, h *health.Health, log *slog.Logger) (stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening on --health-addr: %w", err)
	}
	server := &http.Server{Handler: h.Handler(), ReadTimeout: probeTimeout, WriteTimeout: probeTimeout}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("Probes are no longer answered", "err", err)
		}
	}()
	return func() { _ = server.Close(); <-done }, nil
}
