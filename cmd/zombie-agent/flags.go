package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/cmd/internal/cli"
	"github.com/zombie-operator/zombie-operator/cmd/internal/metrics"
)

const intro = `zombie-agent finds the zombie processes of one node's pods, says whose they are and why they stay, and keeps a
ZombieReport for each pod that has some. It executes the ZombieRemediations of its node: it signals a parent or restarts a
container, once, when it still is the one that was decided on. It runs in a pod with hostPID: true on every node.
`

// Scans closer together than a second would show the same short-lived zombie twice; scans further apart than ten minutes
// would report a leak long after it hurts.
const (
	leastInterval = time.Second
	mostInterval  = 10 * time.Minute
)

// options are what the flags say.
type options struct {
	nodeName     string
	podUID       string
	scanInterval time.Duration
	criSocket    string
	procRoot     string
	cgroupRoot   string

	healthAddr  string
	metricsAddr string
	logLevel    slog.Level
}

func parseFlags(args []string, getenv func(string) string, stdout io.Writer) (options, error) {
	var o options
	flags := cli.NewFlags("zombie-agent", intro, &o.logLevel)
	flags.StringVar(&o.nodeName, "node-name", getenv("NODE_NAME"),
		"`name` of the node; the default is $NODE_NAME")
	flags.StringVar(&o.podUID, "pod-uid", getenv("POD_UID"),
		"`UID` of the agent's own pod, noted in the remediations that it executes; the default is $POD_UID")
	flags.DurationVar(&o.scanInterval, "scan-interval", 30*time.Second,
		"time between two scans, from 1s to 10m; a zombie is reported when it was in two of them and is 30s old")
	flags.StringVar(&o.criSocket, "cri-socket", "",
		"`path` of the container runtime's CRI socket; without it the first that is there of "+strings.Join(inventory.UsualSockets, ", "))
	flags.StringVar(&o.procRoot, "proc", "/proc",
		"`path` of the proc mount of the host's PID namespace")
	flags.StringVar(&o.cgroupRoot, "cgroup-root", "/sys/fs/cgroup",
		"`path` of the host's cgroup mount; where it cannot be read, limits of containers and pods are not reported")
	flags.StringVar(&o.healthAddr, "health-addr", ":8081",
		"`address` that serves /livez and /readyz")
	flags.StringVar(&o.metricsAddr, "metrics-addr", "",
		"`address` that serves /metrics over HTTPS, to those who may get that path; without it there are no metrics")
	if err := flags.Parse(args, stdout); err != nil {
		return options{}, err //nolint:wrapcheck // it is told to the user as it is
	}
	return o, o.check()
}

func (o options) check() error {
	if o.nodeName == "" {
		return errors.New("--node-name is missing: name the node, or set NODE_NAME (fieldRef spec.nodeName)")
	}
	if o.scanInterval < leastInterval || o.scanInterval > mostInterval {
		return fmt.Errorf("--scan-interval is %s: it must be from %s to %s", o.scanInterval, leastInterval, mostInterval)
	}
	if o.criSocket != "" && !filepath.IsAbs(o.criSocket) {
		return fmt.Errorf("--cri-socket is %q: it must be an absolute path, without unix://", o.criSocket)
	}
	return metrics.CheckAddress(o.metricsAddr) //nolint:wrapcheck // it is told to the user as it is
}
