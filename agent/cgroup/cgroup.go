// Package cgroup reads limits on processes, and whether processes are frozen, from a cgroup mount of the host.
//
// It finds the cgroup of a container by its name, and not by /proc/PID/cgroup: from a cgroup namespace of its own the
// agent sees paths that begin with "/..", and on cgroup v1 another path for each hierarchy.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// FS is the host's cgroup mount: everything is read below its root, so a directory of fixtures serves as a fake. It is not
// safe for concurrent use.
type FS struct {
	// pids is the directory of the hierarchy with the pids controller.
	pids string
	// freezer is the directory of the hierarchy that freezes, unified whether that is cgroup v2's.
	freezer string
	unified bool
	// found are the directories of containers by ID, relative to a hierarchy.
	found map[string]string
	// sought is how many times a container was sought in vain.
	sought map[string]int
}

var errNoPIDs = errors.New("no cgroup v2 and no directory of the pids controller")

// New returns the cgroup mount at root: of cgroup v1, where the pids controller is at root/pids; of cgroup v2; or of both,
// where v2 is at root/unified. It fails when it finds no pids controller.
func New(root string) (*FS, error) {
	f := &FS{found: map[string]string{}, sought: map[string]int{}}
	v1, v2 := filepath.Join(root, "pids"), filepath.Join(root, "unified")
	switch {
	case exists(root, "cgroup.controllers"):
		f.pids, f.freezer, f.unified = root, root, true
		return f, nil
	case exists(v1, "cgroup.procs"):
		f.pids = v1
	case exists(v2, "cgroup.controllers"):
		f.pids = v2
	default:
		return nil, fmt.Errorf("opening cgroup mount %q: %w", root, errNoPIDs)
	}
	f.freezer = filepath.Join(root, "freezer")
	if !exists(f.freezer, "cgroup.procs") {
		f.freezer, f.unified = v2, true
	}
	return f, nil
}

func exists(elements ...string) bool {
	_, err := os.Stat(filepath.Join(elements...))
	return err == nil
}

// Level is one cgroup with its limit on processes and threads.
type Level struct {
	// By says whose limit it is.
	By v1alpha1.PIDLimit
	// Used is how many processes, threads and zombies there are in it and below.
	Used int64
	// Max is how many there may be; 0 is no limit.
	Max int64
	// Refused is how many forks were refused since the cgroup was made: since Linux 6.11 on cgroup v2 at this limit, else of
	// processes of this cgroup at whatever limit.
	Refused uint64
}

// Levels reads the cgroup of a container, that of its pod, and those above, in this order. One that has no limit on
// processes, as the root, is left out; there is none where the container's cgroup was not found or is gone.
func (f *FS) Levels(containerID string) ([]Level, error) {
	path, ok := f.found[containerID]
	if !ok {
		return nil, nil
	}
	var levels []Level
	for by := v1alpha1.PIDLimitContainer; exists(f.pids, path); by = above(path) {
		level, ok, err := f.level(filepath.Join(f.pids, path))
		if err != nil {
			return nil, fmt.Errorf("reading cgroups of container %q: %w", containerID, err)
		}
		if level.By = by; ok {
			levels = append(levels, level)
		}
		if path == "." {
			return levels, nil
		}
		path = filepath.Dir(path)
	}
	return nil, nil // it is gone
}

// above says whose limit that of a cgroup above a container's is. The kubelet names a pod's cgroup pod<UID>, by systemd
// kubepods-pod<UID>.slice.
func above(path string) v1alpha1.PIDLimit {
	name := filepath.Base(path)
	if strings.HasPrefix(name, "pod") || strings.Contains(name, "-pod") {
		return v1alpha1.PIDLimitPod
	}
	return v1alpha1.PIDLimitKubepods
}

// level reads one cgroup. It is false when that has no limit to tell or is gone.
func (f *FS) level(dir string) (level Level, ok bool, err error) {
	most, ok, err := read(dir, "pids.max", parseMax)
	if !ok {
		return Level{}, false, err
	}
	used, ok, err := read(dir, "pids.current", parseNumber)
	if !ok {
		return Level{}, false, err
	}
	// Where both are there, pids.events counts those of the cgroups below too.
	refused, ok, err := read(dir, "pids.events.local", parseRefused)
	if err == nil && !ok {
		refused, _, err = read(dir, "pids.events", parseRefused)
	}
	return Level{Used: used, Max: most, Refused: refused}, err == nil, err
}

// Frozen says whether a process of a container is frozen, by the cgroup that it is in or one above. Its paths are those that
// /proc/PID/cgroup shows: what is frozen may be a cgroup below the container's, such as a container in it that was paused. On
// cgroup v1 they are of all hierarchies, with that which freezes among them. It is false where the container's cgroup was not
// found or is gone, and while it freezes.
func (f *FS) Frozen(containerID string, paths []string) (bool, error) {
	container, ok := f.found[containerID]
	if !ok {
		return false, nil
	}
	dirs := []string{container}
	for _, path := range paths {
		if inner := below(containerID, path); inner != "" {
			dirs = append(dirs, filepath.Join(container, inner))
		}
	}
	file, parse := "freezer.state", parseState // the effective state: that of the cgroups above counts in
	if f.unified {
		file, parse = "cgroup.events", parseFrozen // likewise
	}
	for _, dir := range dirs {
		frozen, _, err := read(filepath.Join(f.freezer, dir), file, parse)
		if err != nil {
			return false, fmt.Errorf("reading freezer of container %q: %w", containerID, err)
		}
		if frozen {
			return true, nil
		}
	}
	return false, nil
}

// read reads a file of a cgroup. It is false when there is none: a cgroup may vanish at any time, and not each has every
// controller.
func read[T any](dir, name string, parse func([]byte) (T, error)) (value T, ok bool, err error) {
	path := filepath.Join(dir, name)
	raw, err := os.ReadFile(path)
	switch {
	case isGone(err):
		return value, false, nil
	case err != nil:
		return value, false, fmt.Errorf("reading cgroup file: %w", err)
	}
	if value, err = parse(raw); err != nil {
		return value, false, fmt.Errorf("parsing %q: %w", path, err)
	}
	return value, true, nil
}

// isGone reports whether an error only says that a cgroup was removed: before a file in it was opened, or after, which the
// kernel calls ENODEV.
func isGone(err error) bool { return kernel.IsVanished(err) || errors.Is(err, unix.ENODEV) }

// Bounds of a walk through the tree. A kubelet's containers are at depth 3 to 5; where its root is moved, or it runs in a
// container, a few deeper. A node of 500 containers and 200 services has about 2,000 cgroups outside of containers.
const (
	maxDepth       = 10
	maxDirectories = 20_000
)

// maxSought is how many times a container is sought: its cgroup is there before the runtime tells of it, so what was not
// found soon is in no place that is known, and a walk reads the whole tree.
const maxSought = 3

var errTooMany = errors.New("too many cgroups")

// Refresh finds the cgroups of these containers, and forgets all others. It walks through the tree only for containers that
// it does not know yet.
func (f *FS) Refresh(containerIDs []string) error {
	wanted, missing := map[string]bool{}, false
	for _, id := range containerIDs {
		wanted[id] = true
		if path, ok := f.found[id]; ok && exists(f.pids, path) {
			continue
		}
		delete(f.found, id)
		missing = missing || f.sought[id] < maxSought
	}
	forget(f.found, wanted)
	forget(f.sought, wanted)
	if !missing {
		return nil
	}
	err := f.walk(wanted)
	for id := range wanted {
		if _, ok := f.found[id]; !ok {
			f.sought[id]++
		}
	}
	return err
}

func forget[T any](known map[string]T, wanted map[string]bool) {
	for id := range known {
		if !wanted[id] {
			delete(known, id)
		}
	}
}

// walk looks at the tree level by level, but never into a container: who may make cgroups in one could name them as others.
func (f *FS) walk(wanted map[string]bool) error {
	level, seen := []string{"."}, 0
	for depth := 0; depth < maxDepth && len(level) > 0; depth++ {
		var next []string
		for _, dir := range level {
			names, err := children(filepath.Join(f.pids, dir))
			if err != nil {
				return fmt.Errorf("looking for containers: %w", err)
			}
			if seen += len(names); seen > maxDirectories {
				return fmt.Errorf("looking for containers in more than %d cgroups: %w", maxDirectories, errTooMany)
			}
			for _, name := range names {
				path := filepath.Join(dir, name)
				id := containerOf(name)
				if _, known := f.found[id]; wanted[id] && !known {
					f.found[id] = path
				}
				if !wanted[id] && !ofContainer(name) {
					next = append(next, path)
				}
			}
		}
		level = next
	}
	return nil
}

// children returns the names of the cgroups in a cgroup, sorted.
func children(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !isGone(err) {
		return nil, fmt.Errorf("listing cgroup: %w", err)
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !e.IsDir() })
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, nil
}
