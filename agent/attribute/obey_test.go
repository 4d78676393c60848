package attribute

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// roleVariable makes a copy of the test binary the first process of a forest.
const roleVariable = "ATTRIBUTE_TEST_ROLE"

// A process of a forest takes an order at a time from a pipe of its own, which has its number, and answers on a socket
// that is common to all.
const (
	maxProcesses = 64
	answerFD     = 3
	firstOrderFD = 4
)

// Orders. The number is their argument; that of an order to join is followed by the path.
const (
	orderFork     = iota + 1 // fork the process with this number, in a new PID namespace when it is negative
	orderExit                // exit with this code
	orderJoin                // write itself into a cgroup.procs with a path of this length
	orderEnter               // let later children be in the PID namespace of this PID
	orderSubreap             // become a subreaper
	orderReap                // wait for all children
	orderMaxBytes = 512
)

// order and answer are the memory that every process has its own copy of.
var (
	order struct {
		kind, number int32
		path         [orderMaxBytes]byte
	}
	// answer is the process's number, and its PID in its own namespace or, below zero, the error.
	answer [2]int32
)

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) == "" {
		os.Exit(m.Run())
	}
	// Nothing of Go's runtime may run between the forks: they are copies of a process of many threads with one of them.
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	all := unix.Sigset_t{}
	for i := range all.Val {
		all.Val[i] = ^uint64(0)
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil); err != nil {
		fmt.Fprintln(os.Stderr, "blocking signals:", err)
		os.Exit(1)
	}
	obey()
}

// obey is the life of a process, and of its children: it takes orders until it is told to exit, or nobody is left to give
// them. It allocates nothing and calls nothing but the kernel, so it works in a fork.
//
//go:norace
//go:nosplit
func obey() {
	for number := uintptr(0); ; {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, firstOrderFD+number, uintptr(unsafe.Pointer(&order)), unsafe.Sizeof(order))
		if errno != 0 || n == 0 {
			_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 1, 0, 0)
		}
		argument := uintptr(order.number)
		switch order.kind {
		case orderFork:
			flags := uintptr(syscall.SIGCHLD)
			if order.number < 0 {
				argument, flags = -argument, flags|syscall.CLONE_NEWPID
			}
			n, _, errno = syscall.RawSyscall6(syscall.SYS_CLONE, flags, 0, 0, 0, 0, 0)
			if errno == 0 && n != 0 {
				continue // the child answers
			}
			if errno == 0 {
				number = argument
			}
		case orderExit:
			_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, argument, 0, 0)
		case orderJoin:
			errno = join()
		case orderEnter:
			errno = enter(argument)
		case orderSubreap:
			_, _, errno = syscall.RawSyscall(syscall.SYS_PRCTL, unix.PR_SET_CHILD_SUBREAPER, 1, 0)
		case orderReap:
			for errno == 0 {
				_, _, errno = syscall.RawSyscall6(syscall.SYS_WAIT4, ^uintptr(0), 0, syscall.WALL, 0, 0, 0)
			}
			if errno == syscall.ECHILD {
				errno = 0
			}
		}
		pid, _, _ := syscall.RawSyscall(syscall.SYS_GETPID, 0, 0, 0)
		answer[0], answer[1] = int32(number), int32(pid)
		if errno != 0 {
			answer[1] = -int32(errno)
		}
		_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, answerFD, uintptr(unsafe.Pointer(&answer)), unsafe.Sizeof(answer))
	}
}

//go:norace
//go:nosplit
func join() syscall.Errno {
	at := unix.AT_FDCWD
	fd, _, errno := syscall.RawSyscall6(syscall.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(&order.path)), syscall.O_WRONLY, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	order.path[0] = '0' // itself
	_, _, errno = syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&order.path)), 1)
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, fd, 0, 0)
	return errno
}

//go:norace
//go:nosplit
func enter(pid uintptr) syscall.Errno {
	fd, _, errno := syscall.RawSyscall(unix.SYS_PIDFD_OPEN, pid, 0, 0)
	if errno != 0 {
		return errno
	}
	_, _, errno = syscall.RawSyscall(unix.SYS_SETNS, fd, syscall.CLONE_NEWPID, 0)
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, fd, 0, 0)
	return errno
}
