package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// someAge stands for a cell that holds how long something has been, such as 5m.
const someAge = "(age)"

// printed is what kubectl prints of an object: each column's name and cell. Wide columns are those of -o wide.
type printed struct {
	columns, cells, wide, wideCells []string
}

func TestKubectlGetPrints(t *testing.T) {
	t.Parallel()
	policyColumns := []string{"Name", "Mode", "Ready", "Governed", "Leaking", "Last Outcome", "Age"}
	reportColumns := []string{"Name", "Zombies", "Parent", "Cause", "PIDs %", "Full By", "Doing", "Since"}
	wideReport := []string{"Pod", "Container", "PID", "Oldest", "Node", "Policy", "Mode", "Last Outcome", "Leaking", "Stale"}
	remediationColumns := []string{"Name", "Pod", "Action", "Signal", "Outcome", "Before", "After", "Age"}
	wideRemediation := []string{"Container", "Node", "Policy"}
	report := "web-7d9c-1a2b3c4d"
	for about, test := range map[string]struct {
		kind, object string
		want         printed
	}{
		"a policy that nobody has looked at yet": {"zombiepolicies", goodPolicy, printed{
			policyColumns, []string{"web", "DryRun", "-", "-", "-", "-", someAge},
			[]string{"Priority", "Zombies"}, []string{"0", "50"},
		}},
		"a policy in force": {"zombiepolicies", goodPolicy + statusOfPolicy, printed{
			policyColumns, []string{"web", "DryRun", "True", "3", "1", "Cured", someAge},
			[]string{"Priority", "Zombies"}, []string{"0", "50"},
		}},
		"a cluster policy in force": {"clusterzombiepolicies", goodClusterPolicy + statusOfPolicy, printed{
			policyColumns, []string{"all", "DryRun", "True", "3", "1", "Cured", someAge},
			[]string{"Priority", "Zombies"}, []string{"0", "50"},
		}},
		"a report with containers": {"zombiereports", goodReport, printed{
			reportColumns, []string{report, "12", "node", "PID1DoesNotReap", "80", "01-31 15:04Z", "DryRun:SIGCHLD", someAge},
			wideReport, []string{"web-7d9c", "app", "1", someAge, "node-1", "web", "DryRun", "NoEffect", "True", "-"},
		}},
		"a report without containers": {"zombiereports", beforeStatus(goodReport) + "status: {observed: {zombies: 0}}\n", printed{
			reportColumns, []string{report, "0", "-", "-", "-", "-", "-", "-"},
			wideReport, []string{"web-7d9c", "-", "-", "-", "node-1", "-", "-", "-", "-", "-"},
		}},
		"a report that says nothing yet": {"zombiereports", beforeStatus(goodReport), printed{
			reportColumns, []string{report, "-", "-", "-", "-", "-", "-", "-"},
			wideReport, []string{"web-7d9c", "-", "-", "-", "node-1", "-", "-", "-", "-", "-"},
		}},
		"a report of a node": {"zombienodereports", goodNodeReport, printed{
			[]string{"Name", "Host Zombies", "Parent", "Unattributed", "PIDs %", "Full By", "Age"},
			[]string{"node-1", "30", "kubelet", "1", "0", "01-31 15:04Z", someAge},
			[]string{"Stale"}, []string{"-"},
		}},
		"a remediation that nobody has claimed yet": {"zombieremediations", goodRestart, printed{
			remediationColumns, []string{"web-7d9c-fedcba9876543210", "web-7d9c", "RestartContainer", "-", "-", "-", "-", someAge},
			wideRemediation, []string{"app", "node-1", "all"},
		}},
		"a completed remediation": {"zombieremediations", goodRestart + completed, printed{
			remediationColumns, []string{"web-7d9c-fedcba9876543210", "web-7d9c", "RestartContainer", "-", "Cleared", "12", "0", someAge},
			wideRemediation, []string{"app", "node-1", "all"},
		}},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			stored := store(t, namespace, parse(t, test.object))
			got := printedBy(t, test.kind, namespace, nameOf(stored))
			if nameOf(stored) == namespace { // an object of the cluster, see store
				got.cells[0] = test.want.cells[0]
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(printed{})); diff != "" {
				t.Errorf("columns and cells (- want, + got):\n%s", diff)
			}
		})
	}
}

func beforeStatus(object string) string {
	before, _, _ := strings.Cut(object, "status:")
	return before
}

// printedBy asks for a table, as kubectl does. A cell without a value is "-" here.
func printedBy(t *testing.T, plural, namespace, name string) printed {
	t.Helper()
	path := "/apis/zombie-operator.io/v1alpha1/namespaces/" + namespace + "/" + plural + "/" + name
	if strings.HasPrefix(plural, "cluster") || plural == "zombienodereports" {
		path = "/apis/zombie-operator.io/v1alpha1/" + plural + "/" + name
	}
	table := getTable(t, path)
	if len(table.Rows) != 1 {
		t.Fatalf("the table has %d rows, want 1", len(table.Rows))
	}
	var result printed
	for i, column := range table.ColumnDefinitions {
		cell := "-"
		if value := table.Rows[0].Cells[i]; value != nil {
			cell = fmt.Sprint(value)
		}
		isAge := slices.Contains([]string{"Age", "Since", "Oldest"}, column.Name)
		if isAge && cell != "-" && cell != "<invalid>" && cell != "<unknown>" {
			cell = someAge
		}
		if column.Priority == 0 {
			result.columns, result.cells = append(result.columns, column.Name), append(result.cells, cell)
		} else {
			result.wide, result.wideCells = append(result.wide, column.Name), append(result.wideCells, cell)
		}
	}
	return result
}

func getTable(t *testing.T, path string) metav1.Table {
	t.Helper()
	httpClient, err := rest.HTTPClientFor(server.config)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSuffix(server.config.Host, "/")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	response, err := httpClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var table metav1.Table
	if err := json.NewDecoder(response.Body).Decode(&table); err != nil || table.Kind != "Table" {
		t.Fatalf("getting a table of %s: status %s, kind %q, %v", path, response.Status, table.Kind, err)
	}
	return table
}
