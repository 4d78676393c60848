// Package metrics serves what a program registered with controller-runtime's registry, to those who may read it.
package metrics

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/zombie-operator/zombie-operator/cmd/internal/cli"
)

// Who scrapes must be known to the API server, and have the right to get /metrics: the program asks it, by TokenReview and
// SubjectAccessReview. No marker gives it the right to ask: the chart does, and only where metrics are served.

const (
	// MaxScrapes is how many answers are made at the same time. Two scrapers are common, for high availability; more would
	// only take threads and memory.
	MaxScrapes = 2
	// MaxRequests is how many requests are served together, those included that turn out not to be allowed.
	MaxRequests = 8
	// retryAfter is the pause before an address that could not be listened on is tried again.
	retryAfter = time.Minute
)

// Options says how metrics are served on an address; "" is not at all.
func Options(addr string) metricsserver.Options {
	if addr == "" {
		return metricsserver.Options{BindAddress: "0"}
	}
	return metricsserver.Options{
		BindAddress:    addr,
		SecureServing:  true, // with a certificate made at start: bearer tokens must not be read on the way
		FilterProvider: fewAtATime(filters.WithAuthenticationAndAuthorization),
		TLSOpts: []func(*tls.Config){func(c *tls.Config) {
			c.MinVersion = tls.VersionTLS12
			c.NextProtos = []string{"http/1.1"} // HTTP/2 lets a client open streams faster than they are refused
		}},
		HandlerOpts: []func(*promhttp.HandlerOpts){func(o *promhttp.HandlerOpts) { o.MaxRequestsInFlight = MaxScrapes }},
	}
}

// fewAtATime refuses requests beyond MaxRequests before anybody is asked who they come from: each question to the API server may
// take seconds, and whoever reaches the port may make as many as they like.
func fewAtATime(provide filterProvider) filterProvider {
	return func(cfg *rest.Config, httpClient *http.Client) (metricsserver.Filter, error) {
		filter, err := provide(cfg, httpClient)
		if err != nil {
			return nil, err
		}
		return func(log logr.Logger, handler http.Handler) (http.Handler, error) {
			inner, err := filter(log, handler)
			if err != nil {
				return nil, err
			}
			return bounded(inner), nil
		}, nil
	}
}

type filterProvider = func(*rest.Config, *http.Client) (metricsserver.Filter, error)

func bounded(inner http.Handler) http.Handler {
	slots := make(chan struct{}, MaxRequests)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			inner.ServeHTTP(w, r)
		default:
			http.Error(w, "too many requests at a time", http.StatusServiceUnavailable)
		}
	})
}

// CheckAddress says what is wrong with an address on which metrics are to be served; "" is right.
func CheckAddress(addr string) error {
	if addr == "" {
		return nil
	}
	if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
		return fmt.Errorf("--metrics-addr is %q: it must be host:port or :port, or empty for no metrics", addr)
	}
	return nil
}

// BuildInfo is the metric <program>_build_info, which says which build runs. The name of a program begins the names of all its
// metrics.
func BuildInfo(program string) prometheus.Collector {
	version, revision := cli.Build()
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        program + "_build_info",
		Help:        "Which build runs. The value is always 1.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "go_version": runtime.Version()},
	}, func() float64 { return 1 })
}

// Serve serves own metrics, and those of controller-runtime, until the context ends; on "" it serves none. While it cannot, it
// says why, and the program goes on.
func Serve(ctx context.Context, addr string, cfg *rest.Config, own prometheus.Collector, log *slog.Logger) {
	if addr == "" {
		return
	}
	if err := metrics.Registry.Register(own); err != nil {
		log.Error("Metrics are not served; the rest goes on", "err", err)
		return
	}
	defer metrics.Registry.Unregister(own)
	for ctx.Err() == nil {
		if err := serveOnce(ctx, addr, cfg); err != nil {
			log.Error("Metrics are not served; the rest goes on", "addr", addr, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
	}
}

func serveOnce(ctx context.Context, addr string, cfg *rest.Config) error {
	httpClient, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return fmt.Errorf("making a client that asks who may read metrics: %w", err)
	}
	server, err := metricsserver.NewServer(Options(addr), cfg, httpClient)
	if err != nil {
		return fmt.Errorf("making a server of metrics: %w", err)
	}
	if err := server.Start(ctx); err != nil {
		return fmt.Errorf("serving metrics: %w", err)
	}
	return nil
}
