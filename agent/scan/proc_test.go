package scan

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
)

func TestProcScansItsOwnZombie(t *testing.T) {
	t.Parallel()
	fs, err := kernel.New("/proc")
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("/proc/self/exe", "-test.run=^$")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Wait() })
	scanner := New(Proc{FS: fs})
	await(t, "the zombie shows", func() bool {
		result := mustScan(t, scanner, time.Now())
		i := slices.IndexFunc(result.Zombies, func(z *Zombie) bool { return z.PID == child.Process.Pid })
		if i < 0 {
			return false
		}
		z := result.Zombies[i]
		if parent := result.Parents[os.Getpid()]; z.ParentPID != os.Getpid() || parent.Namespace != z.Namespace {
			t.Errorf("zombie = %+v of parent %+v, want it in the namespace of this process", z, parent)
		}
		if z.Exit != plainExit {
			t.Errorf("exit = %+v, want %+v", z.Exit, plainExit)
		}
		return true
	})
}

// A process whose main thread has ended lives on: it is no zombie, and the parent of some.
func TestProcScansAParentWhoseLeaderIsGone(t *testing.T) {
	t.Parallel()
	fs, err := kernel.New("/proc")
	if err != nil {
		t.Fatal(err)
	}
	leaderless, _ := startRole(t, leaderlessVariable, 1)
	pid, scanner := leaderless.Process.Pid, New(Proc{FS: fs})
	var result Result
	await(t, "the leader and its child end", func() bool {
		result = mustScan(t, scanner, time.Now())
		_, alike := lookAlikeOf(result, pid)
		return alike && len(zombiesOf(result, pid)) == 1
	})
	own, err := (Proc{FS: fs}).Identity(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	alike, _ := lookAlikeOf(result, pid)
	zombie, parent := zombiesOf(result, pid)[0], result.Parents[pid]
	if alike.Kind != LeaderExited || alike.ParentPID != os.Getpid() || result.Parents[os.Getpid()].PID != os.Getpid() {
		t.Errorf("look-alike = %+v, want one whose leader is gone, and its parent, this process", alike)
	}
	if parent.Key != alike.Key || parent.Namespace != zombie.Namespace || parent.Namespace == 0 {
		t.Errorf("parent = %+v of zombie %+v, want the look-alike %+v in the namespace of the zombie", parent, zombie, alike)
	}
	for who, cgroups := range map[string][]string{"parent": parent.Cgroups, "look-alike": alike.Cgroups} {
		if diff := cmp.Diff(own.Cgroups, cgroups); diff != "" {
			t.Errorf("cgroups of the %s (-of this process +got):\n%s", who, diff)
		}
	}
}

// startRole starts the test program in the role that a variable makes it play, and returns when it says that it is
// ready. It ends when its standard input does.
func startRole(t *testing.T, variable string, value int) (*exec.Cmd, io.Closer) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	// A signal stops who is traced until the tracer goes on, and that of these tests never does. Go sends itself some to preempt.
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", variable, value), "GODEBUG=asyncpreemptoff=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // at that it reaps its zombie, if it has one, and ends
		_ = cmd.Wait()
	})
	if _, err := io.ReadFull(stdout, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	return cmd, stdin
}

func lookAlikeOf(result Result, pid int) (LookAlike, bool) {
	i := slices.IndexFunc(result.LookAlikes, func(l LookAlike) bool { return l.PID == pid })
	if i < 0 {
		return LookAlike{}, false
	}
	return result.LookAlikes[i], true
}

func zombiesOf(result Result, parent int) []*Zombie {
	return slices.DeleteFunc(slices.Clone(result.Zombies), func(z *Zombie) bool { return z.ParentPID != parent })
}

// await looks again and again until done, for ten seconds.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(10 * time.Second)
	for !done() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// proc is a proc mount of ordinary files.
type proc struct{ root string }

func newProc(tb testing.TB) proc {
	tb.Helper()
	p := proc{tb.TempDir()}
	p.write(tb, "uptime", "1000.00 1000.00\n")
	p.write(tb, "thread-self/sched", "agent (1, #threads: 1)\nse.exec_start : 990000.0\n")
	return p
}

func (p proc) write(tb testing.TB, name, text string) {
	tb.Helper()
	path := filepath.Join(p.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func (p proc) process(tb testing.TB, pid, parent int, state string) {
	tb.Helper()
	dir := fmt.Sprint(pid)
	p.write(tb, dir+"/stat", fmt.Sprintf(
		"%d (sh) %s %d 1 1 0 -1 4227084 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0 1 0 0 0 0 0 0 0 4096 65536 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
		pid, state, parent, pid))
	p.write(tb, dir+"/status", fmt.Sprintf("Name:\tsh\nTracerPid:\t0\nNSpid:\t%d\t%d\n", pid, pid))
	p.write(tb, dir+"/cgroup", "0::/kubepods/pod1/aaaa\n")
	p.write(tb, dir+"/sched", fmt.Sprintf("sh (%d, #threads: 1)\nse.exec_start : 900000.0\n", pid))
	p.write(tb, dir+"/ns/.keep", "")
	if err := os.Symlink("pid:[4026532178]", filepath.Join(p.root, dir, "ns/pid")); err != nil {
		tb.Fatal(err)
	}
}

func (p proc) open(tb testing.TB) Proc {
	tb.Helper()
	fs, err := kernel.New(p.root)
	if err != nil {
		tb.Fatal(err)
	}
	return Proc{FS: fs}
}

func TestProcReadsAnIdentity(t *testing.T) {
	t.Parallel()
	p := newProc(t)
	p.process(t, 5, 1, "S")
	got, err := p.open(t).Identity(5)
	if err != nil {
		t.Fatal(err)
	}
	want := Identity{Namespace: 4026532178, NamespacePIDs: []int{5, 5}, Cgroups: []string{"/kubepods/pod1/aaaa"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

func TestProcReadsWhereAProcessIsWhoseLeaderIsGone(t *testing.T) {
	t.Parallel()
	const gone, dead, live = "State:\tZ (zombie)\nThreads:\t2\n", "State:\tZ (zombie)\nThreads:\t1\n", "State:\tS (sleeping)\nThreads:\t2\n"
	tests := map[string]struct {
		status string
		want   string
	}{
		"by a thread that lives":                              {gone, "/kubepods/pod1/bbbb"},
		"but that of a zombie, whose threads end, by its own": {dead, "/kubepods/pod1/aaaa"},
		"and that of a living one by its leader":              {live, "/kubepods/pod1/aaaa"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProc(t)
			p.process(t, 5, 1, "Z")
			p.write(t, "5/status", tc.status+"TracerPid:\t0\nNSpid:\t5\n")
			p.write(t, "5/task/6/status", "State:\tS (sleeping)\nNSpid:\t6\n")
			p.write(t, "5/task/6/cgroup", "0::/kubepods/pod1/bbbb\n")
			got, err := p.open(t).Identity(5)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{tc.want}, got.Cgroups); diff != "" {
				t.Errorf("cgroups (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProcFailsOnAnIncompleteIdentity(t *testing.T) {
	t.Parallel()
	for _, missing := range []string{"status", "cgroup", "ns/pid"} {
		t.Run(missing, func(t *testing.T) {
			t.Parallel()
			p := newProc(t)
			p.process(t, 5, 1, "S")
			if err := os.Remove(filepath.Join(p.root, "5", missing)); err != nil {
				t.Fatal(err)
			}
			if _, err := p.open(t).Identity(5); !kernel.IsVanished(err) {
				t.Errorf("error = %v, want one that says vanished", err)
			}
		})
	}
}

// A thread that gave up CAP_SYS_PTRACE stands in for an agent that was not given it.
func TestProcLeavesAHiddenNamespaceOut(t *testing.T) {
	t.Parallel()
	fs, err := kernel.New("/proc")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err := unix.Capget(&header, &data[0]); err != nil {
			t.Error(err)
			return
		}
		data[0].Effective &^= 1 << unix.CAP_SYS_PTRACE
		if err := unix.Capset(&header, &data[0]); err != nil {
			t.Error(err)
			return
		}
		if got, err := (Proc{FS: fs}).Identity(1); err != nil || got.Namespace != 0 || len(got.NamespacePIDs) == 0 {
			t.Errorf("Identity() = %+v, %v, want all but the namespace", got, err)
		}
	}()
	<-done
}

func TestProcClocksFailWithoutUptime(t *testing.T) {
	t.Parallel()
	p := newProc(t)
	if err := os.Remove(filepath.Join(p.root, "uptime")); err != nil {
		t.Fatal(err)
	}
	if _, err := New(p.open(t)).Scan(noon); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error = %v, want %v", err, fs.ErrNotExist)
	}
}
