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

const newID = "cccccccccccccccccccccccc"

func TestTheStoryOfALeak(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.judged()
	first := w.one()
	if diff := cmp.Diff([]string{"LeakFound", "ActPlanned", "AlertRaised"}, reasonsOf(w.onPod())); diff != "" {
		t.Errorf("Events at first (-want +got):\n%s", diff)
	}
	if first.Spec.SignalParent == nil || first.Spec.SignalParent.Signal != v1alpha1.SignalChild || first.Spec.NodeName != "n1" || first.Name != v1alpha1.RemediationName(first.Spec) {
		t.Errorf("remediation %s %+v", first.Name, first.Spec)
	}
	if u := w.book().Unit(webUID); u == nil || u.Disruptive || u.Remediations[0] != first.Name {
		t.Errorf("unit %+v", u)
	}
	if next := w.next(); next.Reason != ReasonActing || next.Doing != "SIGCHLD" {
		t.Errorf("next %+v", next)
	}
	w.reconcile()
	if last := w.report().Status.Judgement.LastAct; last == nil || last.Remediation != first.Name || last.Outcome != "" {
		t.Errorf("last act %+v, want the one under way", last)
	}
	w.quietly("a third look", func() {
		if again := w.reconcile(); again != recheck {
			t.Errorf("asked for again after %s, want %s", again, recheck)
		}
	})

	w.pass(40 * time.Second)
	w.ends(v1alpha1.OutcomeNoEffect)
	w.reconcile()
	told := w.onPod()
	if diff := cmp.Diff([]string{
		"Warning ActDone NoEffect: 20 zombies before, 20 after. (" + first.Name + ")",
		"Normal ActPlanned Alert people. Restart container app, with 25 s of grace, to end its 20 zombies.",
	}, told); diff != "" {
		t.Errorf("Events after the signal (-want +got):\n%s", diff)
	}
	second := w.one()
	if second.Spec.Attempt != 2 || second.Spec.RestartContainer == nil {
		t.Errorf("second act %+v", second.Spec)
	}
	if u := w.book().Unit(webUID); u == nil || !u.Disruptive || !u.Restart {
		t.Errorf("unit %+v", u)
	}

	w.ends(v1alpha1.OutcomeCleared)
	w.quietly("before the new container is ready", func() {
		if again := w.mustReconcile(sweep(webUID)); again != recoverCheck {
			t.Errorf("asked for again after %s, want %s", again, recoverCheck)
		}
		if w.book().Disruptive() == nil {
			t.Error("the next disruptive act may begin")
		}
	})
	w.restarted(true)
	w.reconcile()
	if diff := cmp.Diff([]string{"ActDone"}, reasonsOf(w.onPod())); diff != "" {
		t.Errorf("Events after the restart (-want +got):\n%s", diff)
	}
	if next := w.next(); next.Reason != ReasonNotVerified {
		t.Errorf("next %+v, want to wait for the agent", next)
	}

	w.reports(func(o *v1alpha1.Observed) { o.Zombies, o.Containers = 0, nil })
	if again := w.reconcile(); again != cureTime {
		t.Errorf("asked for again after %s, want %s", again, cureTime)
	}
	if diff := cmp.Diff([]string{"AlertOver"}, reasonsOf(w.onPod())); diff != "" {
		t.Errorf("Events at the end (-want +got):\n%s", diff)
	}
	w.pass(cureTime)
	w.reconcile()
	if last := w.report().Status.Judgement.LastAct; last.Outcome != v1alpha1.OutcomeCured || last.Remediation != second.Name {
		t.Errorf("last act %+v", last)
	}
	w.quietly("in the end", func() { w.reconcile() })
}

// restarted has the kubelet run a new container.
func (w *world) restarted(ready bool) {
	w.t.Helper()
	w.pod(func(p *corev1.Pod) {
		p.Status.ContainerStatuses[0] = runningStatus("app", newID)
		p.Status.ContainerStatuses[0].Ready = ready
	})
}

func TestThePolicyIsToldToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ladder(restart))
	w.judged()
	if diff := cmp.Diff([]string{
		"v1.Pod shop/web-0: Warning LeakFound " + appTriggers + " Most are held by worker: Process 7 (worker) does not wait for its children.",
		"v1alpha1.ZombiePolicy shop/web: Warning LeakFound Pod shop/web-0: " + appTriggers + " Most are held by worker: Process 7 (worker) does not wait for its children.",
		"v1.Pod shop/web-0: Normal ActPlanned Restart container app, with 25 s of grace, to end its 20 zombies.",
		"v1alpha1.ZombiePolicy shop/web: Normal ActPlanned Pod shop/web-0: Restart container app, with 25 s of grace, to end its 20 zombies.",
	}, w.told); diff != "" {
		t.Errorf("Events (-want +got):\n%s", diff)
	}
	w.told = nil
	w.must(w.api.Delete(t.Context(), &v1alpha1.ZombiePolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}))
	r := w.ends(v1alpha1.OutcomeFailed)
	w.mustReconcile(sweep(webUID))
	if diff := cmp.Diff([]string{"v1.Pod shop/web-0: Warning ActDone (alone) Failed: 20 zombies before, 20 after. (" + r.Name + ")"}, w.told); diff != "" {
		t.Errorf("Events without the policy (-want +got):\n%s", diff)
	}
}

func TestAClusterPolicyIsToldToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(w.api.Delete(t.Context(), &v1alpha1.ZombiePolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}))
	czp := &v1alpha1.ClusterZombiePolicy{ObjectMeta: metav1.ObjectMeta{Name: "all", Generation: 1}}
	czp.Spec.NamespaceSelector.Match, czp.Spec.ZombiePolicySpec = v1alpha1.MatchEverything, webSpec()
	w.must(w.api.Create(t.Context(), czp))
	w.judged()
	if spec := w.one().Spec; spec.Policy.Name != "all" || spec.Policy.Kind != "ClusterZombiePolicy" {
		t.Errorf("policy %+v", spec.Policy)
	}
	w.told = nil
	r := w.ends(v1alpha1.OutcomeCured)
	w.mustReconcile(sweep(webUID))
	want := "v1alpha1.ClusterZombiePolicy /all: Normal ActDone Pod shop/web-0: Cured: 20 zombies before, 20 after. (" + r.Name + ")"
	if len(w.told) != 2 || w.told[1] != want {
		t.Errorf("told %q, want %q at last", w.told, want)
	}
}

func TestARestartIsOverWhenTheNewContainerIsReady(t *testing.T) {
	t.Parallel()
	later := func(d time.Duration) func(*world) { return func(w *world) { w.pass(d) } }
	tests := map[string]struct {
		happens func(*world)
		ends    v1alpha1.Outcome
		over    bool
	}{
		"not while the old container is still in the Pod's status":         {func(*world) {}, v1alpha1.OutcomeCleared, false},
		"not while the new one is not ready":                               {func(w *world) { w.restarted(false) }, v1alpha1.OutcomeCleared, false},
		"once the new one is ready":                                        {func(w *world) { w.restarted(true) }, v1alpha1.OutcomeCleared, true},
		"not before 5 min otherwise":                                       {later(recoverTime - time.Second), v1alpha1.OutcomeCleared, false},
		"after 5 min otherwise":                                            {later(recoverTime), v1alpha1.OutcomeCleared, true},
		"once the pod is gone":                                             {func(w *world) { w.must(w.api.Delete(w.t.Context(), leakingPod())) }, v1alpha1.OutcomeCleared, true},
		"once the pod was replaced under its name":                         {func(w *world) { w.pod(func(p *corev1.Pod) { p.UID = "new" }) }, v1alpha1.OutcomeCleared, true},
		"at once when it failed":                                           {func(*world) {}, v1alpha1.OutcomeFailed, true},
		"at once when nothing was done":                                    {func(*world) {}, v1alpha1.OutcomeStale, true},
		"whatever the clock of an agent that is an hour ahead makes of it": {later(-time.Hour), v1alpha1.OutcomeCleared, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, ladder(restart))
			w.judged()
			w.ends(tc.ends)
			tc.happens(w)
			again := w.mustReconcile(sweep(webUID))
			if over := w.book().Disruptive() == nil; over != tc.over {
				t.Errorf("over: %t, want %t", over, tc.over)
			}
			if (again == 0) != tc.over {
				t.Errorf("asked for again after %s", again)
			}
		})
	}
}

// Two pods leak: what disrupts is done one after the other, what does not is done side by side.
func TestOneDisruptiveActAtATime(t *testing.T) {
	t.Parallel()
	t.Run("restarts wait for each other", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, ladder(restart))
		other := w.another("web-1")
		w.judged()
		if again := w.mustReconcile(other); again != recheck {
			t.Errorf("asked for again after %s, want %s", again, recheck)
		}
		if mine := w.one(); mine.Spec.PodName != "web-0" {
			t.Errorf("acts on %s", mine.Spec.PodName)
		}
		w.quietly("while it waits", func() { w.mustReconcile(other) })
		w.ends(v1alpha1.OutcomeFailed)
		w.mustReconcile(other)
		if theirs := w.one(); theirs.Spec.PodName != "web-1" || len(w.book().Units) != 1 {
			t.Errorf("acts on %s, with units %+v", theirs.Spec.PodName, w.book().Units)
		}
	})
	t.Run("signals that disturb nobody do not", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		other := w.another("web-1")
		w.judged()
		w.mustReconcile(other)
		if len(w.remediations()) != 2 || len(w.book().Units) != 2 {
			t.Errorf("%d remediations, units %+v", len(w.remediations()), w.book().Units)
		}
	})
}

// An act on another pod that disturbs nobody is that pod's to settle: looking at all of them would cost a read for each.
func TestAReportSettlesWhatConcernsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.another("web-1")
	w.judged()
	w.mustReconcile(other)
	for _, r := range w.remediations() {
		r.Status.Outcome, r.Status.CompletionTime = v1alpha1.OutcomeCured, new(metav1.NewTime(w.clock.Now()))
		w.condition(&r, v1alpha1.ConditionCompleted)
	}
	w.reconcile()
	if b := w.book(); b.Unit(webUID) != nil || len(b.Units) != 1 {
		t.Errorf("units %+v, want the other pod's", b.Units)
	}
	w.mustReconcile(sweep(w.book().Units[0].PodUID))
	if b := w.book(); len(b.Units) != 0 {
		t.Errorf("units %+v after the sweep", b.Units)
	}
}

func TestSteadyStatesWriteAndTellNothing(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change  change
		happens func(*world)
		reason  string
	}{
		"a leak in DryRun":               {ruled1dry, func(*world) {}, ReasonDryRun},
		"an act under way":               {changes(), func(*world) {}, ReasonActing},
		"a pod that opts out":            {pod(func(p *corev1.Pod) { p.Annotations = map[string]string{v1alpha1.AnnotationOptOut: "x"} }), func(*world) {}, ReasonOptedOut},
		"a policy that is paused":        {ruledMode(v1alpha1.ModePaused), func(*world) {}, ReasonPaused},
		"a ladder that is exhausted":     {ladder(signal(v1alpha1.SignalChild)), func(w *world) { w.ends(v1alpha1.OutcomeNoEffect) }, ReasonLadderExhausted},
		"a cure that is to be reported":  {changes(), func(w *world) { w.ends(v1alpha1.OutcomeCured) }, ReasonSettling},
		"a cooldown":                     {ladder(signal(v1alpha1.SignalTerminate), restart), func(w *world) { w.ends(v1alpha1.OutcomeNoEffect) }, ReasonCooldown},
		"a trigger that does not hold":   {trigger(func(tr *v1alpha1.Trigger) { tr.MinAgeSeconds = 3600 }), func(*world) {}, ReasonNotTriggered},
		"a pod whose policy is gone":     {changes(), func(w *world) { w.forget() }, ""},
		"a container that was restarted": {ladder(restart), func(w *world) { w.ends(v1alpha1.OutcomeCleared); w.restarted(true) }, ReasonNotVerified},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tc.change)
			w.reconcile()
			w.pass(time.Minute)
			w.reconcile()
			tc.happens(w)
			w.reconcile()
			w.mustReconcile(sweep(webUID)) // what was called off has ended
			w.reconcile()
			if got := w.next().Reason; got != tc.reason {
				t.Fatalf("reason %s, want %s", got, tc.reason)
			}
			w.quietly("ten times", func() {
				for range 10 {
					w.pass(1234 * time.Millisecond)
					w.reconcile()
					w.mustReconcile(sweep(webUID))
				}
			})
		})
	}
}

var ruled1dry = ruledMode(v1alpha1.ModeDryRun)

// ruledMode is the policy's own mode.
func ruledMode(m v1alpha1.PolicyMode) change {
	return func(f *facts) {
		r := f.rulings["app"]
		r.Spec.Mode = m
		f.rulings["app"] = r
	}
}

// forget deletes the policy.
func (w *world) forget() {
	w.t.Helper()
	w.must(w.api.Delete(w.t.Context(), &v1alpha1.ZombiePolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}))
}

func TestNothingIsReadLiveWithoutALeak(t *testing.T) {
	t.Parallel()
	w := newWorld(t, trigger(func(tr *v1alpha1.Trigger) { tr.Zombies = 1000 }))
	w.refuseRead = func(obj client.Object) error { t.Errorf("reads %T", obj); return nil }
	w.reconcile()
	if next := w.next(); next.Reason != ReasonNotTriggered {
		t.Errorf("next %+v", next)
	}
}

func TestNothingIsDoneOnWhatCouldNotBeRead(t *testing.T) {
	t.Parallel()
	refusal := apierrors.NewInternalError(errors.New("etcd is frozen"))
	for name, is := range map[string]func(client.Object) bool{
		"the pod":       func(o client.Object) bool { _, ok := o.(*corev1.Pod); return ok },
		"the namespace": func(o client.Object) bool { _, ok := o.(*corev1.Namespace); return ok },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.reconcile()
			w.pass(time.Minute)
			w.refuseRead = func(o client.Object) error {
				if is(o) {
					return refusal
				}
				return nil
			}
			w.quietly("without "+name, func() {
				if _, err := w.r.Reconcile(t.Context(), webRequest); !errors.Is(err, refusal) {
					t.Errorf("Reconcile() = %v, want the refusal", err)
				}
			})
			if len(w.remediations()) != 0 {
				t.Error("acts")
			}
		})
	}
	t.Run("the ledger", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.must(w.api.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ourSpace, Name: ledger.Name}, Data: map[string]string{"ledger.json": "?"}}))
		if _, err := w.r.Reconcile(t.Context(), webRequest); err == nil {
			t.Error("Reconcile() = nil, want an error")
		}
	})
	t.Run("a remediation under way", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.judged()
		w.refuseRead = func(o client.Object) error {
			if _, ok := o.(*v1alpha1.ZombieRemediation); ok {
				return refusal
			}
			return nil
		}
		w.pass(time.Hour)
		if _, err := w.r.Reconcile(t.Context(), webRequest); !errors.Is(err, refusal) {
			t.Errorf("Reconcile() = %v, want the refusal", err)
		}
		if w.book().Unit(webUID) == nil {
			t.Error("the unit was taken out of the ledger")
		}
	})
}

func TestReportsThatAreGoneAreIgnored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.quietly("a report that is gone", func() { w.mustReconcile(request("shop", "gone")) })
	held := w.report()
	held.Finalizers = []string{"example.com/hold"}
	w.must(w.api.Update(t.Context(), held))
	w.must(w.api.Delete(t.Context(), held))
	w.quietly("a report that is being deleted", func() { w.reconcile() })
}

func TestANewerReportIsJudgedAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ruled1dry)
	w.before = func(string, client.Object) {
		w.before = nil
		w.reports(func(o *v1alpha1.Observed) { o.Zombies++ })
	}
	if again := w.reconcile(); again != conflictDelay {
		t.Errorf("asked for again after %s, want %s", again, conflictDelay)
	}
	if w.report().Status.Judgement != nil || len(w.told) > 0 {
		t.Errorf("judged or told %q of a report that was not seen", w.told)
	}
}

func TestEventsAreToldOnlyOfWhatWasWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ruled1dry)
	w.reconcile()
	w.pass(time.Minute)
	forbidden := apierrors.NewForbidden(apischema.GroupResource{Resource: "zombiereports"}, "web", errors.New("RBAC"))
	w.refuse = func(string, client.Object) error { return forbidden }
	if _, err := w.r.Reconcile(t.Context(), webRequest); !errors.Is(err, forbidden) {
		t.Errorf("Reconcile() = %v, want %v", err, forbidden)
	}
	if len(w.told) > 0 {
		t.Errorf("told %q", w.told)
	}
	w.refuse = nil
	w.reconcile()
	if diff := cmp.Diff([]string{"LeakFound", "ActNotDone"}, reasonsOf(w.onPod())); diff != "" {
		t.Errorf("Events once it could be written (-want +got):\n%s", diff)
	}
}

func TestOnlyTheJudgementIsWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ruled1dry)
	before := w.report()
	w.reconcile()
	after := w.report()
	if diff := cmp.Diff(before.Status.Observed, after.Status.Observed); diff != "" {
		t.Errorf("the observation changed:\n%s", diff)
	}
	if len(after.Status.Conditions) != 4 {
		t.Errorf("conditions %+v", after.Status.Conditions)
	}
	if diff := cmp.Diff([]string{"apply status ZombieReport"}, w.writes); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}
