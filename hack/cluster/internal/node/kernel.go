package node

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/dirs"
)

// kernelSettings are what a kubelet of Kubernetes 1.36 writes to /proc/sys where it finds anything else
// (setupKernelTunables of its container manager). They are those of the whole machine, and nothing would put them back.
var kernelSettings = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// pretendKernelSettings lays files over these settings, so that the kubelet reads what it wants and writes nothing.
func pretendKernelSettings(n dirs.Node) error {
	for name, value := range kernelSettings {
		file := n.Conf(filepath.Join("sysctl", name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("shielding the kernel's settings: %w", err)
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return fmt.Errorf("shielding the kernel's settings: %w", err)
		}
		if err := unix.Mount(file, filepath.Join("/proc/sys", name), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("shielding the kernel's setting %s from the kubelet: %w", name, err)
		}
	}
	return nil
}
