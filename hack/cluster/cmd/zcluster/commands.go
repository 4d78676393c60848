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
		fmt.Printf("\nCluster %q is up. Next, type:\n  export KUBECONFIG=%s KUBECACHEDIR=%s PATH=\"%s:$PATH\"\n  kubectl get nodes\nTake it down with:\n  %s\n",
			*name, c.Kubeconfig(), c.KubeCache(), cache.Bin(tools.Version), cluster.DownCommand(*name))
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
				fmt.Println("no cluster is up; bring one up with: make cluster-up")
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

func build(flags *flag.FlagSet) action {
	binariesOnly := flags.Bool("binaries-only", false, "only Kubernetes and etcd, for tests of the API: neither containerd nor buildah")
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
		if err := prepare(ctx, cache, log, *binariesOnly); err != nil {
			return err
		}
		log.Say("all programs are in %s", cache.Root)
		return nil
	}
}

func prepare(ctx context.Context, cache dirs.Cache, log *progress.Log, binariesOnly bool) error {
	if binariesOnly {
		return tools.Build(ctx, cache, log)
	}
	if _, err := tools.Prepare(ctx, cache, log); err != nil {
		return err
	}
	_, err := tools.Buildah(ctx, cache, log)
	return err
}

// env works before the cluster is up as well: unit tests need only KUBEBUILDER_ASSETS.
func env(flags *flag.FlagSet) action {
	name := nameFlag(flags)
	return func(context.Context, []string) error {
		cache, err := dirs.FindCache()
		if err != nil {
			return err
		}
		bin, state := cache.Bin(tools.Version), dirs.StateOf(*name)
		// What kubectl caches of the cluster goes with the cluster, instead of piling up in ~/.kube.
		fmt.Printf("export KUBECONFIG='%s'\nexport KUBECACHEDIR='%s'\nexport KUBEBUILDER_ASSETS='%s'\nexport PATH='%s':\"$PATH\"\n",
			state.Kubeconfig(), state.KubeCache(), bin, bin)
		return nil
	}
}
