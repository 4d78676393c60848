package observe

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// schema is as much of the schema of a CRD as the report's observation uses.
type schema struct {
	Properties map[string]*schema `json:"properties"`
	Items      *schema            `json:"items"`
	Required   []string           `json:"required"`
	Enum       []any              `json:"enum"`
	Pattern    string             `json:"pattern"`
	MinLength  *int               `json:"minLength"`
	MaxLength  *int               `json:"maxLength"`
	MinItems   *int               `json:"minItems"`
	MaxItems   *int               `json:"maxItems"`
	Minimum    *float64           `json:"minimum"`
	Maximum    *float64           `json:"maximum"`
}

// violations says where a value breaks the schema.
func (s *schema) violations(at string, value any) []string {
	var found []string
	refuse := func(ok bool, why string) {
		if !ok {
			found = append(found, fmt.Sprintf("%s: %s: %v", at, why, value))
		}
	}
	refuse(s.Enum == nil || slices.Contains(s.Enum, value), "enum")
	switch v := value.(type) {
	case map[string]any:
		for _, name := range s.Required {
			_, ok := v[name]
			refuse(ok, "required "+name)
		}
		for name, field := range v {
			if refuse(s.Properties[name] != nil, "unknown field "+name); s.Properties[name] != nil {
				found = append(found, s.Properties[name].violations(at+"."+name, field)...)
			}
		}
	case []any:
		refuse(s.MinItems == nil || len(v) >= *s.MinItems, "minItems")
		refuse(s.MaxItems != nil && len(v) <= *s.MaxItems, "maxItems")
		for i, item := range v {
			found = append(found, s.Items.violations(fmt.Sprintf("%s[%d]", at, i), item)...)
		}
	case string:
		refuse(s.MinLength == nil || len(v) >= *s.MinLength, "minLength")
		refuse(s.MaxLength == nil || len(v) <= *s.MaxLength, "maxLength")
		refuse(s.Pattern == "" || regexp.MustCompile(s.Pattern).MatchString(v), "pattern")
	case float64:
		refuse(s.Minimum != nil && v >= *s.Minimum || s.Enum != nil, "minimum")
		refuse(s.Maximum != nil && v <= *s.Maximum || s.Enum != nil, "maximum")
	}
	return found
}

// observedSchema is the schema of status.observed in the CRD.
func observedSchema(t *testing.T) *schema {
	t.Helper()
	raw, err := os.ReadFile("../../config/crd/bases/zombie-operator.io_zombiereports.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema *schema `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(raw, &crd); err != nil {
		t.Fatal(err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"].Properties["observed"]
}

func asJSON(t *testing.T, observed v1alpha1.Observed) any {
	t.Helper()
	raw, err := json.Marshal(observed)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// foreign is text as a hostile process or image may have it.
func foreign(random *rand.Rand, most int) string {
	raw := make([]byte, random.IntN(most))
	for i := range raw {
		raw[i] = byte(random.IntN(256))
	}
	return string(raw)
}

func anyContainers(random *rand.Rand) []Container {
	containers := make([]Container, random.IntN(8))
	for i := range containers {
		c := Container{Name: fmt.Sprint("c", i), ID: fmt.Sprint("id", i), Image: foreign(random, 600)}
		for range random.IntN(40) {
			parent := random.IntN(9)
			c.Zombies = append(c.Zombies, Zombie{
				Since:         noon.Add(-time.Duration(random.Int64N(int64(48 * time.Hour)))),
				Parent:        scan.Key{PID: parent + 1, StartTicks: random.Uint64N(3)},
				ParentCommand: foreign(random, 70),
				ParentPID:     parent,
			})
		}
		containers[i] = c
	}
	return containers
}

func TestPodAlwaysFitsTheCRD(t *testing.T) {
	t.Parallel()
	s := observedSchema(t)
	for seed := range uint64(300) {
		observed := Pod(anyContainers(rand.New(rand.NewPCG(seed, 1))), noon)
		for _, violation := range s.violations("observed", asJSON(t, observed)) {
			t.Errorf("seed %d: %s", seed, violation)
		}
		for _, c := range observed.Containers {
			for _, p := range c.Parents {
				if (p.PID != nil) != (p.Cause != v1alpha1.CauseParentOutsideContainer) {
					t.Errorf("seed %d: parent = %+v: a PID goes with every cause but that", seed, p)
				}
			}
		}
		if t.Failed() {
			break
		}
	}
}

// The check itself must see what does not fit.
func TestSchemaSeesViolations(t *testing.T) {
	t.Parallel()
	s := observedSchema(t)
	for name, change := range map[string]func(*v1alpha1.Observed){
		"too many containers":     func(o *v1alpha1.Observed) { o.Containers = slices.Repeat(o.Containers, 9) },
		"too many parents":        func(o *v1alpha1.Observed) { o.Containers[0].Parents = slices.Repeat(o.Containers[0].Parents, 9) },
		"a newline in a command":  func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].Command = "a\nb" },
		"a long command":          func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].Command = string(make([]byte, 65)) },
		"an unknown cause":        func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].Cause = "Weather" },
		"a negative count":        func(o *v1alpha1.Observed) { o.Zombies = -1 },
		"a count too large":       func(o *v1alpha1.Observed) { o.Zombies = 1 << 30 },
		"an age of its own":       func(o *v1alpha1.Observed) { o.Containers[0].Ages[0].MinAgeSeconds = 31 },
		"a container without ID":  func(o *v1alpha1.Observed) { o.Containers[0].ContainerID = "" },
		"PID 0 instead of no PID": func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].PID = new(int32) },
	} {
		observed := Pod([]Container{{Name: "app", ID: "aaaa", Zombies: zombies(1, 1, "app", time.Hour)}}, noon)
		if found := s.violations("observed", asJSON(t, observed)); len(found) > 0 {
			t.Fatalf("violations before = %v", found)
		}
		if change(&observed); len(s.violations("observed", asJSON(t, observed))) == 0 {
			t.Errorf("%s: no violation was found", name)
		}
	}
}
