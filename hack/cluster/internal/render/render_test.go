package render

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/dirs"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/pki"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/plan"
)

func demo(t *testing.T) (plan.Plan, dirs.State, pki.Store) {
	t.Helper()
	p, err := plan.New("demo", 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	state := dirs.StateOf("demo")
	return p, state, pki.Store{Dir: state.PKI()}
}

func kubelet(t *testing.T, m Machine, pids int) map[string]any {
	t.Helper()
	p, state, certs := demo(t)
	n := p.Nodes[1]
	text, err := Kubelet(p, n, state.Node(n.Name), certs, m, pids)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	return config
}

func TestKubeletStaysInItsOwnPlaces(t *testing.T) {
	t.Parallel()
	config := kubelet(t, Machine{}, 0)
	for key, want := range map[string]any{
		"address": "198.51.100.51", "cgroupRoot": "/zombie-demo/node-2", "cgroupDriver": "cgroupfs",
		"failCgroupV1": false, "staticPodPath": "/var/lib/zombie-cluster/demo/nodes/node-2/manifests", "maxPods": 61.0,
	} {
		if config[key] != want {
			t.Errorf("%s is %v, want %v", key, config[key], want)
		}
	}
}

func TestPodPidsLimitIsSetOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	if _, set := kubelet(t, Machine{}, 0)["podPidsLimit"]; set {
		t.Error("podPidsLimit is set although nobody asked")
	}
	if got := kubelet(t, Machine{}, 64)["podPidsLimit"]; got != 64.0 {
		t.Errorf("podPidsLimit is %v, want 64", got)
	}
}

func TestWithoutTheCapabilityNobodyLowersOOMScores(t *testing.T) {
	t.Parallel()
	_, state, _ := demo(t)
	for can, want := range map[bool]string{true: "restrict_oom_score_adj = false", false: "restrict_oom_score_adj = true"} {
		if got := Containerd(state.Node("node-1"), Machine{CanLowerOOMScore: can}); !strings.Contains(got, want) {
			t.Errorf("capability %t: containerd's configuration lacks %q", can, want)
		}
		if _, set := kubelet(t, Machine{CanLowerOOMScore: can}, 0)["oomScoreAdj"]; set == can {
			t.Errorf("capability %t: kubelet's oomScoreAdj is set: %t", can, set)
		}
	}
}

func TestOverlayIsNotStackedOnOverlay(t *testing.T) {
	t.Parallel()
	_, state, _ := demo(t)
	for overlay, want := range map[bool]string{true: `snapshotter = "native"`, false: `snapshotter = "overlayfs"`} {
		if got := Containerd(state.Node("node-1"), Machine{OverlayRoot: overlay}); !strings.Contains(got, want) {
			t.Errorf("overlay root %t: containerd's configuration lacks %s", overlay, want)
		}
	}
}

func TestAPIServerAnswersAtTheServiceAddress(t *testing.T) {
	t.Parallel()
	p, state, certs := demo(t)
	args := APIServer(p, state, certs)
	for _, want := range []string{"--secure-port=443", "--bind-address=0.0.0.0", "--advertise-address=198.51.100.50",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
		"--audit-log-path=/var/lib/zombie-cluster/demo/audit.log"} {
		if !slices.Contains(args, want) {
			t.Errorf("the API server's arguments lack %s", want)
		}
	}
}

func TestCNIUsesTheNodesOwnRange(t *testing.T) {
	t.Parallel()
	p, _, _ := demo(t)
	for _, n := range p.Nodes {
		text, err := CNI(p, n)
		if err != nil || !strings.Contains(text, `"subnet": "`+n.Pods.String()+`"`) {
			t.Errorf("the CNI configuration of %s lacks %s, error %v", n.Name, n.Pods, err)
		}
	}
}
