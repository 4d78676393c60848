package inventory

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFindSocketTakesTheFirstThatIsASocket(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"one", "two"} {
		listener := listen(t, path(name))
		t.Cleanup(func() { _ = listener.Close() })
	}
	if err := errors.Join(os.WriteFile(path("file"), nil, 0o600), os.Symlink(path("two"), path("link"))); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		candidates []string
		want       string
	}{
		"of two":                                 {[]string{path("two"), path("one")}, path("two")},
		"after what is not there":                {[]string{path("missing"), path("no/where"), path("one")}, path("one")},
		"after what is none":                     {[]string{path("file"), dir, path("one")}, path("one")},
		"by a link, as /var/run often is one":    {[]string{path("link"), path("one")}, path("link")},
		"after what cannot be looked at, a loop": {[]string{loop(t), path("one")}, path("one")},
		"after one of a runtime that is gone":    {[]string{deserted(t), path("one")}, path("one")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := FindSocket(tc.candidates); got != tc.want || err != nil {
				t.Errorf("FindSocket() = %q, %v, want %q", got, err, tc.want)
			}
		})
	}
}

// deserted is a socket on which nobody listens any more.
func deserted(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "deserted.sock")
	listener := listen(t, path)
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// While a runtime hangs, another one must not be asked: that of Docker says that no pod runs.
func TestFindSocketKeepsToARuntimeThatTakesNoConnection(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hung, other := filepath.Join(dir, "hung.sock"), filepath.Join(dir, "other.sock")
	listener := listen(t, other)
	t.Cleanup(func() { _ = listener.Close() })
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(socket) })
	if err := errors.Join(unix.Bind(socket, &unix.SockaddrUnix{Name: hung}), unix.Listen(socket, 0)); err != nil {
		t.Fatal(err)
	}
	for connected := range 3 { // there is room for one, which nobody takes
		if got, err := FindSocket([]string{hung, other}); got != hung || err != nil {
			t.Errorf("FindSocket() = %q, %v after %d connections, want %q", got, err, connected, hung)
		}
	}
}

// loop is a link to itself.
func loop(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "loop")
	if err := os.Symlink(path, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFindSocketSaysWhatToMend(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, tc := range map[string]struct {
		candidates []string
		is         error
	}{
		"where nothing is there": {[]string{filepath.Join(dir, "a.sock"), filepath.Join(dir, "b.sock")}, fs.ErrNotExist},
		"where none is a socket": {[]string{filepath.Join(dir, "a.sock"), dir}, errNoSocket},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := FindSocket(tc.candidates)
			if !errors.Is(err, tc.is) {
				t.Fatalf("error = %v, want %v", err, tc.is)
			}
			for _, want := range append(tc.candidates, "--cri-socket", "agent.criSocket") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
}

func TestUsualSocketsAreAbsoluteAndEndWithContainerds(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, path := range UsualSockets {
		if !filepath.IsAbs(path) || filepath.Clean(path) != path || seen[path] {
			t.Errorf("UsualSockets has %q", path)
		}
		seen[path] = true
	}
	if last := UsualSockets[len(UsualSockets)-1]; last != "/run/containerd/containerd.sock" {
		t.Errorf("the last is %q, want containerd's, which Docker makes too", last)
	}
}

// A runtime that comes later, or comes back at another place, is found when the connection is made again.
func TestSocketIsLookedForAnewForEachConnection(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.sock"), filepath.Join(dir, "second.sock")
	s, err := newSocketOf(func() (string, error) { return FindSocket([]string{first, second}) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for doing, call := range calls {
		err := call(t.Context(), s)
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), doing) || !strings.Contains(err.Error(), second) {
			t.Fatalf("error = %v, want one that says what was looked for", err)
		}
	}
	server := serve(t, second)
	eventually(t, s)
	server.Stop()
	serve(t, first)
	eventually(t, s)
}

func TestNewSocketWithoutAPathLooksAtTheUsualPlaces(t *testing.T) {
	t.Parallel()
	s, err := NewSocket("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	want, wantErr := FindSocket(UsualSockets)
	if got, err := s.find(); got != want || (err == nil) != (wantErr == nil) {
		t.Errorf("find() = %q, %v, want %q, %v", got, err, want, wantErr)
	}
}
