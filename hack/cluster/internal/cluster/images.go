package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/dirs"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/image"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/render"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/tools"
)

// LoadImages gives the images of the archives to every node.
func (c *Cluster) LoadImages(ctx context.Context, archives ...string) error {
	if err := c.toolsInCache(); err != nil {
		return err
	}
	for _, archive := range archives {
		if _, err := os.Stat(archive); err != nil {
			return fmt.Errorf("loading an image: %w; build it first, for example with: make image", err)
		}
		if err := c.importImage(ctx, archive); err != nil {
			return err
		}
	}
	return nil
}

// importImage talks to each node's containerd by its socket; the content goes through the socket too.
func (c *Cluster) importImage(ctx context.Context, archive string) error {
	ctr, err := c.tools.Find("ctr")
	if err != nil {
		return err
	}
	for _, n := range c.plan.Nodes {
		cmd := exec.CommandContext(ctx, ctr, "--address", c.state.Node(n.Name).Socket(), "--namespace", "k8s.io", "images", "import", archive)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("importing %s into %s: %w\n%s", archive, n.Name, err, out)
		}
	}
	return nil
}

func (c *Cluster) loadPause(ctx context.Context) error {
	archive := filepath.Join(c.state.Root, "pause.tar")
	if err := image.FromBinary(filepath.Join(c.tools.Bin, "pause"), render.SandboxImage, archive); err != nil {
		return err
	}
	defer os.Remove(archive)
	return c.importImage(ctx, archive)
}

// toolsInCache uses the programs that the cluster was brought up with.
func (c *Cluster) toolsInCache() error {
	cache, err := dirs.FindCache()
	if err != nil {
		return err
	}
	c.tools, err = tools.InCache(cache)
	return err
}
