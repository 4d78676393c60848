package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// ErrNoChildren says that this kernel does not list children (CONFIG_PROC_CHILDREN).
var ErrNoChildren = errors.New("the kernel lists no children")

// Children lists the children of one process, the zombies among them too, without reading all processes. While others are
// reaped the kernel may skip one: who is in the list is a child, but who is not may be one all the same. It reads every thread,
// however many there are: each has a list of its own, and to leave some out would pass for zombies that are gone.
func (f FS) Children(pid int) ([]int, error) {
	threads, err := os.ReadDir(f.path(pid, "task"))
	if err != nil {
		return nil, fmt.Errorf("listing threads of process %d: %w", pid, err)
	}
	var children []int
	listed := false
	for _, thread := range threads {
		raw, err := os.ReadFile(filepath.Join(f.path(pid, "task"), thread.Name(), "children"))
		switch {
		case IsVanished(err): // the thread, or the whole file on a kernel without it
			continue
		case err != nil:
			return nil, fmt.Errorf("listing children of process %d: %w", pid, err)
		}
		listed = true
		pids, err := parseInts(string(raw))
		if err != nil {
			return nil, fmt.Errorf("listing children of process %d: %w", pid, err)
		}
		children = append(children, pids...)
	}
	if !listed {
		return nil, fmt.Errorf("listing children of process %d: %w", pid, ErrNoChildren)
	}
	slices.Sort(children)
	return children, nil
}
