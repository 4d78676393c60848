package remedy

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

var errCrash = errors.New("the controller is gone")

// crashAt has the API server answer nothing from the nth write of a kind on, as if the controller had ended before it.
func crashAt(kind string, nth int) func(string, client.Object) error {
	count, crashed := 0, false
	return func(verb string, obj client.Object) error {
		if verb+" "+kindOf(obj) == kind {
			count++
		}
		crashed = crashed || count >= nth
		if crashed {
			return errCrash
		}
		return nil
	}
}

func kindOf(obj client.Object) string {
	switch obj.(type) {
	case *corev1.ConfigMap:
		return "ledger"
	case *v1alpha1.ZombieRemediation:
		return "remediation"
	default:
		return "report"
	}
}

// Wherever the controller ends, the next one goes on from there: nothing is done twice, nothing holds up the others for ever.
func TestACrashAnywhere(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		kind string
		// made is how many remediations the crash leaves, reserved whether the ledger has a unit.
		made     int
		reserved bool
	}{
		"before the ledger knows of it, nothing was done":             {"create ledger", 0, false},
		"before its remediation is made, it is settled after a while": {"create remediation", 0, true},
		"before the report tells of it, it goes on":                   {"apply status report", 1, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, ladder(restart))
			w.reconcile()
			w.pass(time.Minute)
			w.refuse = crashAt(tc.kind, 1)
			if _, err := w.r.Reconcile(t.Context(), webRequest); !errors.Is(err, errCrash) {
				t.Fatalf("Reconcile() = %v, want the crash", err)
			}
			w.refuse = nil
			if n := len(w.remediations()); n != tc.made {
				t.Fatalf("%d remediations, want %d", n, tc.made)
			}
			if reserved := w.book().Unit(webUID) != nil; reserved != tc.reserved {
				t.Fatalf("reserved: %t, want %t", reserved, tc.reserved)
			}
			w.told = nil
			w.reconcile()
			switch {
			case !tc.reserved:
				if r := w.one(); r.Spec.Attempt != 1 {
					t.Errorf("attempt %d, want 1", r.Spec.Attempt)
				}
			case tc.made == 1:
				if r := w.one(); r.Spec.Attempt != 1 {
					t.Errorf("attempt %d, want 1", r.Spec.Attempt)
				}
				if diff := cmp.Diff([]string{"LeakFound", "ActPlanned", "AlertRaised"}[:2], reasonsOf(w.onPod())); diff != "" {
					t.Errorf("Events (-want +got):\n%s", diff)
				}
				if next := w.next(); next.Reason != ReasonActing || next.Doing != "Restart" {
					t.Errorf("next %+v", next)
				}
			default:
				w.goesOnAfterTheLease()
			}
		})
	}
}

// lease is for how long the first unit may still be under way unseen.
func (w *world) lease() time.Duration {
	w.t.Helper()
	return w.book().Units[0].EndsBy.Sub(w.clock.Now())
}

func (w *world) goesOnAfterTheLease() {
	w.t.Helper()
	w.pass(w.lease() - time.Second)
	if again := w.reconcile(); again != time.Second {
		w.t.Errorf("asked for again after %s, want %s", again, time.Second)
	}
	if w.book().Unit(webUID) == nil || len(w.remediations()) != 0 {
		w.t.Errorf("before its time: units %+v, %d remediations", w.book().Units, len(w.remediations()))
	}
	w.pass(time.Second)
	w.reconcile()
	if w.book().Unit(webUID) != nil || len(w.remediations()) != 0 {
		w.t.Errorf("at its time: units %+v, %d remediations", w.book().Units, len(w.remediations()))
	}
	// It may have been made and deleted, so it counts as a disruption and as a try.
	if next := w.next(); next.Reason != ReasonSettling {
		w.t.Errorf("next %+v", next)
	}
	if p := w.book().Position(web); p.Tries != 1 || !p.DisruptedAt.Equal(w.clock.Now()) {
		w.t.Errorf("position %+v", p)
	}
	w.pass(settleTime)
	w.reconcile()
	if r := w.one(); r.Spec.Attempt != 2 {
		w.t.Errorf("attempt %d, want 2, which has another name", r.Spec.Attempt)
	}
}

// What the API server refuses was not made: it holds up nobody, and is no try.
func TestARefusedRemediationIsGivenUpAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ladder(restart))
	w.reconcile()
	w.pass(time.Minute)
	forbidden := apierrors.NewForbidden(apischema.GroupResource{Resource: "zombieremediations"}, "web", errors.New("no right"))
	w.refuse = func(verb string, obj client.Object) error {
		if verb+" "+kindOf(obj) == "create remediation" {
			return forbidden
		}
		return nil
	}
	if _, err := w.r.Reconcile(t.Context(), webRequest); !apierrors.IsForbidden(err) {
		t.Fatalf("Reconcile() = %v, want the refusal", err)
	}
	if b := w.book(); len(b.Units) != 0 || b.Position(web).Tries != 0 || !b.Position(web).DisruptedAt.IsZero() {
		t.Errorf("book %+v", b)
	}
	w.refuse = nil
	w.reconcile()
	if next := w.next(); next.Reason != ReasonSettling || len(w.remediations()) != 0 {
		t.Errorf("next %+v with %d remediations, want a while of rest", next, len(w.remediations()))
	}
	w.pass(settleTime)
	w.reconcile()
	if r := w.one(); r.Spec.Attempt != 2 {
		t.Errorf("attempt %d, want 2", r.Spec.Attempt)
	}
}

func TestACrashBetweenTwoSignals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ladder(signal(v1alpha1.SignalTerminate)), parents(parent(7, 10), parent(8, 10)))
	w.reconcile()
	w.pass(time.Minute)
	w.refuse = crashAt("create remediation", 2)
	if _, err := w.r.Reconcile(t.Context(), webRequest); !errors.Is(err, errCrash) {
		t.Fatalf("Reconcile() = %v, want the crash", err)
	}
	w.refuse = nil
	w.pass(time.Second)
	w.reconcile()
	w.ends(v1alpha1.OutcomeNoEffect)
	w.reconcile()
	if len(w.book().Units) != 1 {
		t.Error("settled before it is sure that the other one was never made")
	}
	w.pass(w.lease())
	w.reconcile()
	if b := w.book(); len(b.Units) != 0 || b.Position(web).Tries != 1 || b.Position(web).Rung != 0 {
		t.Errorf("book %+v", b)
	}
	if n := len(w.remediations()); n != 1 {
		t.Errorf("%d remediations, want the one", n)
	}
}

// A controller that was elected meanwhile, or was thought dead, changed the ledger first.
func TestNothingIsDoneOnALedgerThatChanged(t *testing.T) {
	t.Parallel()
	for name, existed := range map[string]bool{"when both make the first ledger": false, "when both change one": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, ladder(restart))
			w.reconcile()
			w.pass(time.Minute)
			other := ledger.NewStore(w.api, ourSpace)
			if existed {
				_, err := other.Save(t.Context(), ledger.Edition{}, ledger.Book{}, now)
				w.must(err)
			}
			w.before = func(_ string, obj client.Object) {
				if kindOf(obj) != "ledger" {
					return
				}
				w.before = nil
				e, err := other.Load(t.Context())
				w.must(err)
				_, err = other.Save(t.Context(), e, ledger.Book{Units: []ledger.Unit{otherUnit(true)}}, now)
				w.must(err)
			}
			w.told = nil
			if again := w.reconcile(); again != conflictDelay {
				t.Errorf("asked for again after %s, want %s", again, conflictDelay)
			}
			if len(w.remediations()) != 0 || len(w.told) > 0 {
				t.Errorf("%d remediations, told %q", len(w.remediations()), w.told)
			}
			if b := w.book(); len(b.Units) != 1 || b.Units[0].PodUID != "other" {
				t.Errorf("units %+v", b.Units)
			}
		})
	}
}

func TestARemediationThatExistsIsTheActThatWasReserved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ladder(restart))
	w.reconcile()
	w.pass(time.Minute)
	exists := apierrors.NewAlreadyExists(apischema.GroupResource{Resource: "zombieremediations"}, "web")
	w.before = func(verb string, obj client.Object) {
		if r, ok := obj.(*v1alpha1.ZombieRemediation); ok && verb == "create" {
			w.must(w.api.Create(t.Context(), r.DeepCopy())) // the answer was lost on the way
		}
	}
	w.refuse = func(verb string, obj client.Object) error {
		if kindOf(obj) == "remediation" && verb == "create" {
			return exists
		}
		return nil
	}
	if again := w.reconcile(); again != conflictDelay {
		t.Errorf("asked for again after %s, want %s", again, conflictDelay)
	}
	w.before, w.refuse = nil, nil
	w.reconcile()
	if r := w.one(); r.Spec.Attempt != 1 || w.next().Reason != ReasonActing {
		t.Errorf("attempt %d, next %+v", r.Spec.Attempt, w.next())
	}
}

func TestALostLedgerGivesNoNameTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.judged()
	w.ends(v1alpha1.OutcomeStale)
	w.must(w.api.Delete(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ourSpace, Name: ledger.Name}}))
	w.reconcile()
	if r := w.one(); r.Spec.Attempt != 2 {
		t.Errorf("attempt %d, want 2", r.Spec.Attempt)
	}
}

func TestALostLedgerStartsNoSecondAct(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ladder(restart))
	w.judged()
	w.condition(w.one(), v1alpha1.ConditionExecuting)
	w.must(w.api.Delete(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ourSpace, Name: ledger.Name}}))
	if again := w.reconcile(); again != recheck {
		t.Errorf("asked for again after %s, want %s", again, recheck)
	}
	if r := w.one(); r.Spec.Attempt != 1 || w.next().Reason != ReasonInFlight {
		t.Errorf("attempt %d, next %+v", r.Spec.Attempt, w.next())
	}
	w.ends(v1alpha1.OutcomeNoEffect)
	w.reconcile()
	if r := w.one(); r.Spec.Attempt != 2 {
		t.Errorf("attempt %d once it has ended, want 2", r.Spec.Attempt)
	}
}

func TestWhatIsUnderWayIsCalledOffWhenItIsNotWanted(t *testing.T) {
	t.Parallel()
	paused := func(w *world) { w.policy(func(p *v1alpha1.ZombiePolicy) { p.Spec.Mode = v1alpha1.ModePaused }) }
	claimed := func(w *world) { w.condition(w.one(), v1alpha1.ConditionClaimed) }
	executing := func(w *world) { w.condition(w.one(), v1alpha1.ConditionExecuting) }
	tests := map[string]struct {
		happens []func(*world)
		want    bool
	}{
		"not while nothing changes":       {nil, false},
		"when the policy is paused":       {[]func(*world){paused}, true},
		"when the policy falls to DryRun": {[]func(*world){func(w *world) { w.policy(func(p *v1alpha1.ZombiePolicy) { p.Spec.Mode = v1alpha1.ModeDryRun }) }}, true},
		"when the policy is edited":       {[]func(*world){func(w *world) { w.policy(func(*v1alpha1.ZombiePolicy) {}) }}, true},
		"when the policy is deleted":      {[]func(*world){(*world).forget}, true},
		"when owners above pause it":      {[]func(*world){(*world).ownersPause}, true},
		"when the pod opts out":           {[]func(*world){(*world).optsOut}, true},
		"when the namespace opts out":     {[]func(*world){(*world).namespaceOptsOut}, true},
		"when the container leaks less": {[]func(*world){func(w *world) {
			w.reports(func(o *v1alpha1.Observed) { o.Containers[0].Ages = o.Containers[0].Ages[:1] })
		}}, true},
		"when the pod has no zombies more":  {[]func(*world){func(w *world) { w.reports(func(o *v1alpha1.Observed) { o.Zombies, o.Containers = 0, nil }) }}, true},
		"when an agent has only claimed it": {[]func(*world){claimed, paused}, true},
		"not when its execution began":      {[]func(*world){executing, paused}, false},
		"not when it has ended":             {[]func(*world){func(w *world) { w.ends(v1alpha1.OutcomeStale) }, paused}, false},
		"not when the observation is gone": {[]func(*world){func(w *world) {
			r := w.report()
			r.Status.Observed = nil
			w.must(w.api.Status().Update(w.t.Context(), r))
		}}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.judged()
			acted := w.one().Name
			for _, happens := range tc.happens {
				happens(w)
			}
			w.told = nil
			w.reconcile()
			w.mustReconcile(sweep(webUID))
			var r v1alpha1.ZombieRemediation
			w.read(client.ObjectKey{Namespace: "shop", Name: acted}, &r)
			cancelled := hasCondition(&r, v1alpha1.ConditionCancelled) && completed(&r) && r.Status.Outcome == v1alpha1.OutcomeCancelled &&
				r.Status.CompletionTime != nil && r.Status.Message != ""
			if cancelled != tc.want || (!tc.want && hasCondition(&r, v1alpha1.ConditionCancelled)) {
				t.Errorf("cancelled: %t, want %t: %+v", cancelled, tc.want, r.Status)
			}
			if told := reasonsOf(w.onPod()); tc.want && (len(told) == 0 || told[len(told)-1] != EventActNotDone) {
				t.Errorf("told %q", told)
			}
			if tc.want && len(w.book().Units) != 0 {
				t.Errorf("units %+v", w.book().Units)
			}
		})
	}
}

func TestOnlyTheRestOfAnActIsCalledOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, parents(parent(7, 10), parent(8, 10)))
	w.judged()
	first := w.remediations()[0]
	first.Status.Outcome, first.Status.CompletionTime = v1alpha1.OutcomeNoEffect, new(metav1.NewTime(w.clock.Now()))
	w.condition(&first, v1alpha1.ConditionCompleted)
	w.forget()
	w.reconcile()
	got := map[v1alpha1.Outcome]int{}
	for _, r := range w.remediations() {
		got[r.Status.Outcome]++
	}
	if got[v1alpha1.OutcomeNoEffect] != 1 || got[v1alpha1.OutcomeCancelled] != 1 {
		t.Errorf("outcomes %v, want that of the one that ended and one called off", got)
	}
}

func TestAnActThatEndsAfterItsLeakIsToldAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.judged()
	w.condition(w.one(), v1alpha1.ConditionExecuting)
	w.reports(func(o *v1alpha1.Observed) { o.Containers[0].Ages = o.Containers[0].Ages[:1] })
	w.reconcile()
	if next := w.next(); next.Reason != ReasonActing {
		t.Fatalf("next %+v", next)
	}
	w.ends(v1alpha1.OutcomeCured)
	w.told = nil
	w.reconcile()
	if len(w.book().Units) != 0 || w.next().Reason != ReasonNotTriggered {
		t.Errorf("units %+v, next %+v", w.book().Units, w.next())
	}
	if diff := cmp.Diff([]string{EventActDone, ReasonAlertOver}, reasonsOf(w.onPod())); diff != "" {
		t.Errorf("Events (-want +got):\n%s", diff)
	}
}

func (w *world) ownersPause() {
	w.t.Helper()
	czp := &v1alpha1.ClusterZombiePolicy{}
	czp.Name, czp.Spec.NamespaceSelector.Match, czp.Spec.ZombiePolicySpec = "stop", v1alpha1.MatchEverything, webSpec()
	czp.Spec.Mode = v1alpha1.ModePaused
	w.must(w.api.Create(w.t.Context(), czp))
}

func (w *world) optsOut() {
	w.t.Helper()
	w.pod(func(p *corev1.Pod) { p.Annotations = map[string]string{v1alpha1.AnnotationOptOut: "true"} })
}

func (w *world) namespaceOptsOut() {
	w.t.Helper()
	edit(w, client.ObjectKey{Name: "shop"}, &corev1.Namespace{}, func(n *corev1.Namespace) {
		n.Annotations = map[string]string{v1alpha1.AnnotationOptOut: "true"}
	})
}

func TestAnAgentThatBeginsMeanwhileIsNotOverruled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.judged()
	w.policy(func(p *v1alpha1.ZombiePolicy) { p.Spec.Mode = v1alpha1.ModePaused })
	w.before = func(_ string, obj client.Object) {
		if kindOf(obj) == "remediation" {
			w.before = nil
			w.condition(w.one(), v1alpha1.ConditionExecuting)
		}
	}
	if again := w.reconcile(); again != conflictDelay {
		t.Errorf("asked for again after %s, want %s", again, conflictDelay)
	}
	w.reconcile()
	if r := w.one(); !hasCondition(r, v1alpha1.ConditionExecuting) || hasCondition(r, v1alpha1.ConditionCancelled) {
		t.Errorf("conditions %+v", r.Status.Conditions)
	}
}

func TestTheSweepSettlesWhatHasNoReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ladder(restart))
	w.judged()
	r := w.one()
	w.must(w.api.Delete(t.Context(), w.report()))
	w.told = nil
	if again := w.mustReconcile(sweep(webUID)); again != recheck {
		t.Errorf("asked for again after %s, want %s", again, recheck)
	}
	w.ends(v1alpha1.OutcomeFailed)
	if again := w.mustReconcile(sweep(webUID)); again != 0 {
		t.Errorf("asked for again after %s", again)
	}
	if len(w.book().Units) != 0 {
		t.Errorf("units %+v", w.book().Units)
	}
	if diff := cmp.Diff([]string{"Warning ActDone Failed: 20 zombies before, 20 after. (" + r.Name + ")"}, w.onPod()); diff != "" {
		t.Errorf("Events (-want +got):\n%s", diff)
	}
	w.quietly("another sweep", func() { w.mustReconcile(sweep(webUID)) })
}
