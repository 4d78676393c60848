package kernel

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// allowed returns the CPUs that the calling thread may use.
func allowed(t *testing.T) unix.CPUSet {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Error(err)
	}
	return set
}

// first returns the first CPU that this process may use.
func first(t *testing.T) int {
	t.Helper()
	set := allowed(t)
	cpu := 0
	for !set.IsSet(cpu) {
		cpu++
	}
	return cpu
}

func TestOnCPUMovesAThreadThereAndBack(t *testing.T) {
	t.Parallel()
	before, cpu := allowed(t), first(t)
	errOwn := errors.New("own")
	for _, want := range []error{nil, errOwn} {
		var tid int
		if err := onCPU(cpu, func() error {
			tid = unix.Gettid()
			if got := allowed(t); got != cpus(cpu) {
				t.Errorf("allowed CPUs = %x, want CPU %d alone", got, cpu)
			}
			return want
		}); !errors.Is(err, want) {
			t.Errorf("onCPU() = %v, want %v", err, want)
		}
		eventually(t, "the thread may use the CPUs of before", func() bool { // another test may move it, or end it, meanwhile
			var after unix.CPUSet
			err := unix.SchedGetaffinity(tid, &after)
			return errors.Is(err, unix.ESRCH) || (err == nil && after == before)
		})
	}
	if err := onCPU(1<<20, func() error { return errOwn }); !errors.Is(err, ErrNoDeathTime) {
		t.Errorf("onCPU() on one that is not there = %v, want %v", err, ErrNoDeathTime)
	}
}

// Go must not run anything more on a thread that is left behind on one CPU.
func TestAThreadThatCannotBeMovedBackEnds(t *testing.T) {
	t.Parallel()
	cpu, tid := first(t), os.Getpid()
	for tid == os.Getpid() { // the main thread never ends; Go only takes no more use of it
		if err := onCPU(cpu, func() error {
			tid = unix.Gettid()
			return stayHere()
		}); !errors.Is(err, unix.EPERM) {
			t.Fatalf("onCPU() = %v, want that it could not move back", err)
		}
	}
	eventually(t, "the end of the thread", func() bool {
		_, err := os.Stat(filepath.Join("/proc/self/task", strconv.Itoa(tid)))
		return errors.Is(err, fs.ErrNotExist)
	})
}

// stayHere lets the kernel refuse to move the calling thread.
func stayHere() error {
	const number, allow = 0, 0x7fff0000 // where the number of the system call is; SECCOMP_RET_ALLOW
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_SCHED_SETAFFINITY},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: allow},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
}
