//go:build linux

package test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// requireRoot leaves the test out where it cannot run, except where leaving it out would hide a failure.
func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("REQUIRE_E2E") == "1" {
		t.Fatal("REQUIRE_E2E=1, but this is not root, and a local cluster needs root")
	}
	t.Skip("left out: a local cluster needs root")
}

// zcluster is the built program together with the test that uses it.
type zcluster struct {
	t    *testing.T
	path string
	vars map[string]string // what `zcluster env` printed
}

func build(t *testing.T) *zcluster {
	path := filepath.Join(t.TempDir(), "zcluster")
	command(t, os.Environ(), "go", "build", "-o", path, "../cmd/zcluster")
	return &zcluster{t: t, path: path, vars: map[string]string{}}
}

func (z *zcluster) with(t *testing.T) *zcluster { return &zcluster{t, z.path, z.vars} }

func (z *zcluster) run(args ...string) (string, error) {
	out, err := exec.Command(z.path, args...).CombinedOutput()
	return string(out), err
}

func (z *zcluster) must(args ...string) string {
	z.t.Helper()
	out, err := z.run(args...)
	if err != nil {
		z.t.Fatalf("zcluster %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// readEnv takes KUBECONFIG and the directory of kubectl from what people eval in their shell.
func (z *zcluster) readEnv(name string) {
	z.t.Helper()
	for line := range strings.Lines(z.must("env", "--name", name)) {
		key, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		z.vars[key] = strings.Trim(value, "'")
	}
}

func (z *zcluster) env(more ...string) []string { return append(os.Environ(), more...) }

func (z *zcluster) tryKubectl(args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(z.vars["KUBEBUILDER_ASSETS"], "kubectl"), args...)
	cmd.Env = z.env("KUBECONFIG="+z.vars["KUBECONFIG"], "KUBECACHEDIR="+z.vars["KUBECACHEDIR"])
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (z *zcluster) kubectl(args ...string) string {
	z.t.Helper()
	out, err := z.tryKubectl(args...)
	if err != nil {
		z.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (z *zcluster) apply(manifest string) {
	z.t.Helper()
	file := filepath.Join(z.t.TempDir(), "manifest.json")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		z.t.Fatal(err)
	}
	z.kubectl("apply", "-f", file)
}

func command(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// eventually waits for what a kubelet does in its own time.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(250 * time.Millisecond)
	}
}

func pidOf(t *testing.T, component string) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(state, "pids", component))
	if err != nil {
		t.Fatal(err)
	}
	var id struct{ PID int }
	if err := json.Unmarshal(data, &id); err != nil {
		t.Fatal(err)
	}
	return id.PID
}

// kill ends a process and waits until it is dead: the kernel answers a kill before its victim has stopped to run.
func kill(t *testing.T, pid int) {
	t.Helper()
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(process) }()
	if err := unix.PidfdSendSignal(process, unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	const tenSeconds = 10_000 // milliseconds
	ended := []unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}
	if n, err := unix.Poll(ended, tenSeconds); n != 1 {
		t.Fatalf("process %d did not end: %v", pid, err)
	}
}
