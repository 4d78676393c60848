// Package kernel reads processes from a proc mount. Reading and parsing are apart: every parser takes bytes and never panics.
package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/prometheus/procfs"
)

// StateZombie is the state in /proc/PID/stat of a process whose thread-group leader has exited.
const StateZombie = "Z"

// stateDead is the state of a thread at the very end of its exit.
const stateDead = "X"

// FS is a proc mount: everything is read below its root, so a directory of fixtures serves as a fake.
type FS struct {
	root string
	proc procfs.FS
	// sys is the sysfs mount: what is read there is the same in every container.
	sys string
}

// New returns the proc mount at root. It fails when root is not a directory.
func New(root string) (FS, error) {
	proc, err := procfs.NewFS(root)
	if err != nil {
		return FS{}, fmt.Errorf("opening proc mount %q: %w", root, err)
	}
	return FS{root: root, proc: proc, sys: "/sys"}, nil
}

// Process is what one line of /proc/PID/stat tells.
type Process struct {
	// PID is the process ID in the PID namespace of the proc mount.
	PID int
	// ParentPID is the PID of the parent in the same namespace; 0 when the parent is outside of it.
	ParentPID int
	// State is one letter, such as R, S, D, T or Z.
	State string
	// Threads is the number of live threads, and 1 for a zombie that has none.
	Threads int
	// StartTicks is the start time in clock ticks since boot.
	StartTicks uint64
	// CPU is the processor it ran on last.
	CPU int
	// Command is the command name as the process set it: foreign bytes, not fit to be printed.
	Command string
}

// IsVanished reports whether an error only says that the process ended while it was read.
func IsVanished(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// Processes lists all processes. One that ends meanwhile is left out; one that cannot be read is left out and counted in unreadable.
func (f FS) Processes() (processes []Process, unreadable int, err error) {
	all, err := f.proc.AllProcs()
	if err != nil {
		return nil, 0, fmt.Errorf("listing processes of %q: %w", f.root, err)
	}
	processes = make([]Process, 0, len(all))
	for _, p := range all {
		process, err := stat(p)
		switch {
		case err == nil:
			processes = append(processes, process)
		case !IsVanished(err):
			unreadable++
		}
	}
	return processes, unreadable, nil
}

// Process reads one process.
func (f FS) Process(pid int) (Process, error) {
	p, err := f.proc.Proc(pid)
	if err != nil {
		return Process{}, fmt.Errorf("finding process %d: %w", pid, err)
	}
	return stat(p)
}

var errMalformedStat = errors.New("malformed stat")

func stat(p procfs.Proc) (process Process, err error) {
	// procfs slices a line by the position of its parentheses and panics on one without them.
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("parsing stat of process %d: %w", p.PID, errMalformedStat)
		}
	}()
	s, err := p.Stat()
	if err != nil {
		return Process{}, fmt.Errorf("reading stat of process %d: %w", p.PID, err)
	}
	return Process{
		PID:        p.PID,
		ParentPID:  s.PPID,
		State:      s.State,
		Threads:    s.NumThreads,
		StartTicks: s.Starttime,
		CPU:        int(s.Processor),
		Command:    s.Comm,
	}, nil
}

// Status reads what /proc/PID/status tells beyond stat.
func (f FS) Status(pid int) (Status, error) {
	raw, err := f.read(pid, "status")
	if err != nil {
		return Status{}, err
	}
	status, err := parseStatus(raw)
	if err != nil {
		return Status{}, fmt.Errorf("parsing status of process %d: %w", pid, err)
	}
	return status, nil
}

// Cgroups reads the cgroup paths of a process, as seen from the cgroup namespace of the reader. Paths that
// say nothing, "/" above all, are left out; a zombie on cgroup v1 has no other.
func (f FS) Cgroups(pid int) ([]string, error) {
	raw, err := f.read(pid, "cgroup")
	if err != nil {
		return nil, err
	}
	return parseCgroups(raw), nil
}

// LiveCgroups reads the cgroup paths of a process whose leader has exited from one of its living threads: on cgroup v1
// what has exited shows "/" only. It fails with fs.ErrNotExist when no thread lives any more.
func (f FS) LiveCgroups(pid int) ([]string, error) {
	tids, _, err := f.tids(pid)
	if err != nil {
		return nil, err
	}
	for _, tid := range tids {
		dir := filepath.Join("task", strconv.Itoa(tid))
		live, err := f.threadLives(pid, filepath.Join(dir, "status"))
		if IsVanished(err) || (err == nil && !live) {
			continue
		}
		if err != nil {
			return nil, err
		}
		raw, err := f.read(pid, filepath.Join(dir, "cgroup"))
		if IsVanished(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return parseCgroups(raw), nil
	}
	return nil, fmt.Errorf("finding a living thread of process %d: %w", pid, fs.ErrNotExist)
}

// threadLives says by its status file whether a thread has not exited.
func (f FS) threadLives(pid int, file string) (bool, error) {
	raw, err := f.read(pid, file)
	if err != nil {
		return false, err
	}
	status, err := parseStatus(raw)
	if err != nil {
		return false, fmt.Errorf("parsing %s of process %d: %w", file, pid, err)
	}
	return alive(status.State), nil
}

// PIDNamespace reads the inode of the PID namespace of a process; it works for zombies too.
// It needs CAP_SYS_PTRACE for processes of other users and fails with fs.ErrPermission without it.
func (f FS) PIDNamespace(pid int) (uint64, error) {
	link, err := os.Readlink(f.path(pid, "ns/pid"))
	if err != nil {
		return 0, fmt.Errorf("reading PID namespace of process %d: %w", pid, err)
	}
	inode, err := parseNamespace(link)
	if err != nil {
		return 0, fmt.Errorf("parsing PID namespace of process %d: %w", pid, err)
	}
	return inode, nil
}

func (f FS) read(pid int, name string) ([]byte, error) {
	raw, err := os.ReadFile(f.path(pid, name))
	if err != nil {
		return nil, fmt.Errorf("reading %s of process %d: %w", name, pid, err)
	}
	return raw, nil
}

func (f FS) path(pid int, name string) string {
	return filepath.Join(f.root, strconv.Itoa(pid), name)
}
