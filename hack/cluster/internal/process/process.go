// Package process starts programs that outlive zcluster, and finds them again without mistaking another one for them.
package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ID names a process for good: the kernel gives a pid again, but not together with the same start time. That counts from
// the boot, so a pid file that outlived its boot could otherwise name another process.
type ID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"startTicks"`
	Boot  string `json:"bootID"`
}

// Spec is a program to run in the background.
type Spec struct {
	Name string   // of its pid file and its log
	Path string   // of the program
	Args []string // without the program itself
	Env  []string
	Log  string // file that takes its output
}

// Start runs the program in a session of its own, so that closing the terminal does not end it.
func Start(s Spec, pidDir string) (ID, error) {
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return ID{}, fmt.Errorf("opening the log of %s: %w", s.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.Env, "/", log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return ID{}, fmt.Errorf("starting %s: %w", s.Name, err)
	}
	go func() { _ = cmd.Wait() }() // reaps it if it dies while zcluster still runs; afterwards it belongs to PID 1
	id, err := identify(cmd.Process.Pid)
	if err != nil {
		return ID{}, fmt.Errorf("starting %s: it ended at once, see %s", s.Name, s.Log)
	}
	return id, save(id, filepath.Join(pidDir, s.Name))
}

// Load reads a pid file. A missing file is a process that was never started, not an error. One that holds no pid is of no
// use, and what it meant is still in the cgroup of the cluster: it counts as missing, else no `down` could ever succeed.
func Load(pidDir, name string) (ID, error) {
	data, err := os.ReadFile(filepath.Join(pidDir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return ID{}, nil
	}
	if err != nil {
		return ID{}, fmt.Errorf("reading the pid file of %s: %w", name, err)
	}
	var id ID
	if json.Unmarshal(data, &id) != nil {
		return ID{}, nil //nolint:nilerr // see above: it counts as missing
	}
	return id, nil
}

// Alive says whether this very process still runs. A zombie does not.
func (id ID) Alive() bool {
	if id.PID <= 0 {
		return false
	}
	now, err := identify(id.PID)
	return err == nil && now == id
}

// Kill ends the process for sure and waits until it is gone. It does nothing to another process with its pid.
func (id ID) Kill(wait time.Duration) error {
	for deadline := time.Now().Add(wait); id.Alive(); time.Sleep(20 * time.Millisecond) {
		if err := syscall.Kill(id.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("killing process %d: %w", id.PID, err)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("killing process %d: it still runs after %s", id.PID, wait)
		}
	}
	return nil
}

// save writes beside the file and renames, so that a reader never finds half of it.
func save(id ID, path string) error {
	data, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("encoding a pid file: %w", err)
	}
	partial := path + ".partial"
	if err := os.WriteFile(partial, data, 0o644); err != nil {
		return fmt.Errorf("writing a pid file: %w", err)
	}
	if err := os.Rename(partial, path); err != nil {
		return fmt.Errorf("placing a pid file: %w", err)
	}
	return nil
}

func identify(pid int) (ID, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ID{}, err
	}
	start, err := startTicks(stat)
	if err != nil {
		return ID{}, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return ID{PID: pid, Start: start, Boot: strings.TrimSpace(string(boot))}, err
}

var errDead = errors.New("process has ended")

// startTicks reads field 22 of a stat line. It counts from the last ')', since a command name may hold any byte.
func startTicks(stat []byte) (uint64, error) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, fmt.Errorf("parsing stat line %q: no command name", stat)
	}
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("parsing stat line %q: too few fields", stat)
	}
	if state := fields[0]; state == "Z" || state == "X" {
		return 0, errDead
	}
	return strconv.ParseUint(fields[19], 10, 64)
}
