package observe

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/zombie-operator/zombie-operator/agent/diagnose"
	"github.com/zombie-operator/zombie-operator/agent/headroom"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/printable"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/agent/sighting"
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

// age is any within two days, half of them within a minute.
func age(random *rand.Rand) time.Duration {
	most := 48 * time.Hour
	if random.IntN(2) == 0 {
		most = time.Minute
	}
	return time.Duration(random.Int64N(int64(most)))
}

func anyZombie(random *rand.Rand) Zombie {
	parent, born := random.IntN(9), age(random)
	z := Zombie{Zombie: &sighting.Zombie{Zombie: &scan.Zombie{}}, Parent: &scan.Parent{Key: scan.Key{PID: parent + 1, StartTicks: random.Uint64N(3)}, Command: foreign(random, 70)}, ParentPID: parent}
	z.Command, z.StartedAt, z.Since = foreign(random, 70), noon.Add(-born), noon.Add(-time.Duration(random.Int64N(int64(born)+1)))
	z.Exit = kernel.Exit{Signal: 17, Status: random.IntN(1 << 20), Readable: random.IntN(4) > 0}
	return z
}

func anyLookAlike(random *rand.Rand) LookAlike {
	l := LookAlike{PID: random.IntN(4194305)}
	l.Kind, l.Command, l.Since = scan.LookAlikeKind(random.IntN(3)), foreign(random, 70), noon.Add(-age(random))
	l.TracerPID, l.Exit.Signal = random.IntN(4194305), random.IntN(65)
	return l
}

func anyLimit(random *rand.Rand) headroom.Limit {
	by := []v1alpha1.PIDLimit{"Container", "Pod", "Kubepods", "PIDMax", "ThreadsMax"}
	return headroom.Limit{By: by[random.IntN(len(by))], Used: random.Int64N(1 << 40), Max: random.Int64N(1 << 40)}
}

// anyEvidence is evidence as package evidence gathers it: what is foreign was made fit to print.
func anyEvidence(random *rand.Rand, z Zombie) diagnose.Evidence {
	yes := func() bool { return random.IntN(3) == 0 }
	states := []string{"", "S", "R", "D", "T", "t"}
	text := func() string { return printable.Printable(foreign(random, 70), v1alpha1.MaxCommand) }
	return diagnose.Evidence{
		Command: text(), PID: z.ParentPID, Zombies: 1 + random.IntN(4194304), Moved: random.IntN(50), MovedFrom: text(),
		Read: !yes(), State: states[random.IntN(len(states))], StateNow: states[random.IntN(len(states))],
		Wchan: text(), OthersRun: yes(), Frozen: yes(), Blocked: yes(), Pending: yes(), Ignored: yes(), Caught: yes(),
		SignalFD: yes(), FilesUnread: yes(), SigWait: yes(), Waiting: yes(), WaitsFor: random.IntN(4194305),
		OneThread: yes(), AtTimes: yes(), Go: yes(), ProgramUnread: yes(), ReaperHolds: yes(), InitInImage: pathOf("/" + foreign(random, 3)),
	}
}

func anyContainers(random *rand.Rand) []Container {
	containers := make([]Container, random.IntN(8))
	for i := range containers {
		c := Container{
			Name: strings.Repeat("c", 1+random.IntN(62)) + fmt.Sprint(i), ID: fmt.Sprint("id", i), Image: foreign(random, 600),
			ForksFailing: random.IntN(2) == 0, InitInImage: foreign(random, 70), Evidence: map[scan.Key]diagnose.Evidence{},
		}
		if random.IntN(3) == 0 {
			c.DeadSince = noon.Add(-age(random))
		}
		for range random.IntN(40) {
			z := anyZombie(random)
			c.Zombies = append(c.Zombies, z)
			if random.IntN(4) > 0 {
				c.Evidence[z.Parent.Key] = anyEvidence(random, z)
			}
		}
		for range random.IntN(10) {
			c.LookAlikes = append(c.LookAlikes, anyLookAlike(random))
			c.Limits = append(c.Limits, anyLimit(random))
		}
		containers[i] = c
	}
	return containers
}

func TestPodAlwaysFitsTheCRD(t *testing.T) {
	t.Parallel()
	s := observedSchema(t)
	told := map[string]bool{}
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		seen := Seen{Containers: anyContainers(random), LookBefore: noon.Add(-age(random)), NodeBirthsPerHour: random.ExpFloat64() * 1e6}
		observed, found := Pod(seen, noon)
		for _, violation := range s.violations("observed", asJSON(t, observed)) {
			t.Errorf("seed %d: %s", seed, violation)
		}
		for _, c := range observed.Containers {
			told["births"], told["period"] = told["births"] || c.Births != nil, told["period"] || c.Births != nil && c.Births.Burst > 0
			told["full by"], told["init"] = told["full by"] || c.FullBy != "", told["init"] || c.InitInImage != ""
			for _, p := range c.Parents {
				told[string(p.Cause)] = true
				if (p.PID != nil) != (p.Cause != v1alpha1.CauseParentOutsideContainer) {
					t.Errorf("seed %d: parent = %+v: a PID goes with every cause but that", seed, p)
				}
			}
		}
		for _, f := range found {
			told[f.Type] = true
			if len(f.Message) > v1alpha1.MaxConditionMessage || !strings.HasSuffix(f.Message, " See "+v1alpha1.DocsURL(f.Type)) || printable.Printable(f.Message, 1000) != f.Message {
				t.Errorf("seed %d: finding = %+v", seed, f)
			}
		}
		if t.Failed() {
			break
		}
	}
	for _, finding := range v1alpha1.Findings {
		if !told[finding] {
			t.Errorf("no pod had the finding %s: the test shows little", finding)
		}
	}
	t.Logf("told: %v", told)
}

// The check itself must see what does not fit.
func TestSchemaSeesViolations(t *testing.T) {
	t.Parallel()
	s := observedSchema(t)
	for name, change := range map[string]func(*v1alpha1.Observed){
		"too many containers":    func(o *v1alpha1.Observed) { o.Containers = slices.Repeat(o.Containers, 9) },
		"too many parents":       func(o *v1alpha1.Observed) { o.Containers[0].Parents = slices.Repeat(o.Containers[0].Parents, 9) },
		"a newline in a command": func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].Command = "a\nb" },
		"a long command":         func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].Command = string(make([]byte, 65)) },
		"an unknown cause":       func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].Cause = "Weather" },
		"a negative count":       func(o *v1alpha1.Observed) { o.Zombies = -1 },
		"a count too large":      func(o *v1alpha1.Observed) { o.Zombies = 1 << 30 },
		"an age of its own":      func(o *v1alpha1.Observed) { o.Containers[0].Ages[0].MinAgeSeconds = 31 },
		"a container without ID": func(o *v1alpha1.Observed) { o.Containers[0].ContainerID = "" },
		"an exit of its own":     func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].Dead[0].Exit = "gone" },
		"too many remedies": func(o *v1alpha1.Observed) {
			o.Containers[0].Parents[0].CannotHelp = slices.Repeat([]v1alpha1.Remedy{v1alpha1.RemedySIGHUP}, 7)
		},
		"a finding of two words":  func(o *v1alpha1.Observed) { o.Finding = "Leader Exited" },
		"a path that is none":     func(o *v1alpha1.Observed) { o.Containers[0].InitInImage = "tini" },
		"a long sentence":         func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].Message = strings.Repeat("a", 161) },
		"PID 0 instead of no PID": func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].PID = new(int32) },
	} {
		observed := observed(Container{Name: "app", ID: "aaaa", Zombies: zombies(1, 1, "app", time.Hour)})
		if found := s.violations("observed", asJSON(t, observed)); len(found) > 0 {
			t.Fatalf("violations before = %v", found)
		}
		if change(&observed); len(s.violations("observed", asJSON(t, observed))) == 0 {
			t.Errorf("%s: no violation was found", name)
		}
	}
}
