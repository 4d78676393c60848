package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
)

// Exit is how a process ended, and how its parent is told.
type Exit struct {
	// Signal is the signal that goes to the parent at its end; 0 is none. A plain wait() sees only SIGCHLD (field 38 of stat).
	Signal int
	// Status is the wait status: the signal that killed it in bits 0 to 6, whether it left a core in bit 7, the exit code
	// in bits 8 to 15 (field 52 of stat).
	Status int
	// Readable is false where the agent may not read Status, which the kernel then shows as 0.
	Readable bool
}

// Exit reads how a zombie ended, which procfs does not tell.
func (f FS) Exit(pid int) (Exit, error) {
	raw, err := f.read(pid, "stat")
	if err != nil {
		return Exit{}, err
	}
	exit, err := parseExit(raw)
	if err != nil {
		return Exit{}, fmt.Errorf("parsing stat of process %d: %w", pid, err)
	}
	if exit.Status != 0 {
		exit.Readable = true
		return exit, nil
	}
	// A status of 0 is the truth or what the kernel shows to who may not know. It asks for the same right, that of
	// reading by ptrace, before it shows the PID namespace: that tells for each process, whatever hides it.
	_, err = f.PIDNamespace(pid)
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return Exit{}, err
	}
	exit.Readable = err == nil
	return exit, nil
}

// parseExit reads the exit signal and the wait status, fields 38 and 52 of /proc/PID/stat. The command name before them
// may hold anything, but the last parenthesis is the kernel's own.
func parseExit(raw []byte) (Exit, error) {
	const state, exitSignal, exitCode = 3, 38, 52 // as proc(5) numbers them
	name := bytes.LastIndexByte(raw, ')')
	if name < 0 {
		return Exit{}, fmt.Errorf("name: %w", errMissing)
	}
	fields := bytes.Fields(raw[name+1:])
	if len(fields) <= exitCode-state {
		return Exit{}, fmt.Errorf("exit code: %w", errMissing)
	}
	sig, err := strconv.Atoi(string(fields[exitSignal-state]))
	if err != nil {
		return Exit{}, fmt.Errorf("parsing exit signal: %w", err)
	}
	status, err := strconv.Atoi(string(fields[exitCode-state]))
	if err != nil {
		return Exit{}, fmt.Errorf("parsing exit code: %w", err)
	}
	return Exit{Signal: sig, Status: status}, nil
}
