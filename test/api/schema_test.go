package api

import (
	"strings"
	"testing"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// kubectl explain shows these descriptions, so a field without one cannot be explained.
func TestEveryFieldIsExplained(t *testing.T) {
	t.Parallel()
	for kind, definition := range readCRDs(t) {
		if definition.schema.Description == "" {
			t.Errorf("%s has no description", kind)
		}
		walk(definition.schema, "", func(path string, s *schema) {
			for name, property := range s.Properties {
				// The API server describes metadata itself.
				if field := under(path, name); field != "metadata" && property.Description == "" {
					t.Errorf("%s: %s has no description", kind, field)
				}
			}
		})
	}
}

// Without bounds one object could fill etcd, and the API server could not tell the cost of a CEL rule.
func TestEveryFieldIsBounded(t *testing.T) {
	t.Parallel()
	for kind, definition := range readCRDs(t) {
		walk(definition.schema, "", func(path string, s *schema) {
			if isStandard(path) { // Kubernetes' own: metav1.Condition bounds its texts, the API server all of metadata
				return
			}
			for _, lack := range lacks(s) {
				t.Errorf("%s: %s has no %s", kind, path, lack)
			}
		})
	}
}

func lacks(s *schema) []string {
	var missing []string
	want := func(there bool, what string) {
		if !there {
			missing = append(missing, what)
		}
	}
	switch s.Type {
	case "string":
		want(s.MaxLength != nil || len(s.Enum) > 0 || s.Format == "date-time", "maxLength, enum or format")
	case "integer":
		want(s.Minimum != nil && s.Maximum != nil || len(s.Enum) > 0, "minimum and maximum, or enum")
	case "boolean": // has no bounds
	case "array":
		want(s.MaxItems != nil, "maxItems")
		want(s.ListType != "", "x-kubernetes-list-type")
	case "object":
		want(s.AdditionalProperties == nil || s.MaxProperties != nil, "maxProperties")
		want(s.AdditionalProperties != nil || s.Properties != nil, "properties")
	default:
		want(false, "type that these tests know: "+s.Type)
	}
	return missing
}

// A rule that only says "failed rule: ..." in CEL helps nobody.
func TestEveryRuleSaysWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for kind, definition := range readCRDs(t) {
		walk(definition.schema, "", func(path string, s *schema) {
			for _, v := range s.Validations {
				if v.Message == "" || strings.ContainsAny(v.Message, "\n") {
					t.Errorf("%s: %s: the rule %q needs a message of one line", kind, path, v.Rule)
				}
			}
		})
	}
}

// The agent cuts by these constants what the API server would refuse.
func TestTheBoundsInGoAreThoseOfTheCRD(t *testing.T) {
	t.Parallel()
	root := readCRDs(t)["ZombieReport"].schema
	observed := root.Properties["status"].Properties["observed"]
	container := observed.Properties["containers"].Items
	parent := container.Properties["parents"].Items
	for name, bound := range map[string]struct {
		inGo  int64
		inCRD *int64
	}{
		"MaxContainers": {v1alpha1.MaxContainers, observed.Properties["containers"].MaxItems},
		"MaxParents":    {v1alpha1.MaxParents, container.Properties["parents"].MaxItems},
		"MaxCommand":    {v1alpha1.MaxCommand, parent.Properties["command"].MaxLength},
		"MaxDeadGroups": {v1alpha1.MaxDeadGroups, parent.Properties["dead"].MaxItems},
		"MaxImage":      {v1alpha1.MaxImage, container.Properties["image"].MaxLength},
		"MaxHostParents": {
			v1alpha1.MaxHostParents,
			readCRDs(t)["ZombieNodeReport"].schema.Properties["status"].Properties["observed"].Properties["parents"].MaxItems,
		},
		"the number of AgeEdgesSeconds": {
			int64(len(v1alpha1.AgeEdgesSeconds)), container.Properties["ages"].MaxItems,
		},
	} {
		if bound.inCRD == nil || *bound.inCRD != bound.inGo {
			t.Errorf("%s is %d, in the CRD %v", name, bound.inGo, bound.inCRD)
		}
	}
}
