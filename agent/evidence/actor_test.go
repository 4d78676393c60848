package evidence

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// actorRole is what an actor does. An actor is a process with one thread that leaves a dead child. It is a copy of the test program
// that makes raw system calls only, so that it is as free as a program in C: a Go program always catches SIGCHLD, in many threads.
type actorRole int

const (
	// actorDefault leaves SIGCHLD as it is.
	actorDefault actorRole = iota
	// actorIgnores ignores SIGCHLD when its child is dead.
	actorIgnores
	// actorBlocks blocks SIGCHLD.
	actorBlocks
	// actorReads reads SIGCHLD from a signalfd and does not wait.
	actorReads
	// actorSigwaits reads SIGCHLD with sigtimedwait() and does not wait.
	actorSigwaits
	// actorWaits waits for another child, which lives.
	actorWaits
	// actorWaitsForGroup waits for a group in which another child lives.
	actorWaitsForGroup
	// actorVforks has a child that keeps it in state D, as it neither ends nor becomes another program.
	actorVforks
	// actorVforksAndHandles is the same, and handles SIGHUP and SIGTERM.
	actorVforksAndHandles
)

// startActor starts an actor and returns its PID. It dies with the calling thread.
//
//go:norace
//go:nosplit
func startActor(role actorRole) int {
	if pid := fork(0); pid != 0 {
		return pid
	}
	for _, signal := range [...]unix.Signal{unix.SIGCHLD, unix.SIGHUP, unix.SIGTERM} {
		if signal == unix.SIGCHLD || role != actorVforksAndHandles { // the Go runtime handles all
			setAction(signal, 0)
		}
	}
	mask := uint64(1) << (unix.SIGCHLD - 1)
	pmask := uintptr(unsafe.Pointer(&mask))
	if role == actorBlocks || role == actorReads || role == actorSigwaits {
		_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, pmask, 0, 8, 0, 0)
	}
	dead := fork(0)
	if dead == 0 {
		exit()
	}
	_, _, _ = unix.RawSyscall6(unix.SYS_WAITID, unix.P_PID, uintptr(dead), 0, unix.WEXITED|unix.WNOWAIT, 0, 0)
	switch role {
	case actorDefault, actorBlocks:
	case actorIgnores:
		setAction(unix.SIGCHLD, 1)
	case actorReads:
		fd, _, _ := unix.RawSyscall6(unix.SYS_SIGNALFD4, ^uintptr(0), pmask, 8, 0, 0, 0)
		var info [128]byte
		for {
			_, _, _ = unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&info)), 128)
		}
	case actorSigwaits:
		for {
			_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGTIMEDWAIT, pmask, 0, 0, 8, 0, 0)
		}
	case actorWaits, actorWaitsForGroup:
		living := fork(0)
		if living == 0 {
			sleep()
		}
		who := uintptr(living)
		if role == actorWaitsForGroup {
			_, _, _ = unix.RawSyscall(unix.SYS_SETPGID, uintptr(living), uintptr(living), 0)
			who = -who
		}
		_, _, _ = unix.RawSyscall6(unix.SYS_WAIT4, who, 0, 0, 0, 0, 0)
	case actorVforks, actorVforksAndHandles:
		if fork(unix.CLONE_VFORK) == 0 {
			sleep()
		}
	}
	sleep()
	return 0
}

// fork returns 0 in the child, which dies with the calling thread.
//
//go:norace
//go:nosplit
func fork(flags uintptr) int {
	pid, _, _ := unix.RawSyscall6(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if pid == 0 {
		_, _, _ = unix.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
	}
	return int(pid)
}

// setAction sets the disposition of a signal: 0 is the default, 1 is to ignore it.
//
//go:norace
//go:nosplit
func setAction(signal unix.Signal, handler uintptr) {
	action := [4]uintptr{handler} // handler, flags, restorer, mask
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(signal), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
}

//go:norace
//go:nosplit
func sleep() {
	for {
		_, _, _ = unix.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
}

//go:norace
//go:nosplit
func exit() {
	for {
		_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}
