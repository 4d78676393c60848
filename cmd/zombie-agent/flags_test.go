package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestParseFlags(t *testing.T) {
	t.Parallel()
	node := map[string]string{"NODE_NAME": "node-1"}
	tests := map[string]struct {
		args []string
		env  map[string]string
		want options
	}{
		"defaults need the node's name only": {
			nil, node,
			options{"node-1", "", 30 * time.Second, "", "/proc", "/sys/fs/cgroup", ":8081", "", slog.LevelInfo},
		},
		"the pod's UID comes from the environment": {
			nil, map[string]string{"NODE_NAME": "node-1", "POD_UID": "uid-1"},
			options{"node-1", "uid-1", 30 * time.Second, "", "/proc", "/sys/fs/cgroup", ":8081", "", slog.LevelInfo},
		},
		"every flag is taken": {
			[]string{
				"--node-name=node-2", "--pod-uid=uid-2", "--scan-interval=5s", "--cri-socket=/run/crio/crio.sock", "--proc=/host/proc",
				"--cgroup-root=/host/cgroup", "--health-addr=127.0.0.1:1", "--metrics-addr=:8443", "--log-level=debug",
			},
			node,
			options{"node-2", "uid-2", 5 * time.Second, "/run/crio/crio.sock", "/host/proc", "/host/cgroup", "127.0.0.1:1", ":8443", slog.LevelDebug},
		},
		"the shortest interval is a second": {
			[]string{"--scan-interval=1s"}, node,
			options{"node-1", "", time.Second, "", "/proc", "/sys/fs/cgroup", ":8081", "", slog.LevelInfo},
		},
		"the longest interval is ten minutes": {
			[]string{"--scan-interval=10m"}, node,
			options{"node-1", "", 10 * time.Minute, "", "/proc", "/sys/fs/cgroup", ":8081", "", slog.LevelInfo},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseFlags(tc.args, environment(tc.env), io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(options{})); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseFlagsRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want string
	}{
		"a node without a name":          {[]string{"--node-name="}, "--node-name is missing: name the node, or set NODE_NAME"},
		"an interval below a second":     {[]string{"--scan-interval=999ms"}, "--scan-interval is 999ms: it must be from 1s to 10m0s"},
		"no interval":                    {[]string{"--scan-interval=0s"}, "--scan-interval is 0s"},
		"a negative interval":            {[]string{"--scan-interval=-30s"}, "--scan-interval is -30s"},
		"an interval above ten minutes":  {[]string{"--scan-interval=601s"}, "--scan-interval is 10m1s"},
		"an interval without a unit":     {[]string{"--scan-interval=30"}, "scan-interval"},
		"a socket by URL":                {[]string{"--cri-socket=unix:///run/x.sock"}, "without unix://"},
		"a socket by a relative path":    {[]string{"--cri-socket=run/x.sock"}, `--cri-socket is "run/x.sock"`},
		"metrics on no address":          {[]string{"--metrics-addr=8443"}, `--metrics-addr is "8443"`},
		"a level that does not exist":    {[]string{"--log-level=loud"}, "log-level"},
		"a flag that does not exist":     {[]string{"--metrics=:1"}, "metrics"},
		"an argument that is not a flag": {[]string{"run"}, `"run"`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseFlags(tc.args, environment(map[string]string{"NODE_NAME": "node-1"}), io.Discard)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("parseFlags() = %v, want one line that names %q", err, tc.want)
			}
		})
	}
}

func TestHelpNamesEveryFlagWithTwoDashes(t *testing.T) {
	t.Parallel()
	var help bytes.Buffer
	if _, err := parseFlags([]string{"--help"}, environment(nil), &help); !errors.Is(err, flag.ErrHelp) {
		t.Fatalf("parseFlags() = %v, want %v: help needs no node", err, flag.ErrHelp)
	}
	for _, want := range []string{
		"zombie-agent finds", "executes the ZombieRemediations of its node", "hostPID: true", "--node-name name", "$NODE_NAME", "--pod-uid UID", "$POD_UID",
		"--scan-interval duration", "from 1s to 10m", "(default 30s)",
		"--cri-socket path", "the first that is there of /run/", "/run/containerd/containerd.sock", "--proc path", "--cgroup-root path", "(default /sys/fs/cgroup)",
		"--metrics-addr address", "over HTTPS", "--health-addr address", "(default :8081)", "--log-level level", "--version",
	} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("help lacks %q:\n%s", want, help.String())
		}
	}
}
