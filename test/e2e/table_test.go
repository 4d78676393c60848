package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/remedy"
)

// tableFits looks at what users look at. The demo's pods have names of up to 11 characters.
func tableFits(t *testing.T) {
	ns := namespace(t, "table")
	long := pod(ns, strings.Repeat("a", 40)+"-123456789", container("app", "/leaks/start-no-wait", "start-no-wait", "-count=2"))
	create(t, long)
	waitReport(t, long, waitInPlace(t, long, "app").zombies, 2*time.Minute)
	judged := pod(ns, "judged", container("app", "/leaks/start-no-wait", "start-no-wait", "-count=3"))
	create(t, judged)
	apply(t, policyFor(judged, v1alpha1.ModeDryRun, restart))
	waitNext(t, judged, remedy.ReasonDryRun)
	// What else leaks at the time, in namespaces with longer names, is not in it. With -A the namespace stands in front.
	table, err := output(kubectl, "get", "zombiereports", "-n", ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("kubectl get zombiereports -n %s:\n%s", ns, table)
	// Beside a name of 58 columns.
	checkWidth(t, table, 170-len("NAMESPACE   "))
	if !strings.Contains(table, "DOING") || !strings.Contains(table, "DryRun:Restart") {
		t.Error("the table does not tell what is being done")
	}
	demo, err := output(kubectl, "get", "zombiereports", "-n", leaksNamespace)
	if err != nil {
		t.Fatal(err)
	}
	// The demo's namespace is "shop", which is shorter than the heading.
	checkWidth(t, demo, 128-len("NAMESPACE   "))
	for _, args := range [][]string{{"get", "zombiereports", "-A", "-o", "wide"}, {"describe", "zombiereport", "-n", ns, v1alpha1.ReportName(long.Name, string(long.UID))}} {
		text, err := output(kubectl, args...)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("kubectl %s:\n%s", strings.Join(args, " "), text)
		if !strings.Contains(text, long.Name) || !strings.Contains(text, "start-no-wait") || !strings.Contains(text, nodeName) {
			t.Errorf("kubectl %s does not tell pod, parent and node", strings.Join(args, " "))
		}
	}
	for _, name := range []string{"zr", "zombies"} {
		if text, err := output(kubectl, "get", name, "-A"); err != nil || !strings.Contains(text, "repo-server") {
			t.Errorf("kubectl get %s -A does not list the reports: %v\n%s", name, err, text)
		}
	}
}

func checkWidth(t *testing.T, table string, most int) {
	t.Helper()
	for line := range strings.Lines(table) {
		if line = strings.TrimRight(line, " \n"); len(line) > most {
			t.Errorf("line of %d columns, want at most %d:\n%s", len(line), most, line)
		}
	}
}
