//go:build linux

package cgroupv2

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// archive is an initramfs in the making: a cpio archive of the format "newc", compressed. See the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst.
type archive struct {
	out  *gzip.Writer
	size int // of what was written, as entries begin at multiples of four
	ino  int
	dirs map[string]bool
	err  error // the first one
}

func newArchive(out io.Writer) *archive {
	// The emulated machine takes as long to unpack it, whatever the effort to pack it.
	compressed, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	return &archive{out: compressed, dirs: map[string]bool{".": true, "/": true}, err: err}
}

func (a *archive) write(data []byte) {
	if a.err != nil {
		return
	}
	n, err := a.out.Write(data)
	a.size, a.err = a.size+n, err
}

func (a *archive) pad() { a.write(make([]byte, -a.size&3)) }

// entry adds a file with its content, by its path from the root.
func (a *archive) entry(name string, mode uint32, content []byte) {
	a.ino++
	name = strings.TrimPrefix(path.Clean(name), "/") + "\x00"
	// magic, inode, mode, uid, gid, links, time, size, device of the file (2), device that it is (2), size of the name, checksum
	a.write(fmt.Appendf(nil, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		a.ino, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0))
	a.write([]byte(name))
	a.pad()
	a.write(content)
	a.pad()
}

// addDir adds a directory and those above it.
func (a *archive) addDir(name string) {
	name = path.Clean(name)
	if a.dirs[name] {
		return
	}
	a.addDir(path.Dir(name))
	a.dirs[name] = true
	a.entry(name, unix.S_IFDIR|0o755, nil)
}

// addFile adds a file of this machine.
func (a *archive) addFile(file, name string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("adding %s: %w", name, err)
	}
	a.addDir(path.Dir(name))
	a.entry(name, unix.S_IFREG|0o755, content)
	return a.err
}

// addEntry adds a file, a directory or a symbolic link of this machine.
func (a *archive) addEntry(file, name string, entry fs.DirEntry) error {
	switch entry.Type() {
	case fs.ModeDir:
		a.addDir(name)
	case fs.ModeSymlink:
		target, err := os.Readlink(file)
		if err != nil {
			return fmt.Errorf("adding %s: %w", name, err)
		}
		a.entry(name, unix.S_IFLNK|0o777, []byte(target))
	default:
		return a.addFile(file, name)
	}
	return a.err
}

// close ends the archive.
func (a *archive) close() error {
	a.entry("TRAILER!!!", 0, nil)
	if a.err != nil {
		return fmt.Errorf("writing the initramfs: %w", a.err)
	}
	return a.out.Close()
}

// consoleTail is how much of the kernel's messages is worth showing.
const consoleTail = 4 << 10

// tail returns the last messages of the kernel.
func tail(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(text[max(0, len(text)-consoleTail):]))
}
