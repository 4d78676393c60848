package cluster

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/process"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/progress"
)

// Names lists the clusters of this machine.
func Names() ([]string, error) { return clusters() }

// Status writes what runs and returns an error that says what is wrong, if anything is.
func Status(ctx context.Context, name string, out io.Writer) error {
	c, err := Load(name, progress.New(io.Discard))
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(table, "CLUSTER %s\t%s\t%s\n", c.plan.Name, c.plan.APIServer(), c.state.Root)
	fmt.Fprintln(table, "COMPONENT\tPID\tSTATE")
	for _, component := range c.names() {
		id, err := process.Load(c.state.Pids(), component)
		if err != nil {
			return err
		}
		state := "running"
		if !id.Alive() {
			state = "not running, see " + c.logFile(component)
		}
		fmt.Fprintf(table, "%s\t%d\t%s\n", component, id.PID, state)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("writing the status: %w", err)
	}
	if err := c.healthy(ctx); err != nil {
		return fmt.Errorf("cluster %q is not healthy: %w; repair it with: %s", name, err, UpCommand(c.options))
	}
	fmt.Fprintln(out, "healthy: every component runs and every node is Ready")
	return nil
}

// KubeCache is where kubectl may keep what it learns of the cluster.
func (c *Cluster) KubeCache() string { return c.state.KubeCache() }

// Kubeconfig is the administrator's file.
func (c *Cluster) Kubeconfig() string { return c.state.Kubeconfig() }
