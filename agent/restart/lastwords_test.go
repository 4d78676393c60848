package restart

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/target"
)

// rootfs is a directory that stands for the root of a container; beside it is a file that must not be written to.
type rootfs struct {
	t       *testing.T
	dir     string
	outside string
	stat    func(fd int) (unix.Statx_t, error)
}

func newRootfs(t *testing.T) rootfs {
	t.Helper()
	base := t.TempDir()
	r := rootfs{t: t, dir: filepath.Join(base, "root"), outside: filepath.Join(base, "outside"), stat: mounted}
	r.do(os.MkdirAll(filepath.Join(r.dir, "dev"), 0o755))
	r.do(os.WriteFile(r.outside, nil, 0o666))
	return r
}

func (r rootfs) do(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r rootfs) path(name string) string { return filepath.Join(r.dir, name) }

func (r rootfs) write(path string) error {
	r.t.Helper()
	root, err := unix.Open(r.dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	r.do(err)
	defer func() { _ = unix.Close(root) }()
	words := newLastWords("")
	words.stat = r.stat
	return words.writeOnce(root, path, "word\n")
}

// mounted says of each file that it is a mount, as the kubelet's is. Only root could make it one.
func mounted(fd int) (unix.Statx_t, error) {
	info, err := statx(fd)
	info.Attributes |= unix.STATX_ATTR_MOUNT_ROOT
	return info, err
}

func TestWriteOnceWritesIntoAnEmptyFile(t *testing.T) {
	t.Parallel()
	tests := map[string]func(rootfs) (path string){
		"by its path": func(rootfs) string { return "/dev/log" },
		"by a directory that is a symbolic link inside": func(r rootfs) string { r.do(os.Symlink("/dev", r.path("d"))); return "/d/log" },
		"by a path that climbs as high as the root":     func(rootfs) string { return "/../../dev/log" },
		"by a link that climbs as high as the root":     func(r rootfs) string { r.do(os.Symlink("../../../dev", r.path("d"))); return "/d/log" },
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRootfs(t)
			r.do(os.WriteFile(r.path("dev/log"), nil, 0o666))
			r.do(r.write(prepare(r)))
			if text, err := os.ReadFile(r.path("dev/log")); string(text) != "word\n" || err != nil {
				t.Errorf("file = %q, %v", text, err)
			}
		})
	}
}

func TestWriteOnceIsNotLedAstray(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare func(rootfs)
		path    string
		want    error
	}{
		"a file that is not there":      {func(rootfs) {}, "/dev/log", fs.ErrNotExist},
		"a file that is not empty":      {func(r rootfs) { r.do(os.WriteFile(r.path("dev/log"), []byte("x"), 0o666)) }, "/dev/log", errNotEmpty},
		"a directory":                   {func(rootfs) {}, "/dev", unix.EISDIR},
		"a FIFO that nobody reads":      {func(r rootfs) { r.do(unix.Mkfifo(r.path("dev/log"), 0o666)) }, "/dev/log", unix.ENXIO},
		"a link to a file inside":       {func(r rootfs) { r.do(os.WriteFile(r.path("f"), nil, 0o666)); r.do(os.Symlink("/f", r.path("dev/log"))) }, "/dev/log", unix.ELOOP},
		"a link to a file outside":      {func(r rootfs) { r.do(os.Symlink(r.outside, r.path("dev/log"))) }, "/dev/log", unix.ELOOP},
		"a link to a directory outside": {func(r rootfs) { r.do(os.Symlink(filepath.Dir(r.outside), r.path("d"))) }, "/d/outside", fs.ErrNotExist},
		"a link that climbs":            {func(r rootfs) { r.do(os.Symlink("../..", r.path("d"))) }, "/d/outside", fs.ErrNotExist},
		"a path that climbs":            {func(rootfs) {}, "/../outside", fs.ErrNotExist},
		"a path of its own that climbs": {func(rootfs) {}, "../outside", fs.ErrNotExist},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRootfs(t)
			tc.prepare(r)
			if err := r.write(tc.path); !errors.Is(err, tc.want) {
				t.Errorf("error = %v, want %v", err, tc.want)
			}
			for _, untouched := range []string{r.outside, r.path("f")} {
				if text, _ := os.ReadFile(untouched); len(text) > 0 {
					t.Errorf("%s = %q, want it untouched", untouched, text)
				}
			}
		})
	}
}

func TestWriteOnceRefusesAFIFOThatSomebodyReads(t *testing.T) {
	t.Parallel()
	r := newRootfs(t)
	r.do(unix.Mkfifo(r.path("dev/log"), 0o666))
	reader, err := unix.Open(r.path("dev/log"), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	r.do(err)
	defer func() { _ = unix.Close(reader) }()
	if err := r.write("/dev/log"); !errors.Is(err, errNotFile) {
		t.Errorf("error = %v, want %v", err, errNotFile)
	}
}

// A link of /proc leads anywhere at once, past every root directory.
func TestWriteOnceFollowsNoMagicLink(t *testing.T) {
	t.Parallel()
	r := newRootfs(t)
	r.dir = "/"
	for _, path := range []string{"/proc/self/root" + r.outside, "/proc/self/cwd/lastwords_test.go"} {
		if err := r.write(path); !errors.Is(err, unix.ELOOP) {
			t.Errorf("%s: error = %v, want %v", path, err, unix.ELOOP)
		}
	}
}

// held is a container whose first process is held.
func held(t *testing.T, n *node) target.Handle {
	t.Helper()
	handle, err := target.OpenPidfd(n.init.Pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = handle.Close() })
	return handle
}

// The first process of this container is a real one: its root directory is that of the test.
func TestLeaveReachesARealProcess(t *testing.T) {
	t.Parallel()
	n, path := newNode(t), filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	n.container.TerminationMessagePath = path
	words := newLastWords("/proc")
	words.stat = mounted
	if err := words.leave(t.Context(), n.container, held(t, n), line); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); string(text) != line || err != nil {
		t.Errorf("message = %q, %v", text, err)
	}
}

func TestLeaveDoesNotEnterTheRootOfALaterProcess(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	handle := held(t, n)
	n.end() // and its PID now stands for the directory below the proc mount
	if err := newLastWords(n.procRoot).leave(t.Context(), n.container, handle, line); !errors.Is(err, errGone) {
		t.Errorf("error = %v, want %v", err, errGone)
	}
	if text, _ := os.ReadFile(n.message()); len(text) > 0 {
		t.Errorf("message = %q, want none", text)
	}
}

// The PID of the process that is held came to mean another one, which lives.
func TestLeaveDoesNotTakeHoldOfALaterProcess(t *testing.T) {
	t.Parallel()
	n, later := newNode(t), newNode(t)
	handle := held(t, n)
	n.end()
	words := newLastWords(later.procRoot)
	words.stat = mounted
	if err := words.leave(t.Context(), later.container, handle, line); !errors.Is(err, errGone) {
		t.Errorf("error = %v, want %v", err, errGone)
	}
	if text, _ := os.ReadFile(later.message()); len(text) > 0 {
		t.Errorf("message = %q, want none", text)
	}
}

func TestLeaveToleratesAProcessWithoutARoot(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	words := newLastWords(t.TempDir())
	for range 2 { // the second finds the way free
		if err := words.leave(t.Context(), n.container, held(t, n), line); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error = %v, want %v", err, fs.ErrNotExist)
		}
	}
}

func TestLeaveGivesUpOnAFileSystemThatHangs(t *testing.T) {
	t.Parallel()
	inBubble(t, func(n *node) {
		t := n.t
		words, free, writes := newLastWords(n.procRoot), make(chan struct{}), make(chan struct{}, 9)
		words.write = func(int, string, string) error { writes <- struct{}{}; <-free; return nil }
		handle := held(t, n)
		if err := words.leave(t.Context(), n.container, handle, line); !errors.Is(err, errSlow) {
			t.Errorf("error = %v, want %v", err, errSlow)
		}
		if err := words.leave(t.Context(), n.container, handle, line); !errors.Is(err, errBusy) || len(writes) != 1 {
			t.Errorf("error = %v after %d writes, want %v after one", err, len(writes), errBusy)
		}
		close(free)
		synctest.Wait()
		if err := words.leave(t.Context(), n.container, handle, line); err != nil {
			t.Errorf("error = %v, want none now that the first ended", err)
		}
	})
}

// The caller lets go of the process as soon as it is told that the file system hangs.
func TestLeaveGivesUpOnARootThatHangs(t *testing.T) {
	t.Parallel()
	inBubble(t, func(n *node) {
		t := n.t
		words, free := newLastWords(n.procRoot), make(chan struct{})
		words.open = func(path string) (int, error) { <-free; return openRoot(path) }
		words.stat = mounted
		handle, err := target.OpenPidfd(n.init.Pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := words.leave(t.Context(), n.container, handle, line); !errors.Is(err, errSlow) {
			t.Errorf("error = %v, want %v", err, errSlow)
		}
		if err := handle.Close(); err != nil {
			t.Error(err)
		}
		n.end()
		close(free)
		synctest.Wait()
		if text, _ := os.ReadFile(n.message()); len(text) > 0 {
			t.Errorf("message = %q, want none: the directory may be that of a later process", text)
		}
	})
}

// A container may name any file of its own as its termination message.
func TestWriteOnceWritesIntoMountsOnly(t *testing.T) {
	t.Parallel()
	r := newRootfs(t)
	r.stat = statx
	r.do(os.WriteFile(r.path("dev/log"), nil, 0o666))
	if err := r.write("/dev/log"); !errors.Is(err, errNotMount) {
		t.Errorf("a plain file: error = %v, want %v", err, errNotMount)
	}
	if text, _ := os.ReadFile(r.path("dev/log")); len(text) > 0 {
		t.Errorf("file = %q, want it untouched", text)
	}
	r.dir = "/"
	comm := fmt.Sprintf("/proc/%d/task/%d/comm", os.Getpid(), os.Getpid())
	if err := r.write(comm); !errors.Is(err, errNotMount) {
		t.Errorf("%s: error = %v, want %v", comm, err, errNotMount)
	}
}

// The kubelet's file is a mount. Only root can make one; its thread has mounts of its own, and ends with the test.
func TestWriteOnceWritesIntoARealMount(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		leaveOut(t, "only root may mount")
	}
	r := newRootfs(t)
	r.stat = statx
	r.do(os.WriteFile(r.path("dev/log"), nil, 0o666))
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount(r.outside, r.path("dev/log"), "", unix.MS_BIND, "")
		}
		if err == nil {
			err = r.write("/dev/log")
		}
		done <- err
	}()
	err := <-done
	if errors.Is(err, unix.EPERM) {
		leaveOut(t, "it needs the right to mount")
	}
	r.do(err)
	if text, err := os.ReadFile(r.outside); string(text) != "word\n" || err != nil {
		t.Errorf("mounted file = %q, %v", text, err)
	}
}

func TestFit(t *testing.T) {
	t.Parallel()
	const mount = unix.STATX_ATTR_MOUNT_ROOT
	tests := map[string]struct {
		info unix.Statx_t
		want error
	}{
		"an empty file that is a mount":                  {unix.Statx_t{Mode: unix.S_IFREG, Attributes_mask: mount, Attributes: mount}, nil},
		"an empty file that is none":                     {unix.Statx_t{Mode: unix.S_IFREG, Attributes_mask: mount}, errNotMount},
		"an empty file of which the kernel does not say": {unix.Statx_t{Mode: unix.S_IFREG}, nil},
		"a file with words in it":                        {unix.Statx_t{Mode: unix.S_IFREG, Attributes_mask: mount, Attributes: mount, Size: 1}, errNotEmpty},
		"a device":                                       {unix.Statx_t{Mode: unix.S_IFCHR, Attributes_mask: mount, Attributes: mount}, errNotFile},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := fit(tc.info); !errors.Is(err, tc.want) {
				t.Errorf("fit() = %v, want %v", err, tc.want)
			}
		})
	}
}

func TestLeaveEndsWithTheAgent(t *testing.T) {
	t.Parallel()
	inBubble(t, func(n *node) {
		t := n.t
		words, free := newLastWords(n.procRoot), make(chan struct{})
		words.write = func(int, string, string) error { <-free; return nil }
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := words.leave(ctx, n.container, held(t, n), line); !errors.Is(err, context.Canceled) {
			t.Errorf("error = %v, want %v", err, context.Canceled)
		}
		close(free)
	})
}

// A restart goes on without its word.
func TestRestartGoesOnWhenItsWordCannotBeLeft(t *testing.T) {
	t.Parallel()
	inBubble(t, func(n *node) {
		t := n.t
		if err := os.WriteFile(n.message(), []byte("own words"), 0o666); err != nil {
			t.Fatal(err)
		}
		got, err := n.restart(t.Context(), plain)
		wantResult(t, got, err, "Cleared", 0, "runs in its place. No word was left in its termination message", "it is not empty")
		if text, _ := os.ReadFile(n.message()); string(text) != "own words" {
			t.Errorf("message = %q, want it as it was", text)
		}
	})
}

func TestLastLineIsOneShortLine(t *testing.T) {
	t.Parallel()
	r := remediation(plain)
	if got := lastLine(r, 1, time.Now()); !strings.Contains(got, "1 zombie not") {
		t.Errorf("line = %q", got)
	}
	r.Name, r.Spec.Policy.Name = strings.Repeat("n", 253), strings.Repeat("p", 200)+"\n"
	if got := lastLine(r, 4194304, time.Now()); len(got) != maxLine || strings.Contains(got, "\n") {
		t.Errorf("line of %d bytes: %q", len(got), got)
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
