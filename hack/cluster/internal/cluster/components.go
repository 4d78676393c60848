package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/node"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/plan"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/process"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/render"
)

// killWait is far longer than the kernel needs to end a process, even on a busy machine.
const killWait = 20 * time.Second

// component is one program of the cluster that runs in the background.
type component struct {
	name string
	node plan.Node
	path string
	args []string
}

func (c *Cluster) controlPlane() []component {
	first := c.plan.ControlPlane()
	bin := func(name string) string { return filepath.Join(c.tools.Bin, name) }
	return []component{
		{"etcd", first, bin("etcd"), render.Etcd(c.state)},
		{"kube-apiserver", first, bin("kube-apiserver"), render.APIServer(c.plan, c.state, c.certs)},
		{"kube-controller-manager", first, bin("kube-controller-manager"), render.ControllerManager(c.state, c.certs)},
		{"kube-scheduler", first, bin("kube-scheduler"), render.Scheduler(c.state)},
	}
}

func (c *Cluster) containerd(n plan.Node) (component, error) {
	path, err := c.tools.Find("containerd")
	config := c.state.Node(n.Name).Conf("containerd.toml")
	return component{containerdName(n), n, path, []string{"--config", config}}, err
}

func (c *Cluster) kubelet(n plan.Node) component {
	d := c.state.Node(n.Name)
	return component{kubeletName(n), n, filepath.Join(c.tools.Bin, "kubelet"), []string{
		"--config=" + d.Conf("kubelet.yaml"), "--kubeconfig=" + d.Conf("kubelet.kubeconfig"),
		"--hostname-override=" + n.Name, "--node-ip=" + n.IP.String(),
	}}
}

func containerdName(n plan.Node) string { return n.Name + "-containerd" }
func kubeletName(n plan.Node) string    { return n.Name + "-kubelet" }

// names lists every component in an order in which they can be stopped: who would start others again goes first.
func (c *Cluster) names() []string {
	var names []string
	for _, n := range c.plan.Nodes {
		names = append(names, kubeletName(n), containerdName(n))
	}
	return append(names, "kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")
}

// start runs the component in its node unless it runs already.
func (c *Cluster) start(p component) error {
	id, err := process.Load(c.state.Pids(), p.name)
	if err != nil || id.Alive() {
		return err
	}
	holder, err := c.holder(p.node)
	if err != nil {
		return err
	}
	err = node.Enter(holder.PID, func() error {
		id, err = process.Start(process.Spec{
			Name: p.name, Path: p.path, Args: p.args, Log: c.logFile(p.name),
			Env: []string{"PATH=" + c.tools.Path, "HOME=/root"},
		}, c.state.Pids())
		return err
	})
	if err != nil {
		return err
	}
	return c.cgroups.Add(c.systemCgroup(p.node), id.PID)
}

func (c *Cluster) logFile(name string) string { return filepath.Join(c.state.Logs(), name+".log") }

// await asks until the check succeeds. It gives up early when the component that should answer has ended.
func (c *Cluster) await(ctx context.Context, what, component string, limit time.Duration, check func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return nil
		}
		id, loadErr := process.Load(c.state.Pids(), component)
		if loadErr == nil && !id.Alive() {
			return fmt.Errorf("waiting for %s: %s has ended; its last words:\n%s", what, component, c.lastWords(component))
		}
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waiting for %s: not within %s, see %s: %w", what, limit, c.logFile(component), err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// lastWords are the last lines of a component's log.
func (c *Cluster) lastWords(component string) string {
	data, err := os.ReadFile(c.logFile(component))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}
