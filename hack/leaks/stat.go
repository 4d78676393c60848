package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

const procRoot = "/proc"

// procStat is what the trees need of /proc/PID/stat.
type procStat struct {
	comm    string
	state   string
	threads int
}

func readStat(pid string) (procStat, error) {
	line, err := os.ReadFile(filepath.Join(procRoot, pid, "stat"))
	if err != nil {
		return procStat{}, fmt.Errorf("reading the state of process %s: %w", pid, err)
	}
	return parseStat(line)
}

// parseStat starts at the last ')': the command name before it may hold anything.
func parseStat(line []byte) (procStat, error) {
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return procStat{}, fmt.Errorf("no command name in stat line %q", line)
	}
	fields := bytes.Fields(line[end+1:]) // from field 3, the state, on
	if len(fields) < 18 {
		return procStat{}, fmt.Errorf("stat line %q is too short", line)
	}
	threads, err := strconv.Atoi(string(fields[17]))
	if err != nil {
		return procStat{}, fmt.Errorf("reading num_threads: %w", err)
	}
	return procStat{comm: string(line[open+1 : end]), state: string(fields[0]), threads: threads}, nil
}

// commLength is what the kernel keeps of a command name.
const commLength = 15

// countZombies counts the zombies of one name; what vanishes meanwhile is none.
func countZombies(name string) (int, error) {
	comm := name[:min(commLength, len(name))]
	entries, err := os.ReadDir(procRoot)
	if err != nil {
		return 0, fmt.Errorf("listing processes: %w", err)
	}
	n := 0
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		if s, err := readStat(e.Name()); err == nil && s.state == "Z" && s.comm == comm {
			n++
		}
	}
	return n, nil
}
