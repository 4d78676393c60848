package attribute

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zombie-operator/zombie-operator/agent/scan"
)

// Container IDs, as runtimes make them.
var (
	idA = strings.Repeat("a1", 32)
	idB = strings.Repeat("b2", 32)
)

// forms are the cgroup paths of a container's first process, as kernel.FS.Cgroups returns them: of all hierarchies, each
// once, without "/". ID stands for the container's.
var forms = map[string]struct {
	paths []string
	want  string
}{
	"v2, systemd, containerd": {
		[]string{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod01.slice/cri-containerd-ID.scope"},
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod01.slice/cri-containerd-ID.scope",
	},
	"v2, systemd, CRI-O": {
		[]string{"/kubepods.slice/kubepods-pod01.slice/crio-ID.scope"}, "/kubepods.slice/kubepods-pod01.slice/crio-ID.scope",
	},
	"v2, systemd, CRI-O with a cgroup of the runtime's within": {
		[]string{"/kubepods.slice/kubepods-pod01.slice/crio-ID.scope/container"}, "/kubepods.slice/kubepods-pod01.slice/crio-ID.scope",
	},
	"v2, systemd, cri-dockerd": {
		[]string{"/kubepods.slice/kubepods-pod01.slice/docker-ID.scope"}, "/kubepods.slice/kubepods-pod01.slice/docker-ID.scope",
	},
	"v2, cgroupfs, containerd":   {[]string{"/kubepods/burstable/pod01/ID"}, "/kubepods/burstable/pod01/ID"},
	"v2, cgroupfs, CRI-O":        {[]string{"/kubepods/besteffort/pod01/crio-ID"}, "/kubepods/besteffort/pod01/crio-ID"},
	"v2, systemd in a container": {[]string{"/kubepods/pod01/ID/init.scope"}, "/kubepods/pod01/ID"},
	"v2, a runtime in a container, and its container": {
		[]string{"/kubepods/pod01/ID/docker/OTHER"}, "/kubepods/pod01/ID",
	},
	"v2, a cgroup named as the container again within": {
		[]string{"/kubepods/pod01/ID/x/ID"}, "/kubepods/pod01/ID",
	},
	"v1, cgroupfs, the same in each hierarchy": {[]string{"/kubepods/burstable/pod01/ID"}, "/kubepods/burstable/pod01/ID"},
	"v1, systemd, by itself and by the runtime": {
		[]string{"/kubepods.slice/kubepods-pod01.slice/cri-containerd-ID.scope", "/system.slice/containerd.service"},
		"/kubepods.slice/kubepods-pod01.slice/cri-containerd-ID.scope",
	},
	"v1, a hierarchy in which nobody put it": {
		[]string{"/system.slice/containerd.service", "/kubepods/pod01/ID"}, "/kubepods/pod01/ID",
	},
	"hybrid, v2 beside": {
		[]string{"/kubepods/pod01/ID", "/system.slice/kubelet.service"}, "/kubepods/pod01/ID",
	},
	"a runtime set to cgroupfs below a kubelet set to systemd": {
		[]string{"/system.slice/containerd.service/kubepods-burstable-pod01.slice:cri-containerd:ID"},
		"/system.slice/containerd.service/kubepods-burstable-pod01.slice:cri-containerd:ID",
	},
	"a node in a container, by kind": {
		[]string{"/docker/OTHER/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod01.slice/cri-containerd-ID.scope"},
		"/docker/OTHER/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod01.slice/cri-containerd-ID.scope",
	},
	"from a private cgroup namespace, of another pod, cgroupfs": {
		[]string{"/../../pod01/ID"}, "/../../pod01/ID",
	},
	"from a private cgroup namespace, of the same pod": {[]string{"/../ID"}, "/../ID"},
	"from a private cgroup namespace, of another class, systemd": {
		[]string{"/../../../kubepods-burstable.slice/kubepods-burstable-pod01.slice/cri-containerd-ID.scope/inner"},
		"/../../../kubepods-burstable.slice/kubepods-burstable-pod01.slice/cri-containerd-ID.scope",
	},
	"from a private cgroup namespace, hybrid: another path for each hierarchy": {
		[]string{"/../../pod01/ID", "/../ID"}, "/../../pod01/ID",
	},
	"the agent's own, from its private cgroup namespace": {nil, ""},
	"another container's":                                {[]string{"/kubepods/pod01/OTHER"}, ""},
	"the pod's":                                          {[]string{"/kubepods/pod01"}, ""},
	"half of the ID":                                     {[]string{"/kubepods/pod01/" + strings.Repeat("a1", 16)}, ""},
	"one that is empty":                                  {[]string{""}, ""},
}

func TestCgroupOfFindsTheContainersCgroup(t *testing.T) {
	t.Parallel()
	ids := strings.NewReplacer("ID", idA, "OTHER", idB)
	for name, tc := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var paths []string
			for _, path := range tc.paths {
				paths = append(paths, ids.Replace(path))
			}
			if got, want := CgroupOf(idA, paths), ids.Replace(tc.want); got != want {
				t.Errorf("CgroupOf() = %q, want %q", got, want)
			}
		})
	}
}

// In whatever form the paths come, a zombie of the container and its parent are seen to be in it.
func TestAttributeKnowsTheContainerInEachForm(t *testing.T) {
	t.Parallel()
	ids := strings.NewReplacer("ID", idA, "OTHER", idB)
	for name, tc := range forms {
		if tc.want == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cgroup := ids.Replace(tc.want)
			table := NewTable(hostNS, []Container{{ID: idA, InitPID: 1000, Namespace: ownNS, Depth: 2, Cgroup: cgroup}})
			for where, of := range map[string]struct{ zombie, parent []string }{
				"v1, where the zombie is in none":    {nil, []string{cgroup}},
				"v2":                                 {[]string{cgroup}, []string{cgroup}},
				"v2, below it":                       {[]string{cgroup + "/a"}, []string{cgroup + "/b/c"}},
				"beside one of the runtime's":        {nil, []string{"/system.slice/containerd.service", cgroup}},
				"beside one of the kubelet's, after": {nil, []string{cgroup, "/system.slice/kubelet.service"}},
			} {
				got := table.Attribute(
					scan.Zombie{Key: scan.Key{PID: 1010}, Identity: scan.Identity{Namespace: ownNS, NamespacePIDs: []int{1010, 10}, Cgroups: of.zombie}},
					&scan.Parent{Key: scan.Key{PID: 1007}, Identity: scan.Identity{Namespace: ownNS, NamespacePIDs: []int{1007, 7}, Cgroups: of.parent}},
				)
				if diff := cmp.Diff(Verdict{Place: InContainer, ContainerID: idA, ParentPID: 7}, got); diff != "" {
					t.Errorf("%s: verdict (-want +got):\n%s", where, diff)
				}
			}
		})
	}
}
