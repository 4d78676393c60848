package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Wait is what a thread waits for that sleeps in wait().
type Wait struct {
	// Any is whether it waits for any child.
	Any bool
	// Child is the PID of the one child it waits for, in the thread's PID namespace; 0 when it waits for a group or that cannot
	// be seen.
	Child int
}

var errOtherCall = errors.New("it is in no system call that waits for a child")

// Wait reads what a thread waits for. It fails when the thread is in no wait(), and with fs.ErrPermission where the reader may
// not see system calls: for processes of other users that takes CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH.
func (f FS) Wait(pid, tid int) (Wait, error) {
	raw, err := os.ReadFile(f.taskPath(pid, tid, "syscall"))
	if err != nil {
		return Wait{}, fmt.Errorf("reading system call of thread %d: %w", tid, err)
	}
	wait, err := parseWait(raw)
	if err != nil {
		return Wait{}, fmt.Errorf("parsing system call of thread %d: %w", tid, err)
	}
	return wait, nil
}

// parseWait reads the number and the first two arguments of a system call from a line such as
//
//	61 0xffffffff 0x0 0x0 0x0 0x0 0x0 0x7ffd0 0x7f1c0
//
// which is "running" or begins with -1 outside of system calls. Numbers are those of this program's own architecture: those of
// a 32-bit program are not known, and none of them that means the same sleeps in wait().
func parseWait(raw []byte) (Wait, error) {
	const arguments = 2
	fields := bytes.Fields(raw)
	if len(fields) <= arguments {
		return Wait{}, errOtherCall
	}
	number, err := strconv.Atoi(string(fields[0]))
	if err != nil {
		return Wait{}, fmt.Errorf("parsing number: %w", err)
	}
	var args [arguments]int32 // the kernel takes PIDs and kinds from the lower half of a register
	for i := range args {
		arg, err := strconv.ParseUint(string(fields[1+i]), 0, 64)
		if err != nil {
			return Wait{}, fmt.Errorf("parsing argument: %w", err)
		}
		args[i] = int32(arg) //nolint:gosec // the lower half is what is wanted
	}
	switch number {
	case unix.SYS_WAIT4:
		return Wait{Any: args[0] == -1, Child: int(max(args[0], 0))}, nil
	case unix.SYS_WAITID:
		if args[0] == unix.P_PID {
			return Wait{Child: int(max(args[1], 0))}, nil
		}
		return Wait{Any: args[0] == unix.P_ALL}, nil
	}
	return Wait{}, errOtherCall
}
