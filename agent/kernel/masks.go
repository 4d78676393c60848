package kernel

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxThreads is how many threads of a process are looked at. Each costs about 15 microseconds, so that a process with all of
// them costs 2 ms; Go programs have some tens of threads, Java programs some hundreds, and what is asked of all threads
// (whether each blocks a signal) is rarely asked of those.
const maxThreads = 128

// Thread is what was read of a live thread.
type Thread struct {
	TID int
	// State is one letter, such as R, S, D, T or t.
	State string
	// Wchan is the kernel function in which it sleeps; "" when it does not sleep or that cannot be seen.
	Wchan string
	// Switches is how often it was switched out; the number stands still while the thread does not run.
	Switches uint64
	// Blocks is whether it blocks SIGCHLD.
	Blocks bool
}

// Threads are the live threads of a process, and what the process does with signals.
type Threads struct {
	// Live are the live threads, the leader first if it lives.
	Live []Thread
	// All is whether these are all of them; it is false where there are more than are looked at.
	All bool
	// Pending is whether SIGCHLD is pending for the process or one of its threads.
	Pending bool
	// Ignored is whether SIGCHLD is ignored, Caught whether it has a handler; neither is the default disposition.
	Ignored, Caught bool
	// HandlesHup and HandlesTerm are whether SIGHUP and SIGTERM are caught or ignored: by default each ends the process.
	HandlesHup, HandlesTerm bool
}

// Threads reads the live threads of a process, of which the leader need not be one. It fails as for a vanished process when
// no thread lives. What it reads is readable without any rights.
func (f FS) Threads(pid int) (Threads, error) {
	tids, all, err := f.tids(pid)
	if err != nil {
		return Threads{}, err
	}
	threads := Threads{All: all}
	for _, tid := range tids {
		status, err := f.threadStatus(pid, tid)
		if IsVanished(err) || (err == nil && !alive(status.State)) {
			continue
		}
		if err != nil {
			return Threads{}, err
		}
		if status.Wchan, err = f.wchan(pid, tid); err != nil && !IsVanished(err) {
			return Threads{}, err
		}
		threads.Live = append(threads.Live, status.Thread)
		threads.Pending = threads.Pending || status.pending
		// Dispositions are the same for all threads of a process.
		threads.Ignored, threads.Caught = status.ignored, status.caught
		threads.HandlesHup, threads.HandlesTerm = status.handlesHup, status.handlesTerm
	}
	if len(threads.Live) == 0 {
		return Threads{}, fmt.Errorf("reading threads of process %d: %w", pid, unix.ESRCH)
	}
	return threads, nil
}

// alive says whether a thread in a state still runs now and then: an exited leader is kept as Z while other threads live.
func alive(state string) bool {
	return state != StateZombie && state != stateDead
}

// tids lists the first threads of a process, and whether these are all. The leader comes first.
func (f FS) tids(pid int) (tids []int, all bool, err error) {
	names, all, err := list(f.path(pid, "task"), maxThreads)
	if err != nil {
		return nil, false, fmt.Errorf("listing threads of process %d: %w", pid, err)
	}
	for _, name := range names {
		tid, err := strconv.Atoi(name)
		if err != nil {
			return nil, false, fmt.Errorf("listing threads of process %d: %w", pid, err)
		}
		tids = append(tids, tid)
	}
	slices.SortFunc(tids, func(a, b int) int {
		switch pid {
		case a:
			return -1
		case b:
			return 1
		}
		return cmp.Compare(a, b)
	})
	return tids, all, nil
}

// list returns at most so many names of a directory, in the order in which the kernel lists them, and whether these are all.
func list(dir string, most int) (names []string, all bool, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, false, err //nolint:wrapcheck // the caller says what it was listing
	}
	defer func() { _ = d.Close() }() // nothing is written to it
	names, err = d.Readdirnames(most + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err //nolint:wrapcheck // the caller says what it was listing
	}
	return names[:min(len(names), most)], len(names) <= most, nil
}

func (f FS) taskPath(pid, tid int, name string) string {
	return filepath.Join(f.path(pid, "task"), strconv.Itoa(tid), name)
}

func (f FS) threadStatus(pid, tid int) (threadStatus, error) {
	raw, err := os.ReadFile(f.taskPath(pid, tid, "status"))
	if err != nil {
		return threadStatus{}, fmt.Errorf("reading status of thread %d: %w", tid, err)
	}
	status, err := parseThreadStatus(raw)
	if err != nil {
		return threadStatus{}, fmt.Errorf("parsing status of thread %d: %w", tid, err)
	}
	status.TID = tid
	return status, nil
}

// threadStatus is a thread with what its status file tells of signals.
type threadStatus struct {
	Thread
	pending, ignored, caught bool
	handlesHup, handlesTerm  bool
}

// parseThreadStatus reads state, context switches and signal masks. The kernel escapes newlines in the Name line, so no name
// can forge another line.
func parseThreadStatus(raw []byte) (threadStatus, error) {
	var status threadStatus
	masks := map[string]uint64{}
	for line := range bytes.Lines(raw) {
		key, value, _ := strings.Cut(string(line), ":")
		value = strings.TrimSpace(value)
		var err error
		switch key {
		case "State":
			status.State = value[:min(len(value), 1)]
		case "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt":
			masks[key], err = strconv.ParseUint(value, 16, 64)
		case "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches":
			var n uint64
			n, err = strconv.ParseUint(value, 10, 64)
			status.Switches += n
		}
		if err != nil {
			return threadStatus{}, fmt.Errorf("parsing %s: %w", key, err)
		}
	}
	const kinds = 5 // of masks, as above
	if status.State == "" || len(masks) != kinds {
		return threadStatus{}, fmt.Errorf("state or signal masks: %w", errMissing)
	}
	status.Blocks = has(masks["SigBlk"], unix.SIGCHLD)
	status.pending = has(masks["SigPnd"]|masks["ShdPnd"], unix.SIGCHLD)
	status.ignored, status.caught = has(masks["SigIgn"], unix.SIGCHLD), has(masks["SigCgt"], unix.SIGCHLD)
	handled := masks["SigIgn"] | masks["SigCgt"]
	status.handlesHup, status.handlesTerm = has(handled, unix.SIGHUP), has(handled, unix.SIGTERM)
	return status, nil
}

// has says whether a signal is in a set of signals: signal n is bit n-1.
func has(mask uint64, signal unix.Signal) bool {
	return mask&(1<<(signal-1)) != 0
}
