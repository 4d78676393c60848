package restart

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/target"
)

// rootfs is a directory that stands for the root of a container; beside it is a file that must not be written to.
type rootfs struct {
	t       *testing.T
	dir     string
	outside string
}

func newRootfs(t *testing.T) rootfs {
	t.Helper()
	base := t.TempDir()
	r := rootfs{t: t, dir: filepath.Join(base, "root"), outside: filepath.Join(base, "outside")}
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
	return writeOnce(root, path, "word\n")
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
	if err := newLastWords("/proc").leave(t.Context(), n.container, held(t, n), line); err != nil {
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
	if got := lastLine(r, 1); !strings.Contains(got, "1 zombie not") {
		t.Errorf("line = %q", got)
	}
	r.Name, r.Spec.Policy.Name = strings.Repeat("n", 253), strings.Repeat("p", 200)+"\n"
	if got := lastLine(r, 4194304); len(got) != maxLine || strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") {
		t.Errorf("line of %d bytes: %q", len(got), got)
	}
}
