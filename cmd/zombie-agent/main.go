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

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"github.com/zombie-operator/zombie-operator/agent"
	"github.com/zombie-operator/zombie-operator/agent/health"
	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/publish"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/cmd/internal/cli"
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
	log.Info("Starting agent", "version", cli.Version(), "node", o.nodeName, "scanInterval", o.scanInterval.String(), "criSocket", o.criSocket)
	cfg, err := config.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the cluster, neither in a pod nor by KUBECONFIG: %w", err)
	}
	reports, err := newClient(cfg)
	if err != nil {
		return err
	}
	fs, err := kernel.New(o.procRoot)
	if err != nil {
		return fmt.Errorf("starting the scans: %w", err)
	}
	runtimeSocket, err := inventory.NewSocket(o.criSocket)
	if err != nil {
		return fmt.Errorf("starting the scans: %w", err)
	}
	defer func() { _ = runtimeSocket.Close() }() // the process ends anyway
	h := health.New(o.scanInterval, time.Now)
	stopProbes, err := serveProbes(ctx, o.healthAddr, h, log)
	if err != nil {
		return err
	}
	defer stopProbes()
	proc, recall := scan.Proc{FS: fs}, agent.NewRecall()
	a := &agent.Agent{
		Interval:  o.scanInterval,
		Proc:      proc,
		Inventory: inventory.New(runtimeSocket, proc, log),
		Publisher: publish.New(reports, o.nodeName, recall, log),
		Recall:    recall,
		Health:    h,
		Log:       log,
	}
	var acts sync.WaitGroup
	r := remedies{cfg: cfg, options: o, socket: runtimeSocket, proc: proc, health: h, log: log}
	acts.Go(func() { r.run(ctx) })
	a.Run(ctx)
	acts.Wait()
	log.Info("Stopped agent")
	return nil
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
