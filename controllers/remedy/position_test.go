package remedy

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/govern"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

// webGeneration makes the policy another edition of itself.
func webGeneration(generation int64) change {
	return ruled1(func(r *govern.Ruling) { r.Reference.Generation = generation })
}

func TestWhereAContainerStandsOnItsLadder(t *testing.T) {
	t.Parallel()
	stands := func(edit func(*ledger.Position)) change {
		return position(func(p *ledger.Position) {
			p.Rung, p.Tries, p.Attempts, p.Await, p.Seen = 2, 1, 5, true, "before"
			edit(p)
		})
	}
	asItWas := func(*ledger.Position) {}
	heldSince := func(d time.Duration) change {
		return report(func(r *v1alpha1.ZombieReport) { r.Status.Judgement.Triggered[0].Since = at(d) })
	}
	// died is when the oldest of two zombies died.
	died := func(d time.Duration) change {
		return container(func(c *v1alpha1.ContainerObservation) {
			c.Parents = []v1alpha1.Parent{parent(7, 10), parent(8, 10)}
			c.Parents[0].OldestZombieTime, c.Parents[1].OldestZombieTime = at(-time.Minute), at(d)
		})
	}
	stoppedAgo := func(d time.Duration) change {
		return changes(stands(func(p *ledger.Position) { p.StoppedAt = now.Add(-d) }), heldSince(-10*time.Minute))
	}
	tests := map[string]struct {
		change change
		// wantRung is 0 where it starts anew.
		wantRung     int
		wantAttempts int32
	}{
		"at the bottom when it was never acted on": {changes(), 0, 0},
		"where it stood": {stands(asItWas), 2, 5},
		"at the bottom when the policy was edited":               {changes(stands(asItWas), webGeneration(4)), 0, 5},
		"at the bottom when another policy governs":              {changes(stands(asItWas), ruled1(func(r *govern.Ruling) { r.Reference.Name = "all" })), 0, 5},
		"at the bottom when a policy of the other kind governs":  {changes(stands(asItWas), ruled1(func(r *govern.Ruling) { r.Reference.Kind = govern.KindClusterWide })), 0, 5},
		"at the bottom when another hand replaced the container": {stands(func(p *ledger.Position) { p.ContainerID = "before" }), 0, 5},
		"where it stood when this operator restarted it":         {stands(func(p *ledger.Position) { p.ContainerID, p.Restarted = "before", true }), 2, 5},
		"where it stood when a restart has yet to show":          {stands(func(p *ledger.Position) { p.Restarted = true }), 2, 5},
		"at the bottom when it leaks again after an hour":        {changes(stoppedAgo(70*time.Minute), died(-10*time.Minute)), 0, 5},
		"where it stood when it leaked on below the trigger":     {changes(stoppedAgo(20*time.Hour), died(-20*time.Hour+time.Minute)), 2, 5},
		"where it stood when a zombie is left of the first hour": {changes(stoppedAgo(20*time.Hour), died(-19*time.Hour-time.Second)), 2, 5},
		"at the bottom when none is left of that hour":           {changes(stoppedAgo(20*time.Hour), died(-19*time.Hour)), 0, 5},
		"where it stood when a parent that is not named may hold one": {changes(stoppedAgo(20*time.Hour), died(-19*time.Hour), container(func(c *v1alpha1.ContainerObservation) { c.ParentsOmitted = 1 }),
			report(func(r *v1alpha1.ZombieReport) { r.Status.Observed.OldestZombieTime = new(at(-20 * time.Hour)) })), 2, 5},
		"where it stood when it leaks again within an hour": {changes(stands(func(p *ledger.Position) { p.StoppedAt = now.Add(-70*time.Minute + time.Second) }), heldSince(-10*time.Minute)), 2, 5},
		"where it stood when it has leaked on for hours":    {changes(stands(func(p *ledger.Position) { p.EndedAt = now.Add(-9 * time.Hour) }), heldSince(-10*time.Hour)), 2, 5},
		"where it stood when it stopped for less than an hour": {changes(stands(func(p *ledger.Position) {
			p.EndedAt, p.StoppedAt = now.Add(-9*time.Hour), now.Add(-70*time.Minute+time.Second)
		}), heldSince(-10*time.Minute)), 2, 5},
		"at the bottom when it stopped for an hour": {changes(stands(func(p *ledger.Position) {
			p.EndedAt, p.StoppedAt = now.Add(-9*time.Hour), now.Add(-70*time.Minute)
		}), heldSince(-10*time.Minute), died(-10*time.Minute)), 0, 5},
		"where it stood when it was not seen to stop, as its report was lost": {changes(stands(func(p *ledger.Position) {
			p.EndedAt = now.Add(-9 * time.Hour)
		}), heldSince(-10*time.Minute)), 2, 5},
		"at the bottom when the policy was made anew under its name": {changes(stands(asItWas), ruled1(func(r *govern.Ruling) {
			r.Object = &v1alpha1.ZombiePolicy{ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "another"}}
		})), 0, 5},
		"where it stood when the first act has not ended":          {stands(func(p *ledger.Position) { p.EndedAt = time.Time{} }), 2, 5},
		"at the bottom when only another container was acted on":   {stands(func(p *ledger.Position) { p.Container = "log" }), 0, 0},
		"at the bottom when only another pod was acted on":         {stands(func(p *ledger.Position) { p.PodUID = "other" }), 0, 0},
		"with the attempts of its remediations if the ledger lost": {remediations(remediation("r", "app", 8), remediation("s", "log", 9)), 0, 8},
		"with the attempts of the ledger if those are more":        {changes(stands(asItWas), remediations(remediation("r", "app", 3))), 2, 5},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := leaking(tc.change)
			got := newSituation(f, f.report.Status.Observed.Containers[0], f.rulings["app"], now).position
			if got.Rung != tc.wantRung || got.Attempts != tc.wantAttempts {
				t.Errorf("rung %d, attempts %d; want %d, %d", got.Rung, got.Attempts, tc.wantRung, tc.wantAttempts)
			}
			if anew := got.Tries == 0 && !got.Await && got.Seen == ""; anew != (tc.wantRung == 0) {
				t.Errorf("position %+v", got)
			}
			if got.Policy != policyMark(f.rulings["app"]) || got.ContainerID != appID {
				t.Errorf("position of %s %s", got.Policy, got.ContainerID)
			}
		})
	}
}

func remediation(name string, container v1alpha1.ContainerName, attempt int32) v1alpha1.ZombieRemediation {
	r := v1alpha1.ZombieRemediation{Spec: v1alpha1.ZombieRemediationSpec{
		PodName: "web-0", PodUID: webUID, ContainerName: container, Attempt: attempt, Action: v1alpha1.RemediationRestartContainer,
	}}
	r.Name, r.CreationTimestamp = name, at(-time.Hour)
	return r
}

func remediations(all ...v1alpha1.ZombieRemediation) change {
	return func(f *facts) { f.remediations = all }
}

func TestAReportIsToldFromTheOneBefore(t *testing.T) {
	t.Parallel()
	mark := observationMark(leakingContainer())
	if len(mark) != 16 {
		t.Errorf("mark %q has %d characters, which the ledger keeps a thousand times", mark, len(mark))
	}
	for name, edit := range map[string]func(*v1alpha1.ContainerObservation){
		"by its container":                    func(c *v1alpha1.ContainerObservation) { c.ContainerID = otherID },
		"by its number of zombies":            func(c *v1alpha1.ContainerObservation) { c.Zombies++ },
		"by a parent":                         func(c *v1alpha1.ContainerObservation) { c.Parents[0].StartTicks++ },
		"by the zombies of a parent":          func(c *v1alpha1.ContainerObservation) { c.Parents[0].Zombies-- },
		"by the oldest zombie of a parent":    func(c *v1alpha1.ContainerObservation) { c.Parents[0].OldestZombieTime = at(0) },
		"by a parent that is there no longer": func(c *v1alpha1.ContainerObservation) { c.Parents = nil },
	} {
		c := leakingContainer()
		edit(&c)
		if observationMark(c) == mark {
			t.Errorf("%s: the same mark", name)
		}
	}
}

func TestWhatFollowsFromOutcomes(t *testing.T) {
	t.Parallel()
	type outcomes = []v1alpha1.Outcome
	tests := map[string]struct {
		outcomes outcomes
		tries    int
		// want are rung, tries and await afterwards.
		wantRung, wantTries int
		wantAwait           bool
		disrupted           bool
	}{
		"Cured is tried again, should it come back":            {outcomes{v1alpha1.OutcomeCured}, 0, 1, 1, true, true},
		"Cleared is tried again, should it come back":          {outcomes{v1alpha1.OutcomeCleared}, 1, 1, 2, true, true},
		"Reduced is tried again":                               {outcomes{v1alpha1.OutcomeReduced}, 1, 1, 2, true, true},
		"Interrupted is tried again, as it may have helped":    {outcomes{v1alpha1.OutcomeInterrupted}, 1, 1, 2, true, true},
		"Reduced for the third time leads to the next rung":    {outcomes{v1alpha1.OutcomeReduced}, 2, 2, 0, true, true},
		"Cured for the third time leads to the next rung":      {outcomes{v1alpha1.OutcomeCured}, 2, 2, 0, true, true},
		"Interrupted for the third time does too":              {outcomes{v1alpha1.OutcomeInterrupted}, 2, 2, 0, true, true},
		"NoEffect leads to the next rung at once":              {outcomes{v1alpha1.OutcomeNoEffect}, 0, 2, 0, false, true},
		"Moved leads to the next rung at once":                 {outcomes{v1alpha1.OutcomeMoved}, 0, 2, 0, false, true},
		"Failed leads to the next rung at once":                {outcomes{v1alpha1.OutcomeFailed}, 0, 2, 0, false, true},
		"Refused leads to the next rung and disrupted nobody":  {outcomes{v1alpha1.OutcomeRefused}, 0, 2, 0, false, false},
		"Stale does not count, and waits for a new report":     {outcomes{v1alpha1.OutcomeStale}, 1, 1, 1, true, false},
		"Expired does not count, and waits for a new report":   {outcomes{v1alpha1.OutcomeExpired}, 2, 1, 2, true, false},
		"Cancelled does not count, and waits for nothing":      {outcomes{v1alpha1.OutcomeCancelled}, 2, 1, 2, false, false},
		"one parent that was helped keeps the rung":            {outcomes{v1alpha1.OutcomeNoEffect, v1alpha1.OutcomeReduced}, 0, 1, 1, true, true},
		"one parent of which nothing is known keeps the rung":  {outcomes{v1alpha1.OutcomeNoEffect, v1alpha1.OutcomeInterrupted}, 0, 1, 1, true, true},
		"a parent that is gone beside one that stays as it is": {outcomes{v1alpha1.OutcomeStale, v1alpha1.OutcomeNoEffect}, 0, 2, 0, false, true},
		"a parent that is gone beside one called off":          {outcomes{v1alpha1.OutcomeStale, v1alpha1.OutcomeCancelled}, 0, 1, 0, false, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := ledger.Position{Target: web, Policy: webMark, ContainerID: appID, Rung: 1, Tries: tc.tries, Attempts: 4, Seen: "seen"}
			want := before
			want.Rung, want.Tries, want.Await, want.EndedAt = tc.wantRung, tc.wantTries, tc.wantAwait, now
			want.Restarted = tc.disrupted
			if slices.ContainsFunc(tc.outcomes, helped) {
				want.StoppedAt = now
			}
			if tc.disrupted {
				want.DisruptedAt = now
			}
			if diff := cmp.Diff(want, settled(before, ledger.Unit{Disruptive: true}, tc.outcomes, now)); diff != "" {
				t.Errorf("position (-want +got):\n%s", diff)
			}
			got := settled(before, ledger.Unit{}, tc.outcomes, now)
			if !got.DisruptedAt.IsZero() {
				t.Error("a harmless act counts as a disruption")
			}
			if cured := onlyCured(tc.outcomes); cured && (got.Rung != 1 || got.Tries != tc.tries) {
				t.Errorf("a harmless act that cured leads to rung %d after %d tries", got.Rung, got.Tries)
			}
		})
	}
}

func TestOnlyADisruptiveActThatMayHaveHappenedExplainsANewContainer(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[v1alpha1.Outcome]bool{
		v1alpha1.OutcomeCleared: true, v1alpha1.OutcomeInterrupted: true, // the agent may have been killed in the middle of it
		v1alpha1.OutcomeFailed: true, // it was still there when the agent gave up, and may have ended since
		v1alpha1.OutcomeStale:  false, v1alpha1.OutcomeRefused: false, v1alpha1.OutcomeExpired: false, v1alpha1.OutcomeCancelled: false,
	} {
		before := ledger.Position{Restarted: true}
		if got := settled(before, ledger.Unit{Disruptive: true}, []v1alpha1.Outcome{outcome}, now).Restarted; got != want {
			t.Errorf("%s of a disruptive act: %t, want %t", outcome, got, want)
		}
		if settled(before, ledger.Unit{}, []v1alpha1.Outcome{outcome}, now).Restarted {
			t.Errorf("%s of a harmless act explains a new container", outcome)
		}
	}
}

func TestAnActForgetsWhenTheLeakStopped(t *testing.T) {
	t.Parallel()
	v := decide(leaking(position(func(p *ledger.Position) { p.StoppedAt = now.Add(-time.Minute) })), now)
	if v.act == nil || !v.act.position.StoppedAt.IsZero() {
		t.Errorf("act %+v, want one from whose position the leak has not stopped", v.act)
	}
}

func TestAnotherRungIsTriedFromTheStart(t *testing.T) {
	t.Parallel()
	at1 := position(func(p *ledger.Position) { p.Rung, p.Tries = 1, 2 })
	same := decide(leaking(at1), now)
	if got := same.act.position; got.Rung != 1 || got.Tries != 2 {
		t.Errorf("the same rung: position %+v", got)
	}
	passed := decide(leaking(at1, parents(outside(20)), ladder(alert, signal(v1alpha1.SignalChild), alert)), now)
	if passed.act != nil {
		t.Fatalf("acts: %+v", passed.act)
	}
	next := decide(leaking(at1, parents(parent(1, 20)), ladder(alert, signal(v1alpha1.SignalTerminate), restart)), now)
	if got := next.act.position; got.Rung != 2 || got.Tries != 0 {
		t.Errorf("the rung after one that cannot be taken: position %+v", got)
	}
}
