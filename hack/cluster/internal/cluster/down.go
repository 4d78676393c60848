package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/cgroup"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/dirs"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/lock"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/node"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/plan"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/process"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/progress"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/wire"
)

// Down ends and removes everything of the cluster. What is not there is not missed, so it also cleans up after a half up.
func Down(ctx context.Context, name string, log *progress.Log) error {
	if err := errors.Join(plan.CheckName(name), CheckRights()); err != nil {
		return err
	}
	unlock, err := lock.Take(ctx, log)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := loadOrGuess(name, log)
	if err != nil {
		return err
	}
	if len(c.leftovers()) == 0 {
		log.Say("cluster %q is not there", name)
		return nil
	}
	return c.remove()
}

func (c *Cluster) remove() error {
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"ending its processes", c.endProcesses},
		{"removing its network, mounts and cgroups", c.removeKernelObjects},
		{"removing its files", c.removeFiles},
	} {
		if err := c.log.Step(step.what, nil, step.do); err != nil {
			return err
		}
	}
	if left := c.leftovers(); len(left) > 0 {
		return fmt.Errorf("taking cluster %q down: left behind: %s", c.plan.Name, strings.Join(left, ", "))
	}
	c.log.Say("cluster %q is gone", c.plan.Name)
	return nil
}

// loadOrGuess assumes the largest possible cluster when its file is gone.
func loadOrGuess(name string, log *progress.Log) (*Cluster, error) {
	s, err := loadSpec(name)
	if err == nil {
		return assemble(s, log)
	}
	p, err := plan.New(name, 0, plan.MaxNodes)
	if err != nil {
		return nil, err
	}
	tree, err := cgroup.Find()
	if err != nil {
		return nil, err
	}
	p.Slot = noSlot
	return &Cluster{plan: p, state: dirs.StateOf(name), cgroups: tree, log: log}, nil
}

// noSlot names no network interface: which one it was is not known.
const noSlot = -1

// endProcesses starts with those who would start others again, and then takes everything in the cluster's cgroup:
// there are the shims and the pods, who do not end with containerd.
func (c *Cluster) endProcesses() error {
	for _, name := range c.names() {
		if err := c.end(name); err != nil {
			return err
		}
	}
	if err := c.cgroups.Kill(c.plan.Cgroup(), killWait); err != nil {
		return err
	}
	for _, n := range c.plan.Nodes {
		if err := c.end(holderName(n)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) end(name string) error {
	id, err := process.Load(c.state.Pids(), name)
	if err != nil {
		return err
	}
	return id.Kill(killWait)
}

// removeKernelObjects comes after the processes: the mounts of the nodes have gone with the last of them.
func (c *Cluster) removeKernelObjects() error {
	if err := wire.Unplug(c.plan.HostLink()); err != nil {
		return err
	}
	for _, n := range c.plan.Nodes {
		if err := node.Unpin(c.plan.NetNS(n)); err != nil {
			return err
		}
	}
	if err := node.UnmountBelow(c.state.Root); err != nil {
		return err
	}
	return c.cgroups.Remove(c.plan.Cgroup(), killWait)
}

// removeFiles refuses while something is mounted below: removing would go through the mount.
func (c *Cluster) removeFiles() error {
	mounted, err := node.MountsBelow(c.state.Root)
	if err != nil {
		return err
	}
	if len(mounted) > 0 {
		return fmt.Errorf("%v are still mounted; unmount them and run down again", mounted)
	}
	if err := os.RemoveAll(c.state.Root); err != nil {
		return fmt.Errorf("removing the state directory: %w", err)
	}
	others, err := clusters()
	if err != nil || len(others) > 0 {
		return err
	}
	return removeMountPoints()
}

// leftovers lists whatever of the cluster exists.
func (c *Cluster) leftovers() []string {
	var left []string
	if _, err := os.Stat(c.state.Root); err == nil {
		left = append(left, "directory "+c.state.Root)
	}
	for _, dir := range c.cgroups.Left(c.plan.Cgroup()) {
		left = append(left, "cgroup "+dir)
	}
	for _, n := range c.plan.Nodes {
		if node.Pinned(c.plan.NetNS(n)) {
			left = append(left, "network namespace "+c.plan.NetNS(n))
		}
	}
	if wire.Plugged(c.plan.HostLink()) {
		left = append(left, "network interface "+c.plan.HostLink())
	}
	mounted, err := node.MountsBelow(c.state.Root)
	if err != nil {
		left = append(left, "maybe mounts: "+err.Error())
	}
	for _, m := range mounted {
		left = append(left, "mount "+m)
	}
	return left
}
