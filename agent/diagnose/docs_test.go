package diagnose

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// The table of the causes is the order in which they are tried. A cause that two rules have stands where the one is that claims less.
func TestTheOverviewHasTheOrderOfTheRules(t *testing.T) {
	t.Parallel()
	overview, err := os.ReadFile(filepath.Join("..", "..", "docs", "causes", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, r := range rules {
		causes := []string{string(r.cause)}
		if r.ofPID1 != "" {
			causes = []string{string(r.ofPID1), string(r.cause)}
		}
		want = slices.DeleteFunc(want, func(cause string) bool { return slices.Contains(causes, cause) })
		want = append(want, causes...)
	}
	for line := range strings.Lines(string(overview)) {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "| ["), "]")
		if slices.Contains(v1alpha1.Causes, v1alpha1.Cause(name)) {
			got = append(got, name)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order of the rules (-) and of the overview (+):\n%s", diff)
	}
}
