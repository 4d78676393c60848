package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/dirs"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/render"
)

// runSpace is for images, logs and etcd of one cluster.
const runSpace = 1 << 30

// needed are the capabilities without which no container starts here.
var needed = []struct {
	name string
	bit  uint
}{
	{"CAP_DAC_OVERRIDE", unix.CAP_DAC_OVERRIDE}, {"CAP_KILL", unix.CAP_KILL}, {"CAP_SETUID", unix.CAP_SETUID},
	{"CAP_SETGID", unix.CAP_SETGID}, {"CAP_NET_ADMIN", unix.CAP_NET_ADMIN}, {"CAP_SYS_CHROOT", unix.CAP_SYS_CHROOT},
	{"CAP_SYS_PTRACE", unix.CAP_SYS_PTRACE}, // to enter the node by /proc/PID/root
	{"CAP_SYS_ADMIN", unix.CAP_SYS_ADMIN}, {"CAP_MKNOD", unix.CAP_MKNOD},
}

// CheckRights refuses early what would fail in the middle.
func CheckRights() error {
	if os.Geteuid() != 0 {
		return errors.New("checking rights: this makes namespaces and mounts and must run as root (with sudo: sudo env PATH=\"$PATH\" ...)")
	}
	caps, err := capabilities()
	if err != nil {
		return err
	}
	var missing []string
	for _, c := range needed {
		if caps&(1<<c.bit) == 0 {
			missing = append(missing, c.name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("checking rights: root here lacks %s; in a container run it with --privileged", strings.Join(missing, ", "))
	}
	return nil
}

// checkMachine refuses a machine on which a node cannot run.
func checkMachine() error {
	if _, err := exec.LookPath("mount"); err != nil {
		return errors.New("checking the machine: the kubelet calls `mount`, which is missing; install the package mount (util-linux)")
	}
	var disk unix.Statfs_t
	parent := "/var/lib"
	if err := unix.Statfs(parent, &disk); err != nil {
		return fmt.Errorf("measuring the free space of %s: %w", parent, err)
	}
	if free := disk.Bavail * uint64(disk.Bsize); free < runSpace {
		return fmt.Errorf("checking the machine: %s has %d MiB free, a cluster needs %d", parent, free>>20, runSpace>>20)
	}
	return nil
}

// lookAtMachine finds out what the configuration depends on.
func (c *Cluster) lookAtMachine() error {
	caps, err := capabilities()
	if err != nil {
		return err
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(dirs.StateRoot, &disk); err != nil {
		return fmt.Errorf("looking at the file system of %s: %w", dirs.StateRoot, err)
	}
	c.machine = render.Machine{
		CanLowerOOMScore: caps&(1<<unix.CAP_SYS_RESOURCE) != 0,
		OverlayRoot:      disk.Type == unix.OVERLAYFS_SUPER_MAGIC,
		CNI:              c.tools.CNI,
	}
	return nil
}

func capabilities() (uint64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("reading the capabilities of this process: %w", err)
	}
	return parseCapabilities(string(status))
}

func parseCapabilities(status string) (uint64, error) {
	for line := range strings.Lines(status) {
		if value, found := strings.CutPrefix(line, "CapEff:"); found {
			return strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		}
	}
	return 0, errors.New("reading the capabilities of this process: no CapEff line; is /proc mounted?")
}
