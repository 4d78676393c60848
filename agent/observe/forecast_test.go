package observe

import (
	"testing"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/headroom"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/agent/sighting"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

const everyLook = 30 * time.Second

// watched is a pod with a limit of 1024 processes whose PID 1 an agent looks at from its start on.
type watched struct {
	// births are when its zombies are born, from its start on. They die at once.
	births []time.Duration
	// reaps is how often it reaps them all; 0 is never.
	reaps time.Duration
}

// distances are births that are so far from each other.
func distances(count int, distance time.Duration) []time.Duration {
	births := make([]time.Duration, count)
	for i := range births {
		births[i] = time.Duration(i+1) * distance
	}
	return births
}

// watch looks at the pod for a while and gives each observation to check.
func (w watched) watch(looks int, check func(at time.Duration, o v1alpha1.Observed)) {
	tracker := sighting.NewTracker()
	parent := &scan.Parent{Key: scan.Key{PID: 5, StartTicks: 5}, Command: "app"}
	for i := range looks {
		at := 10*time.Second + time.Duration(i)*everyLook
		now := noon.Add(at)
		result := scan.Result{At: now, Parents: map[int]*scan.Parent{5: parent}}
		for n, born := range w.births {
			if born > at || (w.reaps > 0 && born/w.reaps < at/w.reaps) {
				continue
			}
			result.Zombies = append(result.Zombies, &scan.Zombie{
				Key: scan.Key{PID: 100 + n, StartTicks: 1}, ParentPID: 5, StartedAt: noon.Add(born), DiedAt: noon.Add(born),
			})
		}
		stayed, _ := tracker.Look(result)
		c := Container{Name: "app", ID: "aaaa", Limits: []headroom.Limit{{By: v1alpha1.PIDLimitPod, Used: 60, Max: 1024}}}
		for i := range stayed {
			c.Zombies = append(c.Zombies, Zombie{Zombie: &stayed[i], Parent: parent, ParentPID: 1})
		}
		o, _ := Pod(Seen{Containers: []Container{c}, LookBefore: now.Add(-everyLook)}, now)
		check(at, o)
	}
}

// fullIn is when the PIDs will be gone by the observation; 0 is never.
func fullIn(o v1alpha1.Observed, at time.Duration) time.Duration {
	if len(o.Containers) == 0 || o.Containers[0].ExhaustionTime == nil {
		return 0
	}
	return o.Containers[0].ExhaustionTime.Sub(noon.Add(at))
}

func TestAStartThatLeavesZombiesIsNoForecast(t *testing.T) {
	t.Parallel()
	const second = time.Second
	for name, tc := range map[string]struct {
		births []time.Duration
		// told is until when births may be told: that it is over is not known at once.
		told time.Duration
	}{
		"ten in six seconds":              {distances(10, 600*time.Millisecond), 40 * second},
		"two, 20 s apart":                 {distances(2, 20*second), 250 * second},
		"seven, each when a step is done": {[]time.Duration{second, 2 * second, 9 * second, 11 * second, 25 * second, 26 * second, 50 * second}, 250 * second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			watched{births: tc.births}.watch(30, func(at time.Duration, o v1alpha1.Observed) {
				if full := fullIn(o, at); full != 0 {
					t.Errorf("after %s: full in %s, want no forecast", at, full)
				}
				if at > tc.told && len(o.Containers) > 0 && o.Containers[0].Births != nil {
					t.Errorf("after %s: births = %+v, want none told after %s", at, o.Containers[0].Births, tc.told)
				}
			})
		})
	}
}

// 20 in a minute at equal distances are a leak while they come.
func TestAForecastGoesWithTheBirthsAndAtOnce(t *testing.T) {
	t.Parallel()
	var last v1alpha1.Observed
	var told, gone time.Duration
	watched{births: distances(20, 3*time.Second)}.watch(30, func(at time.Duration, o v1alpha1.Observed) {
		switch full := fullIn(o, at); {
		case full > 0 && told == 0:
			told = at
		case full == 0 && told > 0 && gone == 0:
			gone = at
			if got := Compare(last, o, noon.Add(at)); got != OtherNumbers {
				t.Errorf("when the forecast goes the difference is %v, want %v", got, OtherNumbers)
			}
		case full > 0 && gone > 0:
			t.Errorf("after %s: full in %s, though it was over", at, full)
		}
		last = o
	})
	if told == 0 || gone == 0 || gone-told > time.Minute {
		t.Errorf("told after %s, gone after %s, want it told for a minute at most", told, gone)
	}
}

func TestASawtoothHasNoForecastOnceItWasSeenToReap(t *testing.T) {
	t.Parallel()
	before, counted := 0, 0
	watched{births: distances(2880, 2500*time.Millisecond), reaps: 5 * time.Minute}.watch(240, func(at time.Duration, o v1alpha1.Observed) {
		full := fullIn(o, at)
		switch {
		case len(o.Containers) == 0:
		case at < 5*time.Minute && full > 0:
			before++
		case at > 5*time.Minute:
			counted++
			if full != 0 || o.Containers[0].Births == nil {
				t.Errorf("after %s: full in %s, births = %+v, want births and no forecast", at, full, o.Containers[0].Births)
			}
		}
	})
	if before == 0 || counted < 100 {
		t.Errorf("%d forecasts before the first reap and %d observations after it: the test does not test", before, counted)
	}
}

// The node's limit is a thousand times as far from this pod as from the leak that fills it.
func TestASmallPodOnANodeWithALargeLeak(t *testing.T) {
	t.Parallel()
	limits := []headroom.Limit{{By: v1alpha1.PIDLimitPod, Used: 50, Max: 10_000}, {By: v1alpha1.PIDLimitPIDMax, Used: 12_768, Max: 32_768}}
	tests := map[string]struct {
		zombies []Zombie
		births  *v1alpha1.Births
		full    time.Duration
	}{
		"what leaks a little is told when the node is full, and its own births": {born(7, time.Minute), &v1alpha1.Births{PerHour: 60, Burst: 1, PeriodSeconds: 60}, time.Hour},
		"what holds zombies and does not leak is told nothing of that":          {zombies(7, 1, "app", time.Hour), nil, 0},
		"nor is what left a few at its start":                                   {born(2, 20*time.Second), &v1alpha1.Births{PerHour: 180}, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := Container{Name: "app", ID: "aaaa", Zombies: tc.zombies, Limits: limits}
			o, _ := Pod(Seen{Containers: []Container{c}, LookBefore: noon.Add(-30 * time.Second), NodeBirthsPerHour: 20_000}, noon)
			got := o.Containers[0]
			if full := fullIn(o, 0); full != tc.full || (full > 0 && got.PIDs.LimitedBy != v1alpha1.PIDLimitPIDMax) {
				t.Errorf("full in %s by %+v, want %s by the node", full, got.PIDs, tc.full)
			}
			if (got.Births == nil) != (tc.births == nil) || (got.Births != nil && *got.Births != *tc.births) {
				t.Errorf("births = %+v, want %+v", got.Births, tc.births)
			}
		})
	}
}
