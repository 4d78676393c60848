package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// These tests look at real cgroups of the kernel they run on, of v1 and v2.

const mountPoint = "/sys/fs/cgroup"

// made counts the containers that the tests made.
var made atomic.Uint64

// container is a cgroup of a container below that of a pod, in each hierarchy that counts.
type container struct {
	fs  *FS
	id  string
	pod string
}

// newContainer makes one, which is removed after the test.
func newContainer(t *testing.T, root string) container {
	t.Helper()
	if os.Getuid() != 0 {
		const why = "only root may make a cgroup"
		if os.Getenv("REQUIRE_E2E") == "1" {
			t.Fatal("REQUIRE_E2E=1, but " + why)
		}
		t.Skip(why)
	}
	f, err := New(root)
	if err != nil {
		t.Fatal(err)
	}
	number := made.Add(1)
	top := fmt.Sprintf("zombie-operator-test-%d-%d", os.Getpid(), number)
	c := container{fs: f, id: fmt.Sprintf("%032x%032x", os.Getpid(), number), pod: filepath.Join(top, "pod1")}
	for _, hierarchy := range slices.Compact([]string{f.pids, f.freezer}) {
		for _, path := range []string{top, c.pod, filepath.Join(c.pod, c.id)} {
			dir := filepath.Join(hierarchy, path)
			share(t, filepath.Dir(dir))
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { remove(t, dir) })
		}
	}
	if err := f.Refresh([]string{c.id}); err != nil {
		t.Fatal(err)
	}
	return c
}

// share lets the cgroups below one of v2 have the pids controller, if it has that itself.
func share(t *testing.T, dir string) {
	t.Helper()
	if exists(dir, "cgroup.subtree_control") && (exists(dir, "pids.max") || filepath.Clean(dir) == mountPoint) {
		write(t, filepath.Join(dir, "cgroup.subtree_control"), "+pids")
	}
}

// remove removes a cgroup when its processes have ended, which they do a moment after they were waited for.
func remove(t *testing.T, dir string) {
	t.Helper()
	eventually(t, "removing "+dir, func() bool {
		err := os.Remove(dir)
		if err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("removing cgroup: %v", err)
			return true
		}
		return !errors.Is(err, unix.EBUSY)
	})
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0); err != nil {
		t.Fatal(err)
	}
}

// run starts a process in the container.
func (c container) run(t *testing.T) forker {
	t.Helper()
	f := startForker(t)
	for _, hierarchy := range slices.Compact([]string{c.fs.pids, c.fs.freezer}) {
		write(t, filepath.Join(hierarchy, c.pod, c.id, "cgroup.procs"), strconv.Itoa(f.cmd.Process.Pid))
	}
	return f
}

func (c container) levels(t *testing.T) map[v1alpha1.PIDLimit]Level {
	t.Helper()
	levels, err := c.fs.Levels(c.id)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[v1alpha1.PIDLimit]Level{}
	for _, level := range levels {
		byName[level.By] = level
	}
	return byName
}

func TestRealLevelsCountZombiesAndRefusedForks(t *testing.T) {
	t.Parallel()
	const container, pod = v1alpha1.PIDLimitContainer, v1alpha1.PIDLimitPod
	c := newContainer(t, mountPoint)
	write(t, filepath.Join(c.fs.pids, c.pod, "pids.max"), "100")
	f := c.run(t)
	before := c.levels(t)
	if before[container].Max != 0 || before[pod].Max != 100 || before[container].Refused+before[pod].Refused > 0 {
		t.Errorf("levels = %+v, want none at the container and 100 at the pod", before)
	}
	const zombies = 20
	for range zombies {
		if !f.fork(t) {
			t.Fatal("a fork was refused before the limit")
		}
	}
	for _, by := range []v1alpha1.PIDLimit{container, pod} {
		// The children have threads until they end, and the process may have started a few.
		eventually(t, fmt.Sprintf("%d more of %s, all dead", zombies, by), func() bool {
			grown := c.levels(t)[by].Used - before[by].Used
			if grown < zombies {
				t.Fatalf("use grew by %d, want at least %d", grown, zombies)
			}
			return grown <= zombies+5
		})
	}
	forks := 0
	for forks < 100 && f.fork(t) {
		forks++
	}
	full := c.levels(t)
	if full[pod].Used > 100 || full[container].Refused+full[pod].Refused == 0 {
		t.Errorf("levels after %d more forks = %+v, want refused ones", forks, full)
	}
}

func TestRealLevelsOfARemovedContainerAreNone(t *testing.T) {
	t.Parallel()
	c := newContainer(t, mountPoint)
	if len(c.levels(t)) == 0 {
		t.Error("no levels of an empty container")
	}
	remove(t, filepath.Join(c.fs.pids, c.pod, c.id))
	if levels, err := c.fs.Levels(c.id); levels != nil || err != nil {
		t.Errorf("Levels() = %v, %v, want none", levels, err)
	}
	if c.fs.freezer != c.fs.pids {
		remove(t, filepath.Join(c.fs.freezer, c.pod, c.id))
	}
	if frozen, err := c.fs.Frozen(c.id, nil); frozen || err != nil {
		t.Errorf("Frozen() = %t, %v, want not", frozen, err)
	}
}

// A file that was open when its cgroup was removed can be read no more, with an error of its own.
func TestRealFileOfARemovedCgroupIsGone(t *testing.T) {
	t.Parallel()
	c := newContainer(t, mountPoint)
	dir := filepath.Join(c.fs.pids, c.pod, c.id)
	file, err := os.Open(filepath.Join(dir, "pids.current"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	remove(t, dir)
	if _, err := file.Read(make([]byte, 10)); !isGone(err) {
		t.Errorf("error = %v, want one that says gone", err)
	}
}

func TestRealFrozenOfTheContainerItsPodAndWhatIsBelow(t *testing.T) {
	t.Parallel()
	roots := []string{mountPoint}
	if exists(mountPoint, "unified", "cgroup.controllers") {
		roots = append(roots, filepath.Join(mountPoint, "unified")) // where v1 has the controllers, v2 freezes all the same
	}
	for _, root := range roots {
		for of, inner := range map[string]string{"container": "", "pod": "", "cgroup below": "docker/...", "pod, process below": "docker/..."} {
			t.Run(root+", by the "+of, func(t *testing.T) {
				t.Parallel()
				c := newContainer(t, root)
				c.mkdir(t, inner)
				pid := c.run(t).cmd.Process.Pid
				dir := filepath.Join(c.fs.freezer, c.pod, c.id, inner)
				write(t, filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid))
				if strings.HasPrefix(of, "pod") {
					dir = filepath.Join(c.fs.freezer, c.pod)
				}
				file, freeze, thaw := filepath.Join(dir, "freezer.state"), "FROZEN", "THAWED"
				if c.fs.unified {
					file, freeze, thaw = filepath.Join(dir, "cgroup.freeze"), "1", "0"
				}
				t.Cleanup(func() { write(t, file, thaw) }) // or the process could not be killed
				for _, want := range []bool{false, true, false} {
					write(t, file, map[bool]string{true: freeze, false: thaw}[want])
					eventually(t, fmt.Sprintf("frozen: %t", want), func() bool {
						frozen, err := c.fs.Frozen(c.id, paths(t, pid))
						if err != nil {
							t.Fatal(err)
						}
						return frozen == want
					})
				}
			})
		}
	}
}

// mkdir makes cgroups below the container's in the hierarchy that freezes, one in the other.
func (c container) mkdir(t *testing.T, inner string) {
	t.Helper()
	path := filepath.Join(c.fs.freezer, c.pod, c.id)
	for name := range strings.SplitSeq(inner, "/") {
		dir := filepath.Join(path, name)
		if path = dir; name == "" {
			continue
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { remove(t, dir) })
	}
}

// paths are the cgroup paths of a process, as a scan reads them.
func paths(t *testing.T, pid int) []string {
	t.Helper()
	proc, err := kernel.New("/proc")
	if err != nil {
		t.Fatal(err)
	}
	paths, err := proc.Cgroups(pid)
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
