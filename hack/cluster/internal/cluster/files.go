package cluster

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/pki"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/plan"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/render"
)

// writeFiles writes certificates once and every configuration each time, so that a newer zcluster takes effect.
func (c *Cluster) writeFiles() error {
	if !c.certs.Has("admin") {
		if err := c.certs.Create(c.requests()); err != nil {
			return err
		}
	}
	if err := c.makeDirs(); err != nil {
		return err
	}
	if err := write(c.state.Conf("audit.yaml"), render.AuditPolicy); err != nil {
		return err
	}
	for user, file := range map[string]string{
		"controller-manager": c.state.Conf("controller-manager.kubeconfig"),
		"scheduler":          c.state.Conf("scheduler.kubeconfig"),
		"admin":              c.state.Kubeconfig(),
	} {
		if err := c.writeKubeconfig(user, file); err != nil {
			return err
		}
	}
	for _, n := range c.plan.Nodes {
		if err := c.writeNodeFiles(n); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) writeNodeFiles(n plan.Node) error {
	d := c.state.Node(n.Name)
	if err := write(d.Conf("containerd.toml"), render.Containerd(d, c.machine)); err != nil {
		return err
	}
	cni, err := render.CNI(c.plan, n)
	if err != nil {
		return err
	}
	if err := write(filepath.Join(d.CNIConf(), "10-pods.conflist"), cni); err != nil {
		return err
	}
	kubelet, err := render.Kubelet(c.plan, n, d, c.certs, c.machine, c.options.PodPidsLimit)
	if err != nil {
		return err
	}
	if err := write(d.Conf("kubelet.yaml"), kubelet); err != nil {
		return err
	}
	// containerd copies these two into pods, and a minimal machine has neither.
	for file, content := range map[string]string{"hosts": render.Hosts(n), "resolv.conf": render.ResolvConf} {
		if err := write(d.Conf(file), content); err != nil {
			return err
		}
	}
	return c.writeKubeconfig(n.Name, d.Conf("kubelet.kubeconfig"))
}

func (c *Cluster) makeDirs() error {
	all := []string{c.state.Logs(), c.state.Pids()}
	for _, n := range c.plan.Nodes {
		d := c.state.Node(n.Name)
		all = append(all, d.Manifests(), d.RootFS())
		for _, m := range d.Mounts() {
			if !m.File {
				all = append(all, m.Source)
			}
		}
	}
	for _, dir := range all {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("making a directory: %w", err)
		}
	}
	return nil
}

// requests are the certificates of a cluster. The names and groups are those that the built-in roles expect.
func (c *Cluster) requests() []pki.Request {
	requests := []pki.Request{
		{File: "admin", Name: "zombie-cluster-admin", Groups: []string{"system:masters"}},
		{File: "controller-manager", Name: "system:kube-controller-manager"},
		{File: "scheduler", Name: "system:kube-scheduler"},
		{File: "apiserver-kubelet-client", Name: "kube-apiserver-kubelet-client", Groups: []string{"system:masters"}},
		{File: "apiserver", Name: "kube-apiserver",
			IPs: []net.IP{net.IPv4(127, 0, 0, 1), c.plan.ControlPlane().IP.AsSlice(), c.plan.KubernetesService().AsSlice()},
			DNS: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}},
	}
	for _, n := range c.plan.Nodes {
		requests = append(requests, pki.Request{File: n.Name, Name: "system:node:" + n.Name,
			Groups: []string{"system:nodes"}, IPs: []net.IP{n.IP.AsSlice()}, DNS: []string{n.Name}})
	}
	return requests
}

func (c *Cluster) writeKubeconfig(user, path string) error {
	var parts [3][]byte
	for i, file := range []string{c.certs.Cert("ca"), c.certs.Cert(user), c.certs.Key(user)} {
		content, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading a certificate: %w", err)
		}
		parts[i] = content
	}
	return write(path, render.Kubeconfig("zombie-"+c.plan.Name, c.plan.APIServer(), parts[0], parts[1], parts[2]))
}

// write is for owner's eyes only: most of these files hold or name keys.
func write(path, content string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return fmt.Errorf("writing a configuration: %w", err)
	}
	return nil
}
