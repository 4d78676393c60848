package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// processes lists the host's PIDs of the processes of a container, found by its cgroup.
func processes(t *testing.T, containerID string) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(raw), containerID) {
			continue
		}
		pids = append(pids, parsePID(t, filepath.Base(filepath.Dir(file))))
	}
	return pids
}

func parsePID(t *testing.T, s string) int {
	t.Helper()
	pid, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// hostPID finds the first process of a pod's only container.
func hostPID(t *testing.T, p *corev1.Pod) int {
	t.Helper()
	id := containerID(t, p, p.Spec.Containers[0].Name)
	for _, pid := range processes(t, id) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil && strings.Contains(string(status), fmt.Sprintf("NSpid:\t%d\t1\n", pid)) {
			return pid
		}
	}
	t.Fatalf("no process of container %s is PID 1 of its namespace", id)
	return 0
}

// processNamed finds the process of a pod's first container that has a command name, of which the kernel keeps 15 characters.
func processNamed(t *testing.T, p *corev1.Pod, command string) int {
	t.Helper()
	id := containerID(t, p, p.Spec.Containers[0].Name)
	for _, pid := range processes(t, id) {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err == nil && strings.TrimSpace(string(comm)) == command[:min(15, len(command))] {
			return pid
		}
	}
	t.Fatalf("container %s has no process %s", id, command)
	return 0
}

// statFields are the fields of /proc/PID/stat from the state on; nil when the process is gone.
func statFields(pid int) []string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
}

// startTicks is when a process started; with its PID it names the process for good. It is empty when the process is gone.
func startTicks(pid int) string {
	const field = 22 - 3 // of /proc/PID/stat, counted from the state
	if f := statFields(pid); len(f) > field {
		return f[field]
	}
	return ""
}

// zombiesUnder counts the zombies of a process of the host.
func zombiesUnder(t *testing.T, parent int) int {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, dir := range dirs {
		if f := statFields(parsePID(t, filepath.Base(dir))); len(f) > 1 && f[0] == "Z" && f[1] == strconv.Itoa(parent) {
			count++
		}
	}
	return count
}

// pidsCgroup is the directory of the cgroup that limits the PIDs of a process of the host.
func pidsCgroup(t *testing.T, pid int) string {
	t.Helper()
	return cgroupOf(t, pid, "pids")
}

// cgroupOf is the directory of a process's cgroup of a controller: that of cgroup v1 or, where it has none, of cgroup v2.
func cgroupOf(t *testing.T, pid int, controller string) string {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Fatal(err)
	}
	unified := ""
	for line := range strings.Lines(string(raw)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		switch controllers {
		case "":
			unified = "/sys/fs/cgroup" + path
		case controller:
			return "/sys/fs/cgroup/" + controller + path
		}
	}
	return unified
}

// fillPIDs leaves a cgroup room for so many further processes or threads, until the test ends.
func fillPIDs(t *testing.T, cgroup string, room int) {
	t.Helper()
	most := strconv.Itoa(parsePID(t, readFile(t, cgroup+"/pids.current")) + room)
	writeFile(t, cgroup+"/pids.max", most)
	t.Cleanup(func() {
		if err := os.WriteFile(cgroup+"/pids.max", []byte("max"), 0o600); err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
	})
	t.Logf("%s has no room beyond %s PIDs", cgroup, most)
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
