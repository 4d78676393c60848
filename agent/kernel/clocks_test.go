package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestDeadForIsTheClockOfTheCPULessTheLastStamp(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pid  int
		want time.Duration
	}{
		"of a name that looks like a state":            {101, 60*time.Second + 250*time.Microsecond},
		"of a name with a newline":                     {102, 50 * time.Second},
		"of a name that is no text":                    {103, 40*time.Second + 500*time.Microsecond},
		"of a name that looks like the line of stamps": {104, 30 * time.Second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clocks, err := fixtures(t).Clocks()
			if err != nil {
				t.Fatal(err)
			}
			got, err := clocks.DeadFor(Process{PID: tc.pid})
			if err != nil {
				t.Fatal(err)
			}
			// The clock goes on from its first reading, but not for long.
			if got < tc.want || got > tc.want+5*time.Second {
				t.Errorf("DeadFor() = %s, want %s", got, tc.want)
			}
		})
	}
}

// A look at many zombies takes its time, in which they get older.
func TestDeadForGoesOnAfterTheClockWasRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		clocks, err := fixtures(t).Clocks()
		if err != nil {
			t.Fatal(err)
		}
		for _, passed := range []time.Duration{0, 2 * time.Second, 5 * time.Second} {
			got, err := clocks.DeadFor(Process{PID: 102})
			if want := 50*time.Second + passed; got != want || err != nil {
				t.Errorf("DeadFor() = %s, %v, want %s", got, err, want)
			}
			<-time.After(2*time.Second + passed/2) // two, then three seconds
		}
	})
}

func TestDeadForFails(t *testing.T) {
	t.Parallel()
	clocks, err := fixtures(t).Clocks()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clocks.DeadFor(Process{PID: 111}); !errors.Is(err, ErrNoDeathTime) {
		t.Errorf("error of a kernel that does not tell = %v, want %v", err, ErrNoDeathTime)
	}
	if _, err := clocks.DeadFor(Process{PID: 110}); !IsVanished(err) || errors.Is(err, ErrNoDeathTime) {
		t.Errorf("error of a vanished process = %v, want one that says vanished", err)
	}
	if _, err := clocks.DeadFor(Process{PID: 112}); err == nil || IsVanished(err) {
		t.Errorf("error of garbage = %v, want one that does not say vanished", err)
	}
	if _, err := clocks.DeadFor(Process{PID: 101, CPU: 1 << 20}); !errors.Is(err, ErrNoDeathTime) {
		t.Errorf("error on a CPU that this process may not use = %v, want %v", err, ErrNoDeathTime)
	}
}

func TestDeadForIsNeverNegative(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"uptime":            "10 10\n",
		"thread-self/sched": "agent (1, #threads: 1)\nse.exec_start : 1000.0\n",
		"7/sched":           "dead (7, #threads: 1)\nse.exec_start : 90000.0\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, path, []byte(text))
	}
	clocks, err := open(t, dir).Clocks()
	if err != nil {
		t.Fatal(err)
	}
	// Its CPU's clock may be ahead of the one that was read, by what the other lost.
	if age, err := clocks.DeadFor(Process{PID: 7}); age != 0 || err != nil {
		t.Errorf("DeadFor() = %s, %v, want 0", age, err)
	}
	// A process that started after the clocks were read.
	if age := clocks.StartedFor(Process{StartTicks: 1001}); age != 0 {
		t.Errorf("StartedFor() = %s, want 0", age)
	}
}

func TestStartedFor(t *testing.T) {
	t.Parallel()
	clocks, err := fixtures(t).Clocks()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := clocks.StartedFor(Process{StartTicks: 6000}), 940*time.Second+500*time.Millisecond; got != want {
		t.Errorf("StartedFor() = %s, want %s", got, want)
	}
}

func TestClocksFailWithoutUptime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := open(t, dir).Clocks(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error = %v, want %v", err, os.ErrNotExist)
	}
	write(t, filepath.Join(dir, "uptime"), []byte("soon\n"))
	if _, err := open(t, dir).Clocks(); err == nil {
		t.Error("Clocks() with garbage = nil, want an error")
	}
}

func TestDeadForFailsWithoutOwnClock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "uptime"), []byte("10 10\n"))
	if err := os.Mkdir(filepath.Join(dir, "7"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "7", "sched"), []byte("se.exec_start : 1\n"))
	clocks, err := open(t, dir).Clocks()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clocks.DeadFor(Process{PID: 7}); err == nil || errors.Is(err, ErrNoDeathTime) {
		t.Errorf("error = %v, want one that does not blame the kernel", err)
	}
}
