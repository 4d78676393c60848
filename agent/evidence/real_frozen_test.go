package evidence

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/zombie-operator/zombie-operator/agent/cgroup"
	"github.com/zombie-operator/zombie-operator/agent/diagnose"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// freezer is a way to freeze a process: a cgroup hierarchy, one where containers are sought, the root of both, what is written
// where to freeze and to thaw, and where to read that it is frozen.
type freezer struct{ mount, pids, root, file, freeze, thaw, state, frozen string }

func freezerOfV1(t *testing.T) freezer {
	t.Helper()
	dir := mount(t, "cgroup", "freezer")
	return freezer{dir, mount(t, "cgroup", "pids"), filepath.Dir(dir), "freezer.state", "FROZEN", "THAWED", "freezer.state", "FROZEN"}
}

func freezerOfV2(t *testing.T) freezer {
	t.Helper()
	dir := mount(t, "cgroup2", "")
	return freezer{dir, dir, dir, "cgroup.freeze", "1", "0", "cgroup.events", "frozen 1"}
}

func TestRealParentThatIsFrozen(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		freezer func(t *testing.T) freezer
		kill    bool // SIGKILL may help
	}{
		"by cgroup v1": {freezerOfV1, false},
		"by cgroup v2": {freezerOfV2, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := tc.freezer(t)
			for where, inner := range map[string]string{"with its container": "", "below its container": "docker/inner"} {
				t.Run(where, func(t *testing.T) {
					t.Parallel()
					s := subject(t, openProc(t), startRole(t, actorDefault))
					s.Frozen = f.hold(t, s.Parent.PID, inner)
					d := settle(t, s, inC{}, v1alpha1.CauseParentFrozen, func(e diagnose.Evidence) bool { return e.State != "" && e.Wchan != "" })
					t.Log(d.Evidence)
					if may := !cannot(d, v1alpha1.RemedySIGKILL); may != tc.kill || !cannot(d, v1alpha1.RemedySIGTERM) {
						t.Errorf("cannot help: %v, want SIGTERM, and SIGKILL possible: %t", d.CannotHelp, tc.kill)
					}
				})
			}
		})
	}
}

// mount finds where a cgroup hierarchy is mounted.
func mount(t *testing.T, kind, option string) string {
	t.Helper()
	if os.Getuid() != 0 {
		leaveOut(t, "only root may freeze")
	}
	raw, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(raw) {
		fields := strings.Fields(string(line))
		if fields[2] == kind && (option == "" || strings.Contains(","+fields[3]+",", ","+option+",")) {
			return fields[1]
		}
	}
	t.Skipf("no %s %s is mounted", kind, option) // a machine may have one version of cgroups alone
	return ""
}

// hold freezes a process until the test ends, in a cgroup below that of a container, "" for its own. It returns what the agent
// knows of it.
func (f freezer) hold(t *testing.T, pid int, inner string) bool {
	t.Helper()
	id := fmt.Sprintf("%064x", pid)
	dir := id
	f.mkdir(t, dir)
	for name := range strings.SplitSeq(inner, "/") {
		if name != "" {
			dir = filepath.Join(dir, name)
			f.mkdir(t, dir)
		}
	}
	dir = filepath.Join(f.mount, dir)
	put := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() {
		put(filepath.Join(dir, f.file), f.thaw)
		put(filepath.Join(f.mount, "cgroup.procs"), strconv.Itoa(pid))
	})
	put(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid))
	put(filepath.Join(dir, f.file), f.freeze)
	eventually(t, func() string { return "the cgroup is frozen" }, func() bool {
		raw, err := os.ReadFile(filepath.Join(dir, f.state))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(raw), f.frozen)
	})
	cgroups, err := cgroup.New(f.root)
	if err != nil {
		t.Fatal(err)
	}
	if err := cgroups.Refresh([]string{id}); err != nil {
		t.Fatal(err)
	}
	paths, err := openProc(t).Cgroups(pid)
	if err != nil {
		t.Fatal(err)
	}
	frozen, err := cgroups.Frozen(id, paths)
	if err != nil {
		t.Fatal(err)
	}
	return frozen
}

// mkdir makes a cgroup in each hierarchy until the test ends.
func (f freezer) mkdir(t *testing.T, dir string) {
	t.Helper()
	for _, hierarchy := range slices.Compact([]string{f.pids, f.mount}) {
		path := filepath.Join(hierarchy, dir)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
		})
	}
}
