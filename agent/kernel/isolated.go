package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// isolated returns the CPUs that the kernel keeps for programs that nothing else must disturb: those that it takes out of load
// balancing (isolcpus) and those that it spares the tick (nohz_full). Such a program may poll in real time and leave its CPU to
// nobody, so that a thread that moved there would never run again. It is all CPUs where that cannot be read.
func (f FS) isolated() unix.CPUSet {
	var all, isolated unix.CPUSet
	all.Fill()
	for _, name := range []string{"isolated", "nohz_full"} {
		raw, err := os.ReadFile(filepath.Join(f.sys, "devices/system/cpu", name))
		if name == "nohz_full" && errors.Is(err, fs.ErrNotExist) {
			continue // a kernel built without it
		}
		if err != nil {
			return all
		}
		cpus, err := parseCPUs(raw)
		if err != nil {
			return all
		}
		for i := range cpus {
			isolated[i] |= cpus[i]
		}
	}
	return isolated
}

// parseCPUs reads a list of CPUs such as "2-3,6", which is empty for none. Where nohz_full was never set, kernels write "(null)".
// Those beyond what a set holds are left out: a thread cannot be moved there either.
func parseCPUs(raw []byte) (unix.CPUSet, error) {
	const most = len(unix.CPUSet{}) * strconv.IntSize
	var cpus unix.CPUSet
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "(null)" {
		return cpus, nil
	}
	for part := range bytes.SplitSeq(raw, []byte(",")) {
		from, to, isRange := bytes.Cut(part, []byte("-"))
		if !isRange {
			to = from
		}
		first, err := strconv.Atoi(string(from))
		if err != nil {
			return unix.CPUSet{}, fmt.Errorf("parsing CPU: %w", err)
		}
		last, err := strconv.Atoi(string(to))
		if err != nil {
			return unix.CPUSet{}, fmt.Errorf("parsing CPU: %w", err)
		}
		if first < 0 || last < first {
			return unix.CPUSet{}, fmt.Errorf("CPUs %q: %w", part, strconv.ErrRange)
		}
		for cpu := first; cpu <= min(last, most-1); cpu++ {
			cpus.Set(cpu)
		}
	}
	return cpus, nil
}
