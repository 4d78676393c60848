package observe

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/yaml"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// pages is where the page of each cause and finding is, and below it the reports of real pods.
const pages = "../../docs/causes"

// shownIn is the report that shows each cause and finding. One that comes with another is shown with it.
func shownIn() map[string]string {
	shown := map[string]string{v1alpha1.ConditionProbeLeaks: v1alpha1.ConditionProbeLeaks}
	for _, cause := range v1alpha1.Causes {
		shown[string(cause)] = string(cause)
	}
	for _, finding := range v1alpha1.Findings {
		shown[finding] = finding
	}
	shown[v1alpha1.ConditionPileBehindD] = string(v1alpha1.CauseParentStuckInD)
	return shown
}

// A page shows a report as it came from a cluster. Nobody records one when a name, a field or a page changes: this tells that one
// has to be.
func TestEveryPageShowsAReportThatTheCRDAllows(t *testing.T) {
	t.Parallel()
	crd := observedSchema(t)
	for name, record := range shownIn() {
		page, err := os.ReadFile(filepath.Join(pages, name+".md"))
		if err != nil {
			t.Error(err)
			continue
		}
		if link := "(seen/" + record + ".yaml)"; !strings.Contains(string(page), link) {
			t.Errorf("%s.md does not link %s", name, link)
		}
		text, err := os.ReadFile(filepath.Join(pages, "seen", record+".yaml"))
		if err != nil {
			t.Error(err)
			continue
		}
		var report v1alpha1.ZombieReport
		if err := yaml.UnmarshalStrict(text, &report); err != nil {
			t.Errorf("%s.yaml: %v", record, err)
			continue
		}
		for _, flaw := range slices.Concat(flawsOf(report, name), brokenLinks(string(text)), tableFlaws(string(text), report)) {
			t.Errorf("%s.yaml: %s", record, flaw)
		}
		if observed := report.Status.Observed; observed != nil {
			for _, violation := range crd.violations("observed", asJSON(t, *observed)) {
				t.Errorf("%s.yaml: %s", record, violation)
			}
		}
	}
}

func TestEveryReportOnAPageIsOfACauseOrAFinding(t *testing.T) {
	t.Parallel()
	var got []string
	entries, err := os.ReadDir(filepath.Join(pages, "seen"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), ".yaml"); ok {
			got = append(got, name)
		}
	}
	want := slices.Compact(slices.Sorted(maps.Values(shownIn())))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
}

// flawsOf says in what a report is none of a cause or finding.
func flawsOf(report v1alpha1.ZombieReport, name string) []string {
	var flaws []string
	want := func(ok bool, what string, got any) {
		if !ok {
			flaws = append(flaws, fmt.Sprintf("%s is %v, which is not that of a report that shows %s", what, got, name))
		}
	}
	want(report.APIVersion == v1alpha1.GroupVersion.String() && report.Kind == "ZombieReport", "the kind", report.TypeMeta)
	want(report.Name == v1alpha1.ReportName(report.Spec.PodName, report.Spec.PodUID), "the name", report.Name)
	for _, c := range report.Status.Conditions {
		want(len(c.Message) <= v1alpha1.MaxConditionMessage && c.Reason != "", "condition "+c.Type, c)
	}
	observed := report.Status.Observed
	if observed == nil {
		return append(flaws, "nothing is observed")
	}
	isTrue := func(kind string) bool { return meta.IsStatusConditionTrue(report.Status.Conditions, kind) }
	want(isTrue(v1alpha1.ConditionLeaking) == (observed.Zombies > 0), "the condition Leaking", isTrue(v1alpha1.ConditionLeaking))
	if slices.Contains(v1alpha1.Causes, v1alpha1.Cause(name)) {
		want(observed.Finding == name, "the finding", observed.Finding)
		for _, c := range observed.Containers {
			want(len(c.Parents) == 1 && string(c.Parents[0].Cause) == name, "the parent", c.Parents)
		}
		return flaws
	}
	want(isTrue(name), "the condition "+name, isTrue(name))
	want(observed.Zombies > 0 || observed.Finding == name, "the finding", observed.Finding)
	return flaws
}

// docsURL is a link to a page, and which; YAML folds lines at spaces only, so that a link stays whole.
var docsURL = regexp.MustCompile(regexp.QuoteMeta(strings.TrimSuffix(v1alpha1.DocsURL(""), ".md")) + `(\S*?)\.md\b`)

// brokenLinks are the links in a report to pages that there are not. Each record links at least one.
func brokenLinks(text string) []string {
	var broken []string
	for _, link := range docsURL.FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join(pages, link[1]+".md")); err != nil {
			broken = append(broken, fmt.Sprintf("links %s: %v", link[0], err))
		}
	}
	if strings.Count(text, "https://") != len(docsURL.FindAllString(text, -1)) || !docsURL.MatchString(text) {
		broken = append(broken, "links something else than pages, or nothing")
	}
	return broken
}

// tableFlaws says in what the first lines are not what kubectl says of the report.
func tableFlaws(text string, report v1alpha1.ZombieReport) []string {
	lines := strings.SplitN(text, "\n", 3)
	if len(lines) < 3 || report.Status.Observed == nil {
		return []string{"has no table"}
	}
	want := []string{"#", report.Name, fmt.Sprint(report.Status.Observed.Zombies)}
	got := strings.Fields(lines[1])
	if !strings.HasPrefix(lines[0], "# NAME ") || len(got) < len(want) || !slices.Equal(got[:len(want)], want) ||
		!slices.Contains(got, report.Status.Observed.Finding) {
		return []string{fmt.Sprintf("its table says %q", lines[1])}
	}
	return nil
}
