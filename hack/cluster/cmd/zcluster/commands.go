//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/cluster"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/dirs"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/lock"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/progress"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/tools"
)

const defaultName = "zombie"

type action = func(ctx context.Context, args []string) error

func nameFlag(flags *flag.FlagSet) *string {
	return flags.String("name", defaultName, "`name` of the cluster; several can live side by side")
}

func newLog() *progress.Log { return progress.New(os.Stderr) }

func up(flags *flag.FlagSet) action {
	name := nameFlag(flags)
	nodes := flags.Int("nodes", 1, "`number` of nodes, 1 to 4")
	pids := flags.Int("pod-pids-limit", 0, "most `processes` of a pod; 0 is no limit")
	return func(ctx context.Context, _ []string) error {
		if *pids < 0 {
			return fmt.Errorf("--pod-pids-limit %d: it takes 0 for no limit, or a positive number", *pids)
		}
		c, err := cluster.Up(ctx, cluster.Options{Name: *name, Nodes: *nodes, PodPidsLimit: *pids}, newLog())
		if err != nil {
			return err
		}
		cache, err := dirs.FindCache()
		if err != nil {
			return err
		}
		fmt.Printf("\nCluster %q is up. Next, type:\n  export KUBECONFIG=%s PATH=\"%s:$PATH\"\n  kubectl get nodes\nTake it down with:\n  zcluster down --name %s\n",
			*name, c.Kubeconfig(), cache.Bin(tools.Version), *name)
		return nil
	}
}

func down(flags *flag.FlagSet) action {
	name := nameFlag(flags)
	return func(ctx context.Context, _ []string) error { return cluster.Down(ctx, *name, newLog()) }
}

func status(flags *flag.FlagSet) action {
	name := flags.String("name", "", "`name` of the cluster; all when left out")
	return func(ctx context.Context, _ []string) error {
		names := []string{*name}
		if *name == "" {
			var err error
			if names, err = cluster.Names(); err != nil {
				return err
			}
			if len(names) == 0 {
				fmt.Println("no cluster is up; bring one up with: zcluster up")
			}
		}
		var failed error
		for _, n := range names {
			failed = errors.Join(failed, cluster.Status(ctx, n, os.Stdout))
		}
		return failed
	}
}

func load(flags *flag.FlagSet) action {
	name := nameFlag(flags)
	return func(ctx context.Context, archives []string) error {
		if len(archives) == 0 {
			return errors.New("load needs image archives (zcluster load ARCHIVE...)")
		}
		c, err := cluster.Load(*name, newLog())
		if err != nil {
			return err
		}
		return c.LoadImages(ctx, archives...)
	}
}

func restartContainerd(flags *flag.FlagSet) action {
	name := nameFlag(flags)
	node := flags.String("node", "node-1", "`node` to restart containerd on")
	return func(ctx context.Context, _ []string) error {
		c, err := cluster.Load(*name, newLog())
		if err != nil {
			return err
		}
		return c.RestartContainerd(ctx, *node)
	}
}

func build(*flag.FlagSet) action {
	return func(ctx context.Context, _ []string) error {
		cache, err := dirs.FindCache()
		if err != nil {
			return err
		}
		log := newLog()
		unlock, err := lock.Take(ctx, log)
		if err != nil {
			return err
		}
		defer unlock()
		if _, err := tools.Prepare(ctx, cache, log); err != nil {
			return err
		}
		if _, err := tools.Buildah(ctx, cache, log); err != nil {
			return err
		}
		log.Say("all programs are in %s", cache.Root)
		return nil
	}
}

// env works before the cluster is up as well: unit tests need only KUBEBUILDER_ASSETS.
func env(flags *flag.FlagSet) action {
	name := nameFlag(flags)
	return func(context.Context, []string) error {
		cache, err := dirs.FindCache()
		if err != nil {
			return err
		}
		bin := cache.Bin(tools.Version)
		fmt.Printf("export KUBECONFIG='%s'\nexport KUBEBUILDER_ASSETS='%s'\nexport PATH='%s':\"$PATH\"\n", dirs.StateOf(*name).Kubeconfig(), bin, bin)
		return nil
	}
}
