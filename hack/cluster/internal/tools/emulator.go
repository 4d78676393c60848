package tools

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/apt"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/dirs"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/progress"
)

// Emulator is a machine in software with a kernel of Debian's, to test on a kernel that is booted in another way than that
// of the running machine.
type Emulator struct {
	// Program is qemu for amd64.
	Program string
	// Env is what it needs in its environment: where its libraries and its own modules are.
	Env []string
	// Firmware is the directory of its firmware, for its flag -L.
	Firmware []string
	// Kernel is the image of the kernel, for its flag -kernel.
	Kernel string
}

// FindEmulator provides qemu and the kernel, and says where they are. They are unpacked, not installed.
func FindEmulator(ctx context.Context, cache dirs.Cache, log *progress.Log) (Emulator, error) {
	if !apt.Available() || runtime.GOARCH != "amd64" {
		return Emulator{}, errors.New("providing qemu and a kernel: this needs apt-get, dpkg and an amd64 machine")
	}
	qemu, kernel := cache.Debs("qemu"), cache.Debs("kernel")
	err := errors.Join(
		unpackOnce(ctx, cache, log, qemu, apt.Libraries, "qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios"),
		unpackOnce(ctx, cache, log, kernel, isKernel, "linux-image-cloud-amd64"),
	)
	if err != nil {
		return Emulator{}, err
	}
	images, err := filepath.Glob(filepath.Join(kernel, "boot", "vmlinuz-*"))
	if err != nil || len(images) == 0 {
		return Emulator{}, errors.Join(fmt.Errorf("finding a kernel: none is in %s/boot", kernel), err)
	}
	libraries := []string{filepath.Join(qemu, "lib/x86_64-linux-gnu"), filepath.Join(qemu, "usr/lib/x86_64-linux-gnu")}
	return Emulator{
		Program: filepath.Join(qemu, "usr/bin/qemu-system-x86_64"),
		Env: []string{
			"LD_LIBRARY_PATH=" + strings.Join(libraries, ":"),
			"QEMU_MODULE_DIR=" + filepath.Join(qemu, "usr/lib/x86_64-linux-gnu/qemu"),
		},
		Firmware: []string{filepath.Join(qemu, "usr/share/seabios"), filepath.Join(qemu, "usr/share/qemu")},
		Kernel:   images[0],
	}, nil
}

// isKernel finds the package of the kernel itself: linux-image-cloud-amd64 only depends on it, and its name carries the version.
func isKernel(name string) bool { return strings.HasPrefix(name, "linux-image-") }
