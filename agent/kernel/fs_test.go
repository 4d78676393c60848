package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNewRefusesWhatIsNoDirectory(t *testing.T) {
	t.Parallel()
	for _, root := range []string{filepath.Join("testdata", "missing"), filepath.Join("testdata", "proc", "uptime")} {
		if _, err := New(root); err == nil {
			t.Errorf("New(%q) = nil, want an error", root)
		}
	}
}

func TestProcessesReadsEveryProcessWhateverItsName(t *testing.T) {
	t.Parallel()
	got, unreadable, err := fixtures(t).Processes()
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b Process) int { return a.PID - b.PID })
	want := []Process{
		{PID: 1, State: "S", Threads: 1, StartTicks: 2, Command: "systemd"},
		{PID: 100, ParentPID: 1, State: "S", Threads: 12, StartTicks: 5000, CPU: 1, Command: "tmux: server"},
		{PID: 101, ParentPID: 100, State: "Z", Threads: 1, StartTicks: 6000, Command: ") Z 1 ("},
		{PID: 102, ParentPID: 100, State: "Z", Threads: 1, StartTicks: 6100, Command: "evil\n102 (x) S 1"},
		{PID: 103, ParentPID: 100, State: "Z", Threads: 1, StartTicks: 6200, Command: "\xff\xfe\xc0"},
		{PID: 104, ParentPID: 100, State: "Z", Threads: 1, StartTicks: 6300, Command: "\nse.exec_start:"},
		{PID: 105, ParentPID: 1, State: "Z", Threads: 2, StartTicks: 6400, CPU: 1, Command: "leader"},
		{PID: 111, ParentPID: 100, State: "Z", Threads: 1, StartTicks: 6500, Command: "inner"},
		{PID: 112, ParentPID: 100, State: "Z", Threads: 1, StartTicks: 6600, Command: "garbage"},
		{PID: 113, ParentPID: 1, State: "S", Threads: 1, StartTicks: 7000, Command: ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("processes (-want +got):\n%s", diff)
	}
	// 106 to 109 are malformed; 110 vanished between listing and reading and is no failure.
	if unreadable != 4 {
		t.Errorf("unreadable = %d, want 4", unreadable)
	}
}

func TestProcessesFailsWithoutAProcMount(t *testing.T) {
	t.Parallel()
	gone := FS{root: filepath.Join("testdata", "missing")}
	if _, _, err := gone.Processes(); err == nil {
		t.Error("Processes() = nil, want an error")
	}
}

func TestProcessTellsVanishedFromMalformed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pid      int
		vanished bool
	}{
		"a stat without parentheses is malformed":              {106, false},
		"a stat that ends after the name is malformed":         {107, false},
		"a stat with its parentheses swapped is malformed":     {108, false},
		"an empty stat is malformed":                           {109, false},
		"a process that ended after it was listed is vanished": {110, true},
		"a process that never was is vanished":                 {9999, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := fixtures(t).Process(tc.pid)
			if err == nil {
				t.Fatal("Process() = nil, want an error")
			}
			if got := IsVanished(err); got != tc.vanished {
				t.Errorf("IsVanished(%v) = %t, want %t", err, got, tc.vanished)
			}
		})
	}
}

func TestIsVanished(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  error
		want bool
	}{
		"a directory that is gone says so at opening":         {fs.ErrNotExist, true},
		"a process that ends between open and read says so":   {syscall.ESRCH, true},
		"what wraps it still says so":                         {fmt.Errorf("reading: %w", syscall.ENOENT), true},
		"a missing right is not the end of a process":         {fs.ErrPermission, false},
		"a text that only looks like it says nothing":         {errors.New("no such process"), false},
		"no error is not the end of a process":                {nil, false},
		"an error of the disk or memory is an error as it is": {syscall.ENOMEM, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := IsVanished(tc.err); got != tc.want {
				t.Errorf("IsVanished(%v) = %t, want %t", tc.err, got, tc.want)
			}
		})
	}
}

func TestStatusOfFixtures(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pid  int
		want Status
	}{
		"a process of the host has one PID":                    {1, Status{ThreadGroup: 1, NamespacePIDs: []int{1}, State: "S", Threads: 1}},
		"a process of a container has two":                     {101, Status{ThreadGroup: 101, NamespacePIDs: []int{101, 2}, State: "Z", Threads: 1}},
		"a process of a nested namespace has three":            {111, Status{ThreadGroup: 111, NamespacePIDs: []int{111, 12, 3}, State: "Z", Threads: 1}},
		"a name with a newline forges no line":                 {102, Status{ThreadGroup: 102, NamespacePIDs: []int{102, 3}, State: "Z", Threads: 1}},
		"a name that is no text does not matter":               {103, Status{ThreadGroup: 103, NamespacePIDs: []int{103, 4}, State: "Z", Threads: 1}},
		"a traced process names its tracer":                    {104, Status{ThreadGroup: 104, TracerPID: 7, NamespacePIDs: []int{104, 5}, State: "Z", Threads: 1}},
		"a process with live threads and a gone leader is one": {105, Status{ThreadGroup: 105, NamespacePIDs: []int{105}, State: "Z", Threads: 2}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := fixtures(t).Status(tc.pid)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCgroupsOfFixtures(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pid  int
		want []string
	}{
		"on v1 a live process has one path in all hierarchies":            {100, []string{"/kubepods/burstable/pod1/aaaa"}},
		"on v1 a zombie has none":                                         {101, nil},
		"on v2 a path from a private cgroup namespace is kept":            {102, []string{"/../../kubepods/pod1/aaaa"}},
		"on v2 a removed cgroup keeps its path":                           {103, []string{"/kubepods/pod1/aaaa"}},
		"on a hybrid node the v2 line counts beside the v1 lines":         {104, []string{"/kubepods/pod1/aaaa"}},
		"an empty file, of a process that just ended, holds no path":      {105, nil},
		"lines with too few parts and paths that are not one are skipped": {112, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := fixtures(t).Cgroups(tc.pid)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLiveCgroupsAreThoseOfALivingThread(t *testing.T) {
	t.Parallel()
	// thread has a status of one state, and a cgroup; "" is a file that is not there.
	type thread struct{ state, cgroup string }
	leader := thread{"Z (zombie)", "8:pids:/\n0::/runtime\n"}
	tests := map[string]struct {
		threads  []thread
		want     []string
		vanished bool
		refused  bool
	}{
		"the leader that is gone does not count":           {threads: []thread{leader, {"S (sleeping)", "8:pids:/a\n0::/runtime\n"}}, want: []string{"/a", "/runtime"}},
		"nor does a thread that is just ending":            {threads: []thread{leader, {"X (dead)", "8:pids:/\n"}, {"R (running)", "8:pids:/b\n"}}, want: []string{"/b"}},
		"nor one that ended after it was listed":           {threads: []thread{leader, {"", "8:pids:/a\n"}, {"D (disk sleep)", "8:pids:/b\n"}}, want: []string{"/b"}},
		"nor one that ended after its state was read":      {threads: []thread{leader, {"S (sleeping)", ""}, {"S (sleeping)", "8:pids:/b\n"}}, want: []string{"/b"}},
		"the first that lives is enough":                   {threads: []thread{leader, {"S (sleeping)", "8:pids:/a\n"}, {"garbage", ""}}, want: []string{"/a"}},
		"a living thread of the root cgroup has no path":   {threads: []thread{leader, {"S (sleeping)", "8:pids:/\n"}}},
		"without a living thread the process has vanished": {threads: []thread{leader}, vanished: true, refused: true},
		"a process that is gone has vanished":              {vanished: true, refused: true},
		"a thread whose status is garbage is no end of it": {threads: []thread{leader, {"S\nThreads: x", "8:pids:/a\n"}}, refused: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for i, thread := range tc.threads {
				dir := filepath.Join(root, "5", "task", fmt.Sprint(5+i))
				if err := os.MkdirAll(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				if thread.state != "" {
					write(t, filepath.Join(dir, "status"), []byte("NSpid:\t5\nState:\t"+thread.state+"\n"))
				}
				if thread.cgroup != "" {
					write(t, filepath.Join(dir, "cgroup"), []byte(thread.cgroup))
				}
			}
			got, err := open(t, root).LiveCgroups(5)
			if (err != nil) != tc.refused || IsVanished(err) != tc.vanished {
				t.Fatalf("error = %v, refused = %t and vanished = %t wanted", err, tc.refused, tc.vanished)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPIDNamespaceOfFixtures(t *testing.T) {
	t.Parallel()
	f := fixtures(t)
	if got, err := f.PIDNamespace(101); got != 4026532178 || err != nil {
		t.Errorf("PIDNamespace() = %d, %v, want 4026532178", got, err)
	}
	if got, err := f.PIDNamespace(112); err == nil {
		t.Errorf("PIDNamespace() of a link to another kind = %d, want an error", got)
	}
}

func TestReadingAVanishedProcessSaysSo(t *testing.T) {
	t.Parallel()
	f := fixtures(t)
	tests := map[string]func(pid int) error{
		"by its status":        func(pid int) error { _, err := f.Status(pid); return err },
		"by its cgroups":       func(pid int) error { _, err := f.Cgroups(pid); return err },
		"by its PID namespace": func(pid int) error { _, err := f.PIDNamespace(pid); return err },
	}
	for name, read := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := read(9999); !IsVanished(err) {
				t.Errorf("error = %v, want one that says vanished", err)
			}
		})
	}
	if _, err := f.Status(112); err == nil || IsVanished(err) {
		t.Errorf("Status() of garbage = %v, want an error that does not say vanished", err)
	}
}
