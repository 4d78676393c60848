package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/node"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/plan"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/process"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/wire"
)

// makeNodes makes every node and connects them. On a cluster that is not new there is nothing left to do: see checkNodes.
func (c *Cluster) makeNodes() error {
	if c.checkNodes() == nil {
		return nil
	}
	for _, n := range c.plan.Nodes {
		if err := c.makeNode(n); err != nil {
			return err
		}
	}
	if err := c.connect(); err != nil {
		return err
	}
	return write(c.state.Connected(), "")
}

func (c *Cluster) makeNode(n plan.Node) error {
	if err := c.cgroups.Create(c.systemCgroup(n)); err != nil {
		return err
	}
	d := c.state.Node(n.Name)
	if err := makeMountPoints(d.Mounts()); err != nil {
		return err
	}
	var holder process.ID
	err := node.Create(d, func() (err error) {
		holder, err = process.Start(process.Spec{Name: holderName(n), Path: filepath.Join(c.tools.Bin, "pause"), Log: c.logFile(holderName(n))}, c.state.Pids())
		return errors.Join(err, wire.Forward())
	})
	if err != nil {
		return err
	}
	if err := c.cgroups.Add(c.systemCgroup(n), holder.PID); err != nil {
		return err
	}
	return node.Pin(c.plan.NetNS(n), holder.PID)
}

func (c *Cluster) connect() error {
	spaces := make([]wire.Space, len(c.plan.Nodes))
	for i, n := range c.plan.Nodes {
		holder, err := c.holder(n)
		if err != nil {
			return err
		}
		if spaces[i], err = wire.Open(holder.PID); err != nil {
			return err
		}
		defer spaces[i].Close()
	}
	if err := wire.ControlPlane(c.plan, spaces[0]); err != nil {
		return err
	}
	for i, n := range c.plan.Nodes {
		if i > 0 {
			if err := wire.Worker(c.plan, n, spaces[0], spaces[i]); err != nil {
				return err
			}
		}
		if err := wire.Pods(c.plan, n, spaces[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) startContainerd(ctx context.Context, n plan.Node) error {
	p, err := c.containerd(n)
	if err != nil {
		return err
	}
	if err := c.start(p); err != nil {
		return err
	}
	socket := c.state.Node(n.Name).Socket()
	return c.await(ctx, "containerd", p.name, 30*time.Second, func() error {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
}

// RestartContainerd kills containerd and starts it again while pods go on: their shims do not depend on it.
func (c *Cluster) RestartContainerd(ctx context.Context, nodeName string) error {
	n, err := c.findNode(nodeName)
	if err != nil {
		return err
	}
	if err := c.toolsInCache(); err != nil {
		return err
	}
	id, err := process.Load(c.state.Pids(), containerdName(n))
	if err != nil {
		return err
	}
	if err := id.Kill(killWait); err != nil {
		return err
	}
	return c.startContainerd(ctx, n)
}

func (c *Cluster) findNode(name string) (plan.Node, error) {
	var names []string
	for _, n := range c.plan.Nodes {
		if n.Name == name {
			return n, nil
		}
		names = append(names, n.Name)
	}
	return plan.Node{}, fmt.Errorf("cluster %q has no node %q: --node takes %s", c.plan.Name, name, strings.Join(names, ", "))
}
