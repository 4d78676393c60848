package kernel

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// withThreads returns a proc mount with a process 5, whose threads have these files of children; "-" is none.
func withThreads(t *testing.T, children ...string) FS {
	t.Helper()
	root := t.TempDir()
	for i, text := range children {
		dir := filepath.Join(root, "5", "task", fmt.Sprint(5+i))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if text == "-" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "children"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return open(t, root)
}

func TestChildrenOfAllThreads(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		threads []string
		want    []int
	}{
		"one thread has all":                 {[]string{"7 8 "}, []int{7, 8}},
		"each thread has its own":            {[]string{"9 ", "", "8 "}, []int{8, 9}},
		"a thread that ended has none":       {[]string{"7 ", "-"}, []int{7}},
		"a process may have no child at all": {[]string{""}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := withThreads(t, tc.threads...).Children(5)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("children (-want +got):\n%s", diff)
			}
		})
	}
}

func TestChildrenFails(t *testing.T) {
	t.Parallel()
	if _, err := withThreads(t, "7 ").Children(6); !IsVanished(err) {
		t.Errorf("error for no process = %v, want one that says vanished", err)
	}
	if _, err := withThreads(t, "-").Children(5); !errors.Is(err, ErrNoChildren) {
		t.Errorf("error on a kernel without lists = %v, want %v", err, ErrNoChildren)
	}
	if _, err := withThreads(t, "7 x").Children(5); err == nil || IsVanished(err) || errors.Is(err, ErrNoChildren) {
		t.Errorf("error for garbage = %v, want one of its own", err)
	}
}

func TestRealProcessListsItsZombie(t *testing.T) {
	t.Parallel()
	f := open(t, "/proc")
	zombie := becomeZombie(t, f, start(t, roleWait, func(*exec.Cmd) {}))
	children, err := f.Children(os.Getpid())
	if errors.Is(err, ErrNoChildren) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(children, zombie.PID) {
		t.Errorf("children = %v, want zombie %d among them", children, zombie.PID)
	}
}
