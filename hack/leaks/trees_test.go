package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTreesHoldExactlyTheirZombiesWhenReadyAndEndAtSIGTERM(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		argv  []string
		ready string
		want  map[string]int
	}{
		"orphans of git pass to a PID 1 that does not know them, git itself is waited for": {
			argv:  []string{"repo-server", "never-waits", "-count=20"},
			ready: "ready: 20 zombies under pid 1",
			want:  map[string]int{"1/repo-server/git-remote-http": 20},
		},
		"a tree plays under its own name when no role is given": {
			argv:  []string{"never-waits", "-count=3", "-child=a-name-longer-than-comm"},
			ready: "ready: 3 zombies under pid 1",
			want:  map[string]int{"1/never-waits/a-name-longer-t": 3},
		},
		"a dead child may bear the name of another tree": {
			argv:  []string{"every", "-count=2", "-every=0", "-child=sleep"},
			ready: "ready: 2 zombies under pid 1",
			want:  map[string]int{"1/every/sleep": 2},
		},
		"a missed SIGCHLD leaves the children of the start": {
			argv:  []string{"missed-sigchld", "-count=12"},
			ready: "ready: 12 zombies under pid 1",
			want:  map[string]int{"1/missed-sigchld/openssl": 12},
		},
		"a middle process leaks under a PID 1 that reaps": {
			argv: []string{"middle-leaks", "-count=7"},
			want: map[string]int{"middle/worker/sh": 7},
		},
		"a middle process leaks under a PID 1 that does not reap": {
			argv: []string{"middle-leaks", "-count=7", "-reap=false", "-middle=buildd", "-child=git"},
			want: map[string]int{"middle/buildd/git": 7},
		},
		"the sawtooth starts with one batch": {
			argv:  []string{"sawtooth", "-count=4", "-period=10m"},
			ready: "ready: 4 zombies under pid 1, none older than 10m0s",
			want:  map[string]int{"1/sawtooth/timeout": 4},
		},
		"a leader that exited is no zombie": {
			argv:  []string{"leader-exited", "-count=2"},
			ready: "ready: 2 live processes without a leader under pid 1",
			want:  map[string]int{},
		},
		"a Go program starts children and never waits": {
			argv:  []string{"start-no-wait"},
			ready: "ready: 8 zombies under pid 1",
			want:  map[string]int{"1/start-no-wait/wkhtmltopdf": 8},
		},
		"a sleeping PID 1 has no zombie of its own": {
			argv:  []string{"sleep"},
			ready: "ready: 0 zombies under pid 1",
			want:  map[string]int{},
		},
		"a handler with one wait has as many as died before it": {
			argv:  []string{"one-wait", "-count=5", "-live"},
			ready: "ready: 5 zombies under pid 1",
			want:  map[string]int{"1/one-wait/sendmail": 5},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := start(t, tc.argv[0], tc.argv[1:]...)
			if tc.ready != "" && tr.ready != tc.ready+"\n" {
				t.Errorf("it said %q, want %q", tr.ready, tc.ready)
			}
			if got := tr.dead(); !maps.Equal(got, tc.want) {
				t.Errorf("zombies %v, want %v", got, tc.want)
			}
			tr.end()
		})
	}
}

func TestMiddleSaysWhichPIDLeaks(t *testing.T) {
	t.Parallel()
	tr := start(t, "middle-leaks", "-count=2")
	worker := tr.worker()
	if want := fmt.Sprintf("ready: 2 zombies under pid %d\n", worker.pid); tr.ready != want {
		t.Errorf("it said %q, want %q", tr.ready, want)
	}
	if worker.ppid != 1 {
		t.Errorf("the worker's parent is %d, want 1", worker.ppid)
	}
}

func TestOneSIGCHLDCuresOnlyTheParentThatMissedIt(t *testing.T) {
	t.Parallel()
	t.Run("a waitpid loop that missed its signals", func(t *testing.T) {
		t.Parallel()
		tr := start(t, "missed-sigchld", "-count=12")
		tr.signal(syscall.SIGCHLD)
		eventually(t, "one SIGCHLD cures all", func() bool { return tr.zombies() == 0 })
		tr.end()
	})
	for name, argv := range map[string][]string{
		"a Go program without Wait":        {"start-no-wait", "-count=5"},
		"a Go PID 1 that adopted orphans":  {"never-waits", "-count=5"},
		"a parent without SIGCHLD handler": {"every", "-count=5", "-every=1h"},
		"a PID 1 above the middle process": {"middle-leaks", "-count=5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := start(t, argv[0], argv[1:]...)
			for range 20 {
				tr.signalTaken()
			}
			if got := tr.zombies(); got != 5 {
				t.Errorf("%d zombies after SIGCHLD, want 5", got)
			}
			tr.end()
		})
	}
}

func TestSIGCHLDIsCaughtWhereTheRealProgramCatchesIt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		argv   []string
		caught bool
	}{
		"every has no handler":                       {[]string{"every"}, false},
		"sleep has no handler":                       {[]string{"sleep"}, false},
		"the Go runtime has one":                     {[]string{"start-no-wait"}, true},
		"missed-sigchld has one after the deaths":    {[]string{"missed-sigchld"}, true},
		"one-wait has one after the deaths":          {[]string{"one-wait"}, true},
		"the PID 1 above a middle process reaps too": {[]string{"middle-leaks"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := start(t, tc.argv[0], tc.argv[1:]...)
			p, err := readProcess(tr.proc, 1)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.caught&sigchldBit != 0; got != tc.caught {
				t.Errorf("SIGCHLD caught: %v, want %v", got, tc.caught)
			}
		})
	}
}

func TestHandlerIsInstalledOnlyAfterTheDeaths(t *testing.T) {
	t.Parallel()
	caught := func() bool {
		p, err := readProcess("/proc", os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		return p.caught&sigchldBit != 0
	}
	if _, err := handleAfter(func() error {
		if caught() {
			t.Error("SIGCHLD is caught while the children die: a late signal could cure them")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !caught() {
		t.Error("SIGCHLD is not caught afterwards")
	}
}

func TestEndingTheMiddleProcess(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGKILL} {
		t.Run("cures when PID 1 reaps: "+unix.SignalName(sig), func(t *testing.T) {
			t.Parallel()
			tr := start(t, "middle-leaks", "-count=7")
			if err := unix.Kill(tr.hostPID(tr.worker().pid), sig); err != nil {
				t.Fatal(err)
			}
			eventually(t, "only PID 1 is left", func() bool { return len(tr.processes()) == 1 })
			tr.end()
		})
		t.Run("moves the zombies to PID 1, and adds one, when it does not: "+unix.SignalName(sig), func(t *testing.T) {
			t.Parallel()
			tr := start(t, "middle-leaks", "-count=7", "-reap=false")
			if err := unix.Kill(tr.hostPID(tr.worker().pid), sig); err != nil {
				t.Fatal(err)
			}
			want := map[string]int{"1/middle-leaks/sh": 7, "1/middle-leaks/worker": 1}
			eventually(t, "the zombies moved", func() bool { return maps.Equal(tr.dead(), want) })
			tr.end()
		})
	}
}

func TestStopSignalIsToldByThePIDThatGotIt(t *testing.T) {
	t.Parallel()
	t.Run("a tree says that it ends", func(t *testing.T) {
		t.Parallel()
		tr := start(t, "never-waits", "-count=2")
		tr.end()
		tr.said("stop: SIGTERM, pid 1 ends")
	})
	t.Run("a middle process says so too, and PID 1 goes on", func(t *testing.T) {
		t.Parallel()
		tr := start(t, "middle-leaks", "-count=2")
		worker := tr.worker().pid
		if err := unix.Kill(tr.hostPID(worker), unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		tr.said(fmt.Sprintf("stop: SIGTERM, pid %d ends", worker))
		tr.end()
	})
}

func TestIgnoredSIGTERMLeavesAllAsItIsUntilSIGKILL(t *testing.T) {
	t.Parallel()
	tr := start(t, "never-waits", "-count=4", "-ignore-term")
	tr.signal(syscall.SIGTERM)
	tr.said("stop: SIGTERM, pid 1 goes on")
	tr.signal(syscall.SIGTERM)
	tr.said("stop: SIGTERM, pid 1 goes on", "stop: SIGTERM, pid 1 goes on")
	if got := tr.zombies(); got != 4 {
		t.Errorf("%d zombies after SIGTERM, want 4", got)
	}
	tr.signal(syscall.SIGKILL)
	err := tr.init.Wait()
	if status, ok := tr.init.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Errorf("it ended with %v, want SIGKILL", err)
	}
}

func TestIgnoreTermStillEndsAtSIGINT(t *testing.T) {
	t.Parallel()
	tr := start(t, "never-waits", "-count=1", "-ignore-term")
	tr.endAt(syscall.SIGINT)
	tr.said("stop: SIGINT, pid 1 ends")
}

func TestSayWritesIntoTheLogOfPID1(t *testing.T) {
	t.Parallel()
	tr := start(t, "never-waits", "-count=1")
	if out := tr.exec("say", "the hook", "ran"); out != "" {
		t.Errorf("it said %q to the one who ran it, want nothing", out)
	}
	began := time.Now()
	tr.exec("say", "-sleep", "1", "draining")
	if took := time.Since(began); took < time.Second {
		t.Errorf("it took %s, want 1s or more", took)
	}
	tr.end()
	tr.said("said: the hook ran", "said: draining", "done: draining, after 1 s", "stop: SIGTERM, pid 1 ends")
}

func TestSawtoothAlwaysHoldsZombiesAndNeverAnOldOne(t *testing.T) {
	t.Parallel()
	const period = time.Second
	const batch = 3
	tr := start(t, "sawtooth", fmt.Sprintf("-count=%d", batch), "-period="+period.String())
	firstSeen := map[int]time.Time{}
	// Five batches seen means that at least three were reaped.
	eventually(t, "five batches pass", func() bool {
		now := time.Now()
		found := tr.named("timeout")
		if len(found) < batch {
			// A look is not atomic: the next batch may replace the old one under it.
			now = time.Now()
			found = tr.named("timeout")
		}
		if len(found) < batch || len(found) > 2*batch {
			t.Fatalf("%d zombies, want %d to %d", len(found), batch, 2*batch)
		}
		for _, pid := range found {
			if _, ok := firstSeen[pid]; !ok {
				firstSeen[pid] = now
			}
			if age := now.Sub(firstSeen[pid]); age > period {
				t.Fatalf("zombie %d is %s old, want at most %s", pid, age, period)
			}
		}
		return len(firstSeen) >= 5*batch
	})
	tr.end()
}

func TestLeaderExitedShowsZWithLiveThreads(t *testing.T) {
	t.Parallel()
	tr := start(t, "leader-exited", "-count=2")
	var found []process
	for _, p := range tr.processes() {
		if p.comm == "java" {
			found = append(found, p)
		}
	}
	if len(found) != 2 {
		t.Fatalf("got %+v, want two processes named java", found)
	}
	for _, p := range found {
		if p.state != "Z" || p.threads < 2 || p.ppid != 1 {
			t.Errorf("got state %s, %d threads, parent %d; want Z, 2 or more, 1", p.state, p.threads, p.ppid)
		}
	}
	// The threads still answer: SIGTERM ends the whole of it, and now it is a zombie.
	if err := unix.Kill(tr.hostPID(found[0].pid), unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process is really dead", func() bool { return slices.Equal(tr.named("java"), []int{found[0].pid}) })
	tr.end()
}

func TestRepeatingTreesAddTheirBatchUpToMax(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"every", "never-waits", "start-no-wait", "middle-leaks"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := start(t, name, "-count=2", "-every=20ms", "-max=7", "-child=sh")
			// By name: a git that dies is a zombie too until PID 1 has waited for it.
			eventually(t, "it grows to the last whole batch below -max", func() bool { return len(tr.named("sh")) == 6 })
			over := time.After(5 * 20 * time.Millisecond)
			eventually(t, "five more ticks pass", func() bool {
				if got := len(tr.named("sh")); got != 6 {
					t.Fatalf("%d zombies, want 6", got)
				}
				select {
				case <-over:
					return true
				default:
					return false
				}
			})
			tr.end()
		})
	}
}

func TestExecLeavesOrphansToASleepingPID1(t *testing.T) {
	t.Parallel()
	tr := start(t, "sleep")
	for _, total := range []int{3, 6} {
		tr.exec("orphan", "-count=3")
		want := map[string]int{"1/sleep/probe-child": total}
		eventually(t, fmt.Sprintf("%d orphans are dead", total), func() bool { return maps.Equal(tr.dead(), want) })
	}
	if out := tr.exec("orphan", "-count=3", "-max=8"); !strings.HasPrefix(out, "left: none, 6 zombies") {
		t.Errorf("above -max it said %q", out)
	}
	if got := tr.zombies(); got != 6 {
		t.Errorf("%d zombies above -max, want 6", got)
	}
	tr.end()
}

func TestExecLeavesNothingToAPID1ThatReaps(t *testing.T) {
	t.Parallel()
	tr := start(t, "middle-leaks", "-count=1")
	tr.exec("orphan", "-count=3")
	eventually(t, "only PID 1, the worker and its zombie are left", func() bool { return len(tr.processes()) == 3 })
	if got, want := tr.dead(), map[string]int{"middle/worker/sh": 1}; !maps.Equal(got, want) {
		t.Errorf("zombies %v, want %v", got, want)
	}
	tr.end()
}

func TestOneWait(t *testing.T) {
	t.Parallel()
	t.Run("cures one zombie with each SIGCHLD", func(t *testing.T) {
		t.Parallel()
		tr := start(t, "one-wait", "-count=3")
		for left := 2; left >= 0; left-- {
			tr.signal(syscall.SIGCHLD)
			eventually(t, "it waited once", func() bool { return tr.zombies() <= left })
			if got := tr.zombies(); got != left {
				t.Errorf("%d zombies, want %d", got, left)
			}
		}
		tr.end()
	})
	t.Run("hangs at one SIGCHLD too many beside a living child", func(t *testing.T) {
		t.Parallel()
		tr := start(t, "one-wait", "-count=0", "-live")
		tr.signal(syscall.SIGCHLD)
		eventually(t, "its main thread is stuck in do_wait", func() bool {
			wchan, err := os.ReadFile(filepath.Join(tr.proc, "1", "wchan"))
			return err == nil && string(wchan) == "do_wait"
		})
		tr.end()
	})
}
