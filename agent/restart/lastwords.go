package restart

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/printable"
	"github.com/zombie-operator/zombie-operator/agent/target"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

const (
	// defaultMessagePath is where the termination message is unless the pod says otherwise.
	defaultMessagePath = "/dev/termination-log"
	// maxLine is how many bytes the line has. The kubelet keeps 4096 of a container, and less when a pod has many.
	maxLine = 400
	// wordWithin is how long writing the line may take. It is one write to an empty file; what takes longer is a file
	// system of the container's that hangs.
	wordWithin = 2 * time.Second
)

// lastLine is the line that explains a restart to whoever looks at the container's last state. It tells when the restart began,
// as the line stays when the stop fails, and must not explain a later end. It ends without a newline, which kubectl would show.
func lastLine(r *v1alpha1.ZombieRemediation, n int, now time.Time) string {
	line := fmt.Sprintf("zombie-operator began to restart this container at %s: %s not reaped by their parents (see zombieremediation %s/%s, policy %s)",
		now.UTC().Format(time.RFC3339), zombies(n), r.Namespace, r.Name, r.Spec.Policy.Name)
	return printable.Printable(line, maxLine)
}

// lastWords leaves a line in the termination messages of containers. Their file systems are foreign: they may be made
// to lead elsewhere, and they may hang. So nothing outside of the container is ever opened, and what hangs is left behind;
// until it ends no other write is tried.
type lastWords struct {
	procRoot string
	busy     chan struct{}
	// open, stat and write may hang.
	open  func(path string) (int, error)
	stat  func(fd int) (unix.Statx_t, error)
	write func(root int, path, line string) error
}

func newLastWords(procRoot string) *lastWords {
	l := &lastWords{procRoot: procRoot, busy: make(chan struct{}, 1), open: openRoot, stat: statx}
	l.write = l.writeOnce
	return l
}

var (
	errBusy     = errors.New("an earlier write still hangs")
	errSlow     = errors.New("the file system of the container hangs")
	errGone     = errors.New("the container just ended")
	errNotFile  = errors.New("it is not a regular file")
	errNotMount = errors.New("it is not the file that the kubelet mounts there")
	errNotEmpty = errors.New("it is not empty")
)

// leave writes a line into the termination message of a container whose first process is held.
func (l *lastWords) leave(ctx context.Context, c inventory.Container, init target.Handle, line string) error {
	select {
	case l.busy <- struct{}{}:
	default:
		return errBusy
	}
	own, err := again(c.InitPID, init)
	if err != nil {
		<-l.busy
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-l.busy }()
		defer func() { _ = own.Close() }() // nothing is written to it
		done <- l.enter(c, own, line)
	}()
	timer := time.NewTimer(wordWithin)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errSlow
	case <-ctx.Done():
		return ended(ctx)
	}
}

// again takes hold of a process that is held once more: the caller lets go of its own hold while a write may still hang.
func again(pid int, held target.Handle) (target.Handle, error) {
	own, err := target.OpenPidfd(pid)
	if errors.Is(err, unix.ESRCH) {
		return nil, errGone
	}
	if err != nil {
		return nil, fmt.Errorf("taking hold of process %d: %w", pid, err)
	}
	// If what is held is still alive, the PID was its all the time, and so is the new hold.
	if alive, err := held.Alive(); err != nil || !alive {
		_ = own.Close() // nothing was written to it
		return nil, errors.Join(errGone, err)
	}
	return own, nil
}

// enter writes a line below the root directory of a process that is held. To open that directory may already hang, when a process
// made its root a file system whose server is away.
func (l *lastWords) enter(c inventory.Container, held target.Handle, line string) error {
	root, err := l.open(filepath.Join(l.procRoot, strconv.Itoa(c.InitPID), "root"))
	if err != nil {
		return fmt.Errorf("opening root directory of process %d: %w", c.InitPID, err)
	}
	defer func() { _ = unix.Close(root) }() // nothing is written to it
	// If what is held is still alive, the PID was its all the time, and so is the directory.
	if alive, err := held.Alive(); err != nil || !alive {
		return errors.Join(errGone, err)
	}
	return l.write(root, cmp.Or(c.TerminationMessagePath, defaultMessagePath), line)
}

func openRoot(path string) (int, error) {
	return unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) //nolint:wrapcheck // the caller says what it was opening
}

// writeOnce writes a line into an empty regular file below a root directory, which must be a mount as the kubelet's is: any other
// file is the container's, or the kernel's. Symbolic links lead nowhere but below that root, and not at all where the file
// itself is one.
func (l *lastWords) writeOnce(root int, path, line string) error {
	fd, err := unix.Openat2(root, path, &unix.OpenHow{
		Flags:   unix.O_WRONLY | unix.O_APPEND | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return fmt.Errorf("opening termination message %q: %w", path, err)
	}
	defer func() { _ = unix.Close(fd) }() // a line that is lost here is one that could not be left
	info, err := l.stat(fd)
	if err != nil {
		return fmt.Errorf("looking at termination message %q: %w", path, err)
	}
	if err := fit(info); err != nil {
		return fmt.Errorf("opening termination message %q: %w", path, err)
	}
	if _, err := unix.Write(fd, []byte(line)); err != nil {
		return fmt.Errorf("writing termination message %q: %w", path, err)
	}
	return nil
}

func statx(fd int) (info unix.Statx_t, err error) {
	err = unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS, &info)
	return info, err //nolint:wrapcheck // the caller says what it was looking at
}

// fit fails unless a file may be written to. Kernels before 5.8 do not tell whether it is a mount.
func fit(info unix.Statx_t) error {
	const mount = unix.STATX_ATTR_MOUNT_ROOT
	switch {
	case info.Mode&unix.S_IFMT != unix.S_IFREG:
		return errNotFile
	case info.Attributes_mask&mount != 0 && info.Attributes&mount == 0:
		return errNotMount
	case info.Size != 0:
		return errNotEmpty
	}
	return nil
}
