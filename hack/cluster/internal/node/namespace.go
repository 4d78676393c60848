// Package node makes the namespaces that turn a part of this machine into a node:
// a network of its own, and a mount table in which the usual paths lead to the node's own directories.
package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/dirs"
)

// netnsDir is where `ip netns` looks for names.
const netnsDir = "/run/netns"

// Create makes the namespaces of a node, lays its mounts, and calls hold inside.
// hold must start a process that stays: without a process the namespaces are gone.
func Create(n dirs.Node, hold func() error) error {
	return Isolate(n.RootFS(), func() error {
		for _, m := range n.Mounts() {
			if err := unix.Mount(m.Source, m.Target, "", unix.MS_BIND, ""); err != nil {
				return fmt.Errorf("laying %s over %s: %w", m.Source, m.Target, err)
			}
		}
		if err := pretendKernelSettings(n); err != nil {
			return err
		}
		return hold()
	})
}

// Isolate calls f with an empty network and with mounts that the host does not see. What f starts stays there.
// In a chroot it also makes the root a mount point, at the directory rootCopy: runc and buildah need one.
//
// /sys is not mounted again, as `ip netns exec` does: that would hide the cgroup mounts from the kubelet.
func Isolate(rootCopy string, f func() error) error {
	inChroot, err := rootIsNoMount()
	if err != nil {
		return err
	}
	return onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
			return fmt.Errorf("making namespaces: %w", err)
		}
		if inChroot {
			err = enterRootCopy(rootCopy)
		} else {
			err = propagate(unix.MS_SLAVE)
		}
		if err != nil {
			return err
		}
		// Shared inside, as on a real machine: pods ask for mount propagation.
		if err := propagate(unix.MS_SHARED); err != nil {
			return err
		}
		return f()
	})
}

// Enter calls f in the namespaces of the process. What f starts stays there.
func Enter(holder int, f func() error) error {
	return onOwnThread(func() error {
		root, err := os.Open(fmt.Sprintf("/proc/%d/root", holder))
		if err != nil {
			return fmt.Errorf("entering the node: %w", err)
		}
		defer root.Close()
		// A thread that shares its root directory with others may not change its mount namespace.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return fmt.Errorf("entering the node: %w", err)
		}
		if err := join(holder, "net", "mnt"); err != nil {
			return err
		}
		// Joining led to the root of the machine, but the node may live in a chroot.
		if err := chrootTo(root); err != nil {
			return err
		}
		return f()
	})
}

// join opens all namespaces before it enters one: afterwards /proc may be another one.
func join(holder int, kinds ...string) error {
	var opened []*os.File
	for _, kind := range kinds {
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", holder, kind))
		if err != nil {
			return fmt.Errorf("opening a namespace of the node: %w", err)
		}
		defer ns.Close()
		opened = append(opened, ns)
	}
	for i, ns := range opened {
		if err := unix.Setns(int(ns.Fd()), 0); err != nil {
			return fmt.Errorf("entering the %s namespace of the node: %w", kinds[i], err)
		}
	}
	return nil
}

// onOwnThread gives f a thread that never serves other goroutines again: it ends with f, and its namespaces with it.
func onOwnThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, on purpose
		result <- f()
	}()
	return <-result
}

// propagate sets how mounts spread. MS_SLAVE lets mounts of the host come in and none go out.
func propagate(how uintptr) error {
	if err := unix.Mount("", "/", "", how|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("cutting the mounts of the node off from the host: %w", err)
	}
	return nil
}

// rootIsNoMount is true in a chroot.
func rootIsNoMount() (bool, error) {
	mounts, err := mountPoints()
	if err != nil {
		return false, err
	}
	return !slices.Contains(mounts, "/"), nil
}

// enterRootCopy makes the root of a chroot a mount of its own, and the root of the whole mount namespace: runc joins the
// namespace of a container to run a command in it, and expects to come out at the root that it pivoted to.
// The propagation can only be cut at the real root: joining its own mount namespace takes the thread there for a moment.
// There it must stay cut, since the kernel pivots no root whose parent mount is shared.
func enterRootCopy(dir string) error {
	chroot, err := os.Open("/")
	if err != nil {
		return fmt.Errorf("opening the root: %w", err)
	}
	defer chroot.Close()
	if err := join(unix.Gettid(), "mnt"); err != nil {
		return err
	}
	if err := propagate(unix.MS_SLAVE); err != nil {
		return err
	}
	if err := chrootTo(chroot); err != nil {
		return err
	}
	if err := unix.Mount("/", dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("copying the root mount: %w", err)
	}
	root, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("opening the copy of the root: %w", err)
	}
	defer root.Close()
	if err := join(unix.Gettid(), "mnt"); err != nil {
		return err
	}
	return pivotTo(root)
}

// pivotTo makes a mount the root of the mount namespace and lets go of the old root, which pivoting lays over it.
func pivotTo(dir *os.File) error {
	if err := unix.Fchdir(int(dir.Fd())); err != nil {
		return fmt.Errorf("entering the root of the node: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivoting to the root of the node: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("letting go of the old root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("entering the root of the node: %w", err)
	}
	return nil
}

func chrootTo(dir *os.File) error {
	if err := unix.Fchdir(int(dir.Fd())); err != nil {
		return fmt.Errorf("entering the root of the node: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("entering the root of the node: %w", err)
	}
	return nil
}

// Pin gives the network namespace of the process a name that `ip netns` and nsenter can use.
func Pin(name string, holder int) error {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return fmt.Errorf("naming a network namespace: %w", err)
	}
	path := filepath.Join(netnsDir, name)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("naming a network namespace: %w", err)
	}
	file.Close()
	if err := unix.Mount(fmt.Sprintf("/proc/%d/ns/net", holder), path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("naming a network namespace: %w", err)
	}
	return nil
}

// Unpin takes the name away. It may have been taken away before.
func Unpin(name string) error {
	path := filepath.Join(netnsDir, name)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmounting a named network namespace: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the name of a network namespace: %w", err)
	}
	_ = os.Remove(netnsDir) // only works when it is empty, and then nobody misses it
	return nil
}

// Pinned says whether the name exists.
func Pinned(name string) bool {
	_, err := os.Lstat(filepath.Join(netnsDir, name))
	return err == nil
}
