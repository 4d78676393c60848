package remedy

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

func fails() error { return errBroken }

func TestReconcileExecutesARemediation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.settleDown()
	condition := func(name, reason, message string) metav1.Condition {
		return metav1.Condition{Type: name, Status: "True", Reason: reason, Message: message, ObservedGeneration: 1, LastTransitionTime: metav1.NewTime(noon)}
	}
	want := v1alpha1.ZombieRemediationStatus{
		Conditions: []metav1.Condition{
			condition("Claimed", "AgentTookUp", "The agent of node node-1 took it up."),
			condition("Executing", "IntentStored", "The target was found to be the one decided on; the act begins."),
			condition("Completed", "Cured", "All 5 zombies were reaped."),
		},
		BootID: "boot-1", AgentPodUID: "pod-a", StartTime: new(metav1.NewTime(noon)), CompletionTime: new(metav1.NewTime(noon)),
		ZombiesBefore: new(int32(5)), ZombiesAfter: new(int32(0)), Outcome: v1alpha1.OutcomeCured, Message: "All 5 zombies were reaped.",
	}
	got := f.stored().Status
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(got, "AttemptID")); diff != "" || len(got.AttemptID) < 16 {
		t.Errorf("attempt %q, status (-want +got):\n%s", got.AttemptID, diff)
	}
	if diff := cmp.Diff([]string{"read", "claim", "intent", "read", "outcome"}, f.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if f.kind.acted != 1 || f.kind.prepared != 1 || f.kind.closed != 1 || f.kind.settled != 0 {
		t.Errorf("kind = %+v, want each once and nothing settled", *f.kind)
	}
}

// Whatever call fails, before or after it was stored, the act is done once and recorded.
func TestReconcileActsOnceWhateverCallFails(t *testing.T) {
	t.Parallel()
	conflict := func() error {
		return apierrors.NewConflict(schema.GroupResource{Resource: "zombieremediations"}, key.Name, errBroken)
	}
	for _, call := range []string{"read", "claim", "intent", "outcome"} {
		for name, tc := range map[string]struct {
			before, after func() error
			// first is how many acts were done when the first try ended.
			first map[string]int
		}{
			"is not stored":                   {fails, nil, map[string]int{"outcome": 1}},
			"is stored and its answer lost":   {nil, fails, map[string]int{"intent": 1, "outcome": 1}},
			"meets a conflict":                {conflict, nil, map[string]int{"outcome": 1}},
			"meets a conflict with a forerun": {nil, conflict, map[string]int{"intent": 1, "outcome": 1}},
		} {
			t.Run(call+" "+name, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				f.before[call], f.after[call] = tc.before, tc.after
				err := f.reconcile(t.Context())
				if wantErr := !(call == "intent" && tc.after != nil); (err != nil) != wantErr {
					t.Errorf("first try: error = %v, want one: %t", err, wantErr)
				}
				f.wantActs(tc.first[call])
				f.settleDown()
				f.wantActs(1)
				f.wantOutcome(v1alpha1.OutcomeCured)
				if f.kind.settled != 0 || f.kind.closed != f.kind.prepared {
					t.Errorf("kind = %+v, want nothing settled and all closed", *f.kind)
				}
			})
		}
	}
}

// The intent is stored, but cannot be read back: nothing is done before it can.
func TestReconcileDoesNotActBeforeTheIntentIsReadBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.after["intent"] = func() error { f.before["read"] = fails; return nil }
	if err := f.reconcile(t.Context()); err == nil {
		t.Error("error = nil, want one")
	}
	f.wantActs(0)
	f.settleDown()
	f.wantActs(1)
	f.wantOutcome(v1alpha1.OutcomeCured)
	if got := countOf(f.calls, "intent"); got != 1 {
		t.Errorf("stored the intent %d times, want once", got)
	}
}

func countOf(calls []string, name string) int {
	n := 0
	for _, call := range calls {
		if call == name {
			n++
		}
	}
	return n
}

func TestReconcileLeavesWhatIsNotToBeDone(t *testing.T) {
	t.Parallel()
	tests := map[string][]func(*v1alpha1.ZombieRemediation){
		"one of another node":        list(anotherNode),
		"one that was cancelled":     list(cancelled),
		"one that was completed":     list(completed),
		"one that is being deleted":  list(deleting),
		"a claimed one that expired": list(claimedBy("z"), completed),
	}
	for name, changes := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, changes...)
			before := f.stored()
			f.settleDown()
			if len(f.calls) > 0 || f.kind.prepared+f.kind.acted+f.kind.settled > 0 {
				t.Errorf("calls = %v, kind = %+v, want none", f.calls, *f.kind)
			}
			if diff := cmp.Diff(before, f.stored()); diff != "" {
				t.Errorf("it was changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestReconcileLeavesOneThatIsGone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.remove()
	f.calls = nil
	f.settleDown()
	if len(f.calls) > 0 {
		t.Errorf("calls = %v, want none", f.calls)
	}
}

// meanwhile is what others do to a remediation while the agent works on it.
var meanwhile = map[string]func(*fixture){
	"is deleted":                  (*fixture).removed,
	"is cancelled":                func(f *fixture) { f.change(cancelled) },
	"is completed":                func(f *fixture) { f.change(completed) },
	"is claimed by another agent": func(f *fixture) { f.change(claimedBy("z"), executing) },
	"is made anew by hand, with the status of the old one": func(f *fixture) {
		old := f.stored()
		f.remove()
		anew := remediation(func(r *v1alpha1.ZombieRemediation) { r.UID = "uid-2"; r.Spec.NodeName = "node-2" })
		anew.Status = old.Status
		if err := f.Create(f.t.Context(), anew); err != nil {
			f.t.Fatal(err)
		}
		anew.Status = old.Status
		if err := f.Client.Status().Update(f.t.Context(), anew); err != nil {
			f.t.Fatal(err)
		}
	},
}

func (f *fixture) removed() { f.remove() }

// Between any two steps of the protocol somebody else may end a remediation.
func TestReconcileDoesNotActOnWhatChangedMeanwhile(t *testing.T) {
	t.Parallel()
	for when, hook := range map[string]func(*fixture, func() error){
		"before the claim":           func(f *fixture, do func() error) { f.before["claim"] = do },
		"between claim and intent":   func(f *fixture, do func() error) { f.kind.prepare = do },
		"after the intent is stored": func(f *fixture, do func() error) { f.after["intent"] = do },
	} {
		for what, do := range meanwhile {
			t.Run(when+" it "+what, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				hook(f, func() error { do(f); return nil })
				for range 3 {
					_ = f.reconcile(t.Context())
				}
				f.wantActs(0)
				if f.kind.closed > f.kind.prepared {
					t.Errorf("kind = %+v, want closed what was prepared", *f.kind)
				}
			})
		}
	}
}

// A cache that lags shows a remediation that is over as it was before: what it shows is not acted on, whether this agent
// or an earlier one did it.
func TestReconcileDoesNotTrustAStaleCache(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(*fixture){
		"the same agent": func(*fixture) {},
		"a new agent":    (*fixture).restartAgent,
	} {
		for when, capture := range map[string]func(*fixture, func() error){
			"before the claim":  func(_ *fixture, take func() error) { _ = take() },
			"after the claim":   func(f *fixture, take func() error) { f.after["claim"] = take },
			"after the intent":  func(f *fixture, take func() error) { f.after["intent"] = take },
			"after it was done": func(f *fixture, take func() error) { f.kind.do = take },
		} {
			t.Run(name+" sees it as "+when, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				var seen *v1alpha1.ZombieRemediation
				capture(f, func() error { seen = f.stored(); return nil })
				f.settleDown()
				again(f)
				f.cache.shows = seen
				f.settleDown()
				f.settleDown()
				f.wantActs(1)
				f.wantOutcome(v1alpha1.OutcomeCured)
				if f.kind.settled > 0 {
					t.Error("it was settled although it is completed")
				}
			})
		}
	}
}

func TestReconcileOfAStaleCacheAfterDeletionDoesNotAct(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.cache.shows = f.stored()
	f.remove()
	f.settleDown()
	if f.kind.prepared > 0 {
		t.Error("it was prepared although it is deleted")
	}
}

func TestReconcileRecordsWhatWasNotDone(t *testing.T) {
	t.Parallel()
	for name, hook := range map[string]func(*fixture, func() error){
		"at the last look before the intent": func(f *fixture, do func() error) { f.kind.prepare = do },
		"at the last look before the act":    func(f *fixture, do func() error) { f.kind.do = do },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			hook(f, func() error {
				return &act.NotDoneError{Outcome: v1alpha1.OutcomeStale, Message: "The container ended."}
			})
			f.settleDown()
			got := f.stored().Status
			if got.Outcome != v1alpha1.OutcomeStale || got.Message != "The container ended." || got.ZombiesAfter != nil || got.CompletionTime == nil {
				t.Errorf("status = %+v", got)
			}
			if f.kind.prepared != 1 || f.kind.settled != 0 {
				t.Errorf("kind = %+v, want it prepared once", *f.kind)
			}
		})
	}
}

func TestReconcileTriesALookThatFailedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.kind.prepare = fails
	if err := f.reconcile(t.Context()); err == nil {
		t.Error("error = nil, want one")
	}
	if is(f.stored(), v1alpha1.ConditionExecuting) {
		t.Error("the intent is stored after a look that failed")
	}
	f.settleDown()
	f.wantActs(1)
	f.wantOutcome(v1alpha1.OutcomeCured)
	if got := countOf(f.calls, "claim"); got != 1 {
		t.Errorf("claimed %d times, want once", got)
	}
}

// An error of the act that is neither "not done" nor the end of the agent tells not enough: what came of it is observed.
func TestReconcileSettlesAnActThatFailedWithoutAResult(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.kind.do, f.kind.settle = fails, fails
	f.settleDown()
	f.wantActs(1)
	f.wantOutcome(v1alpha1.OutcomeInterrupted)
	if f.kind.settled != 2 {
		t.Errorf("settled %d times, want twice: the first failed", f.kind.settled)
	}
}

func TestReconcileAfterARestartOfTheAgent(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		changes []func(*v1alpha1.ZombieRemediation)
		acts    int
		settled int
		outcome v1alpha1.Outcome
		message string
	}{
		"acts on what was only claimed":             {list(claimedBy("z")), 1, 0, v1alpha1.OutcomeCured, "All 5 zombies were reaped."},
		"settles what was begun, and does not act":  {list(claimedBy("z"), executing), 0, 1, v1alpha1.OutcomeInterrupted, "It cannot be known."},
		"neither acts nor looks after a new boot":   {list(claimedBy("z"), executing, anotherBoot), 0, 0, v1alpha1.OutcomeInterrupted, rebooted().message},
		"ends what it does not support":             {list(unknownAction), 0, 0, v1alpha1.OutcomeFailed, unsupported("Reap").message},
		"ends what was begun and it cannot look at": {list(claimedBy("z"), executing, unknownAction), 0, 0, v1alpha1.OutcomeInterrupted, begunByOther("Reap").message},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, tc.changes...)
			f.settleDown()
			f.wantActs(tc.acts)
			f.wantOutcome(tc.outcome)
			if got := f.stored().Status.Message; got != tc.message || f.kind.settled != tc.settled {
				t.Errorf("message = %q, settled %d times, want %q and %d", got, f.kind.settled, tc.message, tc.settled)
			}
		})
	}
}

// A new agent comes after each step of the old one. What was done is done once, or it cannot be known.
func TestReconcileAfterACrashAtEachStep(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		crash   func(*fixture, func() error)
		acts    int
		outcome v1alpha1.Outcome
	}{
		"before the claim is stored":  {func(f *fixture, die func() error) { f.before["claim"] = die }, 1, v1alpha1.OutcomeCured},
		"after the claim is stored":   {func(f *fixture, die func() error) { f.after["claim"] = die }, 1, v1alpha1.OutcomeCured},
		"during the last look":        {func(f *fixture, die func() error) { f.kind.prepare = die }, 1, v1alpha1.OutcomeCured},
		"before the intent is stored": {func(f *fixture, die func() error) { f.before["intent"] = die }, 1, v1alpha1.OutcomeCured},
		"before the intent is read": {func(f *fixture, die func() error) {
			f.after["intent"] = func() error { f.before["read"] = die; return nil }
		}, 0, v1alpha1.OutcomeInterrupted},
		"during the act":               {func(f *fixture, die func() error) { f.kind.do = die }, 1, v1alpha1.OutcomeInterrupted},
		"before the outcome is stored": {func(f *fixture, die func() error) { f.before["outcome"] = die }, 1, v1alpha1.OutcomeInterrupted},
		"after the outcome is stored":  {func(f *fixture, die func() error) { f.after["outcome"] = die }, 1, v1alpha1.OutcomeCured},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			tc.crash(f, fails)
			if err := f.reconcile(t.Context()); err == nil {
				t.Fatal("error = nil, want the crash")
			}
			f.restartAgent()
			f.settleDown()
			f.wantActs(tc.acts)
			f.wantOutcome(tc.outcome)
		})
	}
}

// Two agents on one node for a moment: whoever stores the intent acts.
func TestReconcileByTwoAgentsActsOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old := f.agent
	f.kind.prepare = func() error {
		f.restartAgent()
		return f.reconcile(t.Context())
	}
	if _, err := old.Reconcile(t.Context(), request()); !apierrors.IsConflict(err) {
		t.Errorf("the old agent: error = %v, want a conflict", err)
	}
	f.agent = old
	f.settleDown()
	f.wantActs(1)
	f.wantOutcome(v1alpha1.OutcomeCured)
}

func TestReconcileAcceptsNoNewActOnceToldToEnd(t *testing.T) {
	t.Parallel()
	for when, tc := range map[string]struct {
		hook  func(*fixture, func() error)
		calls []string
	}{
		"before the claim":     {func(_ *fixture, end func() error) { _ = end() }, []string{"read"}},
		"during the last look": {func(f *fixture, end func() error) { f.kind.prepare = end }, []string{"read", "claim", "intent", "read"}},
		"after the intent":     {func(f *fixture, end func() error) { f.after["intent"] = end }, []string{"read", "claim", "intent", "read"}},
	} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			tc.hook(f, func() error { cancel(); return nil })
			_ = f.reconcile(ctx)
			f.wantActs(0)
			if diff := cmp.Diff(tc.calls, f.calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReconcileStoresAnOutcomeThoughToldToEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.kind.do = func() error { cancel(); return nil }
	if err := f.reconcile(ctx); err != nil {
		t.Error(err)
	}
	f.wantOutcome(v1alpha1.OutcomeCured)
}

func TestReconcileLeavesAnActThatEndedWithTheAgent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.kind.do = func() error { cancel(); return ctx.Err() }
	if err := f.reconcile(ctx); err != nil {
		t.Errorf("error = %v, want none: the next agent settles it", err)
	}
	f.wantOutcome("")
	f.restartAgent()
	f.settleDown()
	f.wantActs(1)
	f.wantOutcome(v1alpha1.OutcomeInterrupted)
}

// The API server is away after an act, for as many tries as it takes.
func TestReconcileRecordsTheSameOutcomeHoweverLateItCan(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for range 20 {
		f.before["outcome"] = fails
		if err := f.reconcile(t.Context()); err == nil {
			t.Fatal("error = nil, want one")
		}
	}
	f.settleDown()
	f.wantActs(1)
	f.wantOutcome(v1alpha1.OutcomeCured)
	if f.kind.settled+f.kind.prepared != 1 {
		t.Errorf("kind = %+v, want it looked at once", *f.kind)
	}
}

func TestReconcileForgetsWhatIsOver(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*fixture){
		"a completed one": func(*fixture) {},
		"a deleted one":   (*fixture).removed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			_ = f.reconcile(t.Context())
			end(f)
			f.settleDown()
			if len(f.agent.attempts.byKey) > 0 {
				t.Errorf("attempts = %v, want none", f.agent.attempts.byKey)
			}
		})
	}
}

func TestReconcileEndsQuietlyWhenARemediationIsDeletedDuringItsAct(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.kind.do = func() error { f.remove(); return nil }
	f.settleDown()
	f.wantActs(1)
	if slices.Contains(f.calls, "intent") && len(f.agent.attempts.byKey) > 0 {
		t.Errorf("attempts = %v, want none", f.agent.attempts.byKey)
	}
}
