//go:build linux

// Command guest is the first process of the emulated machine: it runs the test programs, tells what they print, and
// restarts the machine, which ends the emulator.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/test/cgroupv2"
)

// Roles of this program, by its first argument. Without one it is the first process.
const (
	roleRun  = "run"  // run all tests
	roleLook = "look" // tell what this process sees of cgroups
)

func main() {
	if err := play(); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}

func play() error {
	role := ""
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	switch role {
	case roleRun:
		return runAll()
	case roleLook:
		return look()
	case "":
		err := begin()
		if err != nil {
			fmt.Fprintln(os.Stderr, "guest:", err) // or the reason would be lost in the restart
		}
		return errors.Join(err, unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART))
	}
	return fmt.Errorf("there is no role %q", role)
}

// begin makes a usable machine, and reaps what the tests leave to the first process until they are over.
func begin() error {
	if err := mountAll(); err != nil {
		return err
	}
	runner, err := os.StartProcess("/proc/self/exe", []string{"guest", roleRun}, &os.ProcAttr{
		Env:   []string{"HOME=/tmp", "REQUIRE_E2E=1"},
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return fmt.Errorf("starting the runner: %w", err)
	}
	for {
		pid, err := unix.Wait4(-1, nil, 0, nil)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("reaping: %w", err)
		}
		if pid == runner.Pid {
			return nil
		}
	}
}

func mountAll() error {
	for _, m := range []struct{ kind, target string }{
		{"proc", "/proc"},
		{"sysfs", "/sys"},
		{"cgroup2", "/sys/fs/cgroup"},
		{"devtmpfs", "/dev"},
		{"tmpfs", "/tmp"},
	} {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return fmt.Errorf("making a mount point: %w", err)
		}
		// The kernel may have mounted /dev itself.
		if err := unix.Mount(m.kind, m.target, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mounting %s: %w", m.target, err)
		}
	}
	return nil
}

// teller writes events to the host.
type teller struct{ json *json.Encoder }

func newTeller() (teller, error) {
	port, err := os.OpenFile(cgroupv2.Port, os.O_WRONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return teller{}, fmt.Errorf("opening the port to the host: %w", err)
	}
	settings, err := unix.IoctlGetTermios(int(port.Fd()), unix.TCGETS)
	if err != nil {
		return teller{}, fmt.Errorf("reading the settings of the port to the host: %w", err)
	}
	settings.Oflag &^= unix.OPOST // or each line would end in two characters
	settings.Lflag &^= unix.ECHO | unix.ICANON
	if err := unix.IoctlSetTermios(int(port.Fd()), unix.TCSETS, settings); err != nil {
		return teller{}, fmt.Errorf("setting the port to the host: %w", err)
	}
	return teller{json.NewEncoder(port)}, nil
}

func (t teller) tell(e cgroupv2.Event) {
	if err := t.json.Encode(e); err != nil {
		fmt.Fprintln(os.Stderr, "guest: telling the host:", err) // the host sees that the end is missing
	}
}
