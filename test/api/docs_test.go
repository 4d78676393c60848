package api

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// reasonsFile has every reason and event by which the controller explains itself.
const reasonsFile = "../../controllers/remedy/reasons.go"

// exportedReasons are the constants of reasonsFile whose names start so, by value.
func exportedReasons(t *testing.T, prefix string) map[string]bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), reasonsFile, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	ast.Inspect(file, func(node ast.Node) bool {
		spec, isSpec := node.(*ast.ValueSpec)
		if !isSpec || !strings.HasPrefix(spec.Names[0].Name, prefix) {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatalf("%s is no text: %v", spec.Names[0].Name, err)
		}
		found[value] = true
		return true
	})
	if len(found) == 0 {
		t.Fatalf("no constant of %s starts with %s", reasonsFile, prefix)
	}
	return found
}

// firstCell is a word in the first column, which may be a link to a page of its own.
var firstCell = regexp.MustCompile("(?m)^\\| \\[?`([A-Za-z0-9]+)`(?:\\]\\([^)]*\\))? \\|")

// rowsUnder are the words in the first column of the tables of one section of a document.
func rowsUnder(t *testing.T, document, heading string) []string {
	t.Helper()
	_, section, found := strings.Cut(string(readFile(t, filepath.Join(docsDir, document))), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no section %q", document, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var rows []string
	for _, match := range firstCell.FindAllStringSubmatch(section, -1) {
		rows = append(rows, match[1])
	}
	slices.Sort(rows)
	return rows
}

// Whoever is told a word looks it up, and finds it once.
func TestEveryWordThatUsersAreToldIsExplained(t *testing.T) {
	t.Parallel()
	crds := readCRDs(t)
	status := crds["ZombieRemediation"].schema.Properties["status"]
	for about, test := range map[string]struct {
		document, heading string
		want              []string
	}{
		"the reasons of a report's next step and conditions": {
			"policies.md", "Reasons", slices.Collect(maps.Keys(exportedReasons(t, "Reason"))),
		},
		"the events": {
			"policies.md", "Events", slices.Collect(maps.Keys(exportedReasons(t, "Event"))),
		},
		"the outcomes": {
			"remediations.md", "Outcomes", words(t, status.Properties["outcome"]),
		},
		"the conditions of a remediation": {
			"remediations.md", "Conditions", []string{
				v1alpha1.ConditionClaimed, v1alpha1.ConditionExecuting, v1alpha1.ConditionCancelled, v1alpha1.ConditionCompleted,
			},
		},
		"the causes": {
			"reports.md", "Causes", words(t, parentSchema(crds).Properties["cause"]),
		},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			slices.Sort(test.want)
			if diff := cmp.Diff(test.want, rowsUnder(t, test.document, test.heading)); diff != "" {
				t.Errorf("in %s, under %s (- in the code, + in the document):\n%s", test.document, test.heading, diff)
			}
		})
	}
}

func parentSchema(crds map[string]crd) *schema {
	observed := crds["ZombieReport"].schema.Properties["status"].Properties["observed"]
	return observed.Properties["containers"].Items.Properties["parents"].Items
}

// words are those of an enumeration.
func words(t *testing.T, s *schema) []string {
	t.Helper()
	var all []string
	for _, word := range s.Enum {
		var text string
		if err := json.Unmarshal(word, &text); err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	return all
}
