package remedy

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/govern"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

// crowdedOut has other containers, which no policy governs, take the room of the report; omitted is how many it has no room for.
func crowdedOut(omitted int32) change {
	return report(func(r *v1alpha1.ZombieReport) {
		o := r.Status.Observed
		o.ContainersOmitted = omitted
		o.Containers = nil
		for _, name := range []v1alpha1.ContainerName{"x", "y"} {
			c := leakingContainer()
			c.Name, c.ContainerID = name, otherID
			o.Containers = append(o.Containers, c)
		}
		r.Status.Conditions[3].Status = metav1.ConditionTrue
	})
}

func governed(names ...v1alpha1.ContainerName) change {
	return func(f *facts) {
		for _, name := range names {
			f.rulings[name] = webRuling()
		}
	}
}

func calmer(f *facts) {
	for i := range f.report.Status.Observed.Containers {
		f.report.Status.Observed.Containers[i].Ages = nil
	}
}

// Two containers with more zombies push one out of the report. That says nothing of the one.
func TestAContainerThatFallsOutOfTheReportIsUnknownAndNotHealed(t *testing.T) {
	t.Parallel()
	begun := changes(underway(ledger.Unit{Target: web, Action: "SignalParent", Word: "SIGCHLD"}), position(func(*ledger.Position) {}))
	paused := ruled1(func(r *govern.Ruling) { r.Mode = v1alpha1.ModePaused })
	tests := map[string]struct {
		change change
		// kept is whether app is still one of the containers in which a trigger holds; then the conditions tell so.
		kept, alerts, cancels, stops bool
	}{
		"while some are omitted":                      {crowdedOut(1), true, true, false, false},
		"while some are omitted, beside calm ones":    {changes(crowdedOut(1), governed("x", "y"), calmer), true, true, false, false},
		"but not when none is omitted":                {crowdedOut(0), false, false, true, true},
		"but not in mode Paused, where it is told of": {changes(crowdedOut(1), paused), true, false, true, false},
		"nor when nothing governs it any more":        {changes(crowdedOut(1), func(f *facts) { delete(f.rulings, "app") }), false, false, true, false},
		"nor when people opted out, where it is kept": {changes(crowdedOut(1), func(f *facts) { f.namespaceOptsOut = true }), true, true, true, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := leaking(begun, tc.change)
			v := decide(f, now)
			kept := v.judgement != nil && len(v.judgement.Triggered) == 1 && v.judgement.Triggered[0] == f.report.Status.Judgement.Triggered[0]
			if kept != tc.kept {
				t.Errorf("judgement %+v, keeps app: %t", v.judgement, kept)
			}
			if v.cancel != tc.cancels || (len(v.stopped) > 0) != tc.stops {
				t.Errorf("cancels: %t, stopped: %v", v.cancel, v.stopped)
			}
			if got := meta.IsStatusConditionTrue(v.conditions, v1alpha1.ConditionTriggered); got != tc.kept {
				t.Errorf("Triggered: %t", got)
			}
			if got := meta.IsStatusConditionTrue(v.conditions, v1alpha1.ConditionAlerting); got != tc.alerts {
				t.Errorf("Alerting: %t", got)
			}
			if tc.kept {
				const want = "The trigger held in container app; other containers have more zombies, and the report says nothing of it now."
				for _, c := range v.conditions {
					if c.Message != want {
						t.Errorf("%s: %s", c.Type, c.Message)
					}
				}
			}
			again := afterwards(t, f, v)
			if changed(again.report, decide(again, now)) {
				t.Error("a second look changes the report")
			}
		})
	}
}

func TestContainersThatTriggerComeBeforeThoseThatAreUnknown(t *testing.T) {
	t.Parallel()
	v := decide(leaking(crowdedOut(1), governed("x", "y")), now)
	if held := v.judgement.Triggered; len(held) != 2 || held[0].Name != "x" || held[1].Name != "y" {
		t.Errorf("triggered %+v", held)
	}
	if len(v.stopped) > 0 {
		t.Errorf("stopped %v, of which nothing is known", v.stopped)
	}
}

func TestAContainerThatFellOutOfTheReportIsNotCured(t *testing.T) {
	t.Parallel()
	old := remedied(leaking(crowdedOut(1), governed("x", "y"), calmer))
	old.report.Status.Judgement.Triggered = nil
	if v := decide(old, now); v.judgement.LastAct.Outcome != v1alpha1.OutcomeCleared {
		t.Errorf("last act %+v", v.judgement.LastAct)
	}
	old.report.Status.Observed.ContainersOmitted = 0
	if v := decide(old, now); v.judgement.LastAct.Outcome != v1alpha1.OutcomeCured {
		t.Errorf("once nothing is omitted: last act %+v", v.judgement.LastAct)
	}
}

// remedied are facts with a restart of app that cleared it three hours ago, since when no trigger held.
func remedied(f facts) facts {
	f.remediations = []v1alpha1.ZombieRemediation{ended("a", v1alpha1.OutcomeCleared, 3*cureTime)}
	f.report.Status.Conditions[2].Status, f.report.Status.Conditions[2].LastTransitionTime = metav1.ConditionFalse, at(-2*cureTime)
	return f
}

// What governs a container that the report has no room for must be looked up all the same, by the real gathering.
func TestAPolicyGovernsAContainerThatFellOutOfTheReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ruled1(func(r *govern.Ruling) {
		r.Spec.ContainerNames, r.Spec.Trigger.ForSeconds = []v1alpha1.ContainerName{"app"}, new(int32(0))
	}))
	w.reconcile()
	w.reports(func(o *v1alpha1.Observed) {
		o.Containers[0].Name, o.ContainersOmitted = "x", 1
	})
	w.reconcile()
	if j := w.report().Status.Judgement; j == nil || len(j.Triggered) != 1 || j.Triggered[0].Name != "app" {
		t.Errorf("judgement %+v", j)
	}
	if completed(w.one()) {
		t.Error("the act is called off")
	}
	w.policy(func(p *v1alpha1.ZombiePolicy) { p.Spec.Mode = v1alpha1.ModePaused })
	w.reconcile()
	if all := w.remediations(); len(all) != 1 || !completed(&all[0]) {
		t.Error("a pause does not call the act off")
	}
}

func TestAPolicyGovernsAContainerThatFellOutOfTheReportWithoutAnAct(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ladder(alert))
	w.reconcile()
	w.reports(func(o *v1alpha1.Observed) {
		o.Containers[0].Name, o.Containers[0].Ages, o.ContainersOmitted = "x", nil, 1
	})
	w.reconcile()
	if j := w.report().Status.Judgement; len(j.Triggered) != 1 || j.Triggered[0].Name != "app" {
		t.Errorf("judgement %+v", j)
	}
}
