package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const hybrid = `27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime shared:4 - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
99 27 0:99 / /elsewhere rw,relatime - cgroup2 cgroup2 rw
`

func TestParseFindsEveryHierarchy(t *testing.T) {
	t.Parallel()
	for sentence, tc := range map[string]struct {
		mountinfo string
		want      Tree
	}{
		"hybrid": {hybrid, Tree{
			{Mount: "/sys/fs/cgroup/cpuset", Cpuset: true}, {Mount: "/sys/fs/cgroup/cpu,cpuacct"}, {Mount: "/sys/fs/cgroup/unified", Unified: true}}},
		"pure v2":      {"41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", Tree{{Mount: "/sys/fs/cgroup", Unified: true}}},
		"broken lines": {"\n - \n1 2 3 - cgroup\nnonsense\n", nil},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, parse(strings.NewReader(tc.mountinfo))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// fake lays out a v2 tree as the kernel would make it: plain files stand for the control files.
func fake(t *testing.T, dirs ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range dirs {
		path := filepath.Join(root, dir)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string]string{"cgroup.controllers": "pids\n", "cgroup.procs": ""} {
			if err := os.WriteFile(filepath.Join(path, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

func TestOnV2EveryParentDelegatesAndTheLeafDoesNot(t *testing.T) {
	t.Parallel()
	root := fake(t, "", "zombie-x", "zombie-x/node-1", "zombie-x/node-1/system")
	if err := (Tree{{Mount: root, Unified: true}}).Create("zombie-x/node-1/system"); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{"": "+pids", "zombie-x": "+pids", "zombie-x/node-1": "+pids", "zombie-x/node-1/system": ""} {
		got, _ := os.ReadFile(filepath.Join(root, dir, "cgroup.subtree_control"))
		if string(got) != want {
			t.Errorf("%q delegates %q, want %q", dir, got, want)
		}
	}
}

func TestOnV1ANewCpusetIsFilledFromItsParent(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, content := range map[string]string{"cpuset.cpus": "0-1", "cpuset.mems": "0"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := (Tree{{Mount: root, Cpuset: true}}).Create("zombie-x/node-1"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, "zombie-x/node-1/cpuset.cpus"))
	if err != nil || string(got) != "0-1" {
		t.Errorf("cpuset.cpus of the grandchild is %q, error %v", got, err)
	}
}

func TestPidsComeFromTheWholeSubtree(t *testing.T) {
	t.Parallel()
	root := fake(t, "zombie-x", "zombie-x/a", "zombie-x/b/c", "zombie-other")
	for dir, pids := range map[string]string{"zombie-x/a": "12\n7\n", "zombie-x/b/c": "7\n0\n", "zombie-other": "99\n"} {
		if err := os.WriteFile(filepath.Join(root, dir, "cgroup.procs"), []byte(pids), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Tree{{Mount: root}}.Pids("zombie-x")
	if err != nil || !slices.Equal(got, []int{7, 12}) {
		t.Errorf("got %v and error %v, want [7 12]", got, err)
	}
}

func TestCgroupThatIsGoneIsEmpty(t *testing.T) {
	t.Parallel()
	tree := Tree{{Mount: t.TempDir()}}
	if pids, err := tree.Pids("zombie-x"); err != nil || pids != nil {
		t.Errorf("got %v and error %v", pids, err)
	}
	if err := tree.Remove("zombie-x", 0); err != nil {
		t.Error(err)
	}
	if left := tree.Left("zombie-x"); left != nil {
		t.Errorf("left %v", left)
	}
}
