package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// threadText is the status of a thread as the kernel writes it.
func threadText(name, state, pending, shared, blocked, ignored, caught string) string {
	return fmt.Sprintf("Name:\t%s\nUmask:\t0022\nState:\t%s\nTgid:\t7\nPid:\t7\nSigQ:\t1/96365\nSigPnd:\t%s\nShdPnd:\t%s\nSigBlk:\t%s\nSigIgn:\t%s\nSigCgt:\t%s\n"+
		"voluntary_ctxt_switches:\t11\nnonvoluntary_ctxt_switches:\t16\n", name, state, pending, shared, blocked, ignored, caught)
}

func TestParseThreadStatus(t *testing.T) {
	t.Parallel()
	const none, child, others = "0000000000000000", "0000000000010000", "fffffffffffeffff"
	const hangup, terminate = "0000000000000001", "0000000000004000"
	tests := map[string]struct {
		text string
		want threadStatus
		err  bool
	}{
		"default disposition":            {threadText("sh", "S (sleeping)", none, none, none, none, none), threadStatus{Thread: Thread{State: "S", Switches: 27}}, false},
		"every signal but SIGCHLD":       {threadText("sh", "S (sleeping)", others, others, others, others, others), threadStatus{Thread: Thread{State: "S", Switches: 27}, handlesHup: true, handlesTerm: true}, false},
		"blocked":                        {threadText("sh", "T (stopped)", none, none, child, none, none), threadStatus{Thread: Thread{State: "T", Switches: 27, Blocks: true}}, false},
		"pending for the thread":         {threadText("sh", "t (tracing stop)", child, none, none, none, none), threadStatus{Thread: Thread{State: "t", Switches: 27}, pending: true}, false},
		"pending for the process":        {threadText("sh", "D (disk sleep)", none, child, none, none, none), threadStatus{Thread: Thread{State: "D", Switches: 27}, pending: true}, false},
		"ignored":                        {threadText("sh", "S (sleeping)", none, none, none, child, none), threadStatus{Thread: Thread{State: "S", Switches: 27}, ignored: true}, false},
		"caught":                         {threadText("sh", "S (sleeping)", none, none, none, none, child), threadStatus{Thread: Thread{State: "S", Switches: 27}, caught: true}, false},
		"SIGHUP ignored":                 {threadText("sh", "S (sleeping)", none, none, none, hangup, none), threadStatus{Thread: Thread{State: "S", Switches: 27}, handlesHup: true}, false},
		"SIGTERM ignored":                {threadText("sh", "S (sleeping)", none, none, none, terminate, none), threadStatus{Thread: Thread{State: "S", Switches: 27}, handlesTerm: true}, false},
		"SIGHUP caught":                  {threadText("sh", "S (sleeping)", none, none, none, none, hangup), threadStatus{Thread: Thread{State: "S", Switches: 27}, handlesHup: true}, false},
		"SIGTERM caught":                 {threadText("sh", "S (sleeping)", none, none, none, none, terminate), threadStatus{Thread: Thread{State: "S", Switches: 27}, handlesTerm: true}, false},
		"SIGHUP and SIGTERM blocked":     {threadText("sh", "S (sleeping)", none, none, "0000000000004001", none, none), threadStatus{Thread: Thread{State: "S", Switches: 27}}, false},
		"a name that looks like a line":  {threadText(`x\nSigBlk:\t0000000000010000`, "S (sleeping)", none, none, none, none, none), threadStatus{Thread: Thread{State: "S", Switches: 27}}, false},
		"a mask that is missing":         {strings.Replace(threadText("sh", "S", none, none, none, none, none), "SigBlk", "SigBlx", 1), threadStatus{}, true},
		"a state that is missing":        {threadText("sh", "", none, none, none, none, none), threadStatus{}, true},
		"a mask that is no number":       {threadText("sh", "S", none, none, "x", none, none), threadStatus{}, true},
		"a mask of more than 64 bits":    {threadText("sh", "S", none, none, "1"+none, none, none), threadStatus{}, true},
		"a count that is no number":      {strings.Replace(threadText("sh", "S", none, none, none, none, none), "\t11", "\t-1", 1), threadStatus{}, true},
		"nothing":                        {"", threadStatus{}, true},
		"a line without a colon":         {"State\n", threadStatus{}, true},
		"the status cut in the middle":   {threadText("sh", "S", none, none, none, none, none)[:120], threadStatus{}, true},
		"foreign bytes instead of lines": {"\xff\xfe:\x00", threadStatus{}, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseThreadStatus([]byte(tc.text))
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(threadStatus{})); diff != "" || (err != nil) != tc.err {
				t.Errorf("error = %v; thread (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestParseWchan(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"0":                       "",
		"":                        "",
		"do_wait":                 WchanWait,
		"do_sigtimedwait.isra.0":  WchanSigwait,
		"do_epoll_wait":           "do_epoll_wait",
		"x64_sys_call":            "x64_sys_call",
		"4do":                     "",
		"do_wait\n":               "",
		"\x1b[31m":                "",
		"do wait":                 "",
		".isra.0":                 "",
		"__refrigerator.part.0\n": "__refrigerator",
	} {
		if got := parseWchan([]byte(raw)); got != want {
			t.Errorf("parseWchan(%q) = %q, want %q", raw, got, want)
		}
	}
}

func TestParseWait(t *testing.T) {
	t.Parallel()
	const rest = " 0x0 0x0 0x0 0x0 0x7ffd0 0x7f1c0\n"
	tests := map[string]struct {
		text string
		want Wait
		err  bool
	}{
		"wait4 for any child":             {fmt.Sprintf("%d 0xffffffff 0x7ffd0", unix.SYS_WAIT4) + rest, Wait{Any: true}, false},
		"wait4 for any child, widened":    {fmt.Sprintf("%d 0xffffffffffffffff 0x7ffd0", unix.SYS_WAIT4) + rest, Wait{Any: true}, false},
		"wait4 for one child":             {fmt.Sprintf("%d 0x4d2 0x7ffd0", unix.SYS_WAIT4) + rest, Wait{Child: 1234}, false},
		"wait4 for its own group":         {fmt.Sprintf("%d 0x0 0x7ffd0", unix.SYS_WAIT4) + rest, Wait{}, false},
		"wait4 for another group":         {fmt.Sprintf("%d 0xfffffb2e 0x7ffd0", unix.SYS_WAIT4) + rest, Wait{}, false},
		"waitid for any child":            {fmt.Sprintf("%d 0x0 0x0", unix.SYS_WAITID) + rest, Wait{Any: true}, false},
		"waitid for one child":            {fmt.Sprintf("%d 0x1 0x4d2", unix.SYS_WAITID) + rest, Wait{Child: 1234}, false},
		"waitid for a group":              {fmt.Sprintf("%d 0x2 0x4d2", unix.SYS_WAITID) + rest, Wait{}, false},
		"waitid for a file descriptor":    {fmt.Sprintf("%d 0x3 0x5", unix.SYS_WAITID) + rest, Wait{}, false},
		"waitid for what is no PID":       {fmt.Sprintf("%d 0x1 0xffffffff", unix.SYS_WAITID) + rest, Wait{}, false},
		"another call":                    {"230 0x1 0x1" + rest, Wait{}, true},
		"a call cut after one argument":   {fmt.Sprintf("%d 0x1\n", unix.SYS_WAIT4), Wait{}, true},
		"no call":                         {"running\n", Wait{}, true},
		"a sleep that is no call":         {"-1 0x7ffd0 0x7f1c0\n", Wait{}, true},
		"nothing":                         {"", Wait{}, true},
		"a number that is none":           {"x 0x1 0x1" + rest, Wait{}, true},
		"an argument that is none":        {fmt.Sprintf("%d 0x1 y", unix.SYS_WAITID) + rest, Wait{}, true},
		"an argument of more than 64 bit": {fmt.Sprintf("%d 0x1ffffffffffffffff 0x1", unix.SYS_WAITID) + rest, Wait{}, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseWait([]byte(tc.text))
			if got != tc.want || (err != nil) != tc.err {
				t.Errorf("parseWait(%q) = %+v, %v, want %+v", tc.text, got, err, tc.want)
			}
		})
	}
}

func TestParseSignalFD(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want uint64
		err  bool
	}{
		"a signalfd":                 {"pos:\t0\nflags:\t02\nmnt_id:\t15\nino:\t1057\nsigmask:\t0000000000010000\n", 1 << 16, false},
		"another file":               {"pos:\t0\nflags:\t02\n", 0, true},
		"a mask that is no number":   {"sigmask:\tx\n", 0, true},
		"nothing":                    {"", 0, true},
		"a mask that is longer yet":  {"sigmask:\t10000000000010000\n", 0, true},
		"a mask with nothing in it:": {"sigmask:\n", 0, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := parseSignalFD([]byte(tc.text)); got != tc.want || (err != nil) != tc.err {
				t.Errorf("parseSignalFD(%q) = %x, %v, want %x", tc.text, got, err, tc.want)
			}
		})
	}
}

// taskMount is a fake proc mount with process 7, whose threads and files are made by the test.
type taskMount struct {
	t    *testing.T
	root string
}

func newTaskMount(t *testing.T) taskMount {
	t.Helper()
	return taskMount{t: t, root: t.TempDir()}
}

func (m taskMount) write(text string, path ...string) {
	m.t.Helper()
	file := filepath.Join(append([]string{m.root, "7", "task"}, path...)...)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		m.t.Fatal(err)
	}
	write(m.t, file, []byte(text))
}

func (m taskMount) thread(tid int, state, blocked string) {
	m.t.Helper()
	m.write(threadText("sh", state, "0", "0", blocked, "0", "14000"), strconv.Itoa(tid), "status")
	m.write("do_wait", strconv.Itoa(tid), "wchan")
}

func (m taskMount) link(to string, path ...string) {
	m.t.Helper()
	file := filepath.Join(append([]string{m.root, "7", "task"}, path...)...)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Symlink(to, file); err != nil {
		m.t.Fatal(err)
	}
}

func TestThreads(t *testing.T) {
	t.Parallel()
	m := newTaskMount(t)
	m.thread(7, "S (sleeping)", "10000")
	m.thread(5, "S (sleeping)", "0") // thread IDs wrap around
	m.thread(12, "X (dead)", "0")
	if err := os.MkdirAll(filepath.Join(m.root, "7", "task", "13"), 0o700); err != nil { // it ends while it is read
		t.Fatal(err)
	}
	got, err := open(t, m.root).Threads(7)
	want := Threads{
		Live: []Thread{
			{TID: 7, State: "S", Wchan: "do_wait", Switches: 27, Blocks: true},
			{TID: 5, State: "S", Wchan: "do_wait", Switches: 27},
		},
		All:         true,
		Caught:      true,
		HandlesTerm: true,
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error = %v; threads (-want +got):\n%s", err, diff)
	}
}

func TestThreadsOfAnExitedLeaderAreThoseThatLive(t *testing.T) {
	t.Parallel()
	m := newTaskMount(t)
	m.thread(7, "Z (zombie)", "0")
	m.thread(9, "S (sleeping)", "10000")
	got, err := open(t, m.root).Threads(7)
	if err != nil || len(got.Live) != 1 || got.Live[0].TID != 9 || !got.Live[0].Blocks {
		t.Errorf("Threads() = %+v, %v, want thread 9 alone", got, err)
	}
}

func TestThreadsThatEndedAreAVanishedProcess(t *testing.T) {
	t.Parallel()
	m := newTaskMount(t)
	m.thread(7, "Z (zombie)", "0")
	for _, pid := range []int{7, 8} {
		if got, err := open(t, m.root).Threads(pid); !IsVanished(err) {
			t.Errorf("Threads(%d) = %+v, %v, want that it vanished", pid, got, err)
		}
	}
}

func TestThreadsAreReadToABound(t *testing.T) {
	t.Parallel()
	for extra, all := range map[int]bool{0: true, 1: false} {
		m := newTaskMount(t)
		for i := range maxThreads + extra {
			m.thread(7+i, "S (sleeping)", "10000")
		}
		if got, err := open(t, m.root).Threads(7); err != nil || len(got.Live) != maxThreads || got.All != all {
			t.Errorf("Threads() of %d = %d, all %t, %v, want %d, all %t", maxThreads+extra, len(got.Live), got.All, err, maxThreads, all)
		}
	}
}

func TestThreadsWithAMalformedFileFail(t *testing.T) {
	t.Parallel()
	m := newTaskMount(t)
	m.thread(7, "S (sleeping)", "x")
	if got, err := open(t, m.root).Threads(7); err == nil || IsVanished(err) {
		t.Errorf("Threads() = %+v, %v, want an error of its own", got, err)
	}
	m = newTaskMount(t)
	m.write("", "x", "status")
	if got, err := open(t, m.root).Threads(7); err == nil || IsVanished(err) {
		t.Errorf("Threads() = %+v, %v, want an error of its own", got, err)
	}
}

func TestWaitOfAThreadThatVanished(t *testing.T) {
	t.Parallel()
	m := newTaskMount(t)
	m.write(fmt.Sprintf("%d 0x4d2 0x0 0x0\n", unix.SYS_WAIT4), "9", "syscall")
	if got, err := open(t, m.root).Wait(7, 9); err != nil || got.Child != 1234 {
		t.Errorf("Wait() = %+v, %v, want child 1234", got, err)
	}
	if got, err := open(t, m.root).Wait(7, 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Wait() = %+v, %v, want that it is not there", got, err)
	}
}

func TestSignalFD(t *testing.T) {
	t.Parallel()
	const child, others = "sigmask:\t0000000000010000\n", "sigmask:\tfffffffffffeffff\n"
	tests := map[string]struct {
		build      func(taskMount)
		reads, all bool
		err        bool
	}{
		"one for SIGCHLD":       {func(m taskMount) { m.link(signalfdLink, "7", "fd", "3"); m.write(child, "7", "fdinfo", "3") }, true, true, false},
		"one for other signals": {func(m taskMount) { m.link(signalfdLink, "7", "fd", "3"); m.write(others, "7", "fdinfo", "3") }, false, true, false},
		"other files": {func(m taskMount) {
			m.link("anon_inode:[eventfd]", "7", "fd", "3")
			m.link("/tmp/[signalfd]", "7", "fd", "4")
		}, false, true, false},
		"one that is closed meanwhile":   {func(m taskMount) { m.link(signalfdLink, "7", "fd", "3") }, false, true, false},
		"no thread":                      {func(taskMount) {}, false, false, true},
		"one whose mask is malformed":    {func(m taskMount) { m.link(signalfdLink, "7", "fd", "3"); m.write("", "7", "fdinfo", "3") }, false, false, true},
		"what is no link, so no mount's": {func(m taskMount) { m.write("", "7", "fd", "3") }, false, false, true},
		"as many as are looked at":       {func(m taskMount) { m.files(maxFiles) }, false, true, false},
		"more than are looked at":        {func(m taskMount) { m.files(maxFiles + 1) }, false, false, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newTaskMount(t)
			tc.build(m)
			reads, all, err := open(t, m.root).SignalFD(7, 7)
			if reads != tc.reads || all != tc.all || (err != nil) != tc.err {
				t.Errorf("SignalFD() = %t, %t, %v, want %t, %t", reads, all, err, tc.reads, tc.all)
			}
		})
	}
}

// files makes as many files that are no signalfds.
func (m taskMount) files(n int) {
	m.t.Helper()
	for i := range n {
		m.link("/dev/null", "7", "fd", strconv.Itoa(i))
	}
}
