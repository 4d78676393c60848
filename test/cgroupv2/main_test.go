//go:build linux

package cgroupv2

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// requireEnv makes it a failure to leave these tests out.
const requireEnv = "REQUIRE_E2E"

// sides are the cgroup namespaces in which all tests run.
var sides = []string{"root", "private"}

// leaveOut leaves the rest of a test out, except where that would hide a failure.
func leaveOut(t *testing.T, why string) {
	t.Helper()
	if os.Getenv(requireEnv) == "1" {
		t.Fatalf("%s=1, but %s", requireEnv, why)
	}
	t.Skip("left out: " + why)
}

// TestKernel runs what needs a real kernel on one that has cgroup v2 alone.
func TestKernel(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH != "amd64" {
		leaveOut(t, "the emulated machine is amd64, and its programs come from Debian's packages for this one: "+runtime.GOARCH)
	}
	e, err := findEmulator(t.Context())
	if err != nil {
		leaveOut(t, err.Error())
	}
	initramfs, suites := makeInitramfs(t)
	events := boot(t, e, initramfs)
	for _, side := range sides {
		t.Run(side, func(t *testing.T) {
			t.Parallel()
			t.Run("the kernel has cgroup v2 alone", func(t *testing.T) {
				t.Parallel()
				checkSeen(t, side, events)
			})
			for _, suite := range suites {
				t.Run(suite.Package, func(t *testing.T) {
					t.Parallel()
					report(t, side, suite.Package, events)
				})
			}
		})
	}
}

// makeInitramfs makes the guest's file system.
func makeInitramfs(t *testing.T) (file string, suites []Suite) {
	t.Helper()
	dir := t.TempDir()
	suites = buildSuites(t, dir)
	list, err := json.Marshal(suites)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "initramfs")
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	a := newArchive(out)
	if err := addSuites(a, dir, suites); err != nil {
		t.Fatal(err)
	}
	a.addDir("dev")
	a.entry(SuitesFile, unix.S_IFREG|0o644, list)
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	return file, suites
}

// checkSeen checks that the tests of a side ran where they claim to: a kernel whose every controller is on v2, and in
// the cgroup namespace of the machine or in one of their own.
func checkSeen(t *testing.T, side string, events []Event) {
	t.Helper()
	var seen *Seen
	for _, event := range events {
		if event.Side == side && event.Seen != nil {
			seen = event.Seen
		}
	}
	if seen == nil {
		t.Fatal("the guest did not tell what it sees")
	}
	for line := range strings.Lines(seen.Hierarchies) {
		// name, hierarchy, number of cgroups, enabled: hierarchy 0 is v2.
		if fields := strings.Fields(line); !strings.HasPrefix(line, "#") && fields[1] != "0" {
			t.Errorf("controller %s is on hierarchy %s of cgroup v1", fields[0], fields[1])
		}
	}
	if !strings.Contains(" "+strings.TrimSpace(seen.Controllers)+" ", " pids ") {
		t.Errorf("controllers = %q, want pids among them", seen.Controllers)
	}
	if seen.Own != "0::/\n" {
		t.Errorf("own cgroup = %q, want the root of this namespace and no other line", seen.Own)
	}
	want := "0::/\n"
	if side == "private" {
		want = "0::" + strings.Repeat("/..", strings.Count(Inside, "/")) + "\n"
	}
	if seen.Init != want {
		t.Errorf("cgroup of the first process = %q, want %q", seen.Init, want)
	}
	t.Logf("controllers: %s", strings.TrimSpace(seen.Controllers))
}
