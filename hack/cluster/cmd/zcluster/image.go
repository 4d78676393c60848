//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/cluster"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/dirs"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/image"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/lock"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/tools"
)

// listFlag is a flag that may be given several times.
type listFlag []string

func (l *listFlag) String() string { return strings.Join(*l, ",") }

func (l *listFlag) Set(value string) error {
	if name, _, found := strings.Cut(value, "="); !found || name == "" {
		return fmt.Errorf("%q is not NAME=value", value)
	}
	*l = append(*l, value)
	return nil
}

func imageBuild(flags *flag.FlagSet) action {
	var args listFlag
	flags.Var(&args, "build-arg", "`NAME=value` for an ARG of the Dockerfile; may be repeated")
	b := image.Build{Progress: os.Stderr}
	flags.StringVar(&b.File, "file", "", "`Dockerfile`; CONTEXT/Dockerfile when left out")
	flags.StringVar(&b.Context, "context", ".", "`directory` that COPY copies from")
	flags.StringVar(&b.Tag, "tag", "", "`name` of the image, such as localhost/zombie-operator:dev")
	flags.StringVar(&b.Platform, "platform", tools.Platform(), "`os/arch` of the image")
	flags.StringVar(&b.Output, "output", "", "docker `archive` to write")
	return func(ctx context.Context, _ []string) error {
		b.Args = args
		if err := checkImageFlags(&b); err != nil {
			return err
		}
		cache, err := dirs.FindCache()
		if err != nil {
			return err
		}
		b.Tmp = cache.Tmp()
		if b.Root, err = buildah(ctx, cache); err != nil {
			return err
		}
		return b.Run(ctx)
	}
}

func buildah(ctx context.Context, cache dirs.Cache) (string, error) {
	log := newLog()
	unlock, err := lock.Take(ctx, log)
	if err != nil {
		return "", err
	}
	defer unlock()
	return tools.Buildah(ctx, cache, log)
}

func checkImageFlags(b *image.Build) error {
	if b.Tag == "" || b.Output == "" {
		return fmt.Errorf("image-build needs --tag and --output; see: zcluster image-build --help")
	}
	if b.File == "" {
		b.File = filepath.Join(b.Context, "Dockerfile")
	}
	for _, path := range []string{b.File, b.Context} {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("looking at what to build: %w", err)
		}
	}
	// The build runs in mounts of its own, and in a chroot its working directory is another one.
	for _, path := range []*string{&b.File, &b.Context, &b.Output} {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("finding what to build: %w", err)
		}
		*path = abs
	}
	return cluster.CheckRights()
}
