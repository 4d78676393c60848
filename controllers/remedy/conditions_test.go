package remedy

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/govern"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

const appTriggers = "Container app has 12 zombies that are dead for 300 s or longer; policy web wants 10, for 60 s."

func TestConditions(t *testing.T) {
	t.Parallel()
	triggered := func(message string, since time.Duration) metav1.Condition {
		return metav1.Condition{Type: v1alpha1.ConditionTriggered, Status: metav1.ConditionTrue, Reason: ReasonZombiesReached, Message: message, LastTransitionTime: at(since), ObservedGeneration: 1}
	}
	quiet := func(since time.Duration) metav1.Condition {
		return metav1.Condition{Type: v1alpha1.ConditionTriggered, Status: metav1.ConditionFalse, Reason: ReasonTriggerDoesNotHold,
			Message: "The trigger of the governing policy holds in no container.", LastTransitionTime: at(since), ObservedGeneration: 1}
	}
	alerting := func(message string, since time.Duration) metav1.Condition {
		return metav1.Condition{Type: v1alpha1.ConditionAlerting, Status: metav1.ConditionTrue, Reason: ReasonAlertRaised, Message: message, LastTransitionTime: at(since), ObservedGeneration: 1}
	}
	silent := func(since time.Duration, why string) metav1.Condition {
		return metav1.Condition{Type: v1alpha1.ConditionAlerting, Status: metav1.ConditionFalse, Reason: ReasonAlertOver,
			Message: why, LastTransitionTime: at(since), ObservedGeneration: 1}
	}
	wasAlerting := report(func(r *v1alpha1.ZombieReport) { r.Status.Conditions[3].Status = metav1.ConditionTrue })
	notTriggered := trigger(func(tr *v1alpha1.Trigger) { tr.Zombies = 1000 })
	ungoverned := func(f *facts) { f.rulings = nil }
	tests := map[string]struct {
		change change
		want   []metav1.Condition
	}{
		"an alert begins when the ladder comes to it":     {changes(), []metav1.Condition{triggered(appTriggers, -10*time.Minute), alerting(appTriggers, 0)}},
		"an alert that goes on keeps its time":            {wasAlerting, []metav1.Condition{triggered(appTriggers, -10*time.Minute), alerting(appTriggers, -10*time.Minute)}},
		"an alert stays while a guard keeps from acting":  {func(f *facts) { f.namespaceOptsOut = true }, []metav1.Condition{triggered(appTriggers, -10*time.Minute), alerting(appTriggers, 0)}},
		"a ladder without one alerts nobody":              {ladder(restart), []metav1.Condition{triggered(appTriggers, -10*time.Minute), silent(-10*time.Minute, "The ladder has not come to an Alert.")}},
		"DryRun alerts nobody":                            {changes(wasAlerting, mode(v1alpha1.ModeDryRun)), []metav1.Condition{triggered(appTriggers, -10*time.Minute), silent(0, "Mode DryRun alerts nobody.")}},
		"Paused alerts nobody":                            {changes(wasAlerting, mode(v1alpha1.ModePaused)), []metav1.Condition{triggered(appTriggers, -10*time.Minute), silent(0, "ZombiePolicy web is Paused.")}},
		"a trigger that does not hold any more ends both": {changes(wasAlerting, notTriggered), []metav1.Condition{quiet(0), silent(0, "The trigger of the governing policy holds no more.")}},
		"the last zombie ends both":                       {changes(wasAlerting, report(func(r *v1alpha1.ZombieReport) { r.Status.Observed = &v1alpha1.Observed{} })), []metav1.Condition{quiet(0), silent(0, "No zombie of the pod counts: there is none, or none is old enough yet.")}},
		"a policy that is gone ends both and leaves them": {changes(wasAlerting, ungoverned), []metav1.Condition{quiet(0), silent(0, "No policy governs a container of the pod; it still has zombies.")}},
		"a pod that no policy ever governed gets none":    {changes(ungoverned, report(func(r *v1alpha1.ZombieReport) { r.Status.Conditions = nil })), nil},
		"a second container triggers when the first is calm": {changes(second, notTriggered, wasAlerting), []metav1.Condition{
			triggered("Container log has 12 zombies that are dead for 300 s or longer; policy web wants 10, for 60 s.", -10*time.Minute),
			alerting("Container log has 12 zombies that are dead for 300 s or longer; policy web wants 10, for 60 s.", -10*time.Minute),
		}},
		"a trigger alerts nobody before it held for its time": {
			trigger(func(tr *v1alpha1.Trigger) { tr.ForSeconds = new(int32(900)) }),
			[]metav1.Condition{triggered("Container app has 12 zombies that are dead for 300 s or longer; policy web wants 10, for 900 s.", -10*time.Minute), silent(-10*time.Minute, "The trigger has not held for its time yet.")},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, decide(leaking(tc.change), now).conditions); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheTimeOfATriggerIsTheReports(t *testing.T) {
	t.Parallel()
	hold := trigger(func(tr *v1alpha1.Trigger) { tr.ForSeconds = new(int32(60)) })
	fresh := leaking(hold, report(func(r *v1alpha1.ZombieReport) { r.Status.Judgement = nil }))
	began := now.Add(300 * time.Millisecond)
	v := decide(fresh, began)
	if v.judgement.Next.Reason != ReasonHolding || v.checkAgainAfter != time.Minute-300*time.Millisecond {
		t.Fatalf("next %+v, check again after %s", v.judgement.Next, v.checkAgainAfter)
	}
	// Another controller takes over, and knows nothing but the report.
	later := afterwards(t, fresh, v)
	almost := decide(later, now.Add(time.Minute-time.Nanosecond))
	if almost.judgement.Next.Reason != ReasonHolding || changed(later.report, almost) {
		t.Errorf("just before its time: next %+v", almost.judgement.Next)
	}
	if v := decide(later, now.Add(time.Minute)); v.act == nil {
		t.Errorf("at its time: next %+v", v.judgement.Next)
	}
	// A break starts it anew.
	calm := later
	calm.report = later.report.DeepCopy()
	calm.report.Status.Observed.Containers[0].Ages[2].Zombies = 9
	paused := decide(calm, now.Add(30*time.Second))
	if len(paused.judgement.Triggered) != 0 {
		t.Errorf("triggered %+v", paused.judgement.Triggered)
	}
	back := afterwards(t, calm, paused)
	back.report.Status.Observed.Containers[0].Ages[2].Zombies = 10
	if v := decide(back, now.Add(time.Minute)); v.judgement.Next.Reason != ReasonHolding || v.checkAgainAfter != time.Minute {
		t.Errorf("after a break: next %+v, check again after %s", v.judgement.Next, v.checkAgainAfter)
	}
}

func TestAPolicyThatChangesBeginsItsOwnTime(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change change
		again  time.Duration
	}{
		"when it was edited":                     {webGeneration(4), time.Minute},
		"when another one governs":               {ruled1(func(r *govern.Ruling) { r.Reference.Name = "all" }), time.Minute},
		"not when the judgement knows no policy": {report(func(r *v1alpha1.ZombieReport) { r.Status.Judgement.Policy = nil }), 0},
		"not by the policy of another container": {report(func(r *v1alpha1.ZombieReport) {
			r.Status.Judgement.Container, r.Status.Judgement.Policy.Name = "log", "another"
		}), 0},
	} {
		v := decide(leaking(tc.change), now)
		if holds := v.judgement.Next.Reason == ReasonHolding; holds != (tc.again > 0) || v.checkAgainAfter != tc.again {
			t.Errorf("%s: next %+v, check again after %s", name, v.judgement.Next, v.checkAgainAfter)
		}
	}
}

func TestOneContainerOfAPodIsToldOf(t *testing.T) {
	t.Parallel()
	second1 := func(edit func(*govern.Ruling)) change {
		return func(f *facts) {
			r := f.rulings["log"]
			r.Spec = *r.Spec.DeepCopy()
			edit(&r)
			f.rulings["log"] = r
		}
	}
	unitOf := func(name string) ledger.Unit {
		return ledger.Unit{Target: ledger.Target{PodUID: webUID, Container: name}, Action: "SignalParent", Word: "SIGCHLD", Message: "Send it."}
	}
	tests := map[string]struct {
		change change
		want   v1alpha1.ContainerName
	}{
		"that with most zombies of two that are to be acted on":   {second, "app"},
		"that of before, of two that are alike":                   {changes(second, report(func(r *v1alpha1.ZombieReport) { r.Status.Judgement.Container = "log" })), "log"},
		"that with most zombies when that of before has none":     {changes(second, report(func(r *v1alpha1.ZombieReport) { r.Status.Judgement.Container = "gone" })), "app"},
		"that in which an act is under way":                       {changes(second, underway(unitOf("log"))), "log"},
		"that which may be acted on before one that may not":      {changes(second, mode(v1alpha1.ModePaused)), "log"},
		"that which may be acted on before one whose ladder ends": {changes(second, rung(3)), "log"},
		"that in DryRun before one that waits": {changes(second, second1(func(r *govern.Ruling) { r.Mode = v1alpha1.ModeDryRun }), position(func(p *ledger.Position) {
			p.Rung, p.Await, p.Seen, p.EndedAt = 1, true, observationMark(leakingContainer()), now
		})), "log"},
		"that which a policy governs":               {changes(second, func(f *facts) { delete(f.rulings, "app") }), "log"},
		"that which leaks before one that does not": {changes(second, trigger(func(tr *v1alpha1.Trigger) { tr.Zombies = 1000 })), "log"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := decide(leaking(tc.change), now)
			if v.judgement.Container != tc.want {
				t.Errorf("container %s (%s), want %s", v.judgement.Container, v.judgement.Next.Reason, tc.want)
			}
			if v.act != nil && v.act.unit.Container != string(tc.want) {
				t.Errorf("acts on %s", v.act.unit.Container)
			}
		})
	}
}

func TestAPodWithoutAPolicyIsNotJudged(t *testing.T) {
	t.Parallel()
	f := leaking(func(f *facts) { f.rulings = nil }, report(func(r *v1alpha1.ZombieReport) { r.Status.Judgement, r.Status.Conditions = nil, nil }))
	v := decide(f, now)
	if v.judgement != nil || v.conditions != nil || v.act != nil || v.focus != nil || v.policy() != nil || v.checkAgainAfter != 0 {
		t.Errorf("verdict %+v", v)
	}
	if changed(f.report, v) || occurrences(f.report, v) != nil {
		t.Error("writes or tells something")
	}
}

func TestAReportWithoutAnObservationIsUnknown(t *testing.T) {
	t.Parallel()
	f := leaking(report(func(r *v1alpha1.ZombieReport) { r.Status.Observed = nil }), underway(ledger.Unit{Target: web}))
	if v := decide(f, now); v.act != nil || v.cancel || v.judgement != nil {
		t.Errorf("verdict %+v", v)
	}
}

func ended(name string, outcome v1alpha1.Outcome, ago time.Duration) v1alpha1.ZombieRemediation {
	r := remediation(name, "app", 1)
	r.Status.Outcome, r.Status.CompletionTime = outcome, new(at(-ago))
	meta.SetStatusCondition(&r.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionCompleted, Status: metav1.ConditionTrue, Reason: string(outcome)})
	return r
}

func TestTheLastAct(t *testing.T) {
	t.Parallel()
	began := remediation("new", "app", 2)
	began.CreationTimestamp = at(-time.Minute)
	calm := func(since time.Duration) change {
		return changes(trigger(func(tr *v1alpha1.Trigger) { tr.Zombies = 1000 }), report(func(r *v1alpha1.ZombieReport) {
			r.Status.Conditions[2].Status, r.Status.Conditions[2].LastTransitionTime = metav1.ConditionFalse, at(since)
		}))
	}
	tests := map[string]struct {
		change  change
		name    string
		outcome v1alpha1.Outcome
		again   time.Duration
	}{
		"is none without remediations":                                          {changes(), "", "", 0},
		"is the one that ended last":                                            {remediations(ended("b", v1alpha1.OutcomeNoEffect, time.Hour), ended("a", v1alpha1.OutcomeFailed, time.Minute)), "a", v1alpha1.OutcomeFailed, 0},
		"is the one under way":                                                  {remediations(ended("old", v1alpha1.OutcomeNoEffect, time.Hour), began), "new", "", recheck},
		"is the same of two that ended at once":                                 {remediations(ended("a", v1alpha1.OutcomeNoEffect, time.Hour), ended("b", v1alpha1.OutcomeReduced, time.Hour)), "b", v1alpha1.OutcomeReduced, 0},
		"is the same of two in the other order":                                 {remediations(ended("b", v1alpha1.OutcomeReduced, time.Hour), ended("a", v1alpha1.OutcomeNoEffect, time.Hour)), "b", v1alpha1.OutcomeReduced, 0},
		"cleared while the trigger holds":                                       {remediations(ended("a", v1alpha1.OutcomeCleared, 2*time.Hour)), "a", v1alpha1.OutcomeCleared, 0},
		"cleared for less than an hour":                                         {changes(calm(-59*time.Minute), remediations(ended("a", v1alpha1.OutcomeCleared, 59*time.Minute))), "a", v1alpha1.OutcomeCleared, time.Minute},
		"cured after an hour without a trigger":                                 {changes(calm(-time.Hour), remediations(ended("a", v1alpha1.OutcomeCleared, time.Hour))), "a", v1alpha1.OutcomeCured, 0},
		"cleared while a trigger held less than an hour ago":                    {changes(calm(-10*time.Minute), remediations(ended("a", v1alpha1.OutcomeCleared, 2*time.Hour))), "a", v1alpha1.OutcomeCleared, 50 * time.Minute},
		"cleared when the trigger has just stopped to hold":                     {changes(calm(0), report(func(r *v1alpha1.ZombieReport) { r.Status.Conditions[2].Status = metav1.ConditionTrue }), remediations(ended("a", v1alpha1.OutcomeCleared, 2*time.Hour))), "a", v1alpha1.OutcomeCleared, time.Hour},
		"cleared in a report that is new":                                       {changes(calm(0), report(func(r *v1alpha1.ZombieReport) { r.Status.Conditions = nil }), remediations(ended("a", v1alpha1.OutcomeCleared, 2*time.Hour))), "a", v1alpha1.OutcomeCleared, time.Hour},
		"cleared of a container that leaks and that no policy governs any more": {changes(calm(-2*time.Hour), func(f *facts) { f.rulings = nil }, remediations(ended("a", v1alpha1.OutcomeCleared, 3*time.Hour))), "a", v1alpha1.OutcomeCleared, 0},
		"reduced stays so however long ago":                                     {changes(calm(-2*time.Hour), remediations(ended("a", v1alpha1.OutcomeReduced, 3*time.Hour))), "a", v1alpha1.OutcomeReduced, 0},
		"is kept when no policy governs any more":                               {changes(func(f *facts) { f.rulings = nil }, remediations(ended("a", v1alpha1.OutcomeFailed, time.Hour))), "a", v1alpha1.OutcomeFailed, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := leaking(tc.change)
			v := decide(f, now)
			if tc.name == "" {
				if v.judgement.LastAct != nil {
					t.Errorf("last act %+v", v.judgement.LastAct)
				}
				return
			}
			last := v.judgement.LastAct
			if last.Remediation != tc.name || last.Outcome != tc.outcome || last.PodName != "web-0" || last.Action != v1alpha1.ActionRestartContainer || v.checkAgainAfter != tc.again {
				t.Errorf("last act %+v, check again after %s; want %s %s, %s", last, v.checkAgainAfter, tc.name, tc.outcome, tc.again)
			}
			slices.Reverse(f.remediations)
			if again := afterwards(t, f, v); again.calm() && changed(again.report, decide(again, now)) {
				t.Error("the order in which remediations are listed changes the report")
			}
		})
	}
}

// calm is whether a second look at the facts decides nothing anew.
func (f facts) calm() bool {
	return len(f.rulings) == 0 || f.rulings["app"].Spec.Trigger.Zombies == 1000
}
