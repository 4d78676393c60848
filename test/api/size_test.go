package api

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

const (
	// reportLimit is the most that a report may weigh without its managed fields, which no schema bounds.
	reportLimit = 16_000
	// hostileLimit is the same for a report of a hostile agent, in whose texts JSON escapes every character by six.
	hostileLimit = 4 * reportLimit
)

func TestAReportFilledToAllItsBoundsStaysSmall(t *testing.T) {
	t.Parallel()
	for about, test := range map[string]struct {
		character string
		limit     int
	}{
		"with letters": {"a", reportLimit},
		"with characters that JSON escapes, where the API allows them": {"<", hostileLimit},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			stored := applyAsAll(t, newNamespace(t), fullReport(t, test.character))
			all := weigh(t, stored)
			delete(stored["metadata"].(tree), "managedFields")
			size := weigh(t, stored)
			t.Logf("a report filled to all its bounds weighs %d bytes, and %d more for managed fields", size, all-size)
			if size >= test.limit {
				t.Errorf("it weighs %d bytes, want less than %d", size, test.limit)
			}
		})
	}
}

// fullReport fills a report to the bounds of its schema, so that a new field is weighed too.
func fullReport(t *testing.T, character string) tree {
	t.Helper()
	report := fill(readCRDs(t)["ZombieReport"].schema, "", character).(tree)
	report["apiVersion"], report["kind"] = v1alpha1.GroupVersion.String(), "ZombieReport"
	report["metadata"] = tree{"name": strings.Repeat("n", 253)}
	status := report["status"].(tree)
	for i, entry := range status["conditions"].([]any) { // bounded by rules, not by the schema
		condition := entry.(tree)
		condition["type"] = strings.Repeat(string(rune('a'+i)), 16)
		condition["reason"] = strings.Repeat("r", 40)
		condition["message"] = strings.Repeat(character, v1alpha1.MaxConditionMessage)
	}
	for i, entry := range status["judgement"].(tree)["triggered"].([]any) { // no two of one name
		entry.(tree)["name"] = strings.Repeat(string(rune('a'+i)), 63)
	}
	for _, container := range status["observed"].(tree)["containers"].([]any) {
		for _, parent := range container.(tree)["parents"].([]any) {
			parent.(tree)["cause"] = string(v1alpha1.CauseHandlerLeavesChildren) // the longest that has a PID
			for _, group := range parent.(tree)["dead"].([]any) {
				group.(tree)["exit"] = "killed by 137" // the longest of its pattern
			}
		}
	}
	return report
}

// fill makes the value of a schema that is longest in JSON, but for rules that span fields.
func fill(s *schema, path, character string) any {
	switch s.Type {
	case "object":
		object := tree{}
		for name, property := range s.Properties {
			object[name] = fill(property, under(path, name), character)
		}
		return object
	case "array":
		list := make([]any, *s.MaxItems)
		for i := range list {
			list[i] = fill(s.Items, path+"[]", character)
		}
		return list
	}
	if len(s.Enum) > 0 {
		longest := slices.MaxFunc(s.Enum, func(a, b json.RawMessage) int { return len(a) - len(b) })
		var value any
		_ = json.Unmarshal(longest, &value)
		return value
	}
	if s.Type == "boolean" {
		return true
	}
	if s.Type == "integer" {
		if s.Maximum == nil {
			return float64(1 << 53) // of a condition's observedGeneration
		}
		return float64(*s.Maximum)
	}
	if s.Format == "date-time" {
		return "2026-01-31T12:00:00Z"
	}
	if s.MaxLength == nil {
		return "" // apiVersion and kind
	}
	return strings.Repeat(fitting(s, character), int(*s.MaxLength))
}

// fitting is a character of which a text of a schema may consist: a given one or, where a rule or a pattern asks for
// the form of a name, a path or a time, one of those.
func fitting(s *schema, character string) string {
	if len(s.Validations) > 0 {
		return "a"
	}
	pattern := regexp.MustCompile(s.Pattern)
	for _, candidate := range []string{character, "a", "/", "0"} {
		if pattern.MatchString(candidate) {
			return candidate
		}
	}
	return character // refused by the API server, which says where
}

// applyAsAll writes a report as the agent and the two parts of the controller do, each its conditions, and reads it back.
func applyAsAll(t *testing.T, namespace string, report tree) tree {
	t.Helper()
	status := report["status"].(tree)
	conditions := status["conditions"].([]any)
	write := func(manager, part string, content tree) {
		object := &unstructured.Unstructured{Object: tree{part: content}}
		object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("ZombieReport"))
		object.SetNamespace(namespace)
		object.SetName(nameOf(report))
		var err error
		configuration := client.ApplyConfigurationFromUnstructured(object)
		if part == "status" {
			err = server.client.Status().Apply(t.Context(), configuration, client.FieldOwner(manager))
		} else {
			err = server.client.Apply(t.Context(), configuration, client.FieldOwner(manager))
		}
		if err != nil {
			t.Fatalf("applying the %s of a full report as %s: %v", part, manager, err)
		}
	}
	ofAgent := 1 + len(v1alpha1.Findings)
	write(v1alpha1.FieldManagerAgent, "spec", report["spec"].(tree))
	write(v1alpha1.FieldManagerAgent, "status", tree{"observed": status["observed"], "conditions": conditions[:ofAgent]})
	write(v1alpha1.FieldManagerController, "status", tree{"conditions": conditions[ofAgent : ofAgent+3]})
	write(v1alpha1.FieldManagerRemedy, "status", tree{"judgement": status["judgement"], "conditions": conditions[ofAgent+3:]})
	stored := tree{"apiVersion": report["apiVersion"], "kind": report["kind"], "metadata": tree{"namespace": namespace, "name": nameOf(report)}}
	return readBack(t, stored)
}

func weigh(t *testing.T, object tree) int {
	t.Helper()
	body, err := json.Marshal(object) // escapes as the API server does
	if err != nil {
		t.Fatal(err)
	}
	namespace := fmt.Sprint(object["metadata"].(tree)["namespace"])
	return len(body) + 63 - len(namespace) // as if its name were as long as it may be
}
