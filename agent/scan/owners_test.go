package scan

import (
	"testing"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
)

func TestOwners(t *testing.T) {
	t.Parallel()
	// A shim with a container, in which a runtime runs another container; a daemon of the host; a line that is broken, and a circle.
	processes := []kernel.Process{
		live(1, 0), live(2, 0), live(3, 2),
		live(10, 1), live(11, 10), live(12, 11), live(13, 12), live(14, 13),
		live(20, 1), live(21, 20),
		live(31, 30), live(32, 31),
		live(41, 42), live(42, 43), live(43, 41),
		live(50, 50),
	}
	tests := map[string]struct {
		parent, want int
	}{
		"the first process of a container is its shim's": {10, 10},
		"a child of it is": {11, 10},
		"an orphan that a container's PID 1 took over is":                       {11, 10},
		"one deep in a container in the container is":                           {14, 10},
		"a child of a daemon of the host is the daemon's":                       {20, 20},
		"a grandchild is, too":                                                  {21, 20},
		"an orphan that the host's PID 1 took over is that one's":               {1, 1},
		"one whose parent is outside of what is seen is nobody's":               {0, 0},
		"one of the kernel's threads is nobody's":                               {3, 0},
		"one whose parent is not listed is nobody's":                            {99, 0},
		"one whose line is broken further up is nobody's":                       {32, 0},
		"one whose line comes back to itself is nobody's":                       {41, 0},
		"one whose parent seems to be its own, as after reuse, is nobody's too": {50, 0},
	}
	together := newOwners(processes)
	for name, tc := range tests {
		p := live(1000, tc.parent)
		alone := newOwners(processes)
		for range 2 { // found, and remembered
			if got := alone.of(p); got != tc.want {
				t.Errorf("%s: owner = %d, want %d", name, got, tc.want)
			}
			if got := together.of(p); got != tc.want {
				t.Errorf("%s, with what others left known: owner = %d, want %d", name, got, tc.want)
			}
		}
	}
}
