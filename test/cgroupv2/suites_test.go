//go:build linux

package cgroupv2

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testedPackage is a package whose tests run in the guest.
type testedPackage struct {
	// dir is its directory in the repository.
	dir string
	// only is a regular expression for the tests to run, "" for all.
	only string
	// lacking are tests that the guest does not run, as it has not what they need: by the name, and no other.
	lacking []string
}

// packages are those whose tests look at the real kernel. Add a package here to run its tests on cgroup v2.
var packages = []testedPackage{
	{dir: "agent/attribute"},
	{dir: "agent/cgroup"},
	{dir: "agent/evidence", lacking: []string{
		"TestRealHandlerThatDoesNotWait",          // perl
		"TestRealParentThatIsFrozen/by_cgroup_v1", // cgroup v1
	}},
	{dir: "agent/kernel"},
	{dir: "agent/peek", only: "Image|Links|Mounts|Programs|ThisTest"}, // the others need the go command or FUSE, or nothing of the kernel
	{dir: "agent/restart", only: "WriteOnce"},                         // the others need a program that the guest has not, and nothing of the kernel
	{dir: "agent/scan"},
	{dir: "agent/signal", only: "Real"}, // the others count on a quick machine
	{dir: "agent/target"},
}

// suiteTimeout is how long one test program may run: long enough for ten times what the slowest takes, as the cores
// are emulated and shared.
const suiteTimeout = 10 * time.Minute

// repository is its top directory.
const repository = "../.."

// buildSuites builds static test programs and the guest's first process into dir. A package without tests has no program.
func buildSuites(t *testing.T, dir string) []Suite {
	t.Helper()
	list := []string{"test", "-c", "-ldflags=-s -w", "-o", dir + "/"}
	for _, p := range packages {
		list = append(list, "./"+p.dir)
	}
	goTool(t, list...)
	goTool(t, "build", "-buildvcs=false", "-ldflags=-s -w", "-o", filepath.Join(dir, "init"), "./test/cgroupv2/guest")
	var suites []Suite
	for _, p := range packages {
		program := path.Base(p.dir) + ".test"
		if _, err := os.Stat(filepath.Join(dir, program)); errors.Is(err, fs.ErrNotExist) {
			t.Logf("%s has no tests", p.dir)
			continue
		}
		args := []string{"-test.v=test2json", "-test.short", "-test.paniconexit0", "-test.timeout=" + suiteTimeout.String()}
		if p.only != "" {
			args = append(args, "-test.run="+p.only)
		}
		if len(p.lacking) > 0 {
			args = append(args, "-test.skip=^"+strings.Join(p.lacking, "$|^")+"$")
		}
		suites = append(suites, Suite{Package: p.dir, Program: "/" + program, Args: args})
	}
	if len(suites) == 0 {
		t.Fatal("no package has tests")
	}
	return suites
}

// goTool runs the go command at the top of the repository, for the guest: it has no C library.
func goTool(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = repository
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("running go %s: %v\n%s", args[0], err, out)
	}
}

// addSuites puts the programs and the packages' test data into the guest's file system.
func addSuites(a *archive, dir string, suites []Suite) error {
	if err := a.addFile(filepath.Join(dir, "init"), "init"); err != nil {
		return err
	}
	for _, suite := range suites {
		if err := a.addFile(filepath.Join(dir, path.Base(suite.Program)), suite.Program); err != nil {
			return err
		}
		a.addDir(suite.Package)
		data := filepath.Join(repository, suite.Package, "testdata")
		err := filepath.WalkDir(data, func(file string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return a.addEntry(file, path.Join(suite.Package, "testdata", file[len(data):]), entry)
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("adding the test data of %s: %w", suite.Package, err)
		}
	}
	return nil
}
