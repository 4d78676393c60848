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
	"github.com/zombie-operator/zombie-operator/agent/observe"
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

// lastLine is the line that explains a restart to whoever looks at the container's last state.
func lastLine(r *v1alpha1.ZombieRemediation, n int) string {
	line := fmt.Sprintf("zombie-operator restarted this container: %s not reaped by their parents (see zombieremediation %s/%s, policy %s)",
		zombies(n), r.Namespace, r.Name, r.Spec.Policy.Name)
	return observe.Printable(line, maxLine-1) + "\n"
}

// lastWords leaves a line in the termination messages of containers. Their file systems are foreign: they may be made
// to lead elsewhere, and they may hang. So nothing outside of the container is ever opened, and a write that hangs is
// left behind; until it ends no other is tried.
type lastWords struct {
	procRoot string
	busy     chan struct{}
	write    func(root int, path, line string) error
}

func newLastWords(procRoot string) *lastWords {
	return &lastWords{procRoot: procRoot, busy: make(chan struct{}, 1), write: writeOnce}
}

var (
	errBusy     = errors.New("an earlier write still hangs")
	errSlow     = errors.New("the file system of the container hangs")
	errGone     = errors.New("the container just ended")
	errNotFile  = errors.New("it is not a regular file")
	errNotEmpty = errors.New("it is not empty")
)

// leave writes a line into the termination message of a container whose first process is held.
func (l *lastWords) leave(ctx context.Context, c inventory.Container, init target.Handle, line string) error {
	select {
	case l.busy <- struct{}{}:
	default:
		return errBusy
	}
	root, err := l.root(c.InitPID, init)
	if err != nil {
		<-l.busy
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-l.busy }()
		defer func() { _ = unix.Close(root) }() // nothing is written to it
		done <- l.write(root, cmp.Or(c.TerminationMessagePath, defaultMessagePath), line)
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

// root opens the root directory of a process that is held. To open it as a mere place does not call its file system.
func (l *lastWords) root(pid int, held target.Handle) (int, error) {
	root, err := unix.Open(filepath.Join(l.procRoot, strconv.Itoa(pid), "root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("opening root directory of process %d: %w", pid, err)
	}
	// If what is held is still alive, the PID was its all the time, and so is the directory.
	if alive, err := held.Alive(); err != nil || !alive {
		_ = unix.Close(root) // nothing was written to it
		return -1, errors.Join(errGone, err)
	}
	return root, nil
}

// writeOnce writes a line into an empty regular file below a root directory. Symbolic links lead nowhere but below that
// root, and not at all where the file itself is one.
func writeOnce(root int, path, line string) error {
	fd, err := unix.Openat2(root, path, &unix.OpenHow{
		Flags:   unix.O_WRONLY | unix.O_APPEND | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return fmt.Errorf("opening termination message %q: %w", path, err)
	}
	defer func() { _ = unix.Close(fd) }() // a line that is lost here is one that could not be left
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil {
		return fmt.Errorf("looking at termination message %q: %w", path, err)
	}
	if info.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("opening termination message %q: %w", path, errNotFile)
	}
	if info.Size != 0 {
		return fmt.Errorf("opening termination message %q: %w", path, errNotEmpty)
	}
	if _, err := unix.Write(fd, []byte(line)); err != nil {
		return fmt.Errorf("writing termination message %q: %w", path, err)
	}
	return nil
}
