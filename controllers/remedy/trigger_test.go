package remedy

import (
	"cmp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// only makes a trigger that has nothing set of what can hold but what the edit sets.
func only(edit func(*v1alpha1.Trigger)) change {
	return trigger(func(tr *v1alpha1.Trigger) {
		tr.Zombies = 0
		edit(tr)
	})
}

func pidTrigger(percent int32) change {
	return only(func(tr *v1alpha1.Trigger) { tr.PIDUsagePercent = percent })
}

func forecastTrigger(seconds int32) change {
	return only(func(tr *v1alpha1.Trigger) { tr.ExhaustionWithinSeconds = seconds })
}

// usedOf is a pod's limit on processes, so far used.
func usedOf(used, limit, percent int32) *v1alpha1.PIDs {
	return &v1alpha1.PIDs{Used: used, Limit: limit, UsedPercent: percent, LimitedBy: v1alpha1.PIDLimitPod}
}

// endsIn has the container use up the PIDs of its pod, by more births than it takes.
func endsIn(in time.Duration) change {
	return container(func(c *v1alpha1.ContainerObservation) {
		c.ExhaustionTime, c.PIDs, c.Births = new(at(in)), usedOf(100, 200, 50), bornPerHour(1000)
	})
}

func bornPerHour(n int32) *v1alpha1.Births { return &v1alpha1.Births{PerHour: n} }

func uses(p *v1alpha1.PIDs) change {
	return container(func(c *v1alpha1.ContainerObservation) { c.PIDs = p })
}

// The container has 20 zombies, 12 of them 300 s old.
func TestWhichPartOfATriggerHolds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		trigger v1alpha1.Trigger
		pids    *v1alpha1.PIDs
		end     *metav1.Time
		want    string
	}{
		"as many zombies as it wants":                                 {v1alpha1.Trigger{Zombies: 12, MinAgeSeconds: 300}, nil, nil, ReasonZombiesReached},
		"one zombie less":                                             {v1alpha1.Trigger{Zombies: 13, MinAgeSeconds: 300}, nil, nil, ""},
		"zombies of another age":                                      {v1alpha1.Trigger{Zombies: 1, MinAgeSeconds: 900}, nil, nil, ""},
		"zombies that are not asked for":                              {v1alpha1.Trigger{PIDUsagePercent: 80, MinAgeSeconds: 300}, nil, nil, ""},
		"as much use of PIDs as it wants":                             {v1alpha1.Trigger{PIDUsagePercent: 80}, usedOf(80, 100, 80), nil, ReasonPIDUsageReached},
		"one percent less":                                            {v1alpha1.Trigger{PIDUsagePercent: 80}, usedOf(79, 100, 79), nil, ""},
		"use of PIDs of which zombies are just a tenth":               {v1alpha1.Trigger{PIDUsagePercent: 80}, usedOf(200, 210, 95), nil, ReasonPIDUsageReached},
		"use of PIDs of which zombies are less than a tenth":          {v1alpha1.Trigger{PIDUsagePercent: 80}, usedOf(201, 210, 95), nil, ""},
		"use of a limit as high as there can be":                      {v1alpha1.Trigger{PIDUsagePercent: 50}, usedOf(1<<31-1, 1<<31-1, 100), nil, ""},
		"use of PIDs that is not known":                               {v1alpha1.Trigger{PIDUsagePercent: 50}, nil, nil, ""},
		"use of PIDs that is not asked for":                           {v1alpha1.Trigger{Zombies: 13, MinAgeSeconds: 300}, usedOf(99, 100, 99), nil, ""},
		"a forecast that is just near enough":                         {v1alpha1.Trigger{ExhaustionWithinSeconds: 3600}, usedOf(100, 200, 50), new(at(time.Hour)), ReasonExhaustionNear},
		"a forecast that will be near enough in a second":             {v1alpha1.Trigger{ExhaustionWithinSeconds: 3600}, usedOf(100, 200, 50), new(at(time.Hour + time.Second)), ""},
		"a forecast whose time has passed":                            {v1alpha1.Trigger{ExhaustionWithinSeconds: 60}, usedOf(100, 200, 50), new(at(-time.Hour)), ReasonExhaustionNear},
		"a forecast that is missing":                                  {v1alpha1.Trigger{ExhaustionWithinSeconds: 604800}, usedOf(100, 200, 50), nil, ""},
		"a forecast that is not asked for":                            {v1alpha1.Trigger{Zombies: 13, MinAgeSeconds: 300}, usedOf(100, 200, 50), new(at(0)), ""},
		"the forecast where the others are asked for and do not hold": {v1alpha1.Trigger{Zombies: 13, MinAgeSeconds: 300, PIDUsagePercent: 95, ExhaustionWithinSeconds: 60}, usedOf(90, 100, 90), new(at(time.Minute)), ReasonExhaustionNear},
		"the use of PIDs before the forecast":                         {v1alpha1.Trigger{Zombies: 13, MinAgeSeconds: 300, PIDUsagePercent: 90, ExhaustionWithinSeconds: 60}, usedOf(90, 100, 90), new(at(0)), ReasonPIDUsageReached},
		"zombies before all others":                                   {v1alpha1.Trigger{Zombies: 12, MinAgeSeconds: 300, PIDUsagePercent: 90, ExhaustionWithinSeconds: 60}, usedOf(90, 100, 90), new(at(0)), ReasonZombiesReached},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := leakingContainer()
			c.PIDs, c.ExhaustionTime, c.Births = tc.pids, tc.end, bornPerHour(1000)
			tc.trigger.MinAgeSeconds = cmp.Or(tc.trigger.MinAgeSeconds, 300) // as the API server does
			if got := holds(tc.trigger, c, now); got != tc.want {
				t.Errorf("holds() = %q, want %q", got, tc.want)
			}
		})
	}
}

// A sawtooth: the parent waits, only late, and then for all.
func TestNoPartFiresForAParentThatWaitsNowAndThen(t *testing.T) {
	t.Parallel()
	sawtooth := func(old int32) change {
		return container(func(c *v1alpha1.ContainerObservation) {
			c.Zombies, c.Ages = 180, []v1alpha1.AgeCount{{MinAgeSeconds: 30, Zombies: 180}, {MinAgeSeconds: 60, Zombies: 120}, {MinAgeSeconds: 300, Zombies: old}}
			c.PIDs, c.Births, c.ExhaustionTime = usedOf(190, 200, 95), bornPerHour(3600), new(at(time.Minute))
			c.PIDs.LimitedBy = v1alpha1.PIDLimitContainer
		})
	}
	for part, asked := range map[string]change{
		"zombies": only(func(tr *v1alpha1.Trigger) { tr.Zombies = 18 }), "pidUsagePercent": pidTrigger(50), "exhaustionWithinSeconds": forecastTrigger(604800),
	} {
		for _, old := range []int32{0, 17} {
			if v := decide(leaking(asked, sawtooth(old)), now); v.act != nil || v.judgement.Next.Reason != ReasonNotTriggered {
				t.Errorf("%s, with %d zombies that are old: act %+v, next %+v", part, old, v.act, v.judgement.Next)
			}
		}
		if v := decide(leaking(asked, sawtooth(18)), now); v.act == nil {
			t.Errorf("%s, where a tenth gets old: no act, next %+v", part, v.judgement.Next)
		}
	}
	v := decide(leaking(pidTrigger(50), sawtooth(0)), now)
	if got := v.judgement.Next.Message; !strings.Contains(got, "hardly a zombie that is dead for 300 s") {
		t.Errorf("message %q does not say what is missing", got)
	}
}

// The limit may be the node's: then a container with one zombie has the forecast of the node, which others bring about.
func TestAForecastTriggersWhereTheContainersOwnBirthsMatter(t *testing.T) {
	t.Parallel()
	never := time.Duration(-1)
	tests := map[string]struct {
		pids   *v1alpha1.PIDs
		births *v1alpha1.Births
		end    time.Duration
		// again is when it holds: 0 now, never not at all.
		again time.Duration
	}{
		"births that take a tenth of what is left":                      {usedOf(2000, 3000, 66), bornPerHour(100), time.Hour, 0},
		"births that take just less":                                    {usedOf(2000, 3000, 66), bornPerHour(99), time.Hour, never},
		"births that take it by the end, and not by the trigger's time": {usedOf(2000, 3000, 66), bornPerHour(50), 2 * time.Hour, never},
		"births that will take it when the end is near enough":          {usedOf(2000, 3000, 66), bornPerHour(100), 2 * time.Hour, time.Hour},
		"births that are not known":                                     {usedOf(100, 200, 50), nil, time.Hour, never},
		"a limit that is not known":                                     {nil, bornPerHour(1000), time.Hour, never},
		"no births where zombies matter, until the end comes":           {usedOf(200, 3000, 6), bornPerHour(0), time.Hour, time.Hour},
		"an end that came, of zombies that matter":                      {usedOf(200, 3000, 6), bornPerHour(1000), 0, 0},
		"an end that came, of other processes":                          {usedOf(201, 3000, 6), bornPerHour(1000), 0, never},
		"an end that came, with births that are not known":              {usedOf(200, 3000, 6), nil, 0, never},
		"a full limit, of zombies that matter":                          {usedOf(200, 200, 100), nil, time.Hour, 0},
		"a full limit, of other processes":                              {usedOf(201, 201, 100), bornPerHour(1000), time.Hour, never},
		"a limit that is more than full, of other processes":            {usedOf(300, 200, 100), bornPerHour(1000), time.Hour, never},
		"as high a limit as there can be":                               {usedOf(1, 1<<31-1, 0), bornPerHour(1<<31 - 1), time.Hour, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := leaking(forecastTrigger(3600), container(func(c *v1alpha1.ContainerObservation) {
				c.PIDs, c.Births, c.ExhaustionTime = tc.pids, tc.births, new(at(tc.end))
			}))
			v := decide(f, now)
			if triggers := v.focus.held == ReasonExhaustionNear; triggers != (tc.again == 0) || (!triggers && v.act != nil) {
				t.Errorf("triggers: %t, act %+v", triggers, v.act)
			}
			if tc.again != 0 && v.checkAgainAfter != max(tc.again, 0) {
				t.Errorf("check again after %s, want %s", v.checkAgainAfter, tc.again)
			}
			if tc.again <= 0 {
				return
			}
			if v := decide(f, now.Add(tc.again)); v.focus.held != ReasonExhaustionNear {
				t.Errorf("%s later: %+v", tc.again, v.judgement.Next)
			}
		})
	}
}

// 6,700 are born on the node in an hour, and of its 32,768 PIDs 30,000 are left: it is full in four and a half hours.
func TestASmallLeakDoesNotPayForALargeOneOnItsNode(t *testing.T) {
	t.Parallel()
	for about, tc := range map[string]struct {
		perHour int32
		want    string
	}{
		"12 an hour, 54 till then":    {12, ""},
		"660 an hour, less than 3000": {660, ""},
		"680 an hour, a tenth":        {680, ReasonExhaustionNear},
	} {
		c := leakingContainer()
		c.PIDs = &v1alpha1.PIDs{Used: 2768, Limit: 32768, UsedPercent: 8, LimitedBy: v1alpha1.PIDLimitPIDMax}
		c.Births, c.ExhaustionTime = bornPerHour(tc.perHour), new(at(30_000*time.Hour/6_700))
		if got := holds(v1alpha1.Trigger{ExhaustionWithinSeconds: 86400, MinAgeSeconds: 300}, c, now); got != tc.want {
			t.Errorf("%s: holds() = %q, want %q", about, got, tc.want)
		}
	}
}

// What the agent takes back, because no more are born or the parent reaps, is over: its births alone are no reason.
func TestAForecastThatIsTakenBackWhileItHoldsLeadsToNoAct(t *testing.T) {
	t.Parallel()
	w := newWorld(t, forecastTrigger(86400), endsIn(time.Hour))
	w.reconcile()
	if w.next().Reason != ReasonHolding {
		t.Fatalf("next %+v", w.next())
	}
	w.pass(30 * time.Second)
	w.reports(func(o *v1alpha1.Observed) { o.Containers[0].ExhaustionTime = nil })
	w.reconcile()
	w.pass(time.Hour)
	w.reconcile()
	if next := w.next(); next.Reason != ReasonNotTriggered || len(w.remediations()) != 0 {
		t.Errorf("next %+v, %d acts, want none", next, len(w.remediations()))
	}
}

func TestEachPartOfATriggerLeadsToAnAct(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change          change
		reason, message string
	}{
		"zombies":     {changes(), ReasonZombiesReached, appTriggers},
		"use of PIDs": {changes(pidTrigger(80), uses(usedOf(170, 200, 85))), ReasonPIDUsageReached, "Container app has 85 % of its PIDs in use (170 of 200 by limit Pod, 20 by its zombies); policy web wants 80 %, a tenth of it zombies, for 60 s."},
		"a forecast":  {changes(forecastTrigger(7200), endsIn(time.Hour)), ReasonExhaustionNear, "Container app has PIDs until 2026-03-01T13:00:00Z; policy web wants an end within 7200 s, a tenth by its births, for 60 s."},
		"the one that holds of two that are set": {
			changes(trigger(func(tr *v1alpha1.Trigger) { tr.Zombies, tr.ExhaustionWithinSeconds = 1000, 7200 }), endsIn(time.Hour)),
			ReasonExhaustionNear, "Container app has PIDs until 2026-03-01T13:00:00Z; policy web wants an end within 7200 s, a tenth by its births, for 60 s.",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := leaking(tc.change)
			fresh := f
			fresh.report = f.report.DeepCopy()
			fresh.report.Status.Judgement = nil
			if !mayAct(fresh, now) {
				t.Error("the pod would not be read")
			}
			v := decide(f, now)
			if v.act == nil {
				t.Fatalf("does not act: %+v", v.judgement.Next)
			}
			for _, c := range v.conditions {
				if c.Status != metav1.ConditionTrue || c.Message != tc.message || (c.Type == v1alpha1.ConditionTriggered && c.Reason != tc.reason) {
					t.Errorf("condition %+v, want %s: %s", c, tc.reason, tc.message)
				}
			}
		})
	}
}

// Nothing is reported between a far forecast and a near one, so only the clock tells.
func TestTheClockAloneBringsAForecastNear(t *testing.T) {
	t.Parallel()
	w := newWorld(t, forecastTrigger(3600), endsIn(2*time.Hour+500*time.Millisecond))
	if again := w.reconcile(); again != time.Hour || w.next().Reason != ReasonNotTriggered {
		t.Fatalf("next %+v, check again after %s, want %s", w.next(), again, time.Hour)
	}
	w.quietly("a second before", func() {
		w.pass(time.Hour - time.Second)
		if again := w.reconcile(); again != time.Second {
			t.Errorf("check again after %s, want %s", again, time.Second)
		}
	})
	w.pass(time.Second)
	if again := w.reconcile(); again != time.Minute || w.next().Reason != ReasonHolding {
		t.Fatalf("when it is near: next %+v, check again after %s", w.next(), again)
	}
	w.pass(time.Minute)
	w.reconcile()
	if w.next().Reason != ReasonActing || len(w.remediations()) != 1 {
		t.Errorf("after its time: next %+v", w.next())
	}
}

// A decision takes a while to be made ready. A forecast that comes near in between must not find a pod that nobody read.
func TestAForecastThatComesNearWhileFactsAreReadWaitsForTheNextLook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, endsIn(time.Hour+time.Second), only(func(tr *v1alpha1.Trigger) {
		tr.ExhaustionWithinSeconds, tr.ForSeconds = 3600, new(int32(0))
	}))
	w.r.cached = slowReader{w.r.cached, func() { w.pass(time.Second) }}
	w.reconcile()
	if next := w.next(); next.Reason != ReasonNotTriggered {
		t.Errorf("next %+v", next)
	}
	w.reconcile()
	if next := w.next(); next.Reason != ReasonActing {
		t.Errorf("at the next look: next %+v", next)
	}
}

func TestThatAnotherPartTakesOverIsNoBreak(t *testing.T) {
	t.Parallel()
	both := trigger(func(tr *v1alpha1.Trigger) { tr.Zombies, tr.PIDUsagePercent = 1000, 80 })
	v := decide(leaking(both, uses(usedOf(170, 200, 85))), now)
	if since := v.judgement.Triggered[0].Since; !since.Equal(new(at(-10 * time.Minute))) {
		t.Errorf("held since %s", since)
	}
	if c := v.conditions[0]; c.Reason != ReasonPIDUsageReached || !c.LastTransitionTime.Equal(new(at(-10*time.Minute))) {
		t.Errorf("condition %+v", c)
	}
}
