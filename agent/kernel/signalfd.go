package kernel

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxFiles is how many file descriptors of a process are looked at, the lowest first. Programs open a signalfd when they start, so
// that it has a low number; a server may have a hundred thousand connections after it.
const maxFiles = 1024

// signalfdLink is what the link of a file descriptor reads that stands for signals.
const signalfdLink = "anon_inode:[signalfd]"

// SignalFD tells whether a file descriptor of a live thread, and so of its process, reads SIGCHLD, and whether all file descriptors
// were looked at. For processes of other users it needs CAP_SYS_PTRACE and fails with fs.ErrPermission without it.
func (f FS) SignalFD(pid, tid int) (reads, all bool, err error) {
	dir := f.taskPath(pid, tid, "fd")
	fds, all, err := list(dir, maxFiles)
	if err != nil {
		return false, false, fmt.Errorf("listing files of process %d: %w", pid, err)
	}
	for _, fd := range fds {
		link, err := os.Readlink(filepath.Join(dir, fd))
		if IsVanished(err) || (err == nil && link != signalfdLink) {
			continue
		}
		if err != nil {
			return false, false, fmt.Errorf("looking at file %s of process %d: %w", fd, pid, err)
		}
		raw, err := os.ReadFile(filepath.Join(f.taskPath(pid, tid, "fdinfo"), fd))
		if IsVanished(err) {
			continue
		}
		if err != nil {
			return false, false, fmt.Errorf("looking at signalfd %s of process %d: %w", fd, pid, err)
		}
		mask, err := parseSignalFD(raw)
		if err != nil {
			return false, false, fmt.Errorf("parsing signalfd %s of process %d: %w", fd, pid, err)
		}
		if has(mask, unix.SIGCHLD) {
			return true, all, nil
		}
	}
	return false, all, nil
}

// parseSignalFD reads the set of signals from the fdinfo of a signalfd.
func parseSignalFD(raw []byte) (uint64, error) {
	for line := range bytes.Lines(raw) {
		key, value, _ := strings.Cut(string(line), ":")
		if key != "sigmask" {
			continue
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil {
			return 0, fmt.Errorf("parsing sigmask: %w", err)
		}
		return mask, nil
	}
	return 0, fmt.Errorf("sigmask: %w", errMissing)
}
