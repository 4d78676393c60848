package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// cpus is a set of CPUs.
func cpus(numbers ...int) unix.CPUSet {
	var set unix.CPUSet
	for _, cpu := range numbers {
		set.Set(cpu)
	}
	return set
}

func TestParseCPUs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want unix.CPUSet
		err  bool
	}{
		"none":                                  {"\n", cpus(), false},
		"nothing at all":                        {"", cpus(), false},
		"none, as kernels wrote it":             {"(null)\n", cpus(), false},
		"one":                                   {"3\n", cpus(3), false},
		"a range":                               {"2-4\n", cpus(2, 3, 4), false},
		"ranges and single ones":                {"0,2-3,6,8-9\n", cpus(0, 2, 3, 6, 8, 9), false},
		"a range of one":                        {"5-5", cpus(5), false},
		"the last that a set holds, and beyond": {"1023-2147483647,5000", cpus(1023), false},
		"a range that runs back":                {"3-2", cpus(), true},
		"a range without an end":                {"3-", cpus(), true},
		"a range without a beginning":           {"-3", cpus(), true},
		"a range below 0":                       {"0--1", cpus(), true},
		"a comma too many":                      {"1,\n", cpus(), true},
		"a stride, which the kernel only reads": {"0-7:2/4", cpus(), true},
		"a mask":                                {"ff", cpus(), true},
		"a number that is too large":            {"99999999999999999999", cpus(), true},
		"two lines":                             {"1\n2\n", cpus(), true},
		"foreign bytes":                         {"\xff", cpus(), true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := parseCPUs([]byte(tc.text)); got != tc.want || (err != nil) != tc.err {
				t.Errorf("parseCPUs(%q) = %x, %v, want %x", tc.text, got, err, tc.want)
			}
		})
	}
}

func FuzzParseCPUs(f *testing.F) {
	for _, seed := range []string{"", "\n", "(null)\n", "2-3,6\n", "0-2147483647", "1-", "3-2", "0-7:2/4", "1,,2", "\xff-"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		set, err := parseCPUs(raw)
		if err != nil && set != cpus() {
			t.Errorf("parseCPUs(%q) = %x, %v", raw, set, err)
		}
		if trimmed := strings.TrimSpace(string(raw)); err == nil && trimmed != "" && trimmed != "(null)" {
			more := set
			more.Set(7)
			if got, err := parseCPUs([]byte(trimmed + ",7\n")); got != more || err != nil {
				t.Errorf("parseCPUs(%q) with one more, 7, = %x, %v, want %x", raw, got, err, more)
			}
		}
	})
}

// A thread that moved to a CPU that is kept for another might never run again.
func TestDeadForLeavesIsolatedCPUsAlone(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		files map[string]string
		told  bool
	}{
		"no CPU is isolated":                       {map[string]string{"isolated": "\n", "nohz_full": "(null)\n"}, true},
		"a kernel without nohz_full":               {map[string]string{"isolated": "\n"}, true},
		"another CPU is isolated":                  {map[string]string{"isolated": "1-3\n", "nohz_full": "1-3\n"}, true},
		"the CPU is taken out of load balancing":   {map[string]string{"isolated": "0,2\n"}, false},
		"the CPU is spared the tick":               {map[string]string{"isolated": "\n", "nohz_full": "0-1\n"}, false},
		"which are isolated cannot be read":        {nil, false},
		"which are isolated cannot be understood":  {map[string]string{"isolated": "?"}, false},
		"what is spared the tick is no such thing": {map[string]string{"isolated": "\n", "nohz_full": "?"}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := fixtures(t)
			f.sys = t.TempDir()
			dir := filepath.Join(f.sys, "devices", "system", "cpu")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for file, text := range tc.files {
				write(t, filepath.Join(dir, file), []byte(text))
			}
			clocks, err := f.Clocks()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := clocks.DeadFor(Process{PID: 102}); errors.Is(err, ErrNoDeathTime) == tc.told || (tc.told && err != nil) {
				t.Errorf("error = %v, want a time of death: %t", err, tc.told)
			}
		})
	}
}

func TestRealIsolatedCPUsAreNotAll(t *testing.T) {
	t.Parallel()
	if set := open(t, "/proc").isolated(); set.IsSet(len(set)*64 - 1) {
		t.Error("all CPUs are taken for isolated: the kernel's own lists could not be read")
	}
}
