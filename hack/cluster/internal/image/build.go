package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/node"
)

// containersDir is where buildah keeps a cache whatever its flags say. A user's podman keeps images there.
const containersDir = "/var/lib/containers"

// Build is an image to build from a Dockerfile.
type Build struct {
	Root     string // of the unpacked buildah packages
	Tmp      string // where scratch space may be made
	File     string
	Context  string
	Tag      string
	Args     []string // NAME=value
	Platform string
	Output   string // archive to write
	Progress io.Writer
}

// Run builds the image and writes it as a docker archive. Its storage lives for this one build, so nothing piles up.
func (b Build) Run(ctx context.Context) error {
	if err := os.MkdirAll(b.Tmp, 0o755); err != nil {
		return fmt.Errorf("making space for an image build: %w", err)
	}
	space, err := os.MkdirTemp(b.Tmp, "image-")
	if err != nil {
		return fmt.Errorf("making space for an image build: %w", err)
	}
	defer os.RemoveAll(space)
	for _, name := range []string{"rootfs", "containers"} {
		if err := os.Mkdir(filepath.Join(space, name), 0o755); err != nil {
			return fmt.Errorf("making space for an image build: %w", err)
		}
	}
	removeMountPoint, err := makeMountPoint(containersDir)
	if err != nil {
		return err
	}
	defer removeMountPoint()
	for name, content := range map[string]string{
		"policy.json":     `{"default":[{"type":"insecureAcceptAnything"}]}`,
		"registries.conf": "", // no registry: the build must not reach for one
	} {
		if err := os.WriteFile(filepath.Join(space, name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("configuring an image build: %w", err)
		}
	}
	if err := b.buildah(ctx, space, b.budArgs(space)...); err != nil {
		return fmt.Errorf("building image %s: %w", b.Tag, err)
	}
	return b.save(ctx, space)
}

func (b Build) budArgs(space string) []string {
	args := []string{"bud", "--isolation", "chroot", "--network", "host", "--pull=never",
		"--cni-config-dir", filepath.Join(space, "cni"), // buildah keeps a lock there, by default in /etc
		"--signature-policy", filepath.Join(space, "policy.json"), "--tag", b.Tag, "--file", b.File}
	for _, arg := range b.Args {
		args = append(args, "--build-arg", arg)
	}
	if b.Platform != "" {
		args = append(args, "--platform", b.Platform)
	}
	return append(args, b.Context)
}

// save replaces the output only by a complete archive.
func (b Build) save(ctx context.Context, space string) error {
	partial := b.Output + ".partial"
	defer os.Remove(partial)
	if err := os.Remove(partial); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("replacing %s: %w", partial, err)
	}
	err := b.buildah(ctx, space, "push", "--quiet", "--signature-policy", filepath.Join(space, "policy.json"),
		b.Tag, "docker-archive:"+partial+":"+b.Tag)
	if err != nil {
		return fmt.Errorf("saving image %s: %w", b.Tag, err)
	}
	if err := os.Rename(partial, b.Output); err != nil {
		return fmt.Errorf("saving image %s: %w", b.Tag, err)
	}
	return nil
}

// buildah runs without a network: what a Dockerfile does not get from its context it does not get.
func (b Build) buildah(ctx context.Context, space string, args ...string) error {
	global := []string{"--storage-driver", "vfs", "--root", filepath.Join(space, "storage"), "--runroot", filepath.Join(space, "run"),
		"--registries-conf", filepath.Join(space, "registries.conf")}
	cmd := exec.CommandContext(ctx, filepath.Join(b.Root, "usr", "bin", "buildah"), append(global, args...)...)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+libraryPath(b.Root), "TMPDIR="+space)
	cmd.Stdout, cmd.Stderr = b.Progress, b.Progress
	return node.Isolate(filepath.Join(space, "rootfs"), func() error {
		if err := unix.Mount(filepath.Join(space, "containers"), containersDir, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("hiding %s from buildah: %w", containersDir, err)
		}
		return cmd.Run()
	})
}

// libraryPath lists where Debian packages put libraries: /lib and /usr/lib, plain and by architecture.
func libraryPath(root string) string {
	var paths []string
	for _, pattern := range []string{"usr/lib/*-linux-gnu*", "lib/*-linux-gnu*", "usr/lib", "lib"} {
		found, _ := filepath.Glob(filepath.Join(root, pattern)) // the patterns are well formed
		paths = append(paths, found...)
	}
	return strings.Join(paths, ":")
}

// makeMountPoint makes the directory unless it is there. The returned function removes what was made, and only while it
// is empty: a user's podman may have started meanwhile.
func makeMountPoint(dir string) (remove func(), err error) {
	err = os.Mkdir(dir, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("making a mount point: %w", err)
	}
	return func() { _ = os.Remove(dir) }, nil // fails for a directory that is not empty
}
