// Package dirs says where files are: what can be built again in the cache, what one cluster owns in its state.
package dirs

import (
	"fmt"
	"os"
	"path/filepath"
)

// StateRoot holds one directory per cluster. It is short on purpose: see plan.CheckName.
const StateRoot = "/var/lib/zombie-cluster"

// Cache is what every cluster of this user shares.
type Cache struct{ Root string }

// FindCache follows ZOMBIE_CACHE, then XDG_CACHE_HOME, then the home directory.
func FindCache() (Cache, error) {
	if root := os.Getenv("ZOMBIE_CACHE"); root != "" {
		abs, err := filepath.Abs(root)
		return Cache{Root: abs}, err
	}
	root, err := os.UserCacheDir()
	if err != nil {
		return Cache{}, fmt.Errorf("finding a cache directory: %w; set ZOMBIE_CACHE", err)
	}
	return Cache{Root: filepath.Join(root, "zombie-operator")}, nil
}

// Bin holds the programs of one Kubernetes version; KUBEBUILDER_ASSETS can point to it.
func (c Cache) Bin(version string) string { return filepath.Join(c.Root, "bin", version) }

// Debs holds the unpacked Debian packages of one purpose.
func (c Cache) Debs(purpose string) string { return filepath.Join(c.Root, "debs", purpose) }

// Apt holds apt's own lists, apart from those of the system.
func (c Cache) Apt() string { return filepath.Join(c.Root, "apt") }

// Tmp holds what one command needs while it runs.
func (c Cache) Tmp() string { return filepath.Join(c.Root, "tmp") }

// State is what one cluster owns.
type State struct{ Root string }

// StateOf is the state of a cluster by name.
func StateOf(name string) State { return State{Root: filepath.Join(StateRoot, name)} }

func (s State) Spec() string            { return filepath.Join(s.Root, "cluster.json") }
func (s State) Kubeconfig() string      { return filepath.Join(s.Root, "kubeconfig") }
func (s State) KubeCache() string       { return filepath.Join(s.Root, "kube-cache") }
func (s State) AuditLog() string        { return filepath.Join(s.Root, "audit.log") }
func (s State) PKI() string             { return filepath.Join(s.Root, "pki") }
func (s State) Logs() string            { return filepath.Join(s.Root, "logs") }
func (s State) Pids() string            { return filepath.Join(s.Root, "pids") }
func (s State) Etcd() string            { return filepath.Join(s.Root, "etcd") }
func (s State) Conf(name string) string { return filepath.Join(s.Root, "conf", name) }

// Connected exists once every node has its network.
func (s State) Connected() string { return filepath.Join(s.Root, "connected") }

// Node is what one node owns.
func (s State) Node(name string) Node { return Node{Root: filepath.Join(s.Root, "nodes", name)} }

// Node is the directory tree of one node.
type Node struct{ Root string }

func (n Node) Manifests() string       { return filepath.Join(n.Root, "manifests") }
func (n Node) Containerd() string      { return filepath.Join(n.Root, "containerd") }
func (n Node) CNIConf() string         { return filepath.Join(n.Root, "cni.d") }
func (n Node) RootFS() string          { return filepath.Join(n.Root, "rootfs") }
func (n Node) Conf(name string) string { return filepath.Join(n.Root, "conf", name) }

// Socket is containerd's socket as the host sees it; in the node it is at /run/containerd/containerd.sock.
func (n Node) Socket() string { return filepath.Join(n.Root, "run", "containerd.sock") }

// Mount lays a directory or a file of the node over a path that the programs of a node have built in.
type Mount struct {
	Source, Target string
	File           bool
}

// Mounts give every node its own copy of the usual paths, as if it were a machine of its own.
// So several nodes live side by side, a user's own containerd is not touched, and hostPath volumes
// find the socket and the directories where they are on any other cluster.
func (n Node) Mounts() []Mount {
	return []Mount{
		{Source: filepath.Join(n.Root, "run"), Target: "/run/containerd"},
		{Source: filepath.Join(n.Root, "kubelet"), Target: "/var/lib/kubelet"},
		{Source: filepath.Join(n.Root, "cni"), Target: "/var/lib/cni"},
		{Source: filepath.Join(n.Root, "log-pods"), Target: "/var/log/pods"},
		{Source: filepath.Join(n.Root, "log-containers"), Target: "/var/log/containers"},
		{Source: n.Conf("hosts"), Target: "/etc/hosts", File: true},
		{Source: n.Conf("resolv.conf"), Target: "/etc/resolv.conf", File: true},
	}
}
