package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoDeathTime says that it cannot be known when a process died: this kernel does not tell (it was built without
// SCHED_DEBUG), or the reader may not run on the CPU whose clock it takes (the kubelet may keep CPUs for one container), or
// must not (CPUs may be isolated).
var ErrNoDeathTime = errors.New("the kernel does not tell when a process died")

// Clocks tell the times of processes, as of one look at many of them: each clock is read once.
type Clocks struct {
	fs     FS
	uptime time.Duration
	// isolated are the CPUs whose clock is not read.
	isolated unix.CPUSet
	// now holds the reading of each CPU's clock, taken at readAt.
	now    map[int]time.Duration
	readAt map[int]time.Time
}

// Clocks returns the clocks for one look.
func (f FS) Clocks() (*Clocks, error) {
	raw, err := os.ReadFile(filepath.Join(f.root, "uptime"))
	if err != nil {
		return nil, fmt.Errorf("reading uptime: %w", err)
	}
	uptime, err := parseUptime(raw)
	if err != nil {
		return nil, fmt.Errorf("parsing uptime: %w", err)
	}
	return &Clocks{fs: f, uptime: uptime, isolated: f.isolated(), now: map[int]time.Duration{}, readAt: map[int]time.Time{}}, nil
}

// tick is the unit of start times in /proc; the kernel shows them in hundredths of a second on every machine.
const tick = time.Second / 100

// StartedFor tells how long ago a process started.
func (c *Clocks) StartedFor(process Process) time.Duration {
	return max(0, c.uptime-time.Duration(process.StartTicks)*tick) //nolint:gosec // ticks since boot stay far below 2^63
}

// DeadFor tells how long ago a zombie died. The scheduler stamps a process with the clock of its CPU whenever it
// runs (se.exec_start in /proc/PID/sched); a zombie's stamp stands still at its death. The age is the same CPU's
// clock now, less that stamp. The clock loses the time that a hypervisor steals, so the age may be too small, but
// not too large. It fails with ErrNoDeathTime where that cannot be known.
func (c *Clocks) DeadFor(zombie Process) (time.Duration, error) {
	raw, err := c.fs.read(zombie.PID, "sched")
	if errors.Is(err, fs.ErrNotExist) {
		if _, statErr := os.Stat(c.fs.path(zombie.PID, "stat")); statErr == nil {
			return 0, ErrNoDeathTime
		}
	}
	if err != nil {
		return 0, err
	}
	died, err := parseExecStart(raw)
	if err != nil {
		return 0, fmt.Errorf("parsing sched of process %d: %w", zombie.PID, err)
	}
	now, err := c.cpu(zombie.CPU)
	if err != nil {
		return 0, err
	}
	return max(0, now-died), nil
}

// cpu returns the present reading of a CPU's clock.
func (c *Clocks) cpu(cpu int) (time.Duration, error) {
	if _, ok := c.now[cpu]; !ok {
		reading, err := c.readOn(cpu)
		if err != nil {
			return 0, err
		}
		c.now[cpu], c.readAt[cpu] = reading, time.Now()
	}
	return c.now[cpu] + time.Since(c.readAt[cpu]), nil
}

// readOn reads a CPU's clock on that CPU: being switched in there stamps a thread with it.
func (c *Clocks) readOn(cpu int) (time.Duration, error) {
	if c.isolated.IsSet(cpu) {
		return 0, fmt.Errorf("moving to isolated CPU %d: %w", cpu, ErrNoDeathTime)
	}
	var raw []byte
	err := onCPU(cpu, func() (err error) {
		raw, err = os.ReadFile(filepath.Join(c.fs.root, "thread-self", "sched"))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("reading own sched: %w", err)
	}
	return parseExecStart(raw)
}
