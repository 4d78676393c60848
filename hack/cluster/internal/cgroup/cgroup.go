// Package cgroup makes, fills, empties and removes the cgroup of a cluster, on cgroup v1, v2 and both beside each other.
package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Hierarchy is one mounted cgroup tree.
type Hierarchy struct {
	Mount   string
	Unified bool // v2
	Cpuset  bool // v1 with the cpuset controller
}

// Tree is every hierarchy of the machine. The same relative path is used in all of them.
type Tree []Hierarchy

// Find reads the mounted hierarchies of this machine.
func Find() (Tree, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("finding the cgroup mounts: %w", err)
	}
	defer file.Close()
	tree := parse(file)
	if len(tree) == 0 {
		return nil, errors.New("finding the cgroup mounts: there are none below /sys/fs/cgroup; mount them first")
	}
	return tree, nil
}

// parse takes the cgroup lines of a mountinfo file: "... mountpoint options - type source superoptions".
func parse(mountinfo io.Reader) Tree {
	var tree Tree
	for lines := bufio.NewScanner(mountinfo); lines.Scan(); {
		left, right, _ := strings.Cut(lines.Text(), " - ")
		before, after := strings.Fields(left), strings.Fields(right)
		if len(before) < 5 || len(after) < 3 || !strings.HasPrefix(before[4], "/sys/fs/cgroup") {
			continue
		}
		switch after[0] {
		case "cgroup2":
			tree = append(tree, Hierarchy{Mount: before[4], Unified: true})
		case "cgroup":
			controllers := strings.Split(after[2], ",")
			tree = append(tree, Hierarchy{Mount: before[4], Cpuset: slices.Contains(controllers, "cpuset")})
		}
	}
	return tree
}

// V1 says whether controllers are on v1: the v2 tree of a hybrid machine has none that a pod needs.
func (t Tree) V1() bool {
	return slices.ContainsFunc(t, func(h Hierarchy) bool { return !h.Unified })
}

// Create makes the cgroup with its parents. Each parent passes its controllers on, or limits would have no effect below.
// The last one does not: on v2 a cgroup that does may hold no processes.
func (t Tree) Create(path string) error {
	for _, h := range t {
		dir := h.Mount
		for part := range strings.SplitSeq(path, "/") {
			if h.Unified && !t.V1() {
				if err := delegate(dir); err != nil {
					return err
				}
			}
			dir = filepath.Join(dir, part)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("creating a cgroup: %w", err)
			}
			if err := h.inheritCpus(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// delegate lets the children of a v2 cgroup use every controller it has.
func delegate(dir string) error {
	controllers, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("reading the controllers of a cgroup: %w", err)
	}
	for name := range strings.FieldsSeq(string(controllers)) {
		err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+name), 0o644)
		if errors.Is(err, syscall.EBUSY) {
			return fmt.Errorf("delegating cgroup controllers: %s has processes of its own; move them to a child first: %w", dir, err)
		}
		if err != nil {
			return fmt.Errorf("delegating cgroup controller %s: %w", name, err)
		}
	}
	return nil
}

// inheritCpus fills a new v1 cpuset, which starts empty and takes no process until it is filled.
func (h Hierarchy) inheritCpus(dir string) error {
	if !h.Cpuset {
		return nil
	}
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		parent, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
		if err != nil {
			return fmt.Errorf("reading the parent's cpuset: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), parent, 0o644); err != nil {
			return fmt.Errorf("filling a cpuset: %w", err)
		}
	}
	return nil
}

// Add moves a process into the cgroup; what it starts from now on stays there.
func (t Tree) Add(path string, pid int) error {
	for _, h := range t {
		procs := filepath.Join(h.Mount, path, "cgroup.procs")
		if err := os.WriteFile(procs, []byte(strconv.Itoa(pid)), 0o644); err != nil {
			return fmt.Errorf("adding process %d to a cgroup: %w", pid, err)
		}
	}
	return nil
}

// Pids lists the processes in the cgroup and below, in whichever hierarchy they are seen.
func (t Tree) Pids(path string) ([]int, error) {
	seen := map[int]bool{}
	for _, h := range t {
		dirs, err := subtree(filepath.Join(h.Mount, path))
		if err != nil {
			return nil, err
		}
		for _, dir := range dirs {
			if err := readPids(dir, seen); err != nil {
				return nil, err
			}
		}
	}
	var pids []int
	for pid := range seen {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids, nil
}

func readPids(dir string, into map[int]bool) error {
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if gone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listing the processes of a cgroup: %w", err)
	}
	for field := range strings.FieldsSeq(string(data)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return fmt.Errorf("listing the processes of a cgroup: %w", err)
		}
		if pid > 0 { // 0 is a process of another pid namespace, not ours to end
			into[pid] = true
		}
	}
	return nil
}

// Kill ends every process in the cgroup and below. It asks again until none is left: a process can fork while others die.
func (t Tree) Kill(path string, wait time.Duration) error {
	for deadline := time.Now().Add(wait); ; time.Sleep(50 * time.Millisecond) {
		pids, err := t.Pids(path)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("ending the processes of cgroup %s: %v still run after %s", path, pids, wait)
		}
		t.thaw(path)
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("killing process %d: %w", pid, err)
			}
		}
	}
}

// thaw wakes frozen v1 cgroups, since a frozen process does not even die. Failing is fine: then nothing was frozen.
func (t Tree) thaw(path string) {
	for _, h := range t {
		dirs, _ := subtree(filepath.Join(h.Mount, path))
		for _, dir := range dirs {
			state := filepath.Join(dir, "freezer.state")
			if now, err := os.ReadFile(state); err == nil && strings.TrimSpace(string(now)) != "THAWED" {
				_ = os.WriteFile(state, []byte("THAWED"), 0o644)
			}
		}
	}
}

// Remove removes the cgroup and all below it. The kernel needs a moment after the last process, so it tries for a while.
func (t Tree) Remove(path string, wait time.Duration) error {
	for deadline := time.Now().Add(wait); ; time.Sleep(50 * time.Millisecond) {
		err := t.removeOnce(path)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

func (t Tree) removeOnce(path string) error {
	var failed error
	for _, h := range t {
		dirs, err := subtree(filepath.Join(h.Mount, path))
		if err != nil {
			return err
		}
		for _, dir := range slices.Backward(dirs) {
			if err := syscall.Rmdir(dir); err != nil && !gone(err) {
				failed = fmt.Errorf("removing cgroup %s: %w", dir, err)
			}
		}
	}
	return failed
}

// Left lists the directories of this path that still exist.
func (t Tree) Left(path string) []string {
	var left []string
	for _, h := range t {
		dir := filepath.Join(h.Mount, path)
		if _, err := os.Stat(dir); err == nil {
			left = append(left, dir)
		}
	}
	return left
}

// subtree lists the directory and all below it, parents first. A directory that is gone is an empty list.
func subtree(root string) ([]string, error) {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if gone(err) {
			return nil
		}
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("walking a cgroup: %w", err)
	}
	return dirs, nil
}

// gone recognises both ways in which a cgroup that is being removed answers.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV)
}
