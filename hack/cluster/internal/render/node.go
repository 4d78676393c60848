// Package render writes the configuration of every component from a plan. It is pure: a plan in, text out.
package render

import (
	"encoding/json"
	"fmt"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/dirs"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/plan"
)

// SandboxImage is the image of the pause program, under which containerd looks for it.
const SandboxImage = "localhost/zombie-pause:1"

// ContainerdSocket is the path inside of a node, the usual one.
const ContainerdSocket = "/run/containerd/containerd.sock"

// Machine is what the configuration must know about the machine.
type Machine struct {
	// CanLowerOOMScore is false without CAP_SYS_RESOURCE. Then no component may ask for it:
	// runc would fail every sandbox with "can't get final child's PID from pipe: EOF".
	CanLowerOOMScore bool
	// OverlayRoot is true where the state is on overlayfs, which cannot be stacked on itself.
	OverlayRoot bool
	CNI         string
}

// Containerd is the configuration of a node's containerd.
func Containerd(d dirs.Node, m Machine) string {
	snapshotter := "overlayfs"
	if m.OverlayRoot {
		snapshotter = "native"
	}
	return fmt.Sprintf(`version = 2
root = %q
state = "/run/containerd"
oom_score = 0
# None of them is used, and each logs an error where the kernel lacks its file system.
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
address = %q

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = %q
restrict_oom_score_adj = %t
# Otherwise it leaves files in /run/netns of the host.
netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = %q
conf_dir = %q

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = %q

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
`, d.Containerd(), ContainerdSocket, SandboxImage, !m.CanLowerOOMScore, m.CNI, d.CNIConf(), snapshotter)
}

// CNI gives every pod a cable of its own to the node. It needs neither a bridge nor iptables.
func CNI(p plan.Plan, n plan.Node) (string, error) {
	return marshal(map[string]any{
		"cniVersion": "0.4.0",
		"name":       p.NetNS(n),
		"plugins": []any{map[string]any{
			"type": "ptp",
			"ipam": map[string]any{
				"type":   "host-local",
				"ranges": []any{[]any{map[string]any{"subnet": n.Pods.String()}}},
				"routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
			},
		}},
	})
}

// Hosts is the node's /etc/hosts.
func Hosts(n plan.Node) string {
	return fmt.Sprintf("127.0.0.1 localhost\n%s %s\n", n.IP, n.Name)
}

// ResolvConf is the node's /etc/resolv.conf. The name servers of the machine cannot be reached from a node.
const ResolvConf = "# This cluster has no name server.\n"

// Kubelet is a kubelet's configuration, as JSON, which is YAML too.
func Kubelet(p plan.Plan, n plan.Node, d dirs.Node, pki PKI, m Machine, podPidsLimit int) (string, error) {
	config := map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",

		"address":           n.IP.String(),
		"tlsCertFile":       pki.Cert(n.Name),
		"tlsPrivateKeyFile": pki.Key(n.Name),
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false},
			"webhook":   map[string]any{"enabled": true},
			"x509":      map[string]any{"clientCAFile": pki.Cert("ca")},
		},
		"authorization": map[string]any{"mode": "Webhook"},

		"containerRuntimeEndpoint": "unix://" + ContainerdSocket,
		"staticPodPath":            d.Manifests(),
		// The default directory is on the host, outside of what belongs to the node.
		"volumePluginDir": "/var/lib/kubelet/volume-plugins",
		"maxPods":         n.MaxPods(),

		"cgroupDriver": "cgroupfs",
		"cgroupRoot":   "/" + p.Cgroup() + "/" + n.Name,
		"failCgroupV1": false,
		"failSwapOn":   false,
		// The rest of the machine is not ours to limit.
		"enforceNodeAllocatable": []string{},

		// Nothing here looks at how full the disk of the machine is: it is a person's machine, and rarely empty.
		"evictionHard":                map[string]string{"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%", "imagefs.inodesFree": "0%"},
		"imageGCHighThresholdPercent": 100,

		// No DNS server runs. An address keeps the kubelet from writing a warning event for every pod.
		"clusterDNS":             []string{p.DNS().String()},
		"clusterDomain":          "cluster.local",
		"resolvConf":             "",
		"makeIPTablesUtilChains": false,

		// Quick, because tests wait. The report stays slow: else an idle cluster would write a status every 4 seconds.
		"fileCheckFrequency":        "1s",
		"syncFrequency":             "10s",
		"nodeStatusUpdateFrequency": "4s",
		"nodeStatusReportFrequency": "5m0s",
	}
	if podPidsLimit > 0 {
		config["podPidsLimit"] = podPidsLimit
	}
	if !m.CanLowerOOMScore {
		config["oomScoreAdj"] = 0
	}
	return marshal(config)
}

func marshal(value any) (string, error) {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encoding a configuration: %w", err)
	}
	return string(data) + "\n", nil
}
