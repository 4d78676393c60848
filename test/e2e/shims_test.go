package e2e

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// stopShim stops the runtime's shim of a pod until the test ends, as a shim that hangs: it waits for no child any more.
func stopShim(t *testing.T, p *corev1.Pod) {
	t.Helper()
	shim := parsePID(t, statFields(hostPID(t, p))[1])
	if comm := readFile(t, fmt.Sprintf("/proc/%d/comm", shim)); !strings.HasPrefix(comm, "containerd-shim") {
		t.Fatalf("the parent of the container is %s, want a shim", comm)
	}
	started := startTicks(shim)
	// The pod cannot end before.
	t.Cleanup(func() {
		// Whatever a test does to the pod, nothing is done to the shim.
		if f := statFields(shim); len(f) == 0 || f[0] != "T" || startTicks(shim) != started {
			t.Errorf("the shim is %v, want it stopped and started at %s", f, started)
		}
		kill(t, shim, syscall.SIGCONT)
	})
	kill(t, shim, syscall.SIGSTOP)
	eventually(t, 10*time.Second, func(context.Context) string {
		if state := statFields(shim)[0]; state != "T" {
			return "the shim is in state " + state
		}
		return ""
	})
}

// leaveToShim leaves commands that were exec'd dead under the shim: what is exec'd into a container is the shim's child.
func leaveToShim(count int) func(*testing.T, *corev1.Pod) {
	return func(t *testing.T, p *corev1.Pod) {
		t.Helper()
		const program = "tail"
		for range count {
			execd := command(t.Context(), kubectl, "exec", "-n", p.Namespace, p.Name, "--", program, "-f", "/dev/null")
			if err := execd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = execd.Wait() }) // it was killed
		}
		var running []int
		eventually(t, 30*time.Second, func(context.Context) string {
			if running = processesNamed(t, p, program); len(running) != count {
				return fmt.Sprintf("%d commands run in the container, want %d", len(running), count)
			}
			return ""
		})
		stopShim(t, p)
		for _, pid := range running {
			killed(t, pid)
		}
	}
}

// killContainer kills PID 1 of a container whose shim does not wait for it.
func killContainer(t *testing.T, p *corev1.Pod) {
	t.Helper()
	stopShim(t, p)
	killed(t, hostPID(t, p))
}

// killed kills a process that nobody waits for.
func killed(t *testing.T, pid int) {
	t.Helper()
	kill(t, pid, syscall.SIGKILL)
	eventually(t, 10*time.Second, func(context.Context) string {
		if f := statFields(pid); len(f) == 0 || f[0] != "Z" {
			return "process " + strconv.Itoa(pid) + " is no zombie"
		}
		return ""
	})
}

func kill(t *testing.T, pid int, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		t.Errorf("sending %s to process %d: %v", signal, pid, err)
	}
}

// processesNamed finds the processes of a pod's first container that have a command name.
func processesNamed(t *testing.T, p *corev1.Pod, name string) []int {
	t.Helper()
	var named []int
	for _, pid := range processes(t, containerID(t, p, p.Spec.Containers[0].Name)) {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err == nil && strings.TrimSpace(string(comm)) == name {
			named = append(named, pid)
		}
	}
	return named
}
