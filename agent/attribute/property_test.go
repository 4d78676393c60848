package attribute

import (
	"math/rand/v2"
	"testing"

	"github.com/zombie-operator/zombie-operator/agent/scan"
)

// imagined is a machine without processes. It shows of each what a kernel would show.
type imagined struct {
	last   map[*space]int    // the last PID of each namespace
	inodes map[*space]uint64 // of namespaces
	blind  bool              // PID namespaces cannot be read
}

func (m *imagined) born(p *process) {
	for _, s := range p.spaces {
		m.last[s]++
		p.pids = append(p.pids, m.last[s])
		if m.inodes[s] == 0 {
			m.inodes[s] = uint64(len(m.inodes) + 1)
		}
	}
}

func (m *imagined) moved(*process)        {}
func (m *imagined) becameReaper(*process) {}
func (m *imagined) died(*process)         {}

func (m *imagined) show(p *process, v2 bool) scan.Identity {
	shown := scan.Identity{NamespacePIDs: p.pids, Namespace: m.inode(p.space())}
	if v2 || !p.dead {
		shown.Cgroups = []string{p.cgroup}
	}
	return shown
}

func (m *imagined) inode(s *space) uint64 {
	if m.blind {
		return 0
	}
	return m.inodes[s]
}

// table is what the agent knows of the containers: those whose first process lives.
func (m *imagined) table(w *world) Table {
	var containers []Container
	for _, id := range w.ids {
		init := w.inits[id]
		if init.dead {
			continue
		}
		containers = append(containers, Container{
			ID: id, InitPID: init.pid(), Namespace: m.inode(init.space()), Depth: len(init.pids),
			Joined: !init.isInit(), Shared: w.shared(id), Cgroup: w.cgroups[id],
		})
	}
	return NewTable(m.inode(w.host()), containers)
}

func TestAttributeNeverNamesAWrongContainer(t *testing.T) {
	t.Parallel()
	counts := map[Place]int{}
	for seed := range uint64(10000) {
		random := rand.New(rand.NewPCG(seed, 1))
		m := &imagined{last: map[*space]int{}, inodes: map[*space]uint64{}, blind: random.IntN(5) == 0}
		// Without PID namespaces nothing tells that a process is not of the container in whose cgroup it is.
		w := newWorld(random, m, nature{v2: random.IntN(2) == 0, hostPID: true, strays: !m.blind, blind: m.blind})
		for range 120 {
			w.step()
		}
		table := m.table(w)
		for _, z := range w.zombies() {
			parent := &scan.Parent{Key: scan.Key{PID: z.parent.pid()}, Identity: m.show(z.parent, w.v2)}
			verdict := table.Attribute(scan.Zombie{Key: scan.Key{PID: z.pid()}, Identity: m.show(z, w.v2)}, parent)
			counts[verdict.Place]++
			if wrong := w.wrong(z, verdict); wrong != "" {
				t.Fatalf("seed %d, v2 %t, blind %t: zombie %+v with parent %+v: %+v: %s", seed, w.v2, m.blind, *z, *z.parent, verdict, wrong)
			}
		}
	}
	t.Logf("verdicts: %v", counts)
	for place := Unknown; place <= ParentOutside; place++ {
		if counts[place] < 100 {
			t.Errorf("verdict %d came %d times only: the worlds are too poor", place, counts[place])
		}
	}
}
