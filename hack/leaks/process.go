package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithParent keeps a living child from outliving a tree that was run by hand,
// outside a PID namespace that would end it.
var dieWithParent = syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}

// spawn starts a copy of this binary under another name. It is below os/exec and
// os.StartProcess so that nothing but the tree itself can ever wait for the copy.
func spawn(name string, sys syscall.SysProcAttr, args ...string) (int, error) {
	pid, err := syscall.ForkExec("/proc/self/exe", append([]string{name}, args...), &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
		Sys:   &sys,
	})
	if err != nil {
		return 0, fmt.Errorf("starting %q: %w", name, err)
	}
	return pid, nil
}

// leaveDead makes n dead children, one after the other so that a small pids limit
// never sees more than one of them alive.
func leaveDead(n int, name string) ([]int, error) {
	pids := make([]int, 0, n)
	for range n {
		pid, err := spawn(name, syscall.SysProcAttr{}, "child")
		if err != nil {
			return pids, err
		}
		if err := awaitDead(unix.P_PID, pid); err != nil {
			return pids, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// awaitDead returns when the child is a zombie, whole thread group and all, and
// leaves it one (WNOWAIT).
func awaitDead(idType, id int) error {
	for {
		err := unix.Waitid(idType, id, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("awaiting the death of child %d: %w", id, err)
		}
	}
}

// reap waits for one child by its number, as a shell or exec.Cmd does.
func reap(pid int) error {
	for {
		_, err := unix.Wait4(pid, nil, 0, nil)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting for child %d: %w", pid, err)
		}
	}
}

// reapAll is the loop every SIGCHLD handler should hold: signals merge, so one
// may stand for many deaths.
func reapAll() {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if pid <= 0 && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func sayReady(zombies int) {
	fmt.Printf("ready: %d zombies under pid %d\n", zombies, os.Getpid())
}
