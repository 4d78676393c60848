package scan

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
)

// floods add a look-alike of each kind under a parent.
var floods = map[string]func(n *node, pid, parent int){
	"of gone leaders":      func(n *node, pid, parent int) { p := dead(pid, parent); p.Threads = 2; n.add(p) },
	"of another signal":    func(n *node, pid, parent int) { n.add(dead(pid, parent)); n.exits[pid] = kernel.Exit{} },
	"of zombies of tracer": func(n *node, pid, parent int) { n.add(dead(pid, parent)); n.identities[pid] = Identity{TracerPID: 99} },
}

func TestScanKeepsSoManyLookAlikes(t *testing.T) {
	t.Parallel()
	for name, add := range floods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(live(1, 0), live(10, 1))
			n.unreadable = 1
			const more = 3
			for i := range MaxLookAlikes + more {
				add(n, 100+i, 10)
			}
			n.add(dead(100000, 10)) // is found all the same
			s := New(n)
			last := 100 + MaxLookAlikes + more - 1
			for range 2 {
				got := mustScan(t, s, noon)
				if len(got.LookAlikes) != MaxLookAlikes || got.Unreadable != 1 || len(got.Zombies) != 1 {
					t.Errorf("%d look-alikes, %d zombies and %d unreadable, want %d, 1 and 1",
						len(got.LookAlikes), len(got.Zombies), got.Unreadable, MaxLookAlikes)
				}
				if diff := cmp.Diff(map[int]int{10: more}, got.Beyond); diff != "" {
					t.Errorf("beyond (-want +got):\n%s", diff)
				}
				if n.processes[last].Threads > 1 && slices.Contains(n.identityOf, last) {
					t.Error("one that is known to be no zombie was read, only to be left out")
				}
			}
		})
	}
}

func TestScanReadsOnceWhatEndedBySignalAndIsNotKept(t *testing.T) {
	t.Parallel()
	n := newNode(live(1, 0), live(10, 1))
	for i := range MaxLookAlikes + 3 {
		floods["of another signal"](n, 100+i, 10)
	}
	s := New(n)
	mustScan(t, s, noon)
	n.identityOf = nil
	mustScan(t, s, noon)
	if diff := cmp.Diff([]int{10}, n.identityOf); diff != "" {
		t.Errorf("identities read again, want the parent's only (-want +got):\n%s", diff)
	}
}

// A tenant may make as many look-alikes as it has PIDs.
func TestAFloodOfOnePodLeavesAnotherItsLookAlikes(t *testing.T) {
	t.Parallel()
	for name, add := range floods {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(live(1, 0), live(10, 1), live(11, 10), live(12, 1), live(13, 12)) // two shims, each with a container
			const flood = 5000
			for i := range flood {
				add(n, 100+i, 11)
			}
			add(n, 100+flood, 13)
			got := mustScan(t, New(n), noon)
			alike, ok := lookAlikeOf(got, 100+flood)
			if !ok || alike.Owner != 12 || len(got.LookAlikes) != MaxLookAlikes+1 {
				t.Errorf("it is %+v of %d look-alikes, want it of owner 12 beside %d", alike, len(got.LookAlikes), MaxLookAlikes)
			}
			if diff := cmp.Diff(map[int]int{10: flood - MaxLookAlikes}, got.Beyond); diff != "" {
				t.Errorf("beyond (-want +got):\n%s", diff)
			}
		})
	}
}
