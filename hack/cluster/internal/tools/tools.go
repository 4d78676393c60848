// Package tools provides every program a cluster runs: what is built from Go modules and what comes from Debian packages.
package tools

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/apt"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/dirs"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/gobuild"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/progress"
)

// Version of Kubernetes; cmd/kube/go.mod requires the same.
const Version = "v1.36.3"

// systemPath finds the few programs that kubelet and runc call and that every Linux has: mount, umount.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// coldBuildSpace is what a first build leaves in Go's caches and in ours.
const coldBuildSpace = 3 << 30

// Tools says where the programs are.
type Tools struct {
	Bin  string // Kubernetes, etcd, pause
	Path string // PATH for containerd and kubelet: containerd, its shim, ctr, runc, mount
	CNI  string // directory of the network plugins
}

func programs() []gobuild.Program {
	return []gobuild.Program{
		{Name: "pause", Source: "cmd/pause"},
		{Name: "etcd", Source: "cmd/etcd"},
		{Name: "kube", Source: "cmd/kube", LDFlags: versionFlags(),
			Links: []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl"}},
	}
}

// versionFlags stamp the version: built from modules, Kubernetes would call itself v0.0.0.
func versionFlags() string {
	minor := strings.Split(Version, ".")[1]
	var flags []string
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, value := range []string{"gitVersion=" + Version, "gitMajor=1", "gitMinor=" + minor, "gitCommit=", "gitTreeState=clean"} {
			flags = append(flags, "-X "+pkg+"."+value)
		}
	}
	return strings.Join(flags, " ")
}

// Prepare builds and downloads what is missing or out of date.
func Prepare(ctx context.Context, cache dirs.Cache, log *progress.Log) (Tools, error) {
	if err := Build(ctx, cache, log); err != nil {
		return Tools{}, err
	}
	return runtimeTools(ctx, cache, log)
}

// Build builds from Go modules what is missing or out of date: Kubernetes and etcd, all that a test of the API needs.
func Build(ctx context.Context, cache dirs.Cache, log *progress.Log) error {
	bin := cache.Bin(Version)
	source, err := gobuild.FindSource()
	if err != nil {
		return err
	}
	b := &gobuild.Builder{Source: source, Bin: bin}
	for _, p := range programs() {
		fresh, err := b.Fresh(p)
		if err != nil {
			return err
		}
		if fresh {
			continue
		}
		if err := checkSpace(bin); err != nil {
			return err
		}
		what := "building " + p.Name
		if p.Name == "kube" {
			what = "building Kubernetes " + Version + " from its Go modules (5 to 10 minutes on 2 cores the first time)"
		}
		if err := log.Step(what, b.Progress, func() error { return b.Build(ctx, p) }); err != nil {
			return err
		}
	}
	return nil
}

// runtimeTools takes containerd, runc and the CNI plugins from Debian packages, or from the PATH where there is no apt.
func runtimeTools(ctx context.Context, cache dirs.Cache, log *progress.Log) (Tools, error) {
	if apt.Available() {
		err := unpackOnce(ctx, cache, log, cache.Debs("runtime"), nil, "containerd", "runc", "containernetworking-plugins")
		if err != nil {
			return Tools{}, err
		}
	}
	t, err := InCache(cache)
	if err != nil {
		return Tools{}, err
	}
	return t, t.checkRunc()
}

// InCache are the programs that Prepare provided before.
func InCache(cache dirs.Cache) (Tools, error) {
	if !apt.Available() {
		return fromPath(cache.Bin(Version))
	}
	root := cache.Debs("runtime")
	return Tools{
		Bin:  cache.Bin(Version),
		Path: strings.Join([]string{filepath.Join(root, "usr/bin"), filepath.Join(root, "usr/sbin"), systemPath}, ":"),
		CNI:  filepath.Join(root, "usr/lib/cni"),
	}, nil
}

// checkRunc finds a missing library now and not in every sandbox later.
// It cannot be lent by LD_LIBRARY_PATH: runc starts itself again with an empty environment.
func (t Tools) checkRunc() error {
	path, err := t.Find("runc")
	if err != nil {
		return err
	}
	if out, err := exec.Command(path, "--version").CombinedOutput(); err != nil {
		return fmt.Errorf("trying runc: %w\n%s\ninstall the library it misses, for example: apt-get install libseccomp2", err, out)
	}
	return nil
}

// Buildah provides buildah and returns the directory its packages are unpacked in.
func Buildah(ctx context.Context, cache dirs.Cache, log *progress.Log) (string, error) {
	if !apt.Available() {
		return "", errors.New("providing buildah: this needs apt-get and dpkg; elsewhere build the image with your own tool and `zcluster load` it")
	}
	root := cache.Debs("buildah")
	return root, unpackOnce(ctx, cache, log, root, apt.Libraries, "buildah")
}

func unpackOnce(ctx context.Context, cache dirs.Cache, log *progress.Log, root string, wanted func(name string) bool, packages ...string) error {
	if _, err := os.Stat(root); err == nil {
		return nil
	}
	what := "downloading and unpacking (not installing) " + strings.Join(packages, ", ")
	return log.Step(what, nil, func() error {
		return apt.Apt{Dir: cache.Apt()}.Unpack(ctx, root, wanted, packages...)
	})
}

func fromPath(bin string) (Tools, error) {
	for _, program := range []string{"containerd", "containerd-shim-runc-v2", "ctr", "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			return Tools{}, fmt.Errorf("finding %s: there is no apt here to get it from; install containerd and runc and put them on the PATH", program)
		}
	}
	for _, dir := range []string{"/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"} {
		if _, err := os.Stat(filepath.Join(dir, "ptp")); err == nil {
			return Tools{Bin: bin, Path: os.Getenv("PATH"), CNI: dir}, nil
		}
	}
	return Tools{}, errors.New("finding the CNI plugins: install them to /opt/cni/bin (https://github.com/containernetworking/plugins)")
}

// Find looks a program up on the PATH of the tools.
func (t Tools) Find(program string) (string, error) {
	for _, dir := range filepath.SplitList(t.Path) {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path, nil
		}
	}
	return "", fmt.Errorf("finding %s: it is not in %s", program, t.Path)
}

// Platform is what images are built for unless told otherwise.
func Platform() string { return "linux/" + runtime.GOARCH }
