package remedy

import (
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/govern"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

// ruleName is the name of a rule's function.
func ruleName(r rule) string {
	name := runtime.FuncForPC(reflect.ValueOf(r).Pointer()).Name()
	return name[strings.LastIndex(name, ".")+1:]
}

// stops has for each rule a change that makes it, and none before it, stop the act. All but the first few can be made at once.
var stops = []struct {
	rule   string
	change change
	reason string
}{
	{"actUnderWay", func(f *facts) {
		f.book.Units = append(f.book.Units, ledger.Unit{Target: web, Action: "SignalParent", Word: "SIGCHLD", Message: "Send it."})
	}, ReasonActing},
	{"triggerHolds", trigger(func(tr *v1alpha1.Trigger) { tr.Zombies = 1000 }), ReasonNotTriggered},
	{"heldLongEnough", trigger(func(tr *v1alpha1.Trigger) { tr.ForSeconds = new(int32(86400)) }), ReasonHolding},
	{"notPaused", mode(v1alpha1.ModePaused), ReasonPaused},
	{"agentIsReady", report(func(r *v1alpha1.ZombieReport) { r.Status.Conditions[1].Status = metav1.ConditionTrue }), ReasonStale},
	{"reportAgreesWithPod", pod(func(p *corev1.Pod) { p.Spec.NodeName = "n2" }), ReasonNotVerified},
	{"optedOut", func(f *facts) { f.namespaceOptsOut = true }, ReasonOptedOut},
	{"notOwnNamespace", func(f *facts) { f.operatorNamespace = "shop" }, ReasonOwnNamespace},
	{"notStatic", pod(func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n1", Controller: new(true)}}
	}), ReasonStaticPod},
	{"notHostPID", pod(func(p *corev1.Pod) { p.Spec.HostPID = true }), ReasonHostPID},
	{"notCritical", pod(func(p *corev1.Pod) { p.Spec.Priority = new(int32(2000001000)) }), ReasonCritical},
	{"notTerminating", pod(func(p *corev1.Pod) { p.DeletionTimestamp = new(at(0)) }), ReasonTerminating},
	{"runs", pod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodUnknown }), ReasonNotRunning},
	{"isRestartedAlways", pod(func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever }), ReasonRestartPolicy},
	{"reportIsNewer", nil, ReasonSettling},
	{"rungIsLeft", ruled1(func(r *govern.Ruling) {
		r.Spec.Ladder = []v1alpha1.Rung{signal(v1alpha1.SignalTerminate), alert, restart, alert}
	}), ""},
	{"isEnforced", mode(v1alpha1.ModeDryRun), ReasonDryRun},
	{"cooledDown", nil, ReasonCooldown},
	{"noOtherAct", func(f *facts) { f.book.Units = append(f.book.Units, otherUnit(true)) }, ReasonInFlight},
}

func TestTheOrderOfTheRulesIsTheDocumentedOne(t *testing.T) {
	t.Parallel()
	var want, got []string
	for _, s := range stops {
		want = append(want, s.rule)
	}
	for _, r := range rules {
		got = append(got, ruleName(r))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

// Of two rules that both stop an act, the one that stands first says why.
func TestTheFirstOfTwoRulesSaysWhy(t *testing.T) {
	t.Parallel()
	for i, first := range stops {
		for j, later := range stops[i+1:] {
			f := leaking(stop(i), stop(i+1+j))
			if i == 0 {
				f = leaking(stop(i+1+j), stop(i)) // the unit of the pod is the first
			}
			v := decide(f, now)
			if v.act != nil {
				t.Errorf("%s and %s: acts", first.rule, later.rule)
			}
			if got := v.judgement.Next.Reason; got != reasonOf(i) && !samePlace(i, i+1+j) {
				t.Errorf("%s and %s: reason %s, want %s", first.rule, later.rule, got, reasonOf(i))
			}
		}
	}
}

// samePlace: both rules rest on the same thing, which can only be one way at a time. A static pod is not compared with its
// report, which knows it by another UID; that it is static says more.
func samePlace(i, j int) bool {
	pair := stops[i].rule + " " + stops[j].rule
	return pair == "notPaused isEnforced" || pair == "reportAgreesWithPod notStatic"
}

func reasonOf(i int) string {
	if stops[i].rule == "rungIsLeft" {
		return ReasonLadderExhausted
	}
	return stops[i].reason
}

// stop is the change for a rule. Those of the ladder and the limits need one position for all of them and a disruptive rung.
func stop(i int) change {
	limited := func(edit func(*ledger.Position)) change {
		return func(f *facts) {
			ladder(restart)(f)
			if len(f.book.Positions) == 0 {
				position(func(*ledger.Position) {})(f)
			}
			edit(&f.book.Positions[0])
		}
	}
	switch stops[i].rule {
	case "rungIsLeft":
		return limited(func(p *ledger.Position) { p.Rung = 1 })
	case "reportIsNewer":
		return limited(func(p *ledger.Position) { p.Await, p.Seen, p.EndedAt = true, observationMark(leakingContainer()), now })
	case "noOtherAct":
		return changes(limited(func(*ledger.Position) {}), stops[i].change)
	case "cooledDown":
		return limited(func(p *ledger.Position) { p.DisruptedAt = now })
	}
	return stops[i].change
}

// Whatever is the case at once: there is an act exactly when no rule speaks against one.
func TestNoActWhenAnyRuleSpeaksAgainstIt(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	acts := 0
	for range 4000 {
		var names []string
		var made []change
		for i := range stops {
			if random.IntN(8) == 0 {
				names, made = append(names, stops[i].rule), append(made, stop(i))
			}
		}
		random.Shuffle(len(made), func(i, j int) { made[i], made[j] = made[j], made[i] })
		v := decide(leaking(made...), now)
		if (v.act == nil) != (len(made) > 0) {
			t.Fatalf("act %+v, though %q", v.act, names)
		}
		if v.act != nil {
			acts++
		}
	}
	if acts == 0 {
		t.Error("it never came to an act")
	}
}

func TestDryRunTellsWhatEnforceWouldDo(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change change
		doing  string
	}{
		"for a signal":                 {changes(), "SIGCHLD"},
		"for a signal without Alert":   {ladder(signal(v1alpha1.SignalHangup)), "SIGHUP"},
		"for a restart":                {ladder(restart), "Restart"},
		"for a ladder that only warns": {ladder(alert), "Alert"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			enforced, dry := decide(leaking(tc.change), now), decide(leaking(tc.change, mode(v1alpha1.ModeDryRun)), now)
			if dry.act != nil {
				t.Error("acts")
			}
			e, d := enforced.judgement.Next, dry.judgement.Next
			if e.Message != d.Message || e.Action != d.Action {
				t.Errorf("Enforce: %s %s\nDryRun:  %s %s", e.Action, e.Message, d.Action, d.Message)
			}
			if e.Doing != tc.doing || d.Doing != "DryRun:"+tc.doing || d.Reason != ReasonDryRun || d.Mode != v1alpha1.ModeDryRun {
				t.Errorf("doing = %s, and in DryRun %s (%s %s)", e.Doing, d.Doing, d.Reason, d.Mode)
			}
			told := about(occurrences(leaking().report, dry), EventActNotDone)
			if want := []string{"Normal ActNotDone " + d.Doing + " Mode DryRun, so this is not done: " + d.Message}; !cmp.Equal(want, told) {
				t.Errorf("Events %q, want %q", told, want)
			}
		})
	}
}

// A history is what happens to one pod: it decides, an act ends somehow, time goes by.
func TestThroughAnyHistoryLimitsHoldAndAttemptsRise(t *testing.T) {
	t.Parallel()
	outcomes := []v1alpha1.Outcome{
		v1alpha1.OutcomeCured, v1alpha1.OutcomeCleared, v1alpha1.OutcomeReduced, v1alpha1.OutcomeNoEffect, v1alpha1.OutcomeMoved, v1alpha1.OutcomeStale,
		v1alpha1.OutcomeRefused, v1alpha1.OutcomeCancelled, v1alpha1.OutcomeExpired, v1alpha1.OutcomeInterrupted, v1alpha1.OutcomeFailed,
	}
	rungs := []v1alpha1.Rung{alert, restart, signal(v1alpha1.SignalChild), signal(v1alpha1.SignalTerminate), signal(v1alpha1.SignalContinue)}
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 7))
		var ladderOf []v1alpha1.Rung
		for range 1 + random.IntN(5) {
			ladderOf = append(ladderOf, rungs[random.IntN(len(rungs))])
		}
		h := history{t: t, names: map[string]bool{}, clock: now}
		for range 60 {
			h.clock = h.clock.Add(time.Duration(random.IntN(900)) * time.Second)
			f := leaking(ladder(ladderOf...))
			f.book = h.book
			if random.IntN(3) > 0 { // the agent reported again
				f.report.Status.Observed.Containers[0].Parents[0].OldestZombieTime = metav1.NewTime(h.clock)
			}
			h.step(f, outcomes[random.IntN(len(outcomes))], time.Duration(random.IntN(300))*time.Second)
		}
	}
}

type history struct {
	t         *testing.T
	book      ledger.Book
	clock     time.Time
	names     map[string]bool
	attempt   int32
	disrupted time.Time
}

func (h *history) step(f facts, outcome v1alpha1.Outcome, takes time.Duration) {
	h.t.Helper()
	v := decide(f, h.clock)
	if v.act == nil {
		return
	}
	if v.act.unit.Disruptive && !h.disrupted.IsZero() && h.clock.Sub(h.disrupted) < cooldown {
		h.t.Fatalf("disrupts %s after the last time", h.clock.Sub(h.disrupted))
	}
	for i, spec := range v.act.remediations {
		name := v.act.unit.Remediations[i]
		if name != v1alpha1.RemediationName(spec) || h.names[name] {
			h.t.Fatalf("name %s of attempt %d is wrong, or was given before", name, spec.Attempt)
		}
		h.names[name] = true
		if spec.Attempt <= h.attempt {
			h.t.Fatalf("attempt %d after %d", spec.Attempt, h.attempt)
		}
	}
	h.attempt = v.act.remediations[0].Attempt
	h.book = h.book.Reserve(v.act.unit, v.act.position).Trim(h.clock)
	h.clock = h.clock.Add(takes)
	if again := decide(withBook(f, h.book), h.clock); again.act != nil {
		h.t.Fatal("acts while an act is under way")
	}
	p := settled(h.book.Position(web), v.act.unit, []v1alpha1.Outcome{outcome}, h.clock)
	h.book = h.book.Settle(v.act.unit, p).Trim(h.clock)
	if v.act.unit.Disruptive && wasDone(outcome) {
		h.disrupted = h.clock
	}
}

func withBook(f facts, b ledger.Book) facts {
	f.book = b
	return f
}
