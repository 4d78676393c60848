package targettest

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Trace lets a thread of this program trace a real process until the test ends, without waiting for it, and returns the thread's ID.
// It may halt the process.
func Trace(t *testing.T, pid int, halt bool) int {
	t.Helper()
	type answer struct {
		tid int
		err error
	}
	seized, done, ended := make(chan answer), make(chan struct{}), make(chan struct{})
	hold := func() {
		// The thread of a locked goroutine ends with it, and the end of a tracer lets go.
		runtime.LockOSThread()
		err := unix.PtraceSeize(pid)
		if err == nil && halt {
			err = unix.PtraceInterrupt(pid)
		}
		seized <- answer{unix.Gettid(), err}
		<-done
	}
	go func() {
		defer close(ended)
		// The main thread is the one that does not end with its goroutine. While this one holds it, another runs elsewhere.
		runtime.LockOSThread()
		if unix.Gettid() != os.Getpid() {
			hold()
			return
		}
		elsewhere := make(chan struct{})
		go func() {
			defer close(elsewhere)
			hold()
		}()
		<-elsewhere
		runtime.UnlockOSThread()
	}()
	t.Cleanup(func() {
		close(done)
		<-ended
	})
	got := <-seized
	if got.err != nil {
		t.Fatalf("tracing process %d: %v", pid, got.err)
	}
	return got.tid
}
