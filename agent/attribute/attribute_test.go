package attribute

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zombie-operator/zombie-operator/agent/scan"
)

const (
	hostNS  = 100
	ownNS   = 201 // of the container alone
	otherNS = 202 // of the container other
	podNS   = 203 // shared by the containers left and right
	outNS   = 299 // of no container that is known
)

// The containers of the tests: two of their own PID namespace, two that share one, one in the host's.
func containers() []Container {
	return []Container{
		{ID: "alone", InitPID: 1000, Namespace: ownNS, Depth: 2, Cgroup: "/kubepods/p1/alone"},
		{ID: "other", InitPID: 2000, Namespace: otherNS, Depth: 2, Cgroup: "/kubepods/p2/other"},
		{ID: "left", InitPID: 3000, Namespace: podNS, Depth: 2, Cgroup: "/kubepods/p3/left"},
		{ID: "right", InitPID: 4000, Namespace: podNS, Depth: 2, Cgroup: "/kubepods/p3/right"},
		{ID: "host", InitPID: 5000, Namespace: hostNS, Depth: 1, Cgroup: "/kubepods/p4/host"},
	}
}

func zombie(namespace uint64, pids []int, cgroups ...string) scan.Zombie {
	return scan.Zombie{Key: scan.Key{PID: pids[0]}, Identity: scan.Identity{Namespace: namespace, NamespacePIDs: pids, Cgroups: cgroups}}
}

func parent(namespace uint64, pids []int, cgroups ...string) *scan.Parent {
	return &scan.Parent{Key: scan.Key{PID: pids[0]}, Identity: scan.Identity{Namespace: namespace, NamespacePIDs: pids, Cgroups: cgroups}}
}

func at(pids ...int) []int { return pids }

// Cgroups of the containers, and of what is none.
const (
	alone, other = "/kubepods/p1/alone", "/kubepods/p2/other"
	left, right  = "/kubepods/p3/left", "/kubepods/p3/right"
	host         = "/kubepods/p4/host"
	shim, pause  = "/system.slice/containerd.service", "/kubepods/p3/pause"
)

var attributions = map[string]struct {
	zombie scan.Zombie
	parent *scan.Parent
	want   Verdict
}{
	"on v1 the parent's cgroup tells the container": {
		zombie(ownNS, at(1010, 10)), parent(ownNS, at(1000, 1), alone),
		Verdict{InContainer, "alone", 1},
	},
	"on v2 the zombie's cgroup agrees": {
		zombie(ownNS, at(1010, 10), alone), parent(ownNS, at(1007, 7), alone),
		Verdict{InContainer, "alone", 7},
	},
	"a zombie whose parent is gone belongs to nobody": {
		zombie(ownNS, at(1010, 10), alone), nil,
		Verdict{Place: Unknown},
	},
	"a shared PID namespace is split by the parent's cgroup on v1, on the left": {
		zombie(podNS, at(3010, 10)), parent(podNS, at(3000, 5), left),
		Verdict{InContainer, "left", 5},
	},
	"a shared PID namespace is split by the parent's cgroup on v1, on the right": {
		zombie(podNS, at(4010, 11)), parent(podNS, at(4000, 6), right),
		Verdict{InContainer, "right", 6},
	},
	"in a shared PID namespace a child that passed to the other container is its new parent's": {
		zombie(podNS, at(3010, 10), left), parent(podNS, at(4000, 6), right),
		Verdict{InContainer, "right", 6},
	},
	"on v2 an orphan under the pause container has its parent outside": {
		zombie(podNS, at(3010, 10), left), parent(podNS, at(2999, 1), pause),
		Verdict{ParentOutside, "left", 0},
	},
	"on v1 an orphan under the pause container of two containers belongs to nobody": {
		zombie(podNS, at(3010, 10)), parent(podNS, at(2999, 1), pause),
		Verdict{Place: Unknown},
	},
	"on v2 an exec'd process that the shim does not reap has its parent outside": {
		zombie(ownNS, at(1010, 10), alone), parent(hostNS, at(900), shim),
		Verdict{ParentOutside, "alone", 0},
	},
	"on v1 an exec'd process that the shim does not reap is known by its PID namespace": {
		zombie(ownNS, at(1010, 10)), parent(hostNS, at(900), shim),
		Verdict{ParentOutside, "alone", 0},
	},
	"on v1 an exec'd process of a shared PID namespace belongs to nobody": {
		zombie(podNS, at(3010, 10)), parent(hostNS, at(900), shim),
		Verdict{Place: Unknown},
	},
	"in a nested PID namespace the parent's PID is the container's": {
		zombie(outNS, at(1010, 10, 2), alone), parent(outNS, at(1009, 9, 1), alone+"/nested"),
		Verdict{InContainer, "alone", 9},
	},
	"in a nested PID namespace on v1 the parent tells": {
		zombie(outNS, at(1010, 10, 2)), parent(ownNS, at(1000, 1), alone),
		Verdict{InContainer, "alone", 1},
	},
	"a zombie and a parent in cgroups of different containers contradict each other": {
		zombie(ownNS, at(1010, 10), alone), parent(otherNS, at(2000, 1), other),
		Verdict{Place: Unknown},
	},
	"a zombie in another container's namespace contradicts its parent on v1": {
		zombie(otherNS, at(1010, 10)), parent(ownNS, at(1000, 1), alone),
		Verdict{Place: Unknown},
	},
	"a zombie in the host's namespace contradicts its parent in a container": {
		zombie(hostNS, at(1010)), parent(ownNS, at(1000, 1), alone),
		Verdict{Place: Unknown},
	},
	"a parent in another container's namespace contradicts its cgroup": {
		zombie(outNS, at(1010, 10, 2)), parent(otherNS, at(1007, 7), alone),
		Verdict{Place: Unknown},
	},
	"a namespace that nobody knows and that is no deeper than the container's is not nested in it": {
		zombie(outNS, at(1010, 10)), parent(ownNS, at(1000, 1), alone),
		Verdict{Place: Unknown},
	},
	"a namespace that nobody knows is not that of a hostPID container": {
		zombie(outNS, at(1010, 10)), parent(hostNS, at(5000), host),
		Verdict{Place: Unknown},
	},
	"on v2 a zombie in the host's namespace contradicts its cgroup": {
		zombie(hostNS, at(1010), alone), parent(hostNS, at(900), shim),
		Verdict{Place: Unknown},
	},
	"on v2 a zombie in another container's namespace contradicts its cgroup": {
		zombie(otherNS, at(1010, 10), alone), parent(hostNS, at(900), shim),
		Verdict{Place: Unknown},
	},
	"a zombie above the container's namespace belongs to nobody": {
		zombie(0, at(1010)), parent(ownNS, at(1000, 1), alone),
		Verdict{Place: Unknown},
	},
	"a parent above the container's namespace belongs to nobody": {
		zombie(ownNS, at(1010, 10)), parent(hostNS, at(900), alone),
		Verdict{Place: Unknown},
	},
	"in a hostPID pod the parent's PID is the host's": {
		zombie(hostNS, at(5010)), parent(hostNS, at(5000), host),
		Verdict{InContainer, "host", 5000},
	},
	"an orphan of a hostPID pod passed to the host's init on v1": {
		zombie(hostNS, at(5010)), parent(hostNS, at(1), "/init.scope"),
		Verdict{Place: Host},
	},
	"an orphan of a hostPID pod has its parent outside on v2": {
		zombie(hostNS, at(5010), host), parent(hostNS, at(1), "/init.scope"),
		Verdict{ParentOutside, "host", 0},
	},
	"a zombie of the host is the host's": {
		zombie(hostNS, at(800), "/system.slice/ssh.service"), parent(hostNS, at(700), "/system.slice/ssh.service"),
		Verdict{Place: Host},
	},
	"a zombie in a namespace of something that is no container of a pod belongs to nobody": {
		zombie(outNS, at(800, 2)), parent(outNS, at(700, 1), "/docker/xyz"),
		Verdict{Place: Unknown},
	},
	"without SYS_PTRACE the parent's cgroup is enough": {
		zombie(0, at(1010, 10)), parent(0, at(1000, 1), alone),
		Verdict{InContainer, "alone", 1},
	},
	"without SYS_PTRACE a parent outside hides the container on v1": {
		zombie(0, at(1010, 10)), parent(0, at(900), shim),
		Verdict{Place: Unknown},
	},
	"without SYS_PTRACE the zombie's own cgroup tells on v2": {
		zombie(0, at(1010, 10), alone), parent(0, at(900), shim),
		Verdict{ParentOutside, "alone", 0},
	},
	"a zombie whose parent's hierarchies name different containers belongs to nobody": {
		zombie(ownNS, at(1010, 10)), parent(ownNS, at(1000, 1), alone, other),
		Verdict{Place: Unknown},
	},
	"a zombie whose hierarchies name different containers belongs to nobody": {
		zombie(ownNS, at(1010, 10), other, alone), parent(ownNS, at(1000, 1), alone),
		Verdict{Place: Unknown},
	},
	"a hierarchy that names no container does not disturb one that does": {
		zombie(ownNS, at(1010, 10)), parent(ownNS, at(1000, 1), "/user.slice", alone),
		Verdict{InContainer, "alone", 1},
	},
	"a nested cgroup named like another container is still in the outer one": {
		zombie(ownNS, at(1010, 10)), parent(ownNS, at(1000, 1), alone+"/kubepods/p2/other"),
		Verdict{InContainer, "alone", 1},
	},
	"a cgroup beside the container that begins with its name is another one": {
		zombie(ownNS, at(1010, 10)), parent(hostNS, at(1000), alone+"-2"),
		Verdict{ParentOutside, "alone", 0},
	},
	"a container whose first process is the zombie belongs to nobody": {
		zombie(ownNS, at(1000, 1), alone), parent(ownNS, at(1001, 2), alone),
		Verdict{Place: Unknown},
	},
}

func TestAttribute(t *testing.T) {
	t.Parallel()
	table := NewTable(hostNS, containers())
	for name, tc := range attributions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, table.Attribute(tc.zombie, tc.parent)); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

// The agent's own cgroup reads "/", which the reader leaves out: its container has no cgroup to be known by.
func TestAttributeByThePIDNamespaceAlone(t *testing.T) {
	t.Parallel()
	const beside = "/kubepods/p1/debug" // another container of the pod, which has ended
	tests := map[string]struct {
		joined bool
		shared bool
		zombie scan.Zombie
		parent *scan.Parent
		want   Place
	}{
		"it is of the container that is at home there":                    {false, false, zombie(ownNS, at(1010, 10)), parent(hostNS, at(900), shim), ParentOutside},
		"a process that joined no cgroup is of that container too":        {false, false, zombie(ownNS, at(1010, 10), shim), parent(hostNS, at(900), shim), ParentOutside},
		"a container that joined it may not be the only one there":        {true, false, zombie(ownNS, at(1010, 10)), parent(hostNS, at(900), shim), Unknown},
		"one that was joined is not the only one that was there":          {false, true, zombie(ownNS, at(1010, 10)), parent(hostNS, at(900), shim), Unknown},
		"nor if the zombie shows where it is started from, as on hybrids": {false, true, zombie(ownNS, at(1010, 10), shim), parent(hostNS, at(900), shim), Unknown},
		"a parent in there that is in no container is of another one":     {false, false, zombie(ownNS, at(1010, 10)), parent(ownNS, at(1005, 5), "/x"), Unknown},
		"a cgroup of the pod tells of another container, that has ended":  {false, false, zombie(ownNS, at(1010, 10), beside), parent(hostNS, at(900), shim), Unknown},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := containers()[0]
			c.Joined, c.Shared = tc.joined, tc.shared
			if got := NewTable(hostNS, []Container{c}).Attribute(tc.zombie, tc.parent); got.Place != tc.want {
				t.Errorf("Attribute() = %+v, want place %d", got, tc.want)
			}
		})
	}
}

func TestHasJoined(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		pids []int
		want bool
	}{
		"the first process of a namespace": {at(1000, 1), false},
		"a later one":                      {at(1000, 7), true},
		"one in the host's":                {at(1000), true},
		"one whose PIDs are not known":     {nil, true},
	} {
		if got := HasJoined(scan.Identity{NamespacePIDs: tc.pids}); got != tc.want {
			t.Errorf("HasJoined() of %s = %t", name, got)
		}
	}
}

func TestAttributeIgnoresAContainerWithoutCgroup(t *testing.T) {
	t.Parallel()
	table := NewTable(hostNS, []Container{{ID: "agent", InitPID: 6000, Namespace: hostNS, Depth: 1}})
	for name, p := range map[string]*scan.Parent{
		"the root":         parent(hostNS, at(6000), "/"),
		"no path":          parent(hostNS, at(6000)),
		"an empty path":    parent(hostNS, at(6000), ""),
		"a path below it":  parent(hostNS, at(6000), "/sub"),
		"a path beside it": parent(hostNS, at(6000), "/../sub"),
	} {
		if got := table.Attribute(zombie(hostNS, at(6010)), p); got.Place != Host {
			t.Errorf("with %s the verdict is %+v, want the host", name, got)
		}
	}
}

// Without SYS_PTRACE no container's namespace is known either.
func TestAttributeWithoutAnyNamespace(t *testing.T) {
	t.Parallel()
	blind := containers()
	for i := range blind {
		blind[i].Namespace = 0
	}
	table := NewTable(0, blind)
	got := table.Attribute(zombie(0, at(1010, 10)), parent(0, at(1000, 1), "/kubepods/p1/alone"))
	if want := (Verdict{InContainer, "alone", 1}); got != want {
		t.Errorf("verdict = %+v, want %+v", got, want)
	}
	if got := table.Attribute(zombie(0, at(1010, 10)), parent(0, at(900), "/system.slice")); got.Place != Unknown {
		t.Errorf("verdict = %+v, want unknown", got)
	}
	// Namespaces that cannot be read cannot explain that the two are in different containers.
	got = table.Attribute(zombie(0, at(1010, 10), "/kubepods/p1/alone"), parent(0, at(2000, 1), "/kubepods/p2/other"))
	if got.Place != Unknown {
		t.Errorf("verdict of a contradiction = %+v, want unknown", got)
	}
}

func TestCgroupOf(t *testing.T) {
	t.Parallel()
	const id = "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"
	const slice = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice"
	tests := map[string]struct {
		paths []string
		want  string
	}{
		"by cgroupfs": {[]string{"/kubepods/burstable/pod1/" + id}, "/kubepods/burstable/pod1/" + id},
		"by systemd":  {[]string{slice + "/cri-containerd-" + id + ".scope"}, slice + "/cri-containerd-" + id + ".scope"},
		"by CRI-O":    {[]string{slice + "/crio-" + id + ".scope"}, slice + "/crio-" + id + ".scope"},
		"by CRI-O with a container that moved into a cgroup of its own": {
			[]string{slice + "/crio-" + id + ".scope/container"}, slice + "/crio-" + id + ".scope",
		},
		"from a private cgroup namespace": {[]string{"/../../pod1/" + id}, "/../../pod1/" + id},
		"from beside the agent":           {[]string{"/../" + id}, "/../" + id},
		"below which a process moved":     {[]string{"/kubepods/pod1/" + id + "/init.scope"}, "/kubepods/pod1/" + id},
		"outside a nested cgroup with the same ID": {
			[]string{"/kubepods/pod1/" + id + "/x/" + id}, "/kubepods/pod1/" + id,
		},
		"by the first hierarchy that carries the ID": {[]string{"/user.slice", "/a/" + id, "/b/" + id}, "/a/" + id},
		"nowhere when no path carries the ID":        {[]string{"/kubepods/pod1/other", "/"}, ""},
		"nowhere without paths":                      {nil, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := CgroupOf(id, tc.paths); got != tc.want {
				t.Errorf("CgroupOf() = %q, want %q", got, tc.want)
			}
		})
	}
	if got := CgroupOf("", []string{"/kubepods/pod1/x"}); got != "" {
		t.Errorf("CgroupOf() of no container = %q, want none", got)
	}
}
