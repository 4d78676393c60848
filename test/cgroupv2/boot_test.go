//go:build linux

package cgroupv2

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bootTimeout is how long all may take in the emulated machine: two minutes on two cores that do nothing else, ten on busy ones.
const bootTimeout = 25 * time.Minute

// emulator is what `zcluster emulator` says.
type emulator struct {
	Program  string
	Env      []string
	Firmware []string
	Kernel   string
}

// findEmulator downloads qemu and a kernel into the project's cache, the first time.
func findEmulator(ctx context.Context) (emulator, error) {
	cmd := exec.CommandContext(ctx, "go", "-C", filepath.Join(repository, "hack/cluster"), "run", "./cmd/zcluster", "emulator")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return emulator{}, fmt.Errorf("getting qemu and a kernel: %w\n%s", err, stderr.String())
	}
	var e emulator
	if err := json.Unmarshal(out, &e); err != nil {
		return emulator{}, fmt.Errorf("parsing where qemu is: %w", err)
	}
	return e, nil
}

// command is a machine that boots the kernel with cgroup v2 alone. Its first serial port is the console, which goes
// into a file, and its second is the standard output.
func (e emulator) command(ctx context.Context, initramfs, console string) *exec.Cmd {
	args := []string{
		"-machine", "q35", "-cpu", "max", "-accel", "tcg,thread=multi", "-smp", "2", "-m", "1024",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-chardev", "file,id=console,path=" + console, "-serial", "chardev:console",
		"-chardev", "stdio,id=events,signal=off", "-serial", "chardev:events",
		"-kernel", e.Kernel, "-initrd", initramfs,
		"-append", "console=ttyS0 panic=-1 cgroup_no_v1=all",
	}
	for _, dir := range e.Firmware {
		args = append(args, "-L", dir)
	}
	cmd := exec.CommandContext(ctx, e.Program, args...)
	cmd.Env = append(os.Environ(), e.Env...)
	return cmd
}

// boot runs the machine until it ends by itself and returns what the guest told. The emulator is killed when it takes too long.
func boot(t *testing.T, e emulator, initramfs string) []Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootTimeout)
	defer cancel()
	console := filepath.Join(t.TempDir(), "console")
	cmd := e.command(ctx, initramfs, console)
	stderr := &strings.Builder{}
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting qemu: %v", err)
	}
	var events []Event
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break // the machine has ended, and how is seen below
		}
		var event Event
		if err := json.Unmarshal(line, &event); err != nil {
			t.Errorf("the guest said %q: %v", line, err)
			continue
		}
		if event.Over {
			t.Logf("after %s: %s %s %s", time.Since(began).Round(time.Second), event.Side, event.Package, event.Error)
		}
		events = append(events, event)
	}
	if err := errors.Join(cmd.Wait(), ctx.Err()); err != nil {
		t.Errorf("running qemu: %v\n%s", err, stderr)
	}
	if len(events) == 0 || events[len(events)-1].Side != "" || events[len(events)-1].Error != "" {
		t.Errorf("the guest did not come to its end; the kernel's last messages:\n%s", tail(console))
	}
	return events
}
