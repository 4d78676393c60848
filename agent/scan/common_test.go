package scan

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

func TestScanKeepsOneCopyOfWhatZombiesHaveInCommon(t *testing.T) {
	t.Parallel()
	n := newNode(live(1, 0), live(10, 1), dead(11, 10))
	s := New(n)
	add := func(pid int, cgroups ...string) {
		p := dead(pid, 10)
		p.Command = strings.Clone("dead11")
		n.add(p)
		n.identities[pid] = Identity{NamespacePIDs: []int{pid}, Cgroups: cgroups}
	}
	mustScan(t, s, noon)
	add(12, strings.Clone("/a")) // at a later look, as in a slow leak
	add(13, "/a", "/b")
	add(14)
	zombies := mustScan(t, s, noon).Zombies
	if &zombies[0].Cgroups[0] != &zombies[1].Cgroups[0] || unsafe.StringData(zombies[0].Command) != unsafe.StringData(zombies[1].Command) {
		t.Errorf("zombies = %+v and %+v, want one copy of cgroup and command", zombies[0], zombies[1])
	}
	if diff := cmp.Diff([]string{"/a", "/b"}, zombies[2].Cgroups); diff != "" || zombies[3].Cgroups != nil {
		t.Errorf("others = %+v, %+v, want them as they are (-want +got):\n%s", zombies[2], zombies[3], diff)
	}
	for i := range 3 * maxCommon {
		n.add(dead(1000+i, 10))
	}
	mustScan(t, s, noon)
	if got := len(s.common.commands); got > maxCommon {
		t.Errorf("%d commands are kept, want %d at most", got, maxCommon)
	}
}
