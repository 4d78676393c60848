package api

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A rule is one thing that a schema asks of one field, such as maximum at spec.priority.
type rule struct {
	kind, path, asks string
}

// TestEveryRuleOfTheCRDsIsTried holds the tables of attempts against the CRDs: each rule needs an attempt that is
// refused because of it, and one that is accepted although it touches the rule, as by a value that is just allowed.
func TestEveryRuleOfTheCRDsIsTried(t *testing.T) {
	t.Parallel()
	crds := readCRDs(t)
	refused, accepted := map[rule]bool{}, map[rule]bool{}
	for _, s := range suites() {
		good := parse(t, s.good)
		kind := fmt.Sprint(good["kind"])
		for _, a := range s.tries {
			if a.refused == nil {
				touch(crds[kind].schema, changed(t, good, s.at, a), "", func(path, asks string) {
					accepted[rule{kind, path, asks}] = true
				})
				continue
			}
			for field, says := range a.refused {
				refused[ruleBroken(kind, crds[kind].schema, s.at+field, says)] = true
			}
		}
	}
	count := 0
	for kind, definition := range crds {
		for _, r := range rulesOf(kind, definition.schema) {
			count++
			if !refused[withoutWord(r)] {
				t.Errorf("no attempt is refused by this rule: %s: %s: %s", r.kind, r.path, r.asks)
			}
			if !accepted[r] {
				t.Errorf("no attempt is accepted by this rule: %s: %s: %s", r.kind, r.path, r.asks)
			}
		}
	}
	t.Logf("%d rules are tried", count)
}

// messageParts tell from the API server's words what was asked. A message of a CEL rule is its own name.
var messageParts = []struct{ part, asks string }{
	{"supported values", "enum"},
	{"should be greater than or equal to", "minimum"},
	{"should be less than or equal to", "maximum"},
	{"chars long", "minLength"},
	{"may not be more than", "maxLength"},
	{"should match", "pattern"},
	{"must be of type date-time", "format"},
	{"Required value", "required"},
	{"Duplicate value", "unique"},
	{"properties", "minProperties"},
	{"should have at least", "minItems"},
	{"must have at most", "maxItems"}, // of maps too
}

func asked(says string) string {
	for _, m := range messageParts {
		if strings.Contains(says, m.part) {
			return m.asks
		}
	}
	return says
}

// ruleBroken is the rule behind a message. That of a list's uniqueness comes at the second of the equal entries.
func ruleBroken(kind string, s *schema, field, says string) rule {
	broken := rule{kind, schemaPath(s, field), asked(says)}
	if broken.asks == "unique" {
		broken.path = strings.TrimSuffix(broken.path, "[]")
	}
	return broken
}

// withoutWord leaves of a word of an enumeration the enumeration: each word must be accepted, but one other refused.
func withoutWord(r rule) rule {
	r.asks, _, _ = strings.Cut(r.asks, "=")
	return r
}

// rulesOf lists what a schema asks, but for what comes with every object or every condition.
func rulesOf(kind string, root *schema) []rule {
	var rules []rule
	walk(root, "", func(path string, s *schema) {
		if isStandard(path) {
			return
		}
		for _, asks := range asksOf(s) {
			rules = append(rules, rule{kind, path, asks})
		}
		for _, property := range s.Required {
			rules = append(rules, rule{kind, under(path, property), "required"})
		}
		for _, v := range s.Validations {
			rules = append(rules, rule{kind, strings.TrimPrefix(path+v.FieldPath, "."), v.Message})
		}
	})
	slices.SortFunc(rules, func(a, b rule) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return slices.Compact(rules)
}

// isStandard says that a field is not this API's own: metadata, and the fields of a metav1.Condition.
func isStandard(path string) bool {
	return path == "apiVersion" || path == "kind" || path == "metadata" || strings.HasPrefix(path, "status.conditions[]")
}

func asksOf(s *schema) []string {
	var asks []string
	for name, there := range map[string]bool{
		"minimum":       s.Minimum != nil,
		"maximum":       s.Maximum != nil,
		"minLength":     s.MinLength != nil,
		"maxLength":     s.MaxLength != nil,
		"pattern":       s.Pattern != "",
		"format":        s.Format == "date-time",
		"minItems":      s.MinItems != nil,
		"maxItems":      s.MaxItems != nil || s.MaxProperties != nil,
		"minProperties": s.MinProperties != nil,
		"unique":        s.ListType == "set" || s.ListType == "map",
	} {
		if there {
			asks = append(asks, name)
		}
	}
	for _, word := range s.Enum {
		asks = append(asks, "enum="+strings.Trim(string(word), `"`))
	}
	return asks
}

// schemaPath turns the path of a field in an object into that of its schema: list[3] into list[], map.key into map.*
func schemaPath(s *schema, path string) string {
	result := ""
	for _, step := range steps(path) {
		switch {
		case s == nil:
			return result + " (unknown)"
		case s.Items != nil:
			result, s = result+"[]", s.Items
		case s.AdditionalProperties != nil:
			return result + ".*"
		default:
			result, s = under(result, step), s.Properties[step]
		}
	}
	return result
}

// touch visits the rules of which an accepted value shows what is just allowed.
func touch(s *schema, value any, path string, visit func(path, asks string)) {
	if s == nil || value == nil || isStandard(path) {
		return
	}
	visit(path, "required")
	for _, v := range s.Validations {
		visit(strings.TrimPrefix(path+v.FieldPath, "."), v.Message)
	}
	switch value := value.(type) {
	case tree:
		touchSize(s.MinProperties, s.MaxProperties, len(value), path, "Properties", visit)
		for key, entry := range value {
			if s.AdditionalProperties != nil {
				touch(s.AdditionalProperties, entry, path+".*", visit)
				continue
			}
			touch(s.Properties[key], entry, under(path, key), visit)
		}
	case []any:
		touchSize(s.MinItems, s.MaxItems, len(value), path, "Items", visit)
		if len(value) > 1 {
			visit(path, "unique")
		}
		for _, entry := range value {
			touch(s.Items, entry, path+"[]", visit)
		}
	default:
		touchScalar(s, value, path, visit)
	}
}

func touchSize(lowest, highest *int64, size int, path, of string, visit func(path, asks string)) {
	if lowest != nil && int64(size) == *lowest {
		visit(path, "min"+of)
	}
	if highest != nil && int64(size) == *highest {
		visit(path, "maxItems")
	}
}

func touchScalar(s *schema, value any, path string, visit func(path, asks string)) {
	text := fmt.Sprint(value)
	if number, isNumber := value.(float64); isNumber {
		text = strconv.FormatFloat(number, 'f', -1, 64)
		if s.Minimum != nil && int64(number) == *s.Minimum {
			visit(path, "minimum")
		}
		if s.Maximum != nil && int64(number) == *s.Maximum {
			visit(path, "maximum")
		}
	}
	visit(path, "enum="+text)
	if s.MinLength != nil && int64(len(text)) == *s.MinLength {
		visit(path, "minLength")
	}
	if s.MaxLength != nil && int64(len(text)) == *s.MaxLength {
		visit(path, "maxLength")
	}
	if text != "" {
		visit(path, "pattern")
		visit(path, "format")
	}
}
