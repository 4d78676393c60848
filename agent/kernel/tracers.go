package kernel

import (
	"fmt"
	"path/filepath"
	"slices"
)

// maxPIDs is the highest limit of PIDs that the kernel has, so that no process has more threads.
const maxPIDs = 1 << 22

// Tracers tells which threads trace the threads of a process; what is traced is a thread, and each may be on its own. It costs
// some 15 microseconds a thread.
func (f FS) Tracers(pid int) ([]int, error) {
	tids, _, err := list(f.path(pid, "task"), maxPIDs)
	if err != nil {
		return nil, fmt.Errorf("listing threads of process %d: %w", pid, err)
	}
	var tracers []int
	for _, tid := range tids {
		raw, err := f.read(pid, filepath.Join("task", tid, "status"))
		if IsVanished(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		status, err := parseStatus(raw)
		if err != nil {
			return nil, fmt.Errorf("parsing status of thread %s: %w", tid, err)
		}
		if status.TracerPID != 0 && !slices.Contains(tracers, status.TracerPID) {
			tracers = append(tracers, status.TracerPID)
		}
	}
	return tracers, nil
}
