package target

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Handle is a hold on one process: whatever becomes of its PID, the handle stands for that process and no other.
type Handle interface {
	// Alive says whether any thread of the process lives.
	Alive() (bool, error)
	// Signal sends a signal to the process. It fails with unix.ESRCH when the process was waited for.
	Signal(sig unix.Signal) error
	// Close lets go of the process.
	Close() error
}

// pidfd is the kernel's Handle.
type pidfd int

// OpenPidfd takes hold of the process that has a PID now. It fails with unix.ESRCH when there is none.
func OpenPidfd(pid int) (Handle, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a pidfd of process %d: %w", pid, err)
	}
	return pidfd(fd), nil
}

// Alive asks the kernel: a pidfd becomes readable when the last thread of its process ends.
func (p pidfd) Alive() (bool, error) {
	fds := []unix.PollFd{{Fd: int32(p), Events: unix.POLLIN}} //nolint:gosec // a file descriptor is an int32 to the kernel
	for {
		switch n, err := unix.Poll(fds, 0); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return false, fmt.Errorf("polling a pidfd: %w", err)
		default:
			return n == 0, nil
		}
	}
}

func (p pidfd) Signal(sig unix.Signal) error {
	if err := unix.PidfdSendSignal(int(p), sig, nil, 0); err != nil {
		return fmt.Errorf("sending %s by pidfd: %w", unix.SignalName(sig), err)
	}
	return nil
}

func (p pidfd) Close() error {
	if err := unix.Close(int(p)); err != nil {
		return fmt.Errorf("closing a pidfd: %w", err)
	}
	return nil
}
