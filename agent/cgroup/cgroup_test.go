package cgroup

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Container IDs, as runtimes make them.
var (
	idA = strings.Repeat("a1", 32)
	idB = strings.Repeat("b2", 32)
	idC = strings.Repeat("c3", 32)
)

// tree is a cgroup mount: files by their path.
type tree map[string]string

// mount writes the tree.
func (tr tree) mount(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for path, content := range tr {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// cgroup adds one with its limit.
func (tr tree) cgroup(path, used, most, events string) tree {
	tr[path+"/pids.current"], tr[path+"/pids.max"], tr[path+"/pids.events"] = used+"\n", most+"\n", "max "+events+"\n"
	return tr
}

func open(t *testing.T, root string, ids ...string) *FS {
	t.Helper()
	f, err := New(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Refresh(ids); err != nil {
		t.Fatal(err)
	}
	return f
}

func v2() tree { return tree{"cgroup.controllers": "cpu pids\n", "cgroup.procs": ""} }

const (
	burstable   = "kubepods.slice/kubepods-burstable.slice"
	systemdPod  = burstable + "/kubepods-burstable-pod0123.slice"
	cgroupfsPod = "kubepods/burstable/pod0123"
)

func TestLevelsAreThoseOfTheContainerAndAbove(t *testing.T) {
	t.Parallel()
	const container, pod, kubepods = v1alpha1.PIDLimitContainer, v1alpha1.PIDLimitPod, v1alpha1.PIDLimitKubepods
	hybrid := func(tr tree) tree {
		moved := tree{"pids/cgroup.procs": "", "freezer/cgroup.procs": "", "unified/cgroup.controllers": "hugetlb\n"}
		for path, content := range tr {
			moved["pids/"+path] = content
		}
		return moved
	}
	systemd := func(name string) tree {
		return tree{}.cgroup("kubepods.slice", "900", "16000", "0").cgroup(burstable, "300", "max", "0").
			cgroup(systemdPod, "77", "1024", "5").cgroup(systemdPod+"/"+name, "70", "max", "3")
	}
	cgroupfs := func(name string) tree {
		return tree{}.cgroup("kubepods", "900", "16000", "0").cgroup("kubepods/burstable", "300", "max", "0").
			cgroup(cgroupfsPod, "77", "1024", "5").cgroup(cgroupfsPod+"/"+name, "70", "max", "3")
	}
	want := []Level{{container, 70, 0, 3}, {pod, 77, 1024, 5}, {kubepods, 300, 0, 0}, {kubepods, 900, 16000, 0}}
	pure := func(tr tree) tree {
		maps.Copy(tr, v2())
		return tr
	}
	tests := map[string]struct {
		tree tree
		want []Level
	}{
		"v2, systemd, containerd":   {pure(systemd("cri-containerd-" + idA + ".scope")), want},
		"v2, systemd, CRI-O":        {pure(systemd("crio-" + idA + ".scope")), want},
		"v2, systemd, cri-dockerd":  {pure(systemd("docker-" + idA + ".scope")), want},
		"v2, cgroupfs, containerd":  {pure(cgroupfs(idA)), want},
		"v2, cgroupfs, CRI-O":       {pure(cgroupfs("crio-" + idA)), want},
		"v1, systemd, containerd":   {hybrid(systemd("cri-containerd-" + idA + ".scope")), want},
		"v1, cgroupfs, containerd":  {hybrid(cgroupfs(idA)), want},
		"v1, systemd, CRI-O":        {hybrid(systemd("crio-" + idA + ".scope")), want},
		"a guaranteed pod":          {v2().cgroup("kubepods/pod9", "7", "8", "0").cgroup("kubepods/pod9/"+idA, "6", "max", "0"), []Level{{container, 6, 0, 0}, {pod, 7, 8, 0}}},
		"a guaranteed pod, systemd": {v2().cgroup("kubepods.slice/kubepods-pod9.slice", "7", "8", "0").cgroup("kubepods.slice/kubepods-pod9.slice/crio-"+idA+".scope", "6", "max", "0"), []Level{{container, 6, 0, 0}, {pod, 7, 8, 0}}},
		"a node in a container":     {v2().cgroup(".", "500", "600", "0").cgroup("kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod9.slice/cri-containerd-"+idA+".scope", "6", "10", "0"), []Level{{container, 6, 10, 0}, {kubepods, 500, 600, 0}}},
		"a runtime set to cgroupfs below a kubelet set to systemd": {v2().cgroup("system.slice/containerd.service", "99", "max", "0").cgroup("system.slice/containerd.service/kubepods-pod9.slice:cri-containerd:"+idA, "6", "10", "0"), []Level{{container, 6, 10, 0}, {kubepods, 99, 0, 0}}},
		"v2 beside a v1 without pids":                              {tree{"unified/cgroup.controllers": "pids\n"}.cgroup("unified/kubepods/pod9/"+idA, "6", "10", "0"), []Level{{container, 6, 10, 0}}},
		"no controller in the container":                           {v2().cgroup("kubepods/pod9", "7", "8", "0").with("kubepods/pod9/"+idA+"/cgroup.procs", ""), []Level{{pod, 7, 8, 0}}},
		"refused at this limit, where the kernel tells":            {v2().cgroup("kubepods/pod9/"+idA, "6", "10", "9").with("kubepods/pod9/"+idA+"/pids.events.local", "max 4\n"), []Level{{container, 6, 10, 4}}},
		"a kernel without events":                                  {tree{"cgroup.controllers": "", "kubepods/pod9/" + idA + "/pids.current": "6\n", "kubepods/pod9/" + idA + "/pids.max": "10\n"}, []Level{{container, 6, 10, 0}}},
		"a limit of 0, which is one":                               {v2().cgroup("kubepods/pod9/"+idA, "6", "0", "0"), []Level{{container, 6, 1, 0}}},
		"another container only":                                   {pure(systemd("cri-containerd-" + idB + ".scope")), nil},
		"CRI-O's monitor only":                                     {pure(systemd("crio-conmon-" + idA + ".scope")), nil},
		"the beginning of the ID":                                  {pure(cgroupfs(idA[:63])), nil},
		"the ID and more":                                          {pure(cgroupfs(idA + "0")), nil},
		"another prefix":                                           {pure(cgroupfs("evil-" + idA)), nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := open(t, tc.tree.mount(t), idA).Levels(idA)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("levels (-want +got):\n%s", diff)
			}
		})
	}
}

func (tr tree) with(path, content string) tree {
	tr[path] = content
	return tr
}

// A tenant that may make cgroups below its own container must not pass one off as another container.
func TestRefreshBelievesNoCgroupWithinAContainer(t *testing.T) {
	t.Parallel()
	for name, outer := range map[string]string{
		"that is sought":                   "kubepods/pod1/" + idB,
		"that nobody knows":                "kubepods/pod1/" + idC,
		"that nobody knows, by systemd":    "kubepods.slice/kubepods-pod1.slice/cri-containerd-" + idC + ".scope",
		"of CRI-O's monitor":               "kubepods.slice/kubepods-pod1.slice/crio-conmon-" + idC + ".scope",
		"of another runtime in its prefix": "kubepods/pod1/other-" + idC,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Sorted before the true one, and no deeper than it.
			fake := v2().cgroup(outer+"/"+idA, "1", "2", "0")
			if got, err := open(t, fake.mount(t), idA, idB).Levels(idA); got != nil || err != nil {
				t.Errorf("Levels() of a fake = %v, %v, want none", got, err)
			}
			fake.cgroup("kubepods/zz/pod2/"+idA, "70", "80", "0")
			got, err := open(t, fake.mount(t), idA, idB).Levels(idA)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]Level{{v1alpha1.PIDLimitContainer, 70, 80, 0}}, got); diff != "" {
				t.Errorf("levels (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefreshKeepsWhatItFoundAndDropsWhatIsGone(t *testing.T) {
	t.Parallel()
	const pod = "kubepods/pod1/"
	root := v2().cgroup(pod+idA, "1", "10", "0").mount(t)
	add := func(path, used string) {
		t.Helper()
		if err := os.CopyFS(root, os.DirFS(tree{}.cgroup(path, used, "10", "0").mount(t))); err != nil {
			t.Fatal(err)
		}
	}
	f := open(t, root, idA)
	want := func(id string, used int64) {
		t.Helper()
		levels, err := f.Levels(id)
		if err != nil {
			t.Fatal(err)
		}
		if got := append(levels, Level{})[0].Used; got != used {
			t.Errorf("%s... uses %d, want %d", id[:4], got, used)
		}
	}
	refresh := func(ids ...string) {
		t.Helper()
		if err := f.Refresh(ids); err != nil {
			t.Fatal(err)
		}
	}
	add(idA, "99") // nearer to the root, but there after the true one was found
	add(pod+idB, "2")
	want(idB, 0)
	refresh(idA, idB)
	want(idA, 1)
	want(idB, 2)
	refresh(idB)
	want(idA, 0)
	if err := os.RemoveAll(filepath.Join(root, pod+idB)); err != nil {
		t.Fatal(err)
	}
	want(idB, 0)
	refresh(idB)
	add("kubepods/pod2/"+idB, "3") // not seen in reality, but a path must not be kept that leads nowhere
	refresh(idB)
	want(idB, 3)
}

// The cgroup of a container is there before the runtime tells of it.
func TestRefreshSeeksAContainerThreeTimes(t *testing.T) {
	t.Parallel()
	for late, found := range map[int]bool{2: true, 3: false} {
		t.Run(fmt.Sprintf("there after %d walks", late), func(t *testing.T) {
			t.Parallel()
			root := v2().mount(t)
			f := open(t, root)
			for range late {
				if err := f.Refresh([]string{idA}); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.CopyFS(root, os.DirFS(tree{}.cgroup("pod1/"+idA, "1", "10", "0").mount(t))); err != nil {
				t.Fatal(err)
			}
			if err := f.Refresh([]string{idA}); err != nil {
				t.Fatal(err)
			}
			if levels, err := f.Levels(idA); (len(levels) > 0) != found || err != nil {
				t.Errorf("Levels() = %v, %v, want some: %t", levels, err, found)
			}
			if err := errors.Join(f.Refresh(nil), f.Refresh([]string{idA})); err != nil { // it is another life
				t.Fatal(err)
			}
			if levels, err := f.Levels(idA); len(levels) == 0 || err != nil {
				t.Errorf("Levels() = %v, %v, want some", levels, err)
			}
		})
	}
}

func TestRefreshIsBounded(t *testing.T) {
	t.Parallel()
	deep := v2().cgroup(strings.Repeat("d/", maxDepth-1)+idA, "1", "10", "0").cgroup(strings.Repeat("e/", maxDepth)+idB, "1", "10", "0")
	f := open(t, deep.mount(t), idA, idB)
	for id, want := range map[string]bool{idA: true, idB: false} {
		if levels, err := f.Levels(id); (len(levels) > 0) != want || err != nil {
			t.Errorf("Levels(%s...) = %v, %v, want some: %t", id[:4], levels, err, want)
		}
	}
	root := v2().mount(t)
	for i := range maxDirectories + 1 {
		if err := os.Mkdir(filepath.Join(root, fmt.Sprint("c", i)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	wide, err := New(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := wide.Refresh([]string{idA}); !errors.Is(err, errTooMany) {
		t.Errorf("Refresh() = %v, want %v", err, errTooMany)
	}
	if err := wide.Refresh(nil); err != nil {
		t.Errorf("Refresh() of nothing = %v, want no walk", err)
	}
}

func TestNewFailsWithoutACgroupMount(t *testing.T) {
	t.Parallel()
	for name, root := range map[string]string{
		"nothing":           filepath.Join(t.TempDir(), "missing"),
		"an empty mount":    t.TempDir(),
		"v1 without pids":   tree{"cpu/cgroup.procs": ""}.mount(t),
		"an empty pids dir": tree{"pids/x": ""}.mount(t),
	} {
		if _, err := New(root); !errors.Is(err, errNoPIDs) || !strings.Contains(err.Error(), root) {
			t.Errorf("New() of %s = %v, want an error with the path", name, err)
		}
	}
}

func TestFrozen(t *testing.T) {
	t.Parallel()
	const dir = "kubepods/pod1/"
	v1 := func(state string) tree {
		return tree{"pids/cgroup.procs": "", "freezer/cgroup.procs": "", "pids/" + dir + idA + "/x": "", "freezer/" + dir + idA + "/freezer.state": state}
	}
	thawed := func() tree { return v2().with(dir+idA+"/cgroup.events", "frozen 0\n") }
	inner := thawed().with(dir+idA+"/docker/inner/cgroup.events", "frozen 1\n")
	at := func(paths ...string) []string { return paths }
	tests := map[string]struct {
		tree  tree
		paths []string // of the process
		want  bool
	}{
		"v1, frozen":                            {v1("FROZEN\n"), nil, true},
		"v1, while it freezes":                  {v1("FREEZING\n"), nil, false},
		"v1, thawed":                            {v1("THAWED\n"), nil, false},
		"v1, not in the freezer":                {tree{"pids/cgroup.procs": "", "freezer/cgroup.procs": "", "pids/" + dir + idA + "/x": ""}, nil, false},
		"v2, frozen":                            {v2().with(dir+idA+"/cgroup.events", "populated 1\nfrozen 1\n"), nil, true},
		"v2, thawed":                            {v2().with(dir+idA+"/cgroup.events", "populated 1\nfrozen 0\n"), nil, false},
		"v2, before Linux 5.2":                  {v2().with(dir+idA+"/cgroup.events", "populated 1\n"), nil, false},
		"v1 for PIDs, v2 for the freezer":       {tree{"pids/cgroup.procs": "", "pids/" + dir + idA + "/x": "", "unified/" + dir + idA + "/cgroup.events": "frozen 1\n"}, nil, true},
		"a container that was not found":        {v2(), at("/" + dir + idA), false},
		"v2, a cgroup below, with the process":  {inner, at("/" + dir + idA + "/docker/inner"), true},
		"seen from another cgroup namespace":    {inner, at("/../../pod1/" + idA + "/docker/inner"), true},
		"by the name that systemd gives":        {v2().with("a.slice/crio-"+idA+".scope/b/cgroup.events", "frozen 1\n"), at("/a.slice/crio-" + idA + ".scope/b"), true},
		"v1, a cgroup below, with the process":  {v1("THAWED\n").with("freezer/"+dir+idA+"/b/freezer.state", "FROZEN\n"), at("/"+dir+idA, "/"+dir+idA+"/b"), true},
		"v1, thawed, below by another one only": {v1("THAWED\n"), at("/"+dir+idA, "/"+dir+idA+"/b"), false},
		"the container above one below":         {v2().with(dir+idA+"/cgroup.events", "frozen 1\n"), at("/" + dir + idA + "/gone"), true},
		"a cgroup below, the process beside it": {inner, at("/" + dir + idA + "/docker/other"), false},
		"a cgroup below, the process above it":  {inner, at("/" + dir + idA + "/docker"), false},
		"a cgroup below, the process at home":   {inner, at("/" + dir + idA), false},
		"a process that is outside":             {inner, at("/docker/inner", "/"+dir+idB+"/docker/inner"), false},
		"a path that would lead to another":     {thawed().with(dir+idB+"/cgroup.events", "frozen 1\n"), at("/"+dir+idA+"/../"+idB, "/"+dir+idA+"/x/../../"+idB), false},
		"a path that would lead to the pod":     {thawed().with(dir+"/cgroup.events", "frozen 1\n"), at("/"+dir+idA+"/..", "/"+dir+idA+"/", "/"+dir+idA+"//.."), false},
		"a name of dots, which is one":          {thawed().with(dir+idA+"/.../cgroup.events", "frozen 1\n"), at("/" + dir + idA + "/..."), true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := open(t, tc.tree.mount(t), idA).Frozen(idA, tc.paths); got != tc.want || err != nil {
				t.Errorf("Frozen() = %t, %v, want %t", got, err, tc.want)
			}
		})
	}
}

func TestWhatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	const dir = "kubepods/pod1/"
	for name, tr := range map[string]tree{
		"a limit that is no number":       v2().cgroup(dir+idA, "1", "many", "0"),
		"a limit below 0":                 v2().cgroup(dir+idA, "1", "-1", "0"),
		"a use that is no number":         v2().cgroup(dir+idA, "", "10", "0"),
		"refusals that are no number":     v2().cgroup(dir+idA, "1", "10", "-"),
		"refusals that are missing":       v2().cgroup(dir+idA, "1", "10", "0").with(dir+idA+"/pids.events", "min 1\n"),
		"local refusals, malformed":       v2().cgroup(dir+idA, "1", "10", "0").with(dir+idA+"/pids.events.local", "max\n"),
		"a directory in place of a file":  v2().cgroup(dir+idA, "1", "10", "0").with(dir+"pids.max/x", ""),
		"the limit of the pod, malformed": v2().cgroup(dir+idA, "1", "10", "0").cgroup("kubepods/pod1", "1", "x", "0"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := open(t, tr.mount(t), idA).Levels(idA); err == nil || got != nil || !strings.Contains(err.Error(), idA) {
				t.Errorf("Levels() = %v, %v, want an error that names the container", got, err)
			}
		})
	}
	frozen := v2().with(dir+idA+"/cgroup.events/x", "")
	if _, err := open(t, frozen.mount(t), idA).Frozen(idA, nil); err == nil || !strings.Contains(err.Error(), idA) {
		t.Errorf("Frozen() = %v, want an error that names the container", err)
	}
}
