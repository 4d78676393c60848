package diagnose

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

func TestEveryCauseAndFindingHasAPage(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("..", "..", "docs", "causes")
	overview, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]bool{"README.md": true}
	names := append([]string{v1alpha1.ConditionProbeLeaks}, v1alpha1.Findings...)
	for _, cause := range v1alpha1.Causes {
		names = append(names, string(cause))
	}
	for _, name := range names {
		page := name + ".md"
		pages[page] = true
		text, err := os.ReadFile(filepath.Join(dir, page))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, want := range []string{"# " + name + "\n", "\n## How it is recognised\n", "Not known: ", "\n## What can help\n", "\n## The fix\n", "\n## Risks\n"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s has no %q", page, want)
			}
		}
		if !strings.Contains(string(overview), "| ["+name+"]("+page+") |") {
			t.Errorf("README.md has no row for %s", name)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !pages[entry.Name()] && entry.Name() != "seen" { // examples of reports
			t.Errorf("%s is the page of nothing", entry.Name())
		}
	}
}

// The table of the causes is the order in which they are tried.
func TestTheOverviewHasTheOrderOfTheRules(t *testing.T) {
	t.Parallel()
	overview, err := os.ReadFile(filepath.Join("..", "..", "docs", "causes", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, cause := range []v1alpha1.Cause{
		v1alpha1.CauseParentOutsideContainer, v1alpha1.CauseParentTraced, v1alpha1.CauseParentFrozen, v1alpha1.CauseParentStopped,
		v1alpha1.CauseParentStuckInD, v1alpha1.CauseSignalBlocked, v1alpha1.CauseSignalIgnored, v1alpha1.CauseMovedFromOtherParent,
		v1alpha1.CauseWaitsForOtherChild,
	} {
		next := strings.Index(string(overview), "["+string(cause)+"]")
		if next < at {
			t.Errorf("%s is not where the rules have it", cause)
		}
		at = next
	}
}
