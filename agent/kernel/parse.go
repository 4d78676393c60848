package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

var errMissing = errors.New("missing")

// Status is what /proc/PID/status tells beyond stat.
type Status struct {
	// ThreadGroup is the PID of the process that this is a thread of; its own, if it is no thread of another.
	ThreadGroup int
	// TracerPID is the thread that traces this process; 0 when none does.
	TracerPID int
	// NamespacePIDs are the PIDs of the process from the PID namespace of the proc mount down to its own.
	NamespacePIDs []int
	// State is one letter, such as R, S, D, T or Z.
	State string
	// Threads is the number of live threads, and 1 for a zombie that has none.
	Threads int
}

// parseStatus reads State, Tgid, TracerPid, NSpid and Threads. The kernel escapes newlines in the Name line, so no name can forge another line.
func parseStatus(raw []byte) (Status, error) {
	var status Status
	var err error
	for line := range bytes.Lines(raw) {
		key, value, _ := strings.Cut(string(line), ":")
		switch key {
		case "State": // such as "Z (zombie)"
			status.State, _, _ = strings.Cut(strings.TrimSpace(value), " ")
		case "Threads":
			if status.Threads, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return Status{}, fmt.Errorf("parsing Threads: %w", err)
			}
		case "Tgid":
			if status.ThreadGroup, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return Status{}, fmt.Errorf("parsing Tgid: %w", err)
			}
		case "TracerPid":
			if status.TracerPID, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return Status{}, fmt.Errorf("parsing TracerPid: %w", err)
			}
		case "NSpid":
			if status.NamespacePIDs, err = parseInts(value); err != nil {
				return Status{}, fmt.Errorf("parsing NSpid: %w", err)
			}
		}
	}
	if len(status.NamespacePIDs) == 0 {
		return Status{}, fmt.Errorf("NSpid: %w", errMissing)
	}
	return status, nil
}

func parseInts(s string) ([]int, error) {
	fields := strings.Fields(s)
	numbers := make([]int, 0, len(fields))
	for _, field := range fields {
		n, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("parsing number: %w", err)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// deletedSuffix ends the cgroup v2 line of a process whose cgroup was removed while it was a zombie.
const deletedSuffix = " (deleted)"

// parseCgroups returns the distinct paths of all hierarchies of /proc/PID/cgroup, but not "/".
func parseCgroups(raw []byte) []string {
	var paths []string
	seen := map[string]bool{"/": true}
	for line := range bytes.Lines(raw) {
		fields := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3)
		if len(fields) != 3 {
			continue
		}
		path := strings.TrimSuffix(fields[2], deletedSuffix)
		if strings.HasPrefix(path, "/") && !seen[path] {
			seen[path] = true
			paths = append(paths, path)
		}
	}
	return paths
}

// parseNamespace reads the inode from a link such as pid:[4026531836].
func parseNamespace(link string) (uint64, error) {
	number, ok := strings.CutPrefix(link, "pid:[")
	if !ok {
		return 0, fmt.Errorf("prefix of %q: %w", link, errMissing)
	}
	number, ok = strings.CutSuffix(number, "]")
	if !ok {
		return 0, fmt.Errorf("bracket of %q: %w", link, errMissing)
	}
	inode, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("parsing inode: %w", err)
	}
	return inode, nil
}

// parseExecStart reads se.exec_start, in milliseconds, from /proc/PID/sched. The file begins with the command
// name, unescaped, which may look like any line: the last line that fits is the kernel's own.
func parseExecStart(raw []byte) (time.Duration, error) {
	value := ""
	for line := range bytes.Lines(raw) {
		key, v, found := strings.Cut(string(line), ":")
		if found && strings.TrimSpace(key) == "se.exec_start" {
			value = strings.TrimSpace(v)
		}
	}
	if value == "" {
		return 0, fmt.Errorf("se.exec_start: %w", errMissing)
	}
	return parseDuration(value, time.Millisecond)
}

// parseUptime reads the time since boot, in seconds, from /proc/uptime.
func parseUptime(raw []byte) (time.Duration, error) {
	fields := bytes.Fields(raw)
	if len(fields) == 0 {
		return 0, fmt.Errorf("uptime: %w", errMissing)
	}
	return parseDuration(string(fields[0]), time.Second)
}

func parseDuration(s string, unit time.Duration) (time.Duration, error) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("parsing duration: %w", err)
	}
	if n >= 0 && n < math.MaxInt64/float64(unit) { // false for what is not a number, too
		return time.Duration(n * float64(unit)), nil
	}
	return 0, fmt.Errorf("duration %q: %w", s, strconv.ErrRange)
}
