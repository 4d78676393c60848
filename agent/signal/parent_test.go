package signal

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// roleVariable makes the test program play a parent.
const roleVariable = "SIGNAL_TEST_ROLE"

// Roles that the test program plays. Each takes commands on its standard input, one a line, and answers "ok" and its PID.
const (
	// roleNever never waits for a child.
	roleNever = "never waits"
	// roleOnce waits once for each SIGCHLD, and blocking: the textbook handler that one SIGCHLD too many hangs.
	roleOnce = "waits once"
	// roleLoop waits for all dead children at each SIGCHLD.
	roleLoop = "waits in a loop"
	// roleInit gets the orphans of a child in roleNever that takes the commands, and waits for them in a loop.
	roleInit = "init"
	// roleBadInit is the same, but never waits.
	roleBadInit = "bad init"
)

// patience is how long something may take on a busy machine; waiting ends at once when it happened.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := play(role); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// parent is a parent as its program sees itself.
type parent struct {
	role   string
	deaths chan os.Signal
	// raced is closed when the reaper of the present round is through.
	raced chan struct{}
	// dying is a child that ends by itself in the present round.
	dying int
}

func play(role string) error {
	runtime.LockOSThread() // children that are to end with this process end with the thread that started them
	if role == roleInit || role == roleBadInit {
		return adopt(role)
	}
	p := &parent{role: role, deaths: make(chan os.Signal, 1)}
	commands := make(chan string)
	go func() {
		defer close(commands)
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			commands <- lines.Text()
		}
	}()
	for {
		select {
		case <-p.deaths:
			p.handle()
		case command, ok := <-commands:
			if !ok {
				return nil
			}
			if err := p.obey(strings.Fields(command)); err != nil {
				return err
			}
			if _, err := fmt.Println("ok", os.Getpid()); err != nil {
				return err
			}
		}
	}
}

// handle is the handler of SIGCHLD.
func (p *parent) handle() {
	switch p.role {
	case roleOnce:
		for {
			if _, err := unix.Wait4(-1, nil, 0, nil); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	case roleLoop:
		reapAll()
	}
}

func reapAll() {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if pid <= 0 && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func (p *parent) obey(command []string) error {
	var numbers []int
	for _, word := range command[1:] {
		n, err := strconv.Atoi(word)
		if err != nil {
			return err
		}
		numbers = append(numbers, n)
	}
	switch command[0] {
	case "dead":
		return p.missDeaths(numbers[0])
	case "live":
		return ignorePID(fork(unix.Timespec{Sec: 1 << 30}, unix.SIGCHLD))
	case "silent":
		return silentDeaths(numbers[0])
	case "race":
		return p.race(time.Duration(numbers[0]), time.Duration(numbers[1]))
	case "ping":
		for {
			select {
			case <-p.deaths:
				p.handle()
			default:
				return nil
			}
		}
	}
	return fmt.Errorf("unknown command %q", command)
}

// missDeaths begins a round: it reaps all zombies and makes new ones, of whose deaths the handler hears nothing.
func (p *parent) missDeaths(count int) error {
	if err := p.endRound(); err != nil {
		return err
	}
	signal.Stop(p.deaths)
	for len(p.deaths) > 0 {
		<-p.deaths
	}
	// While the disposition is the default, SIGCHLD is dropped when it is sent: none is on its way afterwards.
	var handler sigaction
	if err := disposition(&sigaction{}, &handler); err != nil {
		return err
	}
	reapAll()
	for range count {
		pid, err := fork(unix.Timespec{}, unix.SIGCHLD)
		if err != nil {
			return err
		}
		if err := awaitDeath(pid); err != nil {
			return err
		}
	}
	if p.role != roleNever {
		signal.Notify(p.deaths, unix.SIGCHLD)
	}
	return disposition(&handler, nil)
}

// silentDeaths makes zombies that ended without a signal.
func silentDeaths(count int) error {
	for range count {
		pid, err := fork(unix.Timespec{}, 0)
		if err != nil {
			return err
		}
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT|unix.WALL, nil); err != nil {
			return err
		}
	}
	return nil
}

// race lets another thread reap one zombie after a while, and a child die after another while.
func (p *parent) race(reapAfter, dieAfter time.Duration) (err error) {
	p.raced = make(chan struct{})
	go func() {
		defer close(p.raced)
		<-time.After(reapAfter)
		_, _ = unix.Wait4(-1, nil, unix.WNOHANG, nil)
	}()
	p.dying, err = fork(unix.NsecToTimespec(int64(dieAfter)), unix.SIGCHLD)
	return err
}

func (p *parent) endRound() error {
	if p.raced == nil {
		return nil
	}
	<-p.raced
	p.raced = nil
	if err := awaitDeath(p.dying); !errors.Is(err, unix.ECHILD) { // it may have been reaped
		return err
	}
	return nil
}

func awaitDeath(pid int) error {
	for {
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// fork makes a child that sleeps and ends with a signal to its parent, or none. It stays in this program, which takes a tenth of the time that starting one does: the
// child may do nothing but bare system calls.
//
//go:norace
//go:nosplit
func fork(nap unix.Timespec, end unix.Signal) (int, error) {
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(end), 0, 0, 0, 0, 0)
	if pid == 0 {
		_, _, _ = syscall.RawSyscall6(syscall.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
		_, _, _ = syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&nap)), 0, 0)
		for {
			_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	if errno != 0 {
		return 0, errno
	}
	return int(pid), nil
}

func ignorePID(_ int, err error) error { return err }

// sigaction is the kernel's struct of that name on 64-bit Linux: handler, flags, restorer, mask.
type sigaction [4]uintptr

func disposition(set, old *sigaction) error {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(unix.SIGCHLD),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), unsafe.Sizeof(uint64(0)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// adopt is the first process of a container.
func adopt(role string) error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	deaths := make(chan os.Signal, 1)
	signal.Notify(deaths, unix.SIGCHLD) // in both: Go ends a static program whose every goroutine waits for nothing
	if err := os.Setenv(roleVariable, roleNever); err != nil {
		return err
	}
	if _, err := syscall.ForkExec("/proc/self/exe", []string{"middle"}, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL},
	}); err != nil {
		return err
	}
	for range deaths {
		if role == roleInit {
			reapAll()
		}
	}
	return nil
}

// program is a parent as the test sees it.
type program struct {
	cmd   *exec.Cmd
	stdin interface{ Write([]byte) (int, error) }
	lines chan string
	// pid is the PID of the process that takes the commands.
	pid int
}

// start starts a parent. It is killed and waited for after the test.
func start(t *testing.T, role string) *program {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &program{cmd: cmd, stdin: stdin, lines: make(chan string)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			p.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait() // it was killed
	})
	p.tell(t, "ping")
	return p
}

// tell gives a command and waits for the answer.
func (p *program) tell(t *testing.T, command string, args ...any) {
	t.Helper()
	if !p.answers(t, command, args...) {
		t.Fatalf("no answer to %q: the parent is stuck", command)
	}
}

func (p *program) answers(t *testing.T, command string, args ...any) bool {
	t.Helper()
	if _, err := fmt.Fprintln(p.stdin, append([]any{command}, args...)...); err != nil {
		t.Fatal(err)
	}
	select {
	case line := <-p.lines:
		if _, err := fmt.Sscanf(line, "ok %d", &p.pid); err != nil {
			t.Fatalf("answer %q to %q: %v", line, command, err)
		}
		return true
	case <-time.After(patience):
		return false
	}
}
