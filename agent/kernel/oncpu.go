package kernel

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// onCPU runs a function on a thread that it moves to a CPU, and moves back. It fails with ErrNoDeathTime where this process may
// not use that CPU. A thread that cannot be moved back, as when the CPUs that this process may use have just become others, is
// not given back to Go, which would run anything on that one CPU then: it ends with its goroutine.
func onCPU(cpu int, do func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		back, err := moveTo(cpu)
		if err == nil {
			err = do()
			if backErr := back(); backErr != nil {
				result <- backErr
				return
			}
		}
		runtime.UnlockOSThread()
		result <- err
	}()
	return <-result
}

// moveTo moves the calling thread to a CPU. What it returns moves it back.
func moveTo(cpu int) (back func() error, err error) {
	var allowed, only unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return nil, fmt.Errorf("reading the allowed CPUs: %w", err)
	}
	only.Set(cpu)
	err = unix.SchedSetaffinity(0, &only)
	if errors.Is(err, unix.EINVAL) { // none of the CPUs is one that this process may use
		err = ErrNoDeathTime
	}
	if err != nil {
		return nil, fmt.Errorf("moving to CPU %d: %w", cpu, err)
	}
	return func() error {
		if err := unix.SchedSetaffinity(0, &allowed); err != nil {
			return fmt.Errorf("moving back to the allowed CPUs: %w", err)
		}
		return nil
	}, nil
}
