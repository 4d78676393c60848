package peek

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
)

// container is a fake proc mount with process 7, PID 1 of a container, whose root directory is a real one.
type container struct {
	t    *testing.T
	proc string
}

var pid1 = scan.Key{PID: 7, StartTicks: 6000}

func newContainer(t *testing.T, command string) container {
	t.Helper()
	c := container{t: t, proc: t.TempDir()}
	c.write(filepath.Join(c.proc, "7", "stat"), fmt.Appendf(nil,
		"7 (%s) S 1 7 7 0 -1 4227084 0 0 0 0 0 0 0 0 20 0 1 0 6000 0 0 1 0 0 0 0 0 0 0 4096 65536 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n", command), 0o600)
	c.write(c.path("/app"), nil, 0o755)
	c.link(c.path("/app"), filepath.Join(c.proc, "7", "exe"))
	c.link("/proc/self", filepath.Join(c.proc, "self"))
	return c
}

// path is where a path of the container is really.
func (c container) path(inside string) string { return filepath.Join(c.proc, "7", "root", inside) }

func (c container) write(path string, content []byte, mode os.FileMode) {
	c.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, mode); err != nil {
		c.t.Fatal(err)
	}
}

func (c container) link(to, path string) {
	c.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Symlink(to, path); err != nil {
		c.t.Fatal(err)
	}
}

func (c container) program(inside string) { c.write(c.path(inside), nil, 0o755) }

func (c container) fifo(inside string) {
	c.t.Helper()
	if err := os.MkdirAll(filepath.Dir(c.path(inside)), 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := unix.Mkfifo(c.path(inside), 0o777); err != nil {
		c.t.Fatal(err)
	}
}

func (c container) worker() *Worker {
	c.t.Helper()
	w, err := New(c.proc)
	if err != nil {
		c.t.Fatal(err)
	}
	return w
}

func soon() time.Time { return time.Now().Add(time.Minute) }

func TestInitInImage(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "tini")
	if err := os.WriteFile(outside, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		command string
		build   func(container)
		want    string
	}{
		"an image without an init has none":             {"app", func(container) {}, ""},
		"tini is found where Debian puts it":            {"app", func(c container) { c.program("/usr/bin/tini") }, "/usr/bin/tini"},
		"tini is found where Alpine puts it":            {"app", func(c container) { c.program("/sbin/tini") }, "/sbin/tini"},
		"catatonit is found where Fedora puts it":       {"app", func(c container) { c.program("/usr/libexec/catatonit/catatonit") }, "/usr/libexec/catatonit/catatonit"},
		"dumb-init is found where images download it":   {"app", func(c container) { c.program("/usr/local/bin/dumb-init") }, "/usr/local/bin/dumb-init"},
		"the one that is proposed first is taken":       {"app", func(c container) { c.program("/usr/bin/docker-init"); c.program("/tini") }, "/tini"},
		"init of s6-overlay is found":                   {"app", func(c container) { c.program("/init"); c.program("/command/s6-svscan") }, "/init"},
		"an init of something else is not proposed":     {"app", func(c container) { c.program("/init") }, ""},
		"what cannot be executed is no init":            {"app", func(c container) { c.write(c.path("/usr/bin/tini"), nil, 0o644) }, ""},
		"a directory is no init":                        {"app", func(c container) { c.program("/usr/bin/tini/x") }, ""},
		"a FIFO is no init, and is not opened":          {"app", func(c container) { c.fifo("/usr/bin/tini") }, ""},
		"a PID 1 named as an init is one":               {"dumb-init", func(c container) { c.program("/usr/bin/tini") }, ""},
		"a PID 1 with another name may run that init":   {"app", func(c container) { c.program("/tini"); c.hardLink("/app", "/sbin/tini") }, ""},
		"a link inside of the image leads to the init":  {"app", func(c container) { c.program("/opt/tini"); c.link("/opt/tini", c.path("/usr/bin/tini")) }, "/usr/bin/tini"},
		"a directory that is a link leads to the init":  {"app", func(c container) { c.program("/usr/sbin/tini"); c.link("usr/sbin", c.path("/sbin")) }, "/sbin/tini"},
		"an absolute link never leads out of the image": {"app", func(c container) { c.link(outside, c.path("/usr/bin/tini")) }, ""},
		"dots never lead out of the image": {
			"app",
			func(c container) {
				c.link("../../../../../../../../../../../.."+outside, c.path("/usr/bin/tini"))
			}, "",
		},
		"a link to itself leads nowhere": {"app", func(c container) { c.link("tini", c.path("/usr/bin/tini")) }, ""},
		"links in a circle lead nowhere": {"app", func(c container) {
			c.link("/b", c.path("/a"))
			c.link("/a", c.path("/b"))
			c.link("/a", c.path("/tini"))
		}, ""},
		"a longer way than may be leads nowhere": {
			"app",
			func(c container) {
				for i := range 50 { // the kernel follows 40 links
					c.link(strconv.Itoa(i+1), c.path(strconv.Itoa(i)))
				}
				c.program("/50")
				c.link("/0", c.path("/tini"))
			}, "",
		},
		"what is broken does not hide what is not": {"app", func(c container) { c.link("tini", c.path("/usr/bin/tini")); c.program("/tini") }, "/tini"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, tc.command)
			tc.build(c)
			if got, err := c.worker().lookOnce(question{kind: initInImage, of: pid1}, soon()); got.path != tc.want || err != nil {
				t.Errorf("init in image = %q, %v, want %q", got.path, err, tc.want)
			}
		})
	}
}

func (c container) hardLink(from, to string) {
	c.t.Helper()
	if err := os.MkdirAll(filepath.Dir(c.path(to)), 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Link(c.path(from), c.path(to)); err != nil {
		c.t.Fatal(err)
	}
}

func TestInitInImageIsNotSoughtBelowALaterProcess(t *testing.T) {
	t.Parallel()
	c := newContainer(t, "app")
	c.program("/tini")
	later := scan.Key{PID: pid1.PID, StartTicks: pid1.StartTicks + 1}
	if path, err := c.worker().lookForInit(later, soon()); path != "" || !errors.Is(err, errGone) {
		t.Errorf("lookForInit() = %q, %v, want that the process is gone", path, err)
	}
}

func TestInitInImageIsGivenUpWhenItTakesTooLong(t *testing.T) {
	t.Parallel()
	c := newContainer(t, "app")
	c.program("/usr/bin/tini")
	if path, err := c.worker().lookForInit(pid1, time.Now()); path != "" || !errors.Is(err, errTooMuch) {
		t.Errorf("lookForInit() = %q, %v, want that it is given up", path, err)
	}
}

func TestMagicLinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	self, err := unix.Open("/proc/self", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeFD(self) })
	for _, path := range []string{"exe", "root/bin", "cwd"} {
		if _, err := stat(self, path); !errors.Is(err, unix.ELOOP) {
			t.Errorf("error of %q = %v, want ELOOP", path, err)
		}
	}
}

func TestMountsAreNotEntered(t *testing.T) {
	t.Parallel()
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeFD(root) })
	if _, err := stat(root, "/proc/version"); !errors.Is(err, unix.EXDEV) {
		t.Errorf("error = %v, want EXDEV", err)
	}
}

// realKey is a real process.
func realKey(t *testing.T, pid int) scan.Key {
	t.Helper()
	proc, err := kernel.New("/proc")
	if err != nil {
		t.Fatal(err)
	}
	p, err := proc.Process(pid)
	if err != nil {
		t.Fatal(err)
	}
	return scan.Key{PID: pid, StartTicks: p.StartTicks}
}

func TestThisTestIsAGoProgram(t *testing.T) {
	t.Parallel()
	w, err := New("/proc")
	if err != nil {
		t.Fatal(err)
	}
	self := realKey(t, os.Getpid())
	if a, _ := w.lookOnce(question{kind: goProgram, of: self}, soon()); !a.isGo || !a.known {
		t.Errorf("answer = %+v, want a Go program", a)
	}
	self.StartTicks++
	if a, _ := w.lookOnce(question{kind: goProgram, of: self}, soon()); a != (answer{}) {
		t.Errorf("answer of another process = %+v, want nothing known", a)
	}
}

func TestPrograms(t *testing.T) {
	t.Parallel()
	test, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	hostile := append([]byte("\x7fELF\x02\x01\x01"), bytes.Repeat([]byte{0xff}, 4096)...)
	other := image(t, 1, []elf.Prog64{{Type: 1, Flags: 6, Filesz: 4096}}, make([]byte, 4096))
	tests := map[string]struct {
		build func(c container, exe string)
		want  answer
	}{
		"a Go program is one":                  {func(c container, exe string) { c.link(test, exe) }, answer{isGo: true, known: true}},
		"another program is none":              {func(c container, exe string) { c.write(exe, other, 0o755) }, answer{known: true}},
		"of a script's text nothing is known":  {func(c container, exe string) { c.write(exe, []byte("#!/bin/sh\n"), 0o755) }, answer{}},
		"of an empty file nothing is known":    {func(c container, exe string) { c.write(exe, nil, 0o755) }, answer{}},
		"of a hostile program nothing is":      {func(c container, exe string) { c.write(exe, hostile, 0o755) }, answer{}},
		"of a directory nothing is known":      {func(c container, exe string) { c.write(filepath.Join(exe, "x"), nil, 0o755) }, answer{}},
		"of a FIFO nothing is known":           {func(c container, exe string) { c.link(c.path("/fifo"), exe); c.fifo("/fifo") }, answer{}},
		"of a process without one nothing is":  {func(container, string) {}, answer{}},
		"of a program that is gone nothing is": {func(c container, exe string) { c.link("/nowhere", exe) }, answer{}},
		"of a leader that exited a thread tells": {
			func(c container, _ string) {
				task := filepath.Join(c.proc, "7", "task")
				mask := "SigPnd:\t0\nShdPnd:\t0\nSigBlk:\t0\nSigIgn:\t0\nSigCgt:\t0\n"
				c.write(filepath.Join(task, "7", "status"), []byte("State:\tZ (zombie)\n"+mask), 0o600)
				c.write(filepath.Join(task, "9", "status"), []byte("State:\tS (sleeping)\n"+mask), 0o600)
				c.link(test, filepath.Join(task, "9", "exe"))
			}, answer{isGo: true, known: true},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, "app")
			exe := filepath.Join(c.proc, "7", "exe")
			if err := os.Remove(exe); err != nil {
				t.Fatal(err)
			}
			tc.build(c, exe)
			if got, _ := c.worker().lookOnce(question{kind: goProgram, of: pid1}, soon()); got != tc.want {
				t.Errorf("answer = %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestProgramsAreReadToABound(t *testing.T) {
	t.Parallel()
	// A program with one segment of writable data, which is as long as can be and says nothing of Go.
	head := image(t, 1, []elf.Prog64{{Type: 1, Flags: 6, Filesz: 1 << 40}}, nil)
	read := 0
	endless := func(p []byte, off int64) (int, error) {
		if read += len(p); read > 2*maxRead { // that is enough to know
			return 0, io.EOF
		}
		clear(p)
		if off < int64(len(head)) {
			copy(p, head[off:])
		}
		return len(p), nil
	}
	if is, known, err := isGo(endless, soon()); is || known || !errors.Is(err, errTooMuch) || read > maxRead {
		t.Errorf("isGo() = %t, %t, %v after %d bytes, want that it is given up after %d", is, known, err, read, maxRead)
	}
	if is, known, err := isGo(endless, time.Now()); is || known || !errors.Is(err, errTooMuch) {
		t.Errorf("isGo() = %t, %t, %v, want that it is given up when it takes too long", is, known, err)
	}
}

func TestAProgramThatCannotBeReadIsNotKnown(t *testing.T) {
	t.Parallel()
	broken := func([]byte, int64) (int, error) { return -1, unix.EIO }
	if is, known, err := isGo(broken, soon()); is || known || !errors.Is(err, unix.EIO) {
		t.Errorf("isGo() = %t, %t, %v, want the error of reading", is, known, err)
	}
}

func FuzzPrograms(f *testing.F) {
	f.Add(buildInfo(f))
	f.Add(bytes.ReplaceAll(buildInfo(f), []byte("Go"), []byte("go")))
	f.Add(manySections(1 << 16))
	f.Add([]byte("#!/bin/sh\n"))
	f.Add([]byte("\x7fELF\x02\x01\x01\x00"))
	f.Add(bytes.Repeat([]byte{0xff}, 300))
	f.Fuzz(func(t *testing.T, raw []byte) {
		is, known, err := isGo(bytes.NewReader(raw).ReadAt, soon())
		if is && (!known || err != nil || !bytes.Contains(raw, goMagic)) {
			t.Errorf("isGo() = %t, %t, %v of a program without %q", is, known, err, goMagic)
		}
		if known && err != nil {
			t.Errorf("isGo() = %t, %t, %v, want that nothing is known where reading failed", is, known, err)
		}
	})
}
