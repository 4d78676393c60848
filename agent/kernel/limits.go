package kernel

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Limits are the limits of the node on processes and threads, and how far they are used.
type Limits struct {
	// PIDMax is kernel.pid_max. Linux gives out PIDs below it, but of the first 300 none a second time.
	PIDMax int64
	// ThreadsMax is kernel.threads-max.
	ThreadsMax int64
	// Used is the number of processes, threads, kernel threads and zombies: the kernel's nr_threads, from which a process is
	// taken only when it is reaped (__unhash_process in kernel/exit.c).
	Used int64
}

// Limits reads the limits of the node on processes and threads. Since Linux 6.14 kernel.pid_max is that of the PID namespace
// of the reader.
func (f FS) Limits() (Limits, error) {
	var limits Limits
	for _, file := range []struct {
		name  string
		value *int64
		parse func([]byte) (int64, error)
	}{
		{"sys/kernel/pid_max", &limits.PIDMax, parseLimit},
		{"sys/kernel/threads-max", &limits.ThreadsMax, parseLimit},
		{"loadavg", &limits.Used, parseTasks},
	} {
		raw, err := os.ReadFile(filepath.Join(f.root, file.name))
		if err != nil {
			return Limits{}, fmt.Errorf("reading limits of the node: %w", err)
		}
		if *file.value, err = file.parse(raw); err != nil {
			return Limits{}, fmt.Errorf("parsing %s: %w", file.name, err)
		}
	}
	return limits, nil
}

// parseLimit reads a file with one number above 0.
func parseLimit(raw []byte) (int64, error) {
	n, err := strconv.ParseInt(string(bytes.TrimSpace(raw)), 10, 64)
	switch {
	case err != nil:
		return 0, fmt.Errorf("parsing number: %w", err)
	case n <= 0:
		return 0, fmt.Errorf("number %d: %w", n, strconv.ErrRange)
	}
	return n, nil
}

// parseTasks reads the number of tasks from /proc/loadavg, such as 116 from "0.86 0.56 0.73 2/116 31175".
func parseTasks(raw []byte) (int64, error) {
	const tasks = 3 // the fourth field: those that run / all
	fields := bytes.Fields(raw)
	if len(fields) <= tasks {
		return 0, fmt.Errorf("number of tasks: %w", errMissing)
	}
	_, all, ok := bytes.Cut(fields[tasks], []byte("/"))
	if !ok {
		return 0, fmt.Errorf("number of all tasks: %w", errMissing)
	}
	return parseLimit(all)
}
