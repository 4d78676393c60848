package api

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// The table answers eight questions in one line, so it needs a wide terminal: its bounds keep it from growing further.
//
// kubectl puts three spaces between columns, and breaks no line: the terminal does.
const columnGap = 3

func TestTheTableOfReportsFitsATerminal(t *testing.T) {
	t.Parallel()
	reasons := slices.Collect(maps.Keys(exportedReasons(t, "Reason")))
	doing := slices.MaxFunc(append(reasons, "DryRun:SIGCHLD", "DryRun:Restart"), func(a, b string) int { return len(a) - len(b) })
	for about, test := range map[string]struct {
		namespace, podName string
		most               int
	}{
		"a pod of a short name, such as those of the demo": {"shop", "cron-runner", 141},
		"a pod of a long name, such as a Deployment makes": {"production", strings.Repeat("a", 39) + "-7d9c5b6f4c", 181},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			report := changed(t, parse(t, goodReport), parentInReport, attempt{
				patch: fmt.Sprintf(`{command: %s}`, strings.Repeat("c", 15)), // the kernel keeps 15
			})
			report = changed(t, report, "status.observed", attempt{patch: fmt.Sprintf(`{finding: %s}`, v1alpha1.CauseParentOutsideContainer)})
			report = changed(t, report, containerInReport, attempt{patch: `{fullBy: "2026-11-24 15hZ"}`})
			report = changed(t, report, "status.judgement.next", attempt{patch: fmt.Sprintf(`{doing: %q}`, doing)})
			report = changed(t, report, "metadata", attempt{patch: `{name: ` + v1alpha1.ReportName(test.podName, "uid") + `}`})
			store(t, namespace, report)
			got := printedBy(t, "zombiereports", namespace, nameOf(report))
			width := max(len("NAMESPACE"), len(test.namespace))
			for i, cell := range got.cells {
				width += columnGap + max(len(got.columns[i]), len(cell))
			}
			t.Logf("%d columns with %s", width, doing)
			if width > test.most {
				t.Errorf("a line has %d columns, want at most %d: %q", width, test.most, got.cells)
			}
		})
	}
}
