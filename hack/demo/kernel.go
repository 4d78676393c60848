//go:build linux

package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// process is what the kernel tells of one in /proc/PID/stat.
type process struct {
	pid, parent, threads int
	state                byte
	command              string
	started              string // in clock ticks since boot: with the PID it names one process and no later one
}

// finding is what the kernel shows of one pod.
type finding struct {
	zombies []process
	parent  process   // of the zombies
	alive   []process // in state Z like zombies, but with threads that live
}

// find looks for the dead of containers, given by pod. It shares no line with the agent, whose word it is to check.
func find(procRoot string, containers map[string]string) (map[string]finding, error) {
	all, err := readProcesses(procRoot)
	if err != nil {
		return nil, err
	}
	found := map[string]finding{}
	for _, p := range all {
		if p.state != 'Z' {
			continue
		}
		// The living parent's cgroup names the container; on cgroup v1 the zombie's own no longer does.
		pod := podOf(filepath.Join(procRoot, strconv.Itoa(p.parent), "cgroup"), containers)
		if pod == "" {
			continue
		}
		f := found[pod]
		if p.threads > 1 {
			f.alive = append(f.alive, p)
		} else {
			f.zombies, f.parent = append(f.zombies, p), all[p.parent]
		}
		found[pod] = f
	}
	for _, f := range found {
		slices.SortFunc(f.zombies, func(a, b process) int { return cmp.Compare(a.pid, b.pid) })
	}
	return found, nil
}

func readProcesses(procRoot string) (map[int]process, error) {
	files, err := filepath.Glob(filepath.Join(procRoot, "[0-9]*", "stat"))
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	all := make(map[int]process, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has gone meanwhile
		}
		p, err := parseStat(text)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		all[p.pid] = p
	}
	return all, nil
}

func podOf(cgroupFile string, containers map[string]string) string {
	text, err := os.ReadFile(cgroupFile)
	if err != nil {
		return "" // it has gone meanwhile
	}
	for pod, id := range containers {
		if id != "" && bytes.Contains(text, []byte(id)) {
			return pod
		}
	}
	return ""
}

// parseStat reads a line such as `42 (a (odd) name) Z 1 ...`. A name may hold anything, so it ends at the last parenthesis.
func parseStat(text []byte) (process, error) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return process{}, errors.New("there is no command name in parentheses")
	}
	// Counted from the state, which proc(5) counts as field 3: parent 4, threads 20, start 22.
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 20 || len(fields[0]) != 1 {
		return process{}, fmt.Errorf("there are %d fields behind the command name, want at least 20", len(fields))
	}
	p := process{state: fields[0][0], command: string(text[open+1 : end]), started: fields[19]}
	for _, number := range []struct {
		into *int
		text string
	}{{&p.pid, strings.TrimSpace(string(text[:open]))}, {&p.parent, fields[1]}, {&p.threads, fields[17]}} {
		value, err := strconv.Atoi(number.text)
		if err != nil {
			return process{}, fmt.Errorf("reading a number: %w", err)
		}
		*number.into = value
	}
	return p, nil
}

// still counts those of before that are there now.
func still(before, now []process) int {
	count := 0
	for _, p := range before {
		if slices.ContainsFunc(now, func(q process) bool { return p.pid == q.pid && p.started == q.started }) {
			count++
		}
	}
	return count
}
