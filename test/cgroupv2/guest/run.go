//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/test/cgroupv2"
)

// cgroups is where cgroup v2 is mounted, whole, as a node's is in an agent that is given it as a hostPath.
const cgroups = "/sys/fs/cgroup"

// outputDelay is how long the output of a test program may stay open after its end, by a process that it left behind: as long
// as `go test` itself waits.
const outputDelay = time.Minute

// runAll runs all tests, and then all again in a private cgroup namespace.
func runAll() error {
	t, err := newTeller()
	if err != nil {
		return err
	}
	end := cgroupv2.Event{Over: true}
	if err := runSides(t); err != nil {
		end.Error = err.Error()
	}
	t.tell(end)
	return nil
}

func runSides(t teller) error {
	raw, err := os.ReadFile(cgroupv2.SuitesFile)
	if err != nil {
		return fmt.Errorf("reading what to run: %w", err)
	}
	var suites []cgroupv2.Suite
	if err := json.Unmarshal(raw, &suites); err != nil {
		return fmt.Errorf("parsing what to run: %w", err)
	}
	inside, err := makeCgroup()
	if err != nil {
		return err
	}
	defer inside.Close()
	for _, s := range []struct {
		name string
		attr syscall.SysProcAttr
	}{
		{"root", syscall.SysProcAttr{}},
		{"private", syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(inside.Fd()), Unshareflags: unix.CLONE_NEWCGROUP}},
	} {
		if err := runSide(side{t, s.name, s.attr}, suites); err != nil {
			return err
		}
	}
	return nil
}

// makeCgroup makes the cgroup Inside. All above it hand the pids controller down, as those of a kubelet do.
func makeCgroup() (*os.File, error) {
	path := cgroups
	for part := range strings.SplitSeq(strings.TrimPrefix(cgroupv2.Inside, "/"), "/") {
		if err := os.WriteFile(filepath.Join(path, "cgroup.subtree_control"), []byte("+pids"), 0); err != nil {
			return nil, fmt.Errorf("handing the pids controller down: %w", err)
		}
		path = filepath.Join(path, part)
		if err := os.Mkdir(path, 0o755); err != nil {
			return nil, fmt.Errorf("making a cgroup: %w", err)
		}
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening a cgroup: %w", err)
	}
	return dir, nil
}

// side is one cgroup namespace to run tests in.
type side struct {
	teller
	name string
	attr syscall.SysProcAttr
}

func (s side) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	attr := s.attr
	cmd.SysProcAttr = &attr
	cmd.Stderr = os.Stderr
	return cmd
}

func runSide(s side, suites []cgroupv2.Suite) error {
	raw, err := s.command("/proc/self/exe", roleLook).Output()
	if err != nil {
		return fmt.Errorf("looking at cgroups: %w", err)
	}
	var seen cgroupv2.Seen
	if err := json.Unmarshal(raw, &seen); err != nil {
		return fmt.Errorf("parsing what was seen of cgroups: %w", err)
	}
	s.tell(cgroupv2.Event{Side: s.name, Seen: &seen})
	for _, suite := range suites {
		end := cgroupv2.Event{Side: s.name, Package: suite.Package, Over: true}
		if err := s.run(suite); err != nil {
			end.Error = err.Error()
		}
		s.tell(end)
	}
	return nil
}

// run runs one test program in its package's directory and tells what it prints as it comes.
func (s side) run(suite cgroupv2.Suite) error {
	cmd := s.command(suite.Program, suite.Args...)
	cmd.Dir = "/" + suite.Package
	cmd.WaitDelay = outputDelay
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	told := make(chan error, 1)
	go func() { told <- s.forward(suite.Package, out) }()
	err := cmd.Run()
	return errors.Join(err, in.Close(), <-told)
}

func (s side) forward(pkg string, out io.Reader) error {
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if line != "" {
			s.tell(cgroupv2.Event{Side: s.name, Package: pkg, Output: line})
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the output of tests: %w", err)
		}
	}
}

// look prints what this process sees.
func look() error {
	var seen cgroupv2.Seen
	for path, into := range map[string]*string{
		"/proc/cgroups": &seen.Hierarchies, "/proc/self/cgroup": &seen.Own, "/proc/1/cgroup": &seen.Init,
		cgroups + "/cgroup.controllers": &seen.Controllers,
	} {
		raw, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("looking at cgroups: %w", err)
		}
		*into = string(raw)
	}
	return json.NewEncoder(os.Stdout).Encode(seen)
}
