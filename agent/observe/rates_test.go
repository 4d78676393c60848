package observe

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/agent/births"
	"github.com/zombie-operator/zombie-operator/agent/headroom"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// born makes zombies of PID 1, one at each distance, the newest a distance before the last look.
func born(count int, distance time.Duration) []Zombie {
	out := zombies(count, 1, "app", time.Minute)
	for i := range out {
		out[i].StartedAt = noon.Add(-30*time.Second - time.Duration(count-i)*distance)
	}
	return out
}

func TestPodTellsHowFastZombiesCome(t *testing.T) {
	t.Parallel()
	young := born(30, 10*time.Second)
	for i := range young[1:] {
		young[1+i].Since = noon // too young to count, and yet a birth
	}
	tests := map[string]struct {
		zombies []Zombie
		want    *v1alpha1.Births
	}{
		"a probe's children":        {born(30, 10*time.Second), &v1alpha1.Births{PerHour: 360, Burst: 1, PeriodSeconds: 10}},
		"those too young to count":  {young, &v1alpha1.Births{PerHour: 360, Burst: 1, PeriodSeconds: 10}},
		"one alone tells nothing":   {born(1, 10*time.Second), nil},
		"all at once tells nothing": {zombies(9, 1, "app", time.Hour), nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := observed(Container{Name: "app", ID: "aaaa", Zombies: tc.zombies}).Containers[0].Births
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("births (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBirthsFitAReport(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		born births.Estimate
		want *v1alpha1.Births
	}{
		"numbers are rounded":                 {births.Estimate{PerHour: 2.5, Burst: 3, Period: 1499 * time.Millisecond}, &v1alpha1.Births{PerHour: 3, Burst: 3, PeriodSeconds: 1}},
		"a period below a second is not told": {births.Estimate{PerHour: 7200, Burst: 1, Period: 499 * time.Millisecond}, &v1alpha1.Births{PerHour: 7200}},
		"no period is none":                   {births.Estimate{PerHour: 7}, &v1alpha1.Births{PerHour: 7}},
		"what is too large is cut":            {births.Estimate{PerHour: math.Inf(1), Burst: math.MaxInt, Period: math.MaxInt64}, &v1alpha1.Births{PerHour: maxPerHour, Burst: maxBurst, PeriodSeconds: maxPeriod}},
		"what is negative is nothing":         {births.Estimate{PerHour: -7}, nil},
		"one in three hours is not none":      {births.Estimate{PerHour: 1 / 3.0}, nil},
		"its period tells what it is":         {births.Estimate{PerHour: 1 / 3.0, Burst: 1, Period: 3 * time.Hour}, &v1alpha1.Births{Burst: 1, PeriodSeconds: 10800}},
	}
	for name, tc := range tests {
		if diff := cmp.Diff(tc.want, birthsOf(tc.born)); diff != "" {
			t.Errorf("%s: births (-want +got):\n%s", name, diff)
		}
	}
}

// Two containers leak 360 and 180 an hour, the node 3600; each limit leaves as much room as its births fill in two hours.
func TestEachLimitFillsByTheBirthsOfWhatCountsAgainstIt(t *testing.T) {
	t.Parallel()
	seen := Seen{
		Containers: []Container{
			{Name: "app", ID: "aaaa", Zombies: born(60, 10*time.Second)},
			{Name: "sidecar", ID: "bbbb", Zombies: born(30, 20*time.Second)},
		},
		LookBefore: noon.Add(-30 * time.Second), NodeBirthsPerHour: 3600,
	}
	pod := ratesOf(seen).pod.PerHour
	if math.Abs(pod-540) > 54 {
		t.Errorf("births of the pod = %f, want about 540", pod)
	}
	for by, perHour := range map[v1alpha1.PIDLimit]float64{
		v1alpha1.PIDLimitContainer: 360, v1alpha1.PIDLimitPod: pod,
		v1alpha1.PIDLimitKubepods: 3600, v1alpha1.PIDLimitPIDMax: 3600, v1alpha1.PIDLimitThreadsMax: 3600,
	} {
		limit := headroom.Limit{By: by, Used: 100, Max: 100 + int64(2*perHour)}
		seen.Containers[0].Limits = []headroom.Limit{limit}
		observed, _ := Pod(seen, noon)
		got := observed.Containers[0]
		if got.PIDs == nil || got.PIDs.LimitedBy != by || got.ExhaustionTime == nil {
			t.Errorf("%s: PIDs = %+v, exhaustion = %v, want both", by, got.PIDs, got.ExhaustionTime)
			continue
		}
		if left := got.ExhaustionTime.Sub(noon); (left - 2*time.Hour).Abs() > time.Minute {
			t.Errorf("%s: full in %s, want 2h", by, left)
		}
		if got.FullBy == "" || !got.ExhaustionTime.Equal(new(metav1.NewTime(got.ExhaustionTime.UTC().Truncate(time.Second)))) {
			t.Errorf("%s: full by %q, exhaustion = %v, want both for people", by, got.FullBy, got.ExhaustionTime)
		}
		if limit.BirthsPerHour != seen.Containers[0].Limits[0].BirthsPerHour {
			t.Errorf("%s: the input was changed", by)
		}
	}
}
