package cluster

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestMountLandsWhereADanglingLinkLeads(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	etc, resolv := filepath.Join(root, "etc"), filepath.Join(root, "etc", "resolv.conf")
	if err := os.Mkdir(etc, 0o700); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{resolv: "../run/stub", filepath.Join(root, "run"): filepath.Join(root, "away")} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(root, "away"), 0o700); err != nil {
		t.Fatal(err)
	}
	target := followLinks(resolv)
	if want := filepath.Join(root, "run", "stub"); target != want {
		t.Fatalf("it lands at %s, want %s", target, want)
	}
	if missing := missingParts(target); !slices.Equal(missing, []string{target}) {
		t.Errorf("missing parts are %v, want only %s", missing, target)
	}
	if got := followLinks(etc); got != etc {
		t.Errorf("%s, which is no link, leads to %s", etc, got)
	}
}

func TestLinksInACircleEnd(t *testing.T) {
	t.Parallel()
	link := filepath.Join(t.TempDir(), "circle")
	if err := os.Symlink("circle", link); err != nil {
		t.Fatal(err)
	}
	if got := followLinks(link); got != link {
		t.Errorf("it leads to %s", got)
	}
}
