package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/dirs"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/lock"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/plan"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/process"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/progress"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/tools"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/wire"
)

// Up brings the cluster up, or what is missing of it. On a healthy cluster it only looks.
func Up(ctx context.Context, options Options, log *progress.Log) (*Cluster, error) {
	if _, err := plan.New(options.Name, 0, options.Nodes); err != nil {
		return nil, err
	}
	if err := errors.Join(CheckRights(), checkMachine()); err != nil {
		return nil, err
	}
	unlock, err := lock.Take(ctx, log)
	if err != nil {
		return nil, err
	}
	defer unlock()
	c, isNew, err := findOrChoose(options, log)
	if err != nil {
		return nil, err
	}
	if !isNew && c.healthy(ctx) == nil {
		log.Say("cluster %q is up already", options.Name)
		return c, nil
	}
	if err := c.prepareTools(ctx); err != nil {
		return nil, err
	}
	if isNew {
		if err := c.found(); err != nil {
			return nil, err
		}
	} else if err := c.checkNodes(); err != nil {
		return nil, err
	}
	return c, c.run(ctx)
}

// run takes the cluster from its namespaces to Ready nodes. Each step leaves alone what is there already.
func (c *Cluster) run(ctx context.Context) error {
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"writing certificates and configuration", func(context.Context) error { return errors.Join(c.lookAtMachine(), c.writeFiles()) }},
		{"making the nodes' namespaces, network and cgroups", func(context.Context) error { return c.makeNodes() }},
		{"starting etcd and the API server", c.startAPI},
		{"starting containerd, controllers and kubelets", c.startNodes},
		{"waiting for Ready nodes", c.waitReady},
	} {
		if err := c.log.Step(step.what, nil, func() error { return step.do(ctx) }); err != nil {
			return fmt.Errorf("%w\nlogs: %s; start over with: %s", err, c.state.Logs(), DownCommand(c.plan.Name))
		}
	}
	return nil
}

// findOrChoose loads the cluster, or plans a new one with node addresses that nothing on the host uses.
func findOrChoose(options Options, log *progress.Log) (c *Cluster, isNew bool, err error) {
	saved, err := loadSpec(options.Name)
	if errors.Is(err, ErrNotFound) {
		slot, err := freeSlot(options)
		if err != nil {
			return nil, false, err
		}
		c, err = assemble(spec{options, slot}, log)
		return c, true, err
	}
	if err != nil {
		return nil, false, err
	}
	if saved.Options != options {
		return nil, false, fmt.Errorf("cluster %q is there, made with other options (%s); take it down first (%s) or choose another name",
			options.Name, UpCommand(saved.Options), DownCommand(options.Name))
	}
	c, err = assemble(saved, log)
	return c, false, err
}

func freeSlot(options Options) (int, error) {
	taken := map[int]bool{}
	names, err := clusters()
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if other, err := loadSpec(name); err == nil {
			taken[other.Slot] = true
		}
	}
	for slot := range plan.Slots {
		p, err := plan.New(options.Name, slot, options.Nodes)
		if err != nil {
			return 0, err
		}
		inUse, err := wire.Taken(p.NodeNet())
		if err != nil {
			return 0, err
		}
		if !taken[slot] && !inUse && !wire.Plugged(p.HostLink()) {
			return slot, nil
		}
	}
	return 0, fmt.Errorf("choosing node addresses: all %d parts of 198.51.100.0/24 are in use; take a cluster down, one of %v", plan.Slots, names)
}

// found makes a new cluster exist on disk. It refuses leftovers, which would make it fail later and less clearly.
func (c *Cluster) found() error {
	if left := c.leftovers(); len(left) > 0 {
		return fmt.Errorf("founding cluster %q: something of an earlier one is left: %v; remove it with: %s",
			c.plan.Name, left, DownCommand(c.plan.Name))
	}
	return spec{c.options, c.plan.Slot}.save()
}

// checkNodes tells a machine that was restarted from a component that died: only the latter can be repaired.
func (c *Cluster) checkNodes() error {
	halfUp := func(what string) error {
		return fmt.Errorf("cluster %q is half up: %s, after a restart of the machine or an interrupted up; start over with: %s",
			c.plan.Name, what, DownCommand(c.plan.Name))
	}
	for _, n := range c.plan.Nodes {
		holder, err := c.holder(n)
		if err != nil {
			return err
		}
		if !holder.Alive() {
			return halfUp("the namespaces of " + n.Name + " are gone")
		}
	}
	if _, err := os.Stat(c.state.Connected()); err != nil {
		return halfUp("its nodes are not connected")
	}
	return nil
}

func (c *Cluster) prepareTools(ctx context.Context) error {
	cache, err := dirs.FindCache()
	if err != nil {
		return err
	}
	c.tools, err = tools.Prepare(ctx, cache, c.log)
	return err
}

func (c *Cluster) startAPI(ctx context.Context) error {
	programs := c.controlPlane()
	for _, p := range programs[:2] {
		if err := c.start(p); err != nil {
			return err
		}
	}
	a, err := c.api()
	if err != nil {
		return err
	}
	return c.await(ctx, "the API server", "kube-apiserver", time.Minute, func() error { return a.ready(ctx) })
}

func (c *Cluster) startNodes(ctx context.Context) error {
	for _, p := range c.controlPlane()[2:] {
		if err := c.start(p); err != nil {
			return err
		}
	}
	for _, n := range c.plan.Nodes {
		if err := c.startContainerd(ctx, n); err != nil {
			return err
		}
	}
	if err := c.loadPause(ctx); err != nil {
		return err
	}
	for _, n := range c.plan.Nodes {
		if err := c.start(c.kubelet(n)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) waitReady(ctx context.Context) error {
	a, err := c.api()
	if err != nil {
		return err
	}
	for _, n := range c.plan.Nodes {
		err := c.await(ctx, "node "+n.Name, kubeletName(n), 2*time.Minute, func() error { return a.nodeReady(ctx, n.Name) })
		if err != nil {
			return err
		}
	}
	return c.await(ctx, "the default service account", "kube-controller-manager", time.Minute, func() error { return a.defaultsExist(ctx) })
}

// healthy says nil when every component runs and every node is Ready.
func (c *Cluster) healthy(ctx context.Context) error {
	for _, name := range c.names() {
		id, err := process.Load(c.state.Pids(), name)
		if err != nil {
			return err
		}
		if !id.Alive() {
			return fmt.Errorf("%s does not run", name)
		}
	}
	a, err := c.api()
	if err != nil {
		return err
	}
	if err := a.ready(ctx); err != nil {
		return err
	}
	for _, n := range c.plan.Nodes {
		if err := a.nodeReady(ctx, n.Name); err != nil {
			return err
		}
	}
	return nil
}
