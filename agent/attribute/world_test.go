package attribute

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// A world is a node made at random: containers with PID namespaces of their own, nested ones, shared with others of their
// pod, or the host's, and processes that fork, enter containers with and without their cgroup, move into other cgroups and
// into namespaces below, die and are adopted. It knows the truth. What lives in it is up to its machine.
type world struct {
	nature
	machine   machine
	random    *rand.Rand
	processes []*process
	ids       []string            // of the containers
	inits     map[string]*process // their first processes
	cgroups   map[string]string   // their cgroups
}

// nature is what is so everywhere in a world.
type nature struct {
	v2      bool // zombies show their cgroup
	hostPID bool // there are hostPID pods
	strays  bool // processes move into the cgroups of other containers, be they in their PID namespace or not
	blind   bool // PID namespaces cannot be read
}

// A machine lets happen what a world decides.
type machine interface {
	born(p *process)  // it gives p its PIDs
	moved(p *process) // into p.cgroup
	becameReaper(p *process)
	died(p *process)
}

type process struct {
	pids   []int // in its PID namespaces, the host's first
	spaces []*space
	parent *process
	// container is whose it is: it is in that container's cgroup and PID namespace. "" is the host's, or nobody's.
	container string
	cgroup    string
	stray     bool // in the cgroup of a container, but not in its PID namespace
	subreaper bool
	pause     bool
	dead      bool
	reaped    bool
}

// space is a PID namespace.
type space struct{ init *process }

func (p *process) pid() int             { return p.pids[0] }
func (p *process) space() *space        { return p.spaces[len(p.spaces)-1] }
func (p *process) isInit() bool         { return p.space().init == p }
func (p *process) in(s *space) bool     { return slices.Contains(p.spaces, s) }
func (p *process) below() []*space      { return append(slices.Clone(p.spaces), &space{}) }
func (w *world) host() *space           { return w.processes[0].space() }
func (w *world) ofNode(p *process) bool { return p == w.processes[0] || p == w.processes[1] }

// Cgroups of what is no container.
const (
	nodeInit = "/init.scope"
	nodeShim = "/system.slice/containerd.service"
)

// newWorld makes the containers of 1 to 4 pods.
func newWorld(random *rand.Rand, m machine, n nature) *world {
	w := &world{nature: n, machine: m, random: random, inits: map[string]*process{}, cgroups: map[string]string{}}
	root := w.spawn(&process{spaces: []*space{{}}, cgroup: nodeInit})
	shim := w.spawn(&process{parent: root, spaces: root.spaces, cgroup: nodeShim})
	shapes := []func(*process, string) (starter *process, spaces []*space){ownSpaces, ownSpaces, w.sharedSpaces, w.nestedSpaces, w.targetSpaces}
	if w.hostPID {
		shapes = append(shapes, hostSpaces)
	}
	for pod := range 1 + random.IntN(4) {
		cgroup := fmt.Sprintf("/kubepods/pod%d", pod)
		starter, spaces := shapes[random.IntN(len(shapes))](shim, cgroup)
		for range 1 + w.random.IntN(2) {
			w.addContainer(starter, spaces, cgroup)
		}
	}
	return w
}

// addContainer makes a container in a PID namespace, or in one of its own.
func (w *world) addContainer(starter *process, spaces []*space, cgroup string) *process {
	if spaces == nil {
		spaces = starter.below()
	}
	id := fmt.Sprintf("ctr-%d", len(w.ids))
	w.ids, w.cgroups[id] = append(w.ids, id), cgroup+"/"+id
	w.inits[id] = w.spawn(&process{parent: starter, spaces: spaces, container: id, cgroup: w.cgroups[id]})
	return w.inits[id]
}

func hostSpaces(shim *process, _ string) (*process, []*space) { return shim, shim.spaces }

// ownSpaces gives each container a namespace of its own.
func ownSpaces(shim *process, _ string) (*process, []*space) { return shim, nil }

// sharedSpaces is shareProcessNamespace: the pause container is PID 1, and no container of the pod.
func (w *world) sharedSpaces(shim *process, cgroup string) (*process, []*space) {
	pause := w.spawn(&process{parent: shim, spaces: shim.below(), cgroup: cgroup + "/pause", pause: true})
	return shim, pause.spaces
}

// targetSpaces is a container and those that debug it in its namespace.
func (w *world) targetSpaces(shim *process, cgroup string) (*process, []*space) {
	return shim, w.addContainer(shim, nil, cgroup).spaces
}

// nestedSpaces is a node in a container of a node: what starts containers there is in a namespace of its own.
func (w *world) nestedSpaces(shim *process, _ string) (*process, []*space) {
	return w.spawn(&process{parent: shim, spaces: shim.below(), cgroup: "/machine/node"}), nil
}

// shared says that a container's PID namespace is, or was, home to another container too.
func (w *world) shared(id string) bool {
	return slices.ContainsFunc(w.ids, func(other string) bool { return other != id && w.inits[other].space() == w.inits[id].space() })
}

func (w *world) spawn(p *process) *process {
	p.spaces = slices.Clone(p.spaces)
	if p.space().init == nil {
		p.space().init = p
	}
	w.machine.born(p)
	w.processes = append(w.processes, p)
	return p
}

// fork makes a child that has all of its parent, but for its namespaces.
func (w *world) fork(p *process, spaces []*space) *process {
	return w.spawn(&process{parent: p, spaces: spaces, container: p.container, cgroup: p.cgroup, stray: p.stray})
}

// step lets one thing happen.
func (w *world) step() {
	p := w.processes[w.random.IntN(len(w.processes))]
	if p.dead || p.pause { // a pause container does nothing but wait
		return
	}
	switch id := w.ids[w.random.IntN(len(w.ids))]; w.random.IntN(14) {
	case 0, 1, 2, 3:
		w.fork(p, p.spaces)
	case 4: // unshare --pid --fork. Of a stray, nothing would tell where the new namespace is.
		if !p.stray {
			w.fork(p, p.below())
		}
	case 5, 6:
		w.exec(id)
	case 7:
		w.move(p, id)
	case 8:
		p.subreaper = true
		w.machine.becameReaper(p)
	default:
		// Most of what a first process leaves behind belongs to nobody: it ends only now and then.
		if isFirst := p.isInit() || w.inits[p.container] == p; !w.ofNode(p) && (!isFirst || w.random.IntN(10) == 0) {
			w.die(p)
		}
	}
}

// exec enters a container: `kubectl exec` makes a child of the shim, or of a helper which may die; nsenter joins no cgroup.
func (w *world) exec(id string) {
	init, starter := w.inits[id], w.processes[1]
	if init.space().init.dead || init.dead {
		return
	}
	if w.random.IntN(2) == 0 {
		starter = w.fork(starter, starter.spaces)
	}
	p := &process{parent: starter, spaces: init.spaces, cgroup: starter.cgroup}
	if w.random.IntN(3) > 0 {
		p.container, p.cgroup = id, w.cgroups[id]
	} else if init.space() == w.host() {
		p.container = starter.container
	}
	w.spawn(p)
}

// move moves a process into another cgroup: one below its own with the name of a container, that of a container, or
// that of the shim.
func (w *world) move(p *process, id string) {
	if w.ofNode(p) {
		return
	}
	switch w.random.IntN(4) {
	case 0, 1:
		p.cgroup += "/" + id
	case 2:
		if !w.strays || p.isInit() || !w.known(p.space()) {
			return // in a namespace that nobody knows nothing would tell that it is not the container's
		}
		stray := p.space() != w.inits[id].space()
		if stray && len(p.spaces) > len(w.inits[id].spaces) {
			return // once its own container has ended, nothing would tell that its namespace is not nested in this one's
		}
		p.cgroup, p.container, p.stray = w.cgroups[id], id, stray
		if stray {
			p.container = ""
		}
	case 3:
		if p.isInit() {
			return // a container is where its first process is
		}
		p.cgroup, p.container, p.stray = nodeShim, "", false
	}
	w.machine.moved(p)
}

// known says whether a PID namespace is the host's or that of a container.
func (w *world) known(s *space) bool {
	return s == w.host() || slices.ContainsFunc(w.ids, func(id string) bool { return w.inits[id].space() == s })
}

// die makes a zombie of a process and gives its children to the reaper. The end of a first process ends all in its
// namespace, and waits for those whose parent is outside.
func (w *world) die(p *process) {
	p.dead = true
	if p.isInit() {
		w.collapse(p)
	} else {
		reaper := p.reaper()
		for _, child := range w.processes {
			if child.parent == p {
				child.parent = reaper
			}
		}
	}
	w.machine.died(p)
}

// reaper is who gets the children of a process.
func (p *process) reaper() *process {
	for above := p.parent; above != nil && above.space() == p.space(); above = above.parent {
		if above.subreaper {
			return above
		}
	}
	return p.space().init
}

func (w *world) collapse(init *process) {
	for _, p := range w.processes {
		if p == init || !p.in(init.space()) {
			continue
		}
		p.dead = true
		if p.parent.in(init.space()) {
			p.reaped = true
		} else if !p.reaped {
			init.reaped = true // not yet a zombie: it waits for this one
		}
	}
}

// zombies are the dead that nobody waited for. Their parents live, as a parent that dies passes its children on.
func (w *world) zombies() []*process {
	return slices.DeleteFunc(slices.Clone(w.processes), func(p *process) bool { return !p.dead || p.reaped })
}

// wrong says what is wrong with the verdict on a zombie. That nothing is known of it is wrong only where it is plain.
func (w *world) wrong(z *process, verdict Verdict) string {
	if verdict.Place == Unknown && w.plain(z) {
		return "it is plain where it belongs"
	}
	if verdict.Place == Unknown {
		return ""
	}
	if verdict.Place == Host {
		return w.wrongHost(z)
	}
	init := w.inits[verdict.ContainerID]
	if !z.in(init.space()) {
		return "it is not in the PID namespace of that container"
	}
	if verdict.Place == ParentOutside {
		switch {
		case z.parent.container == verdict.ContainerID:
			return "its parent is inside"
		case z.container != verdict.ContainerID && (z.container != "" || !init.isInit()):
			return "it is not in that container"
		}
		return ""
	}
	switch {
	case z.parent.container != verdict.ContainerID:
		return "its parent is not in that container"
	case z.container != verdict.ContainerID && z.container != "" && w.inits[z.container].space() != init.space():
		return "it is in another container, which does not share its PID namespace"
	case verdict.ParentPID != z.parent.pids[len(init.pids)-1]:
		return "that is not its parent's PID there"
	}
	return ""
}

func (w *world) wrongHost(z *process) string {
	switch {
	case z.space() != w.host():
		return "it is in a PID namespace below the host's"
	case z.container != "" && w.v2 && !w.inits[z.container].dead: // on v1 nothing tells an orphan of a hostPID pod from one of the host
		return "it is in a container"
	}
	return ""
}

// plain says that a zombie and its parent show where it belongs, and that nothing they show speaks against it.
func (w *world) plain(z *process) bool {
	home, init := z.container, w.inits[z.container]
	switch {
	case z.stray, z.parent.stray:
		return false
	case home == "" && z.parent.container == "":
		return !w.blind && z.space() == w.host()
	case home == "", init.dead, z == init:
		return false
	case init.space() == w.host() && (z.space() != w.host() || z.parent.space() != w.host()):
		return false // all namespaces are nested in the host's
	case z.parent.container == home:
		return true
	case z.parent.container != "":
		return false
	case w.v2:
		return true
	}
	// The PID namespace alone is left.
	return !w.blind && init.isInit() && !w.shared(home) && z.space() == init.space() && z.parent.space() != z.space()
}
