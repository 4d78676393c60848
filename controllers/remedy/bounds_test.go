package remedy

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/govern"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

// schema is what of a CRD's schema bounds texts and numbers.
type schema struct {
	Properties map[string]*schema `json:"properties"`
	Items      *schema            `json:"items"`
	MaxLength  *int               `json:"maxLength"`
	MaxItems   *int               `json:"maxItems"`
	Maximum    *float64           `json:"maximum"`
	Pattern    string             `json:"pattern"`
}

func (s *schema) at(t *testing.T, path string) *schema {
	t.Helper()
	for step := range strings.SplitSeq(path, ".") {
		if step == "[]" {
			s = s.Items
		} else {
			s = s.Properties[step]
		}
		if s == nil {
			t.Fatalf("the CRD has no %s", path)
		}
	}
	return s
}

func readSchema(t *testing.T, plural string) *schema {
	t.Helper()
	raw, err := os.ReadFile("../../config/crd/bases/zombie-operator.io_" + plural + ".yaml")
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
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

func TestBoundsAreThoseOfTheCRDs(t *testing.T) {
	t.Parallel()
	reports, remediations := readSchema(t, "zombiereports"), readSchema(t, "zombieremediations")
	restarts := remediations.at(t, "spec.restartContainer")
	for name, pair := range map[string][2]int{
		"maxMessage":   {maxMessage, *reports.at(t, "status.judgement.next.message").MaxLength},
		"maxHookWords": {maxHookWords, *restarts.at(t, "preStopExec").MaxItems},
		"maxHookWord":  {maxHookWord, *restarts.at(t, "preStopExec.[]").MaxLength},
		"grace":        {mostSeconds, int(*restarts.at(t, "gracePeriodSeconds").Maximum)},
		"sleep":        {mostSeconds, int(*restarts.at(t, "preStopSleepSeconds").Maximum)},
		"containers":   {v1alpha1.MaxContainers, *reports.at(t, "status.judgement.triggered").MaxItems},
		"message":      {maxParentMessage, *reports.at(t, "status.observed.containers.[].parents.[].message").MaxLength},
		"fix":          {maxFix, *reports.at(t, "status.observed.containers.[].parents.[].fix").MaxLength},
		"parents":      {v1alpha1.MaxParents, *reports.at(t, "status.observed.containers.[].parents").MaxItems},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %d, the CRD says %d", name, pair[0], pair[1])
		}
	}
}

// Bounds of what agents write of a parent; the tests hold them against the CRD.
const maxParentMessage, maxFix = 160, 180

// longest is the situation with the longest names that the API server lets in.
func longest(f *facts) {
	name := strings.Repeat("n", 253)
	label := v1alpha1.ContainerName(strings.Repeat("c", 63))
	var all []v1alpha1.Parent
	for i := range int32(v1alpha1.MaxParents) {
		p := parent(4194300+i, 838860)
		p.Command, p.Message, p.Fix = strings.Repeat("w", v1alpha1.MaxCommand), strings.Repeat("m", maxParentMessage), strings.Repeat("f", maxFix)
		all = append(all, p)
	}
	c := &f.report.Status.Observed.Containers[0]
	c.Name, c.Zombies, c.Parents = label, 4194304, all
	c.ContainerID = strings.Repeat("d", 128)
	for i := range c.Ages {
		c.Ages[i].Zombies = 4194304
	}
	f.report.Namespace, f.report.Spec.PodName, f.report.Spec.NodeName = strings.Repeat("s", 63), name, name
	f.report.Status.Judgement.Triggered[0].Name = label
	f.pod.Name, f.pod.Spec.NodeName, f.pod.Spec.Containers[0].Name = name, name, string(label)
	f.pod.Status.ContainerStatuses[0] = runningStatus(string(label), c.ContainerID)
	ruling := f.rulings["app"]
	ruling.Reference.Name, ruling.Reference.Kind, ruling.Reference.Generation = name, govern.KindClusterWide, 9007199254740991
	ruling.Spec = *ruling.Spec.DeepCopy()
	f.rulings = map[v1alpha1.ContainerName]govern.Ruling{label: ruling}
	for i := range f.book.Positions {
		f.book.Positions[i].Container, f.book.Positions[i].ContainerID = string(label), c.ContainerID
		f.book.Positions[i].Policy = policyMark(ruling)
	}
	for i := range f.book.Units {
		f.book.Units[i].Namespace, f.book.Units[i].PodName, f.book.Units[i].Container = f.report.Namespace, name, strings.Repeat("o", 63)
	}
}

var printable = regexp.MustCompile(`^[ -~]*$`)

func TestWhateverIsToldFitsItsField(t *testing.T) {
	t.Parallel()
	next := readSchema(t, "zombiereports").at(t, "status.judgement.next")
	doing, reason := regexp.MustCompile(next.at(t, "doing").Pattern), regexp.MustCompile(next.at(t, "reason").Pattern)
	check := func(name string, f facts) {
		v := decide(f, now)
		n := v.judgement.Next
		if len(n.Message) > maxMessage || n.Message == "" || !printable.MatchString(n.Message) {
			t.Errorf("%s: message of %d characters: %q", name, len(n.Message), n.Message)
		}
		if len(n.Doing) > 64 || !doing.MatchString(n.Doing) || len(n.Reason) > 64 || !reason.MatchString(n.Reason) {
			t.Errorf("%s: doing %q, reason %q", name, n.Doing, n.Reason)
		}
		for _, c := range v.conditions {
			if len(c.Type) > 16 || len(c.Reason) > 40 {
				t.Errorf("%s: condition %s, reason %s", name, c.Type, c.Reason)
			}
			if len(c.Message) > v1alpha1.MaxConditionMessage || !printable.MatchString(c.Message) {
				t.Errorf("%s: condition message of %d characters: %q", name, len(c.Message), c.Message)
			}
		}
		for _, o := range occurrences(f.report, v) {
			if len(o.note) > maxNote || !printable.MatchString(o.note) || o.action == "" || len(o.action) > 128 {
				t.Errorf("%s: note of %d characters, action %q: %q", name, len(o.note), o.action, o.note)
			}
		}
		if v.act != nil && len(v.act.unit.Message) > maxMessage {
			t.Errorf("%s: the unit's message has %d characters", name, len(v.act.unit.Message))
		}
	}
	for _, group := range []map[string]refusalCase{tooEarly, guardedPods, guardedContainers, unfitRungs, limits} {
		for name, tc := range group {
			check(name, leaking(tc.change))
			if f := leaking(tc.change); f.pod != nil && len(f.pod.Spec.Containers) > 0 && len(f.pod.Status.ContainerStatuses) > 0 {
				longest(&f)
				check("longest names, "+name, f)
			}
		}
	}
	for name, c := range map[string]change{
		"use of PIDs": changes(pidTrigger(95), uses(usedOf(1<<31-1, 1<<31-1, 100)), container(func(c *v1alpha1.ContainerObservation) { c.PIDs.Used = 41943040 })),
		"a forecast":  changes(forecastTrigger(604800), endsIn(time.Hour)),
	} {
		f := leaking(c)
		longest(&f)
		if decide(f, now).act == nil {
			t.Errorf("longest names, %s: does not trigger", name)
		}
		check("longest names, "+name, f)
	}
	for _, s := range []v1alpha1.Signal{v1alpha1.SignalChild, v1alpha1.SignalTerminate} {
		f := leaking(ladder(alert, signal(s)))
		longest(&f)
		check("longest names, "+string(s), f)
	}
}

// The one thing that a reader needs when nothing is left to be done must not be what is cut off.
func TestAnExhaustedLadderTellsTheWholeFix(t *testing.T) {
	t.Parallel()
	f := leaking(rung(3))
	longest(&f)
	n := decide(f, now).judgement.Next
	if n.Reason != ReasonLadderExhausted || !strings.HasSuffix(n.Message, strings.Repeat("f", maxFix)) {
		t.Errorf("next = %s: %s", n.Reason, n.Message)
	}
	plan := leaking()
	longest(&plan)
	if message := decide(plan, now).judgement.Next.Message; !strings.HasSuffix(message, ".") {
		t.Errorf("the plan is cut off: %s", message)
	}
}

// An object holds a megabyte. A ledger that does not fit any more would stop every act.
func TestAFullLedgerFitsIntoItsObject(t *testing.T) {
	t.Parallel()
	f := leaking(ladder(signal(v1alpha1.SignalChild)))
	longest(&f)
	planned := decide(f, now.Add(123456789*time.Nanosecond)).act
	var book ledger.Book
	p := settled(planned.position, planned.unit, []v1alpha1.Outcome{v1alpha1.OutcomeReduced}, now.Add(123456789*time.Nanosecond))
	// The UID is the API server's own: with another one the pod is not acted on.
	p.PodUID, p.DisruptedAt, p.StoppedAt, p.Restarted, p.Attempts = webUID, p.EndedAt, p.EndedAt, true, 1000000
	for range ledger.MaxTargets {
		book.Positions = append(book.Positions, p)
	}
	for range ledger.MaxUnits {
		book.Units = append(book.Units, planned.unit)
	}
	raw, err := json.Marshal(book)
	if err != nil {
		t.Fatal(err)
	}
	if most := 1 << 20; len(raw) > most {
		t.Errorf("%d bytes, at most %d fit", len(raw), most)
	}
}

func TestAHookAsLongAsItMayBeIsTaken(t *testing.T) {
	t.Parallel()
	word := strings.Repeat("x", maxHookWord)
	v := decide(leaking(ladder(restart), preStop(corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{word}}})), now)
	if v.act == nil || v.act.remediations[0].RestartContainer.PreStopExec[0] != word {
		t.Errorf("next %+v", v.judgement.Next)
	}
}
