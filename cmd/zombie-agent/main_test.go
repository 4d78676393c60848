package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster sets a KUBECONFIG whose API server refuses every connection.
func cluster(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := `{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
		"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "users": [{"name": "u", "user": {}}]}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", path)
}

// freeAddress is an address on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func working(t *testing.T) options {
	t.Helper()
	return options{
		nodeName: "node-1", scanInterval: time.Second, criSocket: filepath.Join(t.TempDir(), "missing.sock"), procRoot: "/proc",
		cgroupRoot: filepath.Join(t.TempDir(), "missing"), healthAddr: freeAddress(t), metricsAddr: freeAddress(t), logLevel: slog.LevelError,
	}
}

// probe asks once. A server that does not listen answers with code 0.
func probe(t *testing.T, url string) (code int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(raw)
}

// eventually probes until the answer holds a text.
func eventually(t *testing.T, url string, code int, text string) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(30 * time.Second)
	for {
		gotCode, got := probe(t, url)
		if gotCode == code && strings.Contains(got, text) {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%s answers %d %q, want %d %q", url, gotCode, got, code, text)
		}
	}
}

// Neither the runtime nor the API server is there: the agent scans on and says so, and ends when it is told to.
//
//nolint:paralleltest // it sets the environment of the whole program
func TestServeScansWithWhatIsLeftUntilItIsToldToEnd(t *testing.T) {
	cluster(t)
	o := working(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- serve(ctx, o) }()
	eventually(t, "http://"+o.healthAddr+"/livez", http.StatusOK, "ok")
	eventually(t, "http://"+o.healthAddr+"/readyz", http.StatusServiceUnavailable, "container runtime: ")
	eventually(t, "http://"+o.healthAddr+"/readyz", http.StatusServiceUnavailable, "remediations: watching remediations: ")
	eventually(t, "http://"+o.healthAddr+"/readyz", http.StatusServiceUnavailable, "cgroups: ")
	eventually(t, "http://"+o.metricsAddr+"/metrics", http.StatusBadRequest, "HTTP request to an HTTPS server")
	eventually(t, "http://"+o.healthAddr+"/livez", http.StatusOK, "ok")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("serve() = %v, want nil", err)
	}
	if code, body := probe(t, "http://"+o.healthAddr+"/livez"); code != 0 {
		t.Errorf("probes are still answered: %d %q", code, body)
	}
}

//nolint:paralleltest // it sets the environment of the whole program
func TestServeRefusesToStart(t *testing.T) {
	tests := map[string]struct {
		change func(*options)
		want   string
	}{
		"without a proc mount":             {func(o *options) { o.procRoot = "/nowhere" }, `opening proc mount "/nowhere"`},
		"where its health address is bad":  {func(o *options) { o.healthAddr = "nowhere" }, "--health-addr"},
		"where its health address is used": {func(o *options) { o.healthAddr = "127.0.0.1:" + used(t) }, "--health-addr"},
		"without a cluster": {func(*options) {
			t.Setenv("KUBECONFIG", "/nowhere")
		}, "finding the cluster, neither in a pod nor by KUBECONFIG"},
	}
	for name, tc := range tests {
		cluster(t)
		o := working(t)
		tc.change(&o)
		if err := serve(t.Context(), o); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: serve() = %v, want an error with %q", name, err, tc.want)
		}
	}
}

// used is a port on which somebody listens.
func used(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}
