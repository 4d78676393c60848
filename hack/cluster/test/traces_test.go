//go:build linux

package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// traces is what a cluster could leave on the host. It is found without zcluster's own code, which could be blind to its own faults.
type traces []string

func look() traces {
	var found traces
	// Node paths, which only exist on the host when a mount went wrong or a mount point was not removed.
	for _, dir := range []string{"/run/containerd", "/run/netns", "/run/kubernetes", "/var/lib/kubelet", "/var/lib/cni", "/var/lib/containerd",
		"/var/lib/containers", "/var/lib/zombie-cluster", "/var/log/pods", "/var/log/containers", "/etc/cni", "/etc/kubernetes", "/opt/containerd",
		"/usr/libexec/kubernetes"} {
		found = append(found, below(dir, 3)...)
	}
	for _, dir := range below("/sys/fs/cgroup", 4) {
		if strings.Contains(dir, "zombie-"+name) {
			found = append(found, dir)
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, name) {
			found = append(found, "mount "+line)
		}
	}
	return append(found, links()...)
}

// links leaves the interfaces of other people's clusters out of the count only if they were there before.
func links() []string {
	var names []string
	interfaces, _ := net.Interfaces()
	for _, i := range interfaces {
		names = append(names, "interface "+i.Name)
	}
	return names
}

func below(root string, depth int) []string {
	var paths []string
	_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone in the meantime
		}
		if err != nil { // a trace as well: what cannot be looked into may hide what is left
			paths = append(paths, err.Error())
			return nil
		}
		paths = append(paths, path)
		if entry.IsDir() && strings.Count(strings.TrimPrefix(path, root), "/") >= depth {
			return fs.SkipDir
		}
		return nil
	})
	return paths
}

// kernelSettings are those of the whole machine that a kubelet changes if it can.
func kernelSettings() map[string]string {
	settings := map[string]string{}
	for _, name := range []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"} {
		value, err := os.ReadFile(filepath.Join("/proc/sys", name))
		settings[name] = fmt.Sprint(strings.TrimSpace(string(value)), err)
	}
	return settings
}

// shakeKernelSettings gives two of them values that no kubelet wants, until the test ends: on a machine where one ran
// before, all have those it wants, and a change could not be seen.
func shakeKernelSettings(t *testing.T) {
	t.Helper()
	for name, unwanted := range map[string]string{"kernel/panic": "11", "kernel/keys/root_maxkeys": "1000001"} {
		path := filepath.Join("/proc/sys", name)
		was, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.WriteFile(path, was, 0o600); err != nil {
				t.Error(err)
			}
		})
		if err := os.WriteFile(path, []byte(unwanted), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// ownPlaces are what belongs to this one cluster, whatever others are up. It must be asked for while the cluster is there.
func ownPlaces(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(state, "cluster.json"))
	if err != nil {
		t.Fatal(err)
	}
	var saved struct{ Slot *int }
	if err := json.Unmarshal(data, &saved); err != nil || saved.Slot == nil {
		t.Fatalf("%s has no slot: %v", data, err)
	}
	places := []string{state, fmt.Sprintf("/sys/class/net/zombie-%d", *saved.Slot)}
	for _, node := range []string{"node-1", "node-2"} {
		places = append(places, "/run/netns/zombie-"+name+"-"+node)
	}
	cgroups, err := filepath.Glob("/sys/fs/cgroup/*/zombie-" + name)
	if err != nil {
		t.Fatal(err)
	}
	places = append(places, cgroups...)
	for _, place := range places {
		if _, err := os.Lstat(place); err != nil {
			t.Errorf("this test would be blind, its place is another one: %v", err)
		}
	}
	return places
}

// minus keeps what is new. Other clusters may come up meanwhile: only those paths that cannot be theirs are told.
func (t traces) minus(before traces) []string {
	return slices.DeleteFunc(slices.Clone(t), func(trace string) bool {
		return slices.Contains(before, trace) || (othersLive() && !strings.Contains(trace, name))
	})
}

func othersLive() bool {
	entries, _ := os.ReadDir("/var/lib/zombie-cluster")
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.IsDir() && !strings.HasPrefix(e.Name(), name) })
}

// processesOf finds the members of a cluster by what the kernel says of each process, with their start times.
func processesOf(name string) map[int]string {
	members := map[int]string{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		cgroups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		if start := startOf(pid); start != "" && strings.Contains(string(cgroups), "/zombie-"+name+"/") {
			members[pid] = start
		}
	}
	return members
}

// startOf is empty for what has ended, a zombie included: it waits for PID 1 of the machine.
func startOf(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:]))
	if fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	return fields[19]
}
