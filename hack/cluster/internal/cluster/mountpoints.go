package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/dirs"
)

// record lists the mount points that did not exist before the first cluster; the last one removes them.
// Not earlier: to remove a directory takes away what another node has mounted on it.
func record() string { return filepath.Join(dirs.StateRoot, "made-directories") }

func makeMountPoints(mounts []dirs.Mount) error {
	for _, m := range mounts {
		m.Target = followLinks(m.Target)
		missing := missingParts(m.Target)
		if len(missing) == 0 {
			continue
		}
		// Recorded before it is made: a record too much does no harm, since only what is empty is removed.
		if err := appendLines(record(), missing); err != nil {
			return err
		}
		if err := makeMountPoint(m); err != nil {
			return fmt.Errorf("making a mount point: %w", err)
		}
	}
	return nil
}

func makeMountPoint(m dirs.Mount) error {
	if !m.File {
		return os.MkdirAll(m.Target, 0o755)
	}
	file, err := os.OpenFile(m.Target, os.O_CREATE|os.O_RDONLY, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
}

// followLinks is where a mount on the path lands. /etc/resolv.conf is a link into /run on many machines, and it leads
// nowhere while the service that writes the file does not run.
func followLinks(path string) string {
	for range 40 { // as far as the kernel follows
		to, err := os.Readlink(path)
		if err != nil {
			return path
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return path
}

// missingParts lists the path and its parents as far as they do not exist.
func missingParts(path string) []string {
	var missing []string
	for ; ; path = filepath.Dir(path) {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return missing
		}
		missing = append(missing, path)
	}
}

func appendLines(path string, lines []string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("recording mount points: %w", err)
	}
	defer file.Close()
	if _, err := fmt.Fprintln(file, strings.Join(lines, "\n")); err != nil {
		return fmt.Errorf("recording mount points: %w", err)
	}
	return nil
}

// removeMountPoints removes what the clusters made, as far as it is empty: by now somebody else may use it.
func removeMountPoints() error {
	data, err := os.ReadFile(record())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the record of mount points: %w", err)
	}
	made := strings.Fields(string(data))
	slices.SortFunc(made, func(a, b string) int { return len(b) - len(a) }) // children before parents
	for _, path := range made {
		if info, err := os.Lstat(path); err == nil && (info.IsDir() || info.Size() == 0) {
			_ = os.Remove(path) // fails for a directory that is not empty
		}
	}
	for _, path := range []string{record(), dirs.StateRoot} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing the state directory: %w", err)
		}
	}
	return nil
}
