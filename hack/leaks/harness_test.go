package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// image is the directory the image holds as /leaks: the binary and its links.
var image string

// initEnv makes a copy of the test binary the first process of a namespace.
const initEnv = "LEAKS_TEST_INIT"

// patience is how long a condition may take on a busy machine; waiting ends at once
// when the condition holds.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(initEnv) != "" {
		fmt.Fprintln(os.Stderr, becomeTree(os.Args[1:]))
		os.Exit(1)
	}
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "leaks-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	image = dir
	build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "leaks"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building the binary: %w\n%s", err, out)
	}
	if out, err := exec.Command(filepath.Join(dir, "leaks"), "install", dir).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("installing the links: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// becomeTree gives the new PID namespace its own /proc and turns into the tree,
// which is PID 1 there as in a container.
func becomeTree(argv []string) error {
	if err := makeMountsPrivate(); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	if err := os.Unsetenv(initEnv); err != nil {
		return err
	}
	return fmt.Errorf("running %q: %w", argv, syscall.Exec(argv[0], argv, os.Environ()))
}

// makeMountsPrivate works in a chroot too. The root of a chroot need not be a mount point, so it goes to the real root,
// where joining its own mount namespace takes a thread, and comes back.
func makeMountsPrivate() error {
	runtime.LockOSThread() // until exec, which makes this thread the process
	root, err := os.Open("/")
	if err != nil {
		return fmt.Errorf("opening the root: %w", err)
	}
	defer root.Close()
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // setns refuses a shared root
		return fmt.Errorf("unsharing the root: %w", err)
	}
	if err := enterNamespace("/proc/self/ns/mnt", unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	return chrootTo(root)
}

func enterNamespace(path string, flag int) error {
	namespace, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening a namespace: %w", err)
	}
	defer namespace.Close()
	if err := unix.Setns(int(namespace.Fd()), flag); err != nil {
		return fmt.Errorf("entering the namespace %s: %w", path, err)
	}
	return nil
}

func chrootTo(root *os.File) error {
	if err := unix.Fchdir(int(root.Fd())); err != nil {
		return fmt.Errorf("entering the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("entering the root: %w", err)
	}
	return nil
}

// tree is a running tree in its own PID namespace.
type tree struct {
	t     *testing.T
	init  *exec.Cmd
	proc  string // its own view of /proc
	log   *transcript
	ready string // the first line of it
}

// transcript is what a tree printed so far.
type transcript struct {
	mu   sync.Mutex
	text []byte
}

func (l *transcript) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

// lines are those that have ended.
func (l *transcript) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.SplitAfter(string(l.text), "\n")
	return lines[:len(lines)-1]
}

// start runs `NAME args...` from the image as PID 1 and returns when it is ready.
func start(t *testing.T, name string, args ...string) *tree {
	t.Helper()
	if os.Geteuid() != 0 {
		const why = "not root: a new PID namespace needs CAP_SYS_ADMIN"
		if os.Getenv("REQUIRE_E2E") == "1" {
			t.Fatal("REQUIRE_E2E=1, but " + why)
		}
		t.Skip(why)
	}
	cmd := exec.Command("/proc/self/exe", append([]string{filepath.Join(image, name)}, args...)...)
	cmd.Env = append(os.Environ(), initEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	cmd.Stderr = os.Stderr
	tr := &tree{t: t, init: cmd, log: &transcript{}}
	cmd.Stdout = tr.log
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting a PID namespace: %v", err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	tr.proc = fmt.Sprintf("/proc/%d/root/proc", cmd.Process.Pid)
	eventually(t, name+" says that it is ready", func() bool { return len(tr.log.lines()) > 0 })
	tr.ready = tr.log.lines()[0]
	if !strings.HasPrefix(tr.ready, "ready: ") {
		t.Fatalf("%s %v is not ready, it said %q", name, args, tr.ready)
	}
	return tr
}

// said waits until exactly these lines came after the one that says that it is ready.
func (tr *tree) said(want ...string) {
	tr.t.Helper()
	text := strings.Join(want, "\n") + "\n"
	var got string
	eventually(tr.t, fmt.Sprintf("it says %q", want), func() bool {
		got = strings.Join(tr.log.lines()[1:], "")
		return len(got) >= len(text)
	})
	if got != text {
		tr.t.Errorf("it said %q, want %q", got, text)
	}
}

// process is what /proc/PID/status says, in the PIDs of the namespace.
type process struct {
	pid, ppid, threads int
	comm, state        string
	caught, pending    uint64
}

func (p process) zombie() bool { return p.state == "Z" && p.threads == 1 }

func readProcess(proc string, pid int) (process, error) {
	text, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "status"))
	if err != nil {
		return process{}, err
	}
	p := process{pid: pid}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":\t")
		switch key {
		case "Name":
			p.comm = value
		case "State":
			p.state = value[:1]
		case "PPid":
			p.ppid, err = strconv.Atoi(value)
		case "Threads":
			p.threads, err = strconv.Atoi(value)
		case "SigCgt":
			p.caught, err = strconv.ParseUint(value, 16, 64)
		case "SigPnd", "ShdPnd":
			var set uint64
			set, err = strconv.ParseUint(value, 16, 64)
			p.pending |= set
		}
		if err != nil {
			return process{}, err
		}
	}
	return p, nil
}

// processes lists the namespace; what vanishes while it looks is left out.
func (tr *tree) processes() []process {
	tr.t.Helper()
	entries, err := os.ReadDir(tr.proc)
	if err != nil {
		tr.t.Fatalf("listing the namespace: %v", err)
	}
	var all []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		p, err := readProcess(tr.proc, pid)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			tr.t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// dead counts the zombies as "PARENT/PARENT COMM/COMM".
func (tr *tree) dead() map[string]int {
	tr.t.Helper()
	all := tr.processes()
	comms := map[int]string{}
	for _, p := range all {
		comms[p.pid] = p.comm
	}
	counts := map[string]int{}
	for _, p := range all {
		if p.zombie() {
			parent := "middle"
			if p.ppid == 1 {
				parent = "1"
			}
			counts[parent+"/"+comms[p.ppid]+"/"+p.comm]++
		}
	}
	return counts
}

func (tr *tree) zombies() int {
	tr.t.Helper()
	n := 0
	for _, count := range tr.dead() {
		n += count
	}
	return n
}

// named lists the zombies of one name.
func (tr *tree) named(comm string) []int {
	tr.t.Helper()
	var pids []int
	for _, p := range tr.processes() {
		if p.zombie() && p.comm == comm {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// worker is the middle process of middle-leaks; there must be exactly one.
func (tr *tree) worker() process {
	tr.t.Helper()
	var found []process
	for _, p := range tr.processes() {
		if p.comm == "worker" {
			found = append(found, p)
		}
	}
	if len(found) != 1 {
		tr.t.Fatalf("want one process named worker, got %+v", found)
	}
	return found[0]
}

// hostPID finds a process of the namespace from outside, by the last column of NSpid.
func (tr *tree) hostPID(pid int) int {
	tr.t.Helper()
	children, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", tr.init.Process.Pid))
	if err != nil {
		tr.t.Fatal(err)
	}
	for _, file := range children {
		list, err := os.ReadFile(file)
		if err != nil {
			tr.t.Fatal(err)
		}
		for host := range strings.FieldsSeq(string(list)) {
			status, err := os.ReadFile(filepath.Join("/proc", host, "status"))
			if err != nil {
				continue
			}
			_, rest, _ := strings.Cut(string(status), "NSpid:")
			line, _, _ := strings.Cut(rest, "\n")
			columns := strings.Fields(line)
			if len(columns) > 1 && columns[len(columns)-1] == strconv.Itoa(pid) {
				n, err := strconv.Atoi(host)
				if err != nil {
					tr.t.Fatal(err)
				}
				return n
			}
		}
	}
	tr.t.Fatalf("no child of PID 1 has PID %d in the namespace", pid)
	return 0
}

// signal sends to PID 1 of the namespace, from outside.
func (tr *tree) signal(sig syscall.Signal) {
	tr.t.Helper()
	if err := tr.init.Process.Signal(sig); err != nil {
		tr.t.Fatalf("sending %v: %v", sig, err)
	}
}

// signalTaken sends SIGCHLD and returns when PID 1 has taken it.
func (tr *tree) signalTaken() {
	tr.t.Helper()
	tr.signal(syscall.SIGCHLD)
	eventually(tr.t, "SIGCHLD is taken", func() bool {
		p, err := readProcess(tr.proc, 1)
		if err != nil {
			tr.t.Fatal(err)
		}
		return p.pending&sigchldBit == 0
	})
}

const sigchldBit = 1 << (uint(unix.SIGCHLD) - 1)

// end sends SIGTERM and wants exit code 0 well before a kubelet's grace is over.
func (tr *tree) end() {
	tr.t.Helper()
	tr.endAt(syscall.SIGTERM)
}

func (tr *tree) endAt(sig syscall.Signal) {
	tr.t.Helper()
	tr.signal(sig)
	done := make(chan error, 1)
	go func() { done <- tr.init.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			tr.t.Errorf("after %v: %v, want exit code 0", sig, err)
		}
	case <-time.After(patience):
		_ = tr.init.Process.Kill()
		tr.t.Errorf("still alive %s after %v, then killed: %v", patience, sig, <-done)
	}
}

// exec runs a command from the image in the running namespace, with a parent outside
// it, as `kubectl exec` and exec probes do.
func (tr *tree) exec(name string, args ...string) string {
	tr.t.Helper()
	type result struct {
		out []byte
		err error
	}
	done := make(chan result)
	go func() {
		// Never unlocked: the thread that entered the namespaces ends with this goroutine.
		runtime.LockOSThread()
		out, err := tr.execHere(name, args...)
		done <- result{out, err}
	}()
	r := <-done
	if r.err != nil {
		tr.t.Fatalf("running %s %v in the namespace: %v\n%s", name, args, r.err, r.out)
	}
	return string(r.out)
}

func (tr *tree) execHere(name string, args ...string) ([]byte, error) {
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // setns refuses a shared root
		return nil, fmt.Errorf("unsharing the root: %w", err)
	}
	proc := fmt.Sprintf("/proc/%d", tr.init.Process.Pid)
	root, err := os.Open(proc + "/root")
	if err != nil {
		return nil, fmt.Errorf("opening the root of the tree: %w", err)
	}
	defer root.Close()
	if err := enterNamespace(proc+"/ns/pid", unix.CLONE_NEWPID); err != nil {
		return nil, err
	}
	if err := enterNamespace(proc+"/ns/mnt", unix.CLONE_NEWNS); err != nil {
		return nil, err
	}
	if err := chrootTo(root); err != nil { // joining led to the root of the machine, but this may be a chroot
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(image, name), args...)
	cmd.WaitDelay = time.Second // orphans that live hold its output open
	return cmd.CombinedOutput()
}

// eventually looks until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}
