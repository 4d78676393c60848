package attribute

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/zombie-operator/zombie-operator/agent/scan"
)

// A world is a node made at random: containers with PID namespaces of their own, shared with others of their pod, or the
// host's, and processes that fork, enter containers, move into cgroups and namespaces below, die and are adopted.
// It knows the truth, and shows of each process what a kernel would show.
type world struct {
	random     *rand.Rand
	v2         bool // zombies show their cgroup
	blind      bool // PID namespaces cannot be read
	namespaces int
	processes  []*process
	containers []Container
	inits      map[string]*process
}

type process struct {
	pids      []int // in its PID namespaces, the host's first
	spaces    []*space
	parent    *process
	container string // whose it is, "" for the host
	cgroup    string
	subreaper bool
	pause     bool
	dead      bool
}

// space is a PID namespace.
type space struct {
	inode uint64
	init  *process
	last  int
}

func (p *process) pid() int      { return p.pids[0] }
func (p *process) space() *space { return p.spaces[len(p.spaces)-1] }

func newWorld(seed uint64) *world {
	random := rand.New(rand.NewPCG(seed, 1))
	w := &world{random: random, v2: random.IntN(2) == 0, blind: random.IntN(5) == 0, inits: map[string]*process{}}
	host := w.newSpace()
	root := w.spawn(nil, []*space{host}, "", "/init.scope")
	shim := w.spawn(root, root.spaces, "", "/system.slice/containerd.service")
	for pod := range 1 + random.IntN(4) {
		w.addPod(shim, pod)
	}
	return w
}

func (w *world) addPod(shim *process, pod int) {
	shape, count := w.random.IntN(3), 1+w.random.IntN(3)
	var shared []*space
	switch shape {
	case 0: // hostPID
		shared = shim.spaces
	case 1: // shareProcessNamespace: the pause container is PID 1, and no container of the pod
		shared = append(slices.Clone(shim.spaces), w.newSpace())
		w.spawn(shim, shared, "", fmt.Sprintf("/kubepods/pod%d/pause", pod)).pause = true
	}
	for i := range count {
		spaces := shared
		if spaces == nil {
			spaces = append(slices.Clone(shim.spaces), w.newSpace())
		}
		id := fmt.Sprintf("c%d-%d", pod, i)
		init := w.spawn(shim, spaces, id, fmt.Sprintf("/kubepods/pod%d/%s", pod, id))
		w.inits[id] = init
		c := Container{ID: id, InitPID: init.pid(), Namespace: init.space().inode, Depth: len(init.pids), Cgroup: init.cgroup}
		if w.blind {
			c.Namespace = 0
		}
		w.containers = append(w.containers, c)
	}
}

func (w *world) newSpace() *space {
	w.namespaces++
	return &space{inode: uint64(w.namespaces)}
}

func (w *world) spawn(parent *process, spaces []*space, container, cgroup string) *process {
	p := &process{parent: parent, spaces: slices.Clone(spaces), container: container, cgroup: cgroup}
	for _, s := range spaces {
		s.last++
		p.pids = append(p.pids, s.last)
		if s.init == nil {
			s.init = p
		}
	}
	w.processes = append(w.processes, p)
	return p
}

// step lets one thing happen.
func (w *world) step() {
	p := w.processes[w.random.IntN(len(w.processes))]
	if p.dead || p.pause {
		return // a pause container does nothing but wait
	}
	switch c := w.containers[w.random.IntN(len(w.containers))]; w.random.IntN(9) {
	case 0, 1, 2:
		w.spawn(p, p.spaces, p.container, p.cgroup)
	case 3: // unshare --pid --fork
		w.spawn(p, append(slices.Clone(p.spaces), w.newSpace()), p.container, p.cgroup)
	case 4: // into a cgroup below its own, with the name of a container
		p.cgroup += "/" + c.ID
	case 5: // kubectl exec: a child of the shim
		if init := w.inits[c.ID]; !init.dead {
			w.spawn(w.processes[1], init.spaces, c.ID, init.cgroup)
		}
	case 6:
		p.subreaper = true
	case 7, 8:
		w.die(p)
	}
}

// die makes a zombie of a process that is no init, and gives its children to the reaper.
func (w *world) die(p *process) {
	if p.pid() <= 2 || slices.ContainsFunc(p.spaces, func(s *space) bool { return s.init == p }) {
		return
	}
	p.dead = true
	reaper := p.space().init
	for above := p.parent; above != nil && above.space() == p.space(); above = above.parent {
		if above.subreaper && !above.dead {
			reaper = above
			break
		}
	}
	for _, child := range w.processes {
		if child.parent == p {
			child.parent = reaper
		}
	}
}

// show is what the kernel shows of a process.
func (w *world) show(p *process) scan.Identity {
	shown := scan.Identity{Namespace: p.space().inode, NamespacePIDs: p.pids, Cgroups: []string{p.cgroup}}
	if w.blind {
		shown.Namespace = 0
	}
	if p.dead && !w.v2 {
		shown.Cgroups = nil
	}
	return shown
}

func (w *world) table() Table {
	host := w.processes[0].space().inode
	if w.blind {
		host = 0
	}
	return NewTable(host, w.containers)
}

// wrong says what is wrong with the verdict on a zombie; saying nothing of it is never wrong.
func (w *world) wrong(z *process, verdict Verdict) string {
	switch init := w.inits[verdict.ContainerID]; verdict.Place {
	case Unknown:
		return ""
	case Host:
		// On v1 nothing tells an orphan of a hostPID pod from one of the host.
		if z.container != "" && (w.v2 || w.inits[z.container].space() != w.processes[0].space()) {
			return "it is in a container"
		}
	case InContainer:
		switch {
		case z.parent.container != verdict.ContainerID:
			return "its parent is not in that container"
		case z.container != verdict.ContainerID && w.inits[z.container].space() != init.space():
			return "it is not in that container, which does not share its PID namespace"
		case verdict.ParentPID != z.parent.pids[len(init.pids)-1]:
			return "that is not its parent's PID there"
		}
	case ParentOutside:
		if z.container != verdict.ContainerID {
			return "it is not in that container"
		}
		if z.parent.container == verdict.ContainerID {
			return "its parent is inside"
		}
	}
	return ""
}

func TestAttributeNeverNamesAWrongContainer(t *testing.T) {
	t.Parallel()
	counts := map[Place]int{}
	for seed := range uint64(2000) {
		w := newWorld(seed)
		for range 120 {
			w.step()
		}
		table := w.table()
		for _, z := range w.processes {
			if !z.dead {
				continue
			}
			// A parent that became a zombie passed its children on, so every parent lives.
			parent := &scan.Parent{Key: scan.Key{PID: z.parent.pid()}, Identity: w.show(z.parent)}
			verdict := table.Attribute(scan.Zombie{Key: scan.Key{PID: z.pid()}, Identity: w.show(z)}, parent)
			counts[verdict.Place]++
			if wrong := w.wrong(z, verdict); wrong != "" {
				t.Fatalf("seed %d, v2 %t, blind %t: zombie %+v with parent %+v: %+v: %s", seed, w.v2, w.blind, *z, *z.parent, verdict, wrong)
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
