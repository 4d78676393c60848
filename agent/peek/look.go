package peek

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
)

var (
	errGone    = errors.New("the process just ended")
	errNotFile = errors.New("it is not a regular file")
	errTooMuch = errors.New("it is read too far or too slowly")
)

func (w *Worker) lookOnce(q question, deadline time.Time) (answer, error) {
	if q.kind == goProgram {
		return w.lookAtProgram(q.of, deadline)
	}
	path, err := w.lookForInit(q.of, deadline)
	return answer{path: path}, err
}

// lookForInit finds an init below the root directory of a process.
func (w *Worker) lookForInit(init scan.Key, deadline time.Time) (string, error) {
	root, err := unix.Open(w.path(init.PID, "root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("opening root directory of process %d: %w", init.PID, err)
	}
	defer closeFD(root)
	runs, err := w.program(init.PID)
	if err != nil {
		return "", err
	}
	defer closeFD(runs)
	now, err := w.same(init)
	if err != nil {
		return "", err
	}
	if names[now.Command] {
		return "", nil // PID 1 is an init: another one in the image is of no use
	}
	program, err := regular(runs)
	if err != nil {
		return "", err
	}
	return search(root, program, deadline)
}

// search looks for the inits below a root directory, and finds none when the given program is one of them.
func search(root int, program unix.Stat_t, deadline time.Time) (string, error) {
	found := ""
	for _, c := range candidates {
		if time.Now().After(deadline) {
			return "", errTooMuch
		}
		info, err := stat(root, c.path)
		if err != nil {
			continue // it is not there, or leads to where nobody looks
		}
		if info.Dev == program.Dev && info.Ino == program.Ino {
			return "", nil
		}
		if found == "" && info.Mode&unix.S_IFMT == unix.S_IFREG && info.Mode&0o111 != 0 && witnessed(root, c.witnesses) {
			found = c.path
		}
	}
	return found, nil
}

// witnessed says whether one of these files is there, if any is asked for.
func witnessed(root int, witnesses []string) bool {
	for _, path := range witnesses {
		if _, err := stat(root, path); err == nil {
			return true
		}
	}
	return len(witnesses) == 0
}

// stat looks at a path below a root directory without opening what is there. Symbolic links lead nowhere but below that root, and
// mounts are not entered: what is in them is not in the image, and may hang.
func stat(root int, path string) (info unix.Stat_t, err error) {
	fd, err := unix.Openat2(root, path, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return info, fmt.Errorf("looking for %q: %w", path, err)
	}
	defer closeFD(fd)
	if err := unix.Fstat(fd, &info); err != nil {
		return info, fmt.Errorf("looking at %q: %w", path, err)
	}
	return info, nil
}

// lookAtProgram says whether the program of a process is a Go program: those carry how they were built.
func (w *Worker) lookAtProgram(process scan.Key, deadline time.Time) (answer, error) {
	held, err := w.program(process.PID)
	if err != nil {
		return answer{}, err
	}
	defer closeFD(held)
	if _, err := w.same(process); err != nil {
		return answer{}, err
	}
	if _, err := regular(held); err != nil {
		return answer{}, err
	}
	// What is held is a regular file: to open it for reading has no effect, as it would have on a device or a FIFO. It must not become an
	// os.File: the Go runtime adds those to its epoll, the kernel then asks the server of a FUSE file whether it can be read, and
	// until the server answers no goroutine of the agent is woken by time or network, and the agent cannot even be killed.
	file, err := unix.Open(filepath.Join(w.procRoot, "self", "fd", strconv.Itoa(held)), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return answer{}, fmt.Errorf("opening program of process %d: %w", process.PID, err)
	}
	defer closeFD(file)
	is, known, err := isGo(func(p []byte, off int64) (int, error) { return unix.Pread(file, p, off) }, deadline)
	return answer{isGo: is, known: known}, err
}

// program takes hold of the file that a process runs, without opening it. A leader that has exited has none; its other threads have.
func (w *Worker) program(pid int) (int, error) {
	const flags = unix.O_PATH | unix.O_CLOEXEC
	fd, err := unix.Open(w.path(pid, "exe"), flags, 0)
	if kernel.IsVanished(err) {
		threads, threadsErr := w.proc.Threads(pid)
		if threadsErr != nil {
			return -1, fmt.Errorf("finding program of process %d: %w", pid, threadsErr)
		}
		fd, err = unix.Open(filepath.Join(w.path(pid, "task"), strconv.Itoa(threads.Live[0].TID), "exe"), flags, 0)
	}
	if err != nil {
		return -1, fmt.Errorf("finding program of process %d: %w", pid, err)
	}
	return fd, nil
}

// same fails unless the process is still there: then the PID was its all the time, and so is what was opened.
func (w *Worker) same(process scan.Key) (kernel.Process, error) {
	now, err := w.proc.Process(process.PID)
	if err != nil {
		return kernel.Process{}, fmt.Errorf("looking at process %d again: %w", process.PID, err)
	}
	if now.StartTicks != process.StartTicks {
		return kernel.Process{}, fmt.Errorf("looking at process %d again: %w", process.PID, errGone)
	}
	return now, nil
}

func regular(fd int) (info unix.Stat_t, err error) {
	if err := unix.Fstat(fd, &info); err != nil {
		return info, fmt.Errorf("looking at a program: %w", err)
	}
	if info.Mode&unix.S_IFMT != unix.S_IFREG {
		return info, fmt.Errorf("looking at a program: %w", errNotFile)
	}
	return info, nil
}

func (w *Worker) path(pid int, name string) string {
	return filepath.Join(w.procRoot, strconv.Itoa(pid), name)
}

// closeFD closes what nothing was written to.
func closeFD(fd int) { _ = unix.Close(fd) }
