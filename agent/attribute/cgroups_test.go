package attribute

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// cgroups are those of a world, in the hierarchies that it uses.
type cgroups struct {
	hierarchies []string
	dirs        []string // those that were made and are not yet removed, in order
}

// make makes a cgroup and those above it, and returns its directories, one of each hierarchy.
func (c *cgroups) make(t *testing.T, cgroup string) []string {
	t.Helper()
	var dirs []string
	for _, dir := range c.hierarchies {
		for part := range strings.SplitSeq(cgroup, "/") {
			if part == "" {
				continue
			}
			dir += "/" + part
			if err := os.Mkdir(dir, 0o755); err == nil {
				c.dirs = append(c.dirs, dir)
			} else if !errors.Is(err, os.ErrExist) {
				t.Fatalf("making a cgroup: %v", err)
			}
		}
		dirs = append(dirs, dir)
	}
	return dirs
}

// remove removes those that are empty or hold only zombies, and says whether that was all.
func (c *cgroups) remove() bool {
	slices.Reverse(c.dirs)
	c.dirs = slices.DeleteFunc(c.dirs, func(dir string) bool { return unix.Rmdir(dir) == nil })
	slices.Reverse(c.dirs)
	return len(c.dirs) == 0
}

// hierarchies are the cgroup mounts that a container runtime would use here: that of v1 with the pids controller, and v2.
// "" stands for none.
func hierarchies(t *testing.T) (v1, v2 string) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		// device, directory, type, options
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue
		}
		switch options := strings.Split(fields[3], ","); {
		case fields[2] == "cgroup2" && v2 == "":
			v2 = fields[1]
		case fields[2] == "cgroup" && slices.Contains(options, "pids") && v1 == "":
			v1 = fields[1]
		}
	}
	return v1, v2
}

// ground makes a directory for all worlds in a hierarchy. It goes after the test.
func ground(t *testing.T, hierarchy string) string {
	t.Helper()
	dir := fmt.Sprintf("%s/zombie-trees-%d", hierarchy, os.Getpid())
	if err := os.Mkdir(dir, 0o755); err != nil {
		leaveOut(t, fmt.Sprintf("a cgroup cannot be made: %v", err))
	}
	t.Cleanup(func() {
		if err := unix.Rmdir(dir); err != nil {
			t.Errorf("removing a cgroup: %v", err)
		}
	})
	return dir
}
