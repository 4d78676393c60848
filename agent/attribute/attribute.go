// Package attribute says to which container a zombie belongs. It never guesses: where the evidence is missing or
// contradicts itself, the zombie belongs to nobody.
package attribute

import (
	"slices"
	"strings"

	"github.com/zombie-operator/zombie-operator/agent/scan"
)

// Container is a running container as the container runtime and the kernel know it.
type Container struct {
	// ID is the ID of the container at the runtime.
	ID string
	// InitPID is the PID of its first process on the host.
	InitPID int
	// Namespace is the inode of the PID namespace of that process; 0 when it could not be read.
	Namespace uint64
	// Depth is how many PID namespaces there are from the host's down to that one, both counted.
	Depth int
	// Joined says that its first process is not the first of that namespace: it came into one of others, who may have ended.
	Joined bool
	// Shared says that others are, were, or may have been at home in that namespace: they joined it, as `kubectl debug --target` does.
	Shared bool
	// Cgroup is the path of the container's cgroup, as seen by the agent.
	Cgroup string
}

// InCgroup says whether a process is in the cgroup of the container or below it.
func (c Container) InCgroup(who scan.Identity) bool {
	return slices.ContainsFunc(who.Cgroups, func(path string) bool {
		return path == c.Cgroup || strings.HasPrefix(path, c.Cgroup+"/")
	})
}

// Encloses says whether a process is known to be in the PID namespace of the container or in one nested in it, so that the
// kernel ends it with the first process of that namespace.
func (c Container) Encloses(who scan.Identity) bool {
	return c.Namespace != 0 && who.Namespace == c.Namespace || len(who.NamespacePIDs) > c.Depth && c.InCgroup(who)
}

// IsHeldUp says whether a tracer may keep the container from ending when it traces one of its processes. What is killed stays a
// zombie until its tracer waits or ends, and the first process of a PID namespace ends after all others. Where the container's
// first process is not that, it alone has to end, and no tracer is known to end with it.
func (c Container) IsHeldUp(tracee int, tracer scan.Identity) bool {
	if c.Joined {
		return tracee == c.InitPID
	}
	return !c.Encloses(tracer)
}

// Place says where a zombie belongs.
type Place int

const (
	// Unknown: the evidence is missing or contradicts itself.
	Unknown Place = iota
	// Host: outside of every container. On cgroup v1 an orphan of a pod with hostPID is here too, once it passed to the host's
	// PID 1: a zombie shows no cgroup there, so nothing tells it from one of the host.
	Host
	// InContainer: in a container, and so is its parent.
	InContainer
	// ParentOutside: in a container, but its parent is not.
	ParentOutside
)

// Verdict is where a zombie belongs.
type Verdict struct {
	Place Place
	// ContainerID is the container, for InContainer and ParentOutside.
	ContainerID string
	// ParentPID is the parent's PID in the container's PID namespace, for InContainer.
	ParentPID int
}

// Table looks containers up by what processes show of themselves.
type Table struct {
	hostNamespace uint64
	cgroups       map[string]Container
	byNamespace   map[uint64][]Container
}

// NewTable returns a table of containers; hostNamespace is the inode of the host's PID namespace, 0 when unknown.
func NewTable(hostNamespace uint64, containers []Container) Table {
	t := Table{hostNamespace: hostNamespace, cgroups: map[string]Container{}, byNamespace: map[uint64][]Container{}}
	for _, c := range containers {
		if c.Cgroup != "" {
			t.cgroups[c.Cgroup] = c
		}
		if c.Namespace != 0 {
			t.byNamespace[c.Namespace] = append(t.byNamespace[c.Namespace], c)
		}
	}
	return t
}

// Attribute says where a zombie belongs. The strongest witness is the cgroup of its living parent: it tells
// containers apart even where they share a PID namespace. The PID namespace of the zombie itself must agree.
// Its own cgroup is a witness on cgroup v2 only; on v1 a zombie shows none. parent is nil when the parent is gone.
func (t Table) Attribute(zombie scan.Zombie, parent *scan.Parent) Verdict {
	if parent == nil {
		return Verdict{Place: Unknown}
	}
	own, ownKnown, ownAgrees := t.byCgroup(zombie.Cgroups)
	holder, held, holderAgrees := t.byCgroup(parent.Cgroups)
	switch {
	case !ownAgrees, !holderAgrees:
		return Verdict{Place: Unknown}
	case held && ownKnown && own.ID != holder.ID && !share(own, holder):
		return Verdict{Place: Unknown}
	case held:
		return t.under(holder, zombie, parent)
	case ownKnown && !t.within(own, zombie.Identity):
		return Verdict{Place: Unknown}
	case ownKnown:
		return Verdict{Place: ParentOutside, ContainerID: own.ID}
	case zombie.Namespace != 0 && zombie.Namespace == t.hostNamespace:
		return Verdict{Place: Host}
	}
	return t.byNamespaceAlone(zombie, parent)
}

// byNamespaceAlone judges a zombie of which no cgroup tells: it is that of the only container that is, and was, at home in
// its PID namespace. A parent in there is not of that container, so others are at home too. Of a container that joined, on v1
// nothing tells its zombies from those of the other once it has ended: the caller has to know that it was there.
func (t Table) byNamespaceAlone(zombie scan.Zombie, parent *scan.Parent) Verdict {
	sharers := t.byNamespace[zombie.Namespace]
	if len(sharers) != 1 || sharers[0].Joined || sharers[0].Shared || parent.Namespace == zombie.Namespace || beside(sharers[0], zombie) {
		return Verdict{Place: Unknown}
	}
	return Verdict{Place: ParentOutside, ContainerID: sharers[0].ID}
}

// under judges a zombie whose parent is in the cgroup of a container.
func (t Table) under(holder Container, zombie scan.Zombie, parent *scan.Parent) Verdict {
	if zombie.PID == holder.InitPID {
		return Verdict{Place: Unknown} // the container itself is dead: nothing in it can reap
	}
	if !t.within(holder, zombie.Identity) || !t.within(holder, parent.Identity) {
		return Verdict{Place: Unknown}
	}
	return Verdict{
		Place:       InContainer,
		ContainerID: holder.ID,
		ParentPID:   parent.NamespacePIDs[holder.Depth-1],
	}
}

// beside says whether a zombie shows a cgroup of the pod of a container, so one of another container, which has ended.
func beside(c Container, zombie scan.Zombie) bool {
	pod := c.Cgroup[:strings.LastIndexByte(c.Cgroup, '/')+1]
	return pod != "" && slices.ContainsFunc(zombie.Cgroups, func(path string) bool { return strings.HasPrefix(path, pod) })
}

// within says whether a process may be in the PID namespace of a container, or below. One that is not belongs to somebody
// else, whatever the cgroup that it was moved into.
func (t Table) within(c Container, who scan.Identity) bool {
	depth := len(who.NamespacePIDs)
	switch {
	case who.Namespace != 0 && who.Namespace != c.Namespace && t.taken(who.Namespace):
		return false // in the namespace of the host or of another container
	case who.Namespace == 0, c.Namespace == 0, who.Namespace == c.Namespace:
		return depth >= c.Depth
	}
	// Nobody knows this namespace: it may be nested in the container's. In the host's all are.
	return depth > c.Depth && c.Namespace != t.hostNamespace
}

// taken says whether a PID namespace is the host's or that of a known container. Any other is nested in a container.
func (t Table) taken(namespace uint64) bool {
	return namespace == t.hostNamespace || len(t.byNamespace[namespace]) > 0
}

// share says whether two containers are known to share a PID namespace: only then may a process of one have its parent in the other.
func share(a, b Container) bool {
	return a.Namespace != 0 && a.Namespace == b.Namespace
}

// byCgroup finds the container in whose cgroup, or below it, a process is. It tells whether the paths of several
// hierarchies agree; when they do not, they are no witness at all.
func (t Table) byCgroup(paths []string) (found Container, known, agree bool) {
	for _, path := range paths {
		c, ok := t.above(path)
		if ok && known && found.ID != c.ID {
			return Container{}, false, false
		}
		if ok {
			found, known = c, true
		}
	}
	return found, known, true
}

func (t Table) above(path string) (Container, bool) {
	for path != "" {
		if c, ok := t.cgroups[path]; ok {
			return c, true
		}
		path = path[:max(0, strings.LastIndexByte(path, '/'))]
	}
	return Container{}, false
}

// HasJoined says whether the first process of a container came into a PID namespace that had a first process already: that of
// its pod, of another container, or the host's.
func HasJoined(init scan.Identity) bool {
	return len(init.NamespacePIDs) == 0 || init.NamespacePIDs[len(init.NamespacePIDs)-1] != 1
}

// CgroupOf cuts a container's cgroup out of the cgroup paths of its first process: up to and with the outermost
// part that carries the container's ID, because a process may have moved itself further down. It returns "" when no
// path carries the ID; then the process is not that container's.
func CgroupOf(containerID string, paths []string) string {
	for _, path := range paths {
		parts := strings.Split(path, "/")
		for i, part := range parts {
			if strings.Contains(part, containerID) {
				return strings.Join(parts[:i+1], "/")
			}
		}
	}
	return ""
}
