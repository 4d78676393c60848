//go:build linux

// Package test brings real clusters up, uses them and takes them down.
package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	name  = "selftest"
	other = "selftest-b"
	state = "/var/lib/zombie-cluster/" + name
)

func TestUpDown(t *testing.T) {
	requireRoot(t)
	z := build(t)
	z.must("down", "--name", name)
	z.must("down", "--name", other)
	shakeKernelSettings(t)
	before, kernelBefore := look(), kernelSettings()
	t.Cleanup(func() {
		for _, cluster := range []string{other, name} {
			if out, err := z.run("down", "--name", cluster); err != nil {
				t.Errorf("taking %s down: %v\n%s", cluster, err, out)
			}
		}
	})

	z.must("up", "--name", name, "--nodes", "2")
	z.readEnv(name)
	loadProbe(t, z)
	for _, step := range []struct {
		sentence string
		do       func(*testing.T, *zcluster)
	}{
		{"a pod on each node reaches the API server at the service address with verified TLS", podsReachAPI},
		{"exec works on each node", execWorks},
		{"pods of both nodes are reached from the control plane", podsAreReached},
		{"a kubelet may not write for another node", nodesAreRestricted},
		{"the audit log has the writes and no read", auditLogHasWrites},
		{"a static pod starts from the manifest directory", staticPodStarts},
		{"a container outlives a restart of containerd", containerOutlivesContainerd},
		{"a second up only looks", secondUpOnlyLooks},
		{"up repairs a killed component", upRepairs},
		{"another number of nodes is refused with the mend", otherNodesAreRefused},
		{"a second cluster lives beside the first one", secondCluster},
	} {
		t.Run(step.sentence, func(t *testing.T) { step.do(t, z.with(t)) })
	}
	t.Run("down leaves nothing", func(t *testing.T) { downLeavesNothing(t, z.with(t), before) })
	if diff := cmp.Diff(kernelBefore, kernelSettings()); diff != "" {
		t.Errorf("settings of the kernel are others than before:\n%s", diff)
	}
}

// loadProbe builds the pod's image the way the product's image is built.
func loadProbe(t *testing.T, z *zcluster) {
	dir := t.TempDir()
	command(t, z.env("CGO_ENABLED=0"), "go", "build", "-o", filepath.Join(dir, "probe"), "./probe")
	archive := filepath.Join(dir, "probe.tar")
	z.must("image-build", "--file", "probe/Dockerfile", "--context", dir, "--tag", "localhost/probe:test", "--build-arg", "BASE=scratch", "--output", archive)
	z.must("load", "--name", name, archive)
}

func podManifest(pod, node string) string {
	return fmt.Sprintf(`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": %q},
"spec": {"nodeName": %q, "terminationGracePeriodSeconds": 0, "containers": [{"name": "probe", "image": "localhost/probe:test",
"imagePullPolicy": "Never", "env": [{"name": "NODE", "value": %q}]}]}}`, pod, node, node)
}

func podsReachAPI(t *testing.T, z *zcluster) {
	for _, node := range []string{"node-1", "node-2"} {
		z.apply(podManifest("probe-"+node, node))
	}
	z.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "pod/probe-node-1", "pod/probe-node-2")
	for _, pod := range []string{"probe-node-1", "probe-node-2"} {
		eventually(t, func() error {
			if logs := z.kubectl("logs", pod); !strings.Contains(logs, "verified 203.0.113.1") {
				return fmt.Errorf("%s says %q", pod, logs)
			}
			return nil
		})
	}
}

func execWorks(t *testing.T, z *zcluster) {
	for _, pod := range []string{"probe-node-1", "probe-node-2"} {
		if got := z.kubectl("exec", pod, "--", "/probe", "from inside"); strings.TrimSpace(got) != "from inside" {
			t.Errorf("exec in %s says %q", pod, got)
		}
	}
}

func podsAreReached(t *testing.T, z *zcluster) {
	for _, node := range []string{"node-1", "node-2"} {
		got := z.kubectl("get", "--raw", "/api/v1/namespaces/default/pods/probe-"+node+":8080/proxy/")
		if got != "hello from "+node {
			t.Errorf("the pod on %s says %q", node, got)
		}
	}
}

// nodesAreRestricted creates instead of changing: what another node is, a kubelet may not even read, whatever the admission.
func nodesAreRestricted(t *testing.T, z *zcluster) {
	kubelet := "--kubeconfig=" + state + "/nodes/node-1/conf/kubelet.kubeconfig"
	z.kubectl(kubelet, "annotate", "node", "node-1", "selftest=own")
	manifest := filepath.Join(t.TempDir(), "foreign.json")
	if err := os.WriteFile(manifest, []byte(podManifest("foreign", "node-2")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := z.tryKubectl(kubelet, "create", "-f", manifest); err == nil || !strings.Contains(out, "can only create mirror pods") {
		t.Errorf("node-1's kubelet creates a pod on node-2: %v %s", err, out)
	}
}

func auditLogHasWrites(t *testing.T, _ *zcluster) {
	log, err := os.ReadFile(state + "/audit.log")
	if err != nil {
		t.Fatal(err)
	}
	verbs := map[string]int{}
	for line := range strings.Lines(string(log)) {
		var event struct{ Verb string }
		if json.Unmarshal([]byte(line), &event) == nil { // the last line may be half written
			verbs[event.Verb]++
		}
	}
	if verbs["create"] == 0 || verbs["get"]+verbs["list"]+verbs["watch"] > 0 {
		t.Errorf("events by verb: %v; want creates and no reads", verbs)
	}
}

func staticPodStarts(t *testing.T, z *zcluster) {
	manifest := filepath.Join(state, "nodes", "node-2", "manifests", "static.json")
	if err := os.WriteFile(manifest, []byte(podManifest("static", "node-2")), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if out, err := z.tryKubectl("wait", "--for=condition=Ready", "--timeout=5s", "pod/static-node-2"); err != nil {
			return fmt.Errorf("waiting for the static pod: %w: %s", err, out)
		}
		return nil
	})
}

func containerOutlivesContainerd(t *testing.T, z *zcluster) {
	const id = "jsonpath={.status.containerStatuses[0].containerID}"
	before := z.kubectl("get", "pod", "probe-node-2", "-o", id)
	pid := pidOf(t, "node-2-containerd")
	z.must("restart-containerd", "--name", name, "--node", "node-2")
	if pidOf(t, "node-2-containerd") == pid {
		t.Error("containerd is the same process as before")
	}
	eventually(t, func() error {
		out, err := z.tryKubectl("exec", "probe-node-2", "--", "/probe", "alive")
		if err != nil {
			return fmt.Errorf("exec after the restart: %w: %s", err, out)
		}
		return nil
	})
	if after := z.kubectl("get", "pod", "probe-node-2", "-o", id); after != before || before == "" {
		t.Errorf("the container was %s and is %s", before, after)
	}
}

func secondUpOnlyLooks(t *testing.T, z *zcluster) {
	began := time.Now()
	if out := z.must("up", "--name", name, "--nodes", "2"); !strings.Contains(out, "is up already") {
		t.Errorf("up says %q", out)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("up took %s on a healthy cluster", took)
	}
}

func upRepairs(t *testing.T, z *zcluster) {
	kill(t, pidOf(t, "kube-scheduler"))
	if out, err := z.run("status", "--name", name); err == nil || !strings.Contains(out, "kube-scheduler does not run") {
		t.Errorf("status says %v: %s", err, out)
	}
	z.must("up", "--name", name, "--nodes", "2")
	z.must("status", "--name", name)
}

func otherNodesAreRefused(t *testing.T, z *zcluster) {
	out, err := z.run("up", "--name", name, "--nodes", "1")
	if err == nil || !strings.Contains(out, "make cluster-down NAME="+name) {
		t.Errorf("up says %v: %s", err, out)
	}
}

func secondCluster(t *testing.T, z *zcluster) {
	z.must("up", "--name", other)
	if got := z.kubectl("--kubeconfig=/var/lib/zombie-cluster/"+other+"/kubeconfig", "get", "nodes", "-o", "name"); got != "node/node-1\n" {
		t.Errorf("the second cluster has nodes %q", got)
	}
	z.must("status", "--name", name)
	z.must("down", "--name", other)
	z.must("status", "--name", name)
	z.kubectl("exec", "probe-node-2", "--", "/probe", "alive")
}

func downLeavesNothing(t *testing.T, z *zcluster, before traces) {
	members := processesOf(name)
	if len(members) < 10 {
		t.Errorf("only %d processes are in the cluster's cgroups: this test cannot see what is left", len(members))
	}
	places := ownPlaces(t)
	z.must("down", "--name", name)
	for _, place := range places {
		if _, err := os.Lstat(place); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left behind, or cannot be looked at: %v", place, err)
		}
	}
	for pid, start := range members {
		if startOf(pid) == start {
			t.Errorf("process %d still runs", pid)
		}
	}
	if diff := look().minus(before); len(diff) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(diff, "\n"))
	}
	if out := z.must("down", "--name", name); !strings.Contains(out, "is not there") {
		t.Errorf("a second down says %q", out)
	}
}
