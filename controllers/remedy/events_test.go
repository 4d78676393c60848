package remedy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

const (
	leakFound   = "Warning LeakFound Judge " + appTriggers + " Most are held by worker: Process 7 (worker) does not wait for its children."
	alertRaised = "Warning AlertRaised Alert " + appTriggers
	alertOver   = "Normal AlertOver Alert "
	chldPlanned = "Normal ActPlanned SIGCHLD/1 " + chldPlan
)

func TestEventsTellWhatChanged(t *testing.T) {
	t.Parallel()
	// before is what the report said when it was last written.
	before := func(reason string, action v1alpha1.Action, message string) change {
		return report(func(r *v1alpha1.ZombieReport) {
			r.Status.Judgement.Next = &v1alpha1.NextStep{Reason: reason, Action: action, Message: message}
		})
	}
	wasAlerting := report(func(r *v1alpha1.ZombieReport) { r.Status.Conditions[3].Status = metav1.ConditionTrue })
	acting := changes(wasAlerting, before(ReasonActing, v1alpha1.ActionSignalParent, chldPlan))
	optedOut := func(f *facts) { f.namespaceOptsOut = true }
	const refusedOptedOut = "Warning ActRefused OptedOut OptedOut: Namespace shop carries the annotation zombie-operator.io/opt-out."
	planned := changes(rung(1), underway(ledger.Unit{Target: web, Action: "SignalParent", Word: "SIGCHLD", Message: chldPlan, Attempt: 1}))
	tests := map[string]struct {
		change change
		want   []string
	}{
		"a leak that is found and acted on": {changes(), []string{leakFound, chldPlanned, alertRaised}},
		"a leak that is found without knowing who leaks": {
			changes(ladder(alert), parents()), []string{"Warning LeakFound Judge " + appTriggers, alertRaised},
		},
		"a leak in a report that was never judged": {
			report(func(r *v1alpha1.ZombieReport) { r.Status.Judgement.Next = nil }), []string{leakFound, chldPlanned, alertRaised},
		},
		"a leak that was told of another container": {
			changes(acting, report(func(r *v1alpha1.ZombieReport) { r.Status.Judgement.Container = "log" })), []string{leakFound, chldPlanned},
		},
		"nothing while an act goes on":                       {changes(acting, planned), nil},
		"an act that was made, but not told, before a crash": {changes(wasAlerting, planned), []string{leakFound, chldPlanned}},
		"the second of two acts that are alike":              {acting, []string{chldPlanned}},
		"the second of two acts, made but not told":          {changes(acting, rung(1), underway(ledger.Unit{Target: web, Action: "SignalParent", Word: "SIGTERM", Message: "Send SIGTERM.", Attempt: 2})), []string{"Normal ActPlanned SIGTERM/2 Send SIGTERM."}},
		"a refusal":                 {changes(acting, optedOut), []string{refusedOptedOut}},
		"no refusal twice":          {changes(wasAlerting, optedOut, before(ReasonOptedOut, v1alpha1.ActionSignalParent, "")), nil},
		"a refusal of another rung": {changes(wasAlerting, optedOut, before(ReasonOptedOut, v1alpha1.ActionRestartContainer, "")), []string{refusedOptedOut}},
		"nothing of a pause":        {changes(mode(v1alpha1.ModePaused), before(ReasonActing, v1alpha1.ActionSignalParent, "")), nil},
		"a leak after a pause":      {changes(wasAlerting, before(ReasonPaused, "", "")), []string{leakFound, chldPlanned}},
		"nothing of settling": {changes(acting, position(func(p *ledger.Position) {
			p.Rung, p.Await, p.Seen, p.EndedAt = 1, true, observationMark(leakingContainer()), now.Add(-time.Minute)
		})), nil},
		"an alert that is over, and nothing of the trigger":   {changes(acting, trigger(func(tr *v1alpha1.Trigger) { tr.Zombies = 1000 })), []string{alertOver + "The trigger of the governing policy holds no more."}},
		"an alert that is over as no policy governs any more": {changes(acting, func(f *facts) { f.rulings = nil }), []string{alertOver + "No policy governs a container of the pod; it still has zombies."}},
		"nothing of a ladder that only alerts but the alert":  {changes(ladder(alert), before(ReasonSettling, "", "")), []string{alertRaised}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := leaking(tc.change)
			v := decide(f, now)
			if diff := cmp.Diff(tc.want, lines(occurrences(f.report, v))); diff != "" {
				t.Errorf("Events (-want +got):\n%s", diff)
			}
			again := afterwards(t, f, v)
			if v.act != nil {
				again.book = f.book.Reserve(v.act.unit, v.act.position)
			}
			v2 := decide(again, now)
			if told := lines(occurrences(again.report, v2)); told != nil || changed(again.report, v2) {
				t.Errorf("a second look tells %q and writes %t", told, changed(again.report, v2))
			}
		})
	}
}

func TestTheEndOfAnActIsToldWithItsProof(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[v1alpha1.Outcome]string{
		v1alpha1.OutcomeCured:       "Normal ActDone",
		v1alpha1.OutcomeCleared:     "Normal ActDone",
		v1alpha1.OutcomeReduced:     "Normal ActDone",
		v1alpha1.OutcomeNoEffect:    "Warning ActDone",
		v1alpha1.OutcomeMoved:       "Warning ActDone",
		v1alpha1.OutcomeFailed:      "Warning ActDone",
		v1alpha1.OutcomeInterrupted: "Warning ActDone",
		v1alpha1.OutcomeRefused:     "Warning ActRefused",
		v1alpha1.OutcomeStale:       "Normal ActNotDone",
		v1alpha1.OutcomeCancelled:   "Normal ActNotDone",
		v1alpha1.OutcomeExpired:     "Normal ActNotDone",
	} {
		r := ended("web-0-1", outcome, 0)
		r.Status.Message = "20 zombies before, 0 after."
		want += " RestartContainer/1 " + string(outcome) + ": 20 zombies before, 0 after. (web-0-1)"
		if got := ending(&r).line(); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}

// A hostile agent may write what it likes into the message of its remediation, of up to 512 characters.
func TestWhatAnAgentSaysIsFitToBePrinted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, message := range map[string]string{
		"newlines and terminal escapes": "Cured.\n\r\x1b[2JNormal\tdone\x00\x7f",
		"invalid UTF-8":                 strings.Repeat("\xff", 512),
		"what looks like another text":  strings.Repeat("\u202e", 512),
		"what takes four bytes":         strings.Repeat("\U0001f9df", 512),
	} {
		r := ended(strings.Repeat("n", 253), v1alpha1.OutcomeFailed, 0)
		r.Status.Message = message
		w.told = nil
		p := podOf(w.report())
		p.Name = strings.Repeat("p", 253)
		w.r.tell(p, &v1alpha1.ZombiePolicy{}, ending(&r))
		if len(w.told) != 2 {
			t.Fatalf("%s: told %q", name, w.told)
		}
		for _, line := range w.told {
			_, note, _ := strings.Cut(line, EventActDone+" ")
			if len(note) > maxNote || !printable.MatchString(note) || !strings.Contains(note, "Failed: ") {
				t.Errorf("%s: note of %d characters: %q", name, len(note), note)
			}
		}
	}
}
