package kernel

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// These tests look at real processes of the kernel they run on.

// becomeZombie kills a process that was started and does not wait for it.
func becomeZombie(t *testing.T, f FS, cmd *exec.Cmd) Process {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var zombie Process
	eventually(t, "the killed process becomes a zombie", func() bool {
		var err error
		if zombie, err = f.Process(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
		return zombie.State == StateZombie && zombie.Threads == 1 // its other threads may die later than its leader
	})
	return zombie
}

// startWithZombie starts a role that makes a zombie. It is PID 1 of a new PID namespace, so that its end is the end of both.
func startWithZombie(t *testing.T, f FS, role string) (parent *exec.Cmd, zombie Process) {
	t.Helper()
	needRoot(t, "make a PID namespace")
	parent = start(t, role, func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	})
	eventually(t, "a zombie under PID 1 of the new namespace", func() bool {
		processes, _, err := f.Processes()
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(processes, func(p Process) bool {
			return p.ParentPID == parent.Process.Pid && p.State == StateZombie && p.Threads == 1
		})
		if i < 0 {
			return false
		}
		zombie = processes[i]
		return true
	})
	return parent, zombie
}

// needRoot skips a test that only root can do, or fails it where all tests must run.
func needRoot(t *testing.T, do string) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("REQUIRE_E2E") == "1" {
		t.Fatal("REQUIRE_E2E=1, but only root may " + do)
	}
	t.Skip("only root may " + do)
}

// lost is the time that the hypervisor and interrupts took from the CPUs since boot: what the scheduler's clocks lost at
// most, as they lose it by CPU.
func lost(t *testing.T) time.Duration {
	t.Helper()
	file, err := os.Open("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		// cpu user nice system idle iowait irq softirq steal
		fields := strings.Fields(scanner.Text())
		if len(fields) < 9 || fields[0] != "cpu" {
			continue
		}
		var ticks int
		for _, field := range fields[6:9] {
			n, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			ticks += n
		}
		return time.Duration(ticks) * tick
	}
	t.Fatal("no line cpu in /proc/stat")
	return 0
}

const (
	// The stamp of the clock's reader may be as old as a tick of the scheduler: 10 ms at 100 Hz, the slowest.
	stampDelay = 10 * time.Millisecond
	// Lost time is counted in ticks, in three columns of each CPU, so that as much may not be counted yet.
	lostDelay = 3 * 2 * tick
	// The scheduler's clock and the wall's are different clocks: 0.4 ms to 1 ms were measured on young zombies.
	clockSkew = 2 * time.Millisecond
)

func TestRealZombieTellsWhenItDied(t *testing.T) {
	t.Parallel()
	f := open(t, "/proc")
	cmd := start(t, roleWait, nil)
	lostBefore, before := lost(t), time.Now()
	zombie := becomeZombie(t, f, cmd)
	after := time.Now()
	if zombie.ParentPID != os.Getpid() {
		t.Fatalf("zombie = %+v, want this process as its parent", zombie)
	}
	const until = 300 * time.Millisecond
	eventually(t, "the zombie gets older", func() bool {
		clocks, err := f.Clocks()
		if err != nil {
			t.Fatal(err)
		}
		least := time.Since(after)
		age, err := clocks.DeadFor(zombie)
		most := time.Since(before)
		if errors.Is(err, ErrNoDeathTime) {
			if _, statErr := os.Stat("/proc/self/sched"); !errors.Is(statErr, fs.ErrNotExist) {
				t.Fatalf("error = %v, but this kernel has sched files", err)
			}
			return true // a kernel without SCHED_DEBUG: nothing more can be known
		}
		if err != nil {
			t.Fatal(err)
		}
		if most += clockSkew; age > most {
			t.Errorf("DeadFor() = %s, but it died at most %s ago", age, most)
		}
		if least -= stampDelay + clockSkew + lostDelay + lost(t) - lostBefore; age < least {
			t.Errorf("DeadFor() = %s, but it died at least %s ago", age, least)
		}
		return t.Failed() || age > until
	})
}

func TestRealProcessTellsWhenItStarted(t *testing.T) {
	t.Parallel()
	f := open(t, "/proc")
	before := time.Now()
	cmd := start(t, roleWait, nil)
	after := time.Now()
	process, err := f.Process(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	least := time.Since(after)
	clocks, err := f.Clocks()
	if err != nil {
		t.Fatal(err)
	}
	age, most := clocks.StartedFor(process), time.Since(before)
	// Uptime and start are both cut to hundredths of a second.
	if age < least-tick || age > most+tick {
		t.Errorf("StartedFor() = %s, want from %s to %s", age, least, most)
	}
}

func TestRealZombieKeepsAHostileName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		") Z 1 (", ")", "\nse.exec_start:", "a\nb", "\xff\xfe", strings.Repeat("\xff", 15), "\x1b[2J\x1b]0;x\a", "tmux: server",
	} {
		t.Run(strconv.Quote(name), func(t *testing.T) {
			t.Parallel()
			f := open(t, "/proc")
			cmd := start(t, roleWait, func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "KERNEL_TEST_NAME="+name) })
			zombie := becomeZombie(t, f, cmd)
			if zombie.Command != name || zombie.ParentPID != os.Getpid() {
				t.Errorf("zombie = %+v, want the name %q and this process as its parent", zombie, name)
			}
			clocks, err := f.Clocks()
			if err != nil {
				t.Fatal(err)
			}
			if age, err := clocks.DeadFor(zombie); (err != nil && !errors.Is(err, ErrNoDeathTime)) || age > time.Minute {
				t.Errorf("DeadFor() = %s, %v", age, err)
			}
			if exit, err := f.Exit(zombie.PID); err != nil || exit != (Exit{Signal: 17, Status: 9, Readable: true}) {
				t.Errorf("Exit() = %+v, %v", exit, err)
			}
			if status, err := f.Status(zombie.PID); err != nil || status.State != StateZombie || status.Threads != 1 || status.TracerPID != 0 || status.NamespacePIDs[0] != zombie.PID {
				t.Errorf("Status() = %+v, %v", status, err)
			}
		})
	}
}

func TestRealZombieOfANewPIDNamespaceTellsItsNamespace(t *testing.T) {
	t.Parallel()
	f := open(t, "/proc")
	cmd, zombie := startWithZombie(t, f, roleLeak)
	namespaces := map[string]uint64{}
	for who, pid := range map[string]int{"zombie": zombie.PID, "parent": cmd.Process.Pid, "self": os.Getpid()} {
		namespace, err := f.PIDNamespace(pid)
		if err != nil {
			t.Fatalf("PID namespace of %s: %v", who, err)
		}
		namespaces[who] = namespace
	}
	if namespaces["zombie"] != namespaces["parent"] || namespaces["zombie"] == namespaces["self"] {
		t.Errorf("namespaces = %v, want the zombie in its parent's and not in ours", namespaces)
	}
	own, err := f.Status(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for pid, inner := range map[int]int{cmd.Process.Pid: 1, zombie.PID: 0} {
		status, err := f.Status(pid)
		if err != nil {
			t.Fatal(err)
		}
		pids := status.NamespacePIDs
		if len(pids) != len(own.NamespacePIDs)+1 || pids[0] != pid || (inner != 0 && pids[len(pids)-1] != inner) {
			t.Errorf("PIDs of process %d = %v, want one more level than %v", pid, pids, own.NamespacePIDs)
		}
	}
	if _, err := f.Cgroups(zombie.PID); err != nil {
		t.Error(err)
	}
}

func TestRealProcessWhoseLeaderIsGoneHasMoreThanOneThread(t *testing.T) {
	t.Parallel()
	f := open(t, "/proc")
	cmd := start(t, roleLeaderGone, nil)
	var process Process
	eventually(t, "the main thread ends", func() bool {
		var err error
		if process, err = f.Process(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
		return process.State == StateZombie
	})
	if process.Threads < 2 {
		t.Errorf("process = %+v, want more than one thread: it lives", process)
	}
}

func TestRealProcessThatWasWaitedForIsVanished(t *testing.T) {
	t.Parallel()
	f := open(t, "/proc")
	cmd := start(t, roleWait, nil)
	becomeZombie(t, f, cmd)
	_, _ = cmd.Process.Wait()
	if _, err := f.Process(cmd.Process.Pid); !IsVanished(err) {
		t.Errorf("error = %v, want one that says vanished", err)
	}
}
