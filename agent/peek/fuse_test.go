package peek

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Requests to a FUSE server, as in linux/fuse.h.
const (
	fuseLookup      = 1
	fuseForget      = 2
	fuseGetattr     = 3
	fuseOpen        = 14
	fuseRead        = 15
	fuseRelease     = 18
	fuseFlush       = 25
	fuseInit        = 26
	fuseInterrupt   = 36
	fusePoll        = 40
	fuseForgetMany  = 42
	fuseInHeader    = 40 // its bytes
	fuseRoot        = 1  // the node of the root directory
	fuseProgram     = 2  // the node of every name in it
	fuseMaxRequest  = 1 << 17
	fuseMajor       = 7
	fuseMinor       = 31
	fuseMaxTransfer = 1 << 16
)

// fuse is a server of a file system with one program, which answers all but whether that can be read. A kernel thread that asks for it
// cannot even be killed before the connection ends, which is when dev is closed.
type fuse struct {
	dev     *os.File
	program []byte
}

var errPolled = errors.New("the server was asked whether the program can be read")

// serve answers until the connection ends, and ends it when it is asked what it does not answer.
func (f fuse) serve() error {
	defer func() { _ = f.dev.Close() }() // it may be closed already
	request, order := make([]byte, fuseMaxRequest), binary.NativeEndian
	for {
		n, err := f.dev.Read(request)
		switch {
		case errors.Is(err, os.ErrClosed), errors.Is(err, unix.ENODEV): // it was unmounted
			return nil
		case errors.Is(err, unix.ENOENT): // the request was interrupted
			continue
		case err != nil:
			return err
		}
		code := order.Uint32(request[4:])
		if code == fusePoll {
			return errPolled
		}
		body, answers := f.answer(code, order.Uint64(request[16:]), request[fuseInHeader:n])
		if !answers {
			continue
		}
		head := order.AppendUint32(nil, uint32(16+len(body)))
		head = order.AppendUint32(head, 0) // no error
		head = append(head, request[8:16]...)
		if _, err := f.dev.Write(append(head, body...)); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, os.ErrClosed) {
			return err
		}
	}
}

func (f fuse) answer(code uint32, node uint64, request []byte) (body []byte, answers bool) {
	order := binary.NativeEndian
	switch code {
	case fuseInit:
		body = make([]byte, 64)
		order.PutUint32(body, fuseMajor)
		order.PutUint32(body[4:], fuseMinor)
		order.PutUint32(body[8:], fuseMaxTransfer)  // read ahead
		order.PutUint32(body[20:], fuseMaxTransfer) // write
	case fuseLookup:
		body = order.AppendUint64(nil, fuseProgram)
		body = append(body, make([]byte, 32)...)
		body = append(body, f.attributes(fuseProgram)...)
	case fuseGetattr:
		body = append(make([]byte, 16), f.attributes(node)...)
	case fuseOpen:
		body = make([]byte, 16)
	case fuseRead:
		from := min(order.Uint64(request[8:]), uint64(len(f.program)))
		to := min(from+uint64(order.Uint32(request[16:])), uint64(len(f.program)))
		body = f.program[from:to]
	case fuseFlush, fuseRelease:
	case fuseForget, fuseForgetMany, fuseInterrupt:
		return nil, false
	}
	return body, true
}

func (f fuse) attributes(node uint64) []byte {
	order, mode := binary.NativeEndian, uint32(unix.S_IFREG|0o755)
	if node == fuseRoot {
		mode = unix.S_IFDIR | 0o755
	}
	b := make([]byte, 88)
	order.PutUint64(b, node)
	order.PutUint64(b[8:], uint64(len(f.program)))
	order.PutUint32(b[60:], mode)
	order.PutUint32(b[64:], 1) // link
	return b
}

// mountFUSE makes mounts of its own for the calling thread, which end with it and its children, and one of them a FUSE file system.
func mountFUSE(dir string) (dev *os.File, err error) {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return nil, err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, err
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd)
	if err := unix.Mount("peek-test", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "/dev/fuse"), nil // it can be waited for only when it is mounted
}

// lookAt has a process of its own look at a program that a FUSE server has below a directory, and returns what it answers. It takes a
// thread that it does not give back.
func lookAt(ctx context.Context, procRoot, dir string, program []byte) (said []byte, err error) {
	runtime.LockOSThread()
	dev, err := mountFUSE(dir)
	if err != nil {
		return nil, fmt.Errorf("mounting: %w", err)
	}
	served := make(chan error, 1)
	go func() { served <- fuse{dev, program}.serve() }()
	looker := exec.CommandContext(ctx, "/proc/self/exe")
	looker.Env = []string{lookVariable + "=" + procRoot}
	looker.Cancel = func() error { return errors.Join(dev.Close(), looker.Process.Kill()) }
	said, err = looker.CombinedOutput()
	_ = dev.Close() // it may be closed already
	return said, errors.Join(<-served, err)
}

// A look must not have the kernel ask a file system's server whether a file can be read, as os.Open does: while the server does not
// answer, all goroutines of a process stand still that wait for time or network.
func TestNoFileSystemIsPolled(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		leaveOut(t, "only root may mount")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		leaveOut(t, fmt.Sprintf("there is no FUSE: %v", err))
	}
	c, dir, program := newContainer(t, "app"), t.TempDir(), buildInfo(t)
	exe := filepath.Join(c.proc, "7", "exe")
	if err := os.Remove(exe); err != nil {
		t.Fatal(err)
	}
	c.link(filepath.Join(dir, "app"), exe)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var said []byte
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		said, err = lookAt(ctx, c.proc, dir, program)
	}()
	<-done
	if errors.Is(err, unix.EPERM) {
		leaveOut(t, "it needs the right to mount")
	}
	if want := fmt.Sprintf("%+v\n", answer{isGo: true, known: true}); err != nil || string(said) != want {
		t.Errorf("answer = %q, %v, want %q", said, err, want)
	}
}

// leaveOut leaves a test out, except where leaving it out would hide a failure.
func leaveOut(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("REQUIRE_E2E") == "1" {
		t.Fatal("REQUIRE_E2E=1, but " + why)
	}
	t.Skip(why)
}
