package headroom

import (
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

var now = time.Date(2026, 11, 22, 12, 30, 0, 0, time.UTC)

func TestTightestIsTheLimitThatIsNearest(t *testing.T) {
	t.Parallel()
	const container, pod, pidMax = v1alpha1.PIDLimitContainer, v1alpha1.PIDLimitPod, v1alpha1.PIDLimitPIDMax
	tests := map[string]struct {
		limits []Limit
		by     v1alpha1.PIDLimit
		left   time.Duration // negative: not in sight
	}{
		"where nothing is born it is the one with the highest share used": {[]Limit{{By: container, Used: 10, Max: 100}, {By: pod, Used: 30, Max: 200}, {By: pidMax, Used: 900, Max: 32768}}, pod, -1},
		"one that is reached sooner wins, though a smaller share of it is used": {
			[]Limit{{By: container, Used: 60, Max: 100, BirthsPerHour: 1}, {By: pidMax, Used: 8192, Max: 32768, BirthsPerHour: 24576}}, pidMax, time.Hour,
		},
		"one that is nearly full wins over one that is reached in months": {[]Limit{{By: container, Used: 93, Max: 100}, {By: pidMax, Used: 700, Max: 32768, BirthsPerHour: 10}}, container, -1},
		"one that is nearly full wins over one that is reached in months, whatever their order": {
			[]Limit{{By: pidMax, Used: 700, Max: 32768, BirthsPerHour: 10}, {By: container, Used: 93, Max: 100}}, container, -1,
		},
		"one that is reached in hours wins over one that is half full and stays so": {[]Limit{{By: container, Used: 60, Max: 100}, {By: pod, Used: 1, Max: 21, BirthsPerHour: 10}}, pod, 2 * time.Hour},
		"where none has passed a mark, one in sight wins over one that is fuller":   {[]Limit{{By: container, Used: 49, Max: 100}, {By: pod, Used: 1, Max: 2401, BirthsPerHour: 10}}, pod, 240 * time.Hour},
		"of two as near in marks, the one that is reached first wins":               {[]Limit{{By: container, Used: 79, Max: 100, BirthsPerHour: 1}, {By: pod, Used: 70, Max: 90, BirthsPerHour: 1}}, pod, 20 * time.Hour},
		"of two that are reached at once, the fuller wins":                          {[]Limit{{By: container, Used: 1, Max: 11, BirthsPerHour: 1}, {By: pod, Used: 2, Max: 12, BirthsPerHour: 1}}, pod, 10 * time.Hour},
		"one that is full is reached now, though nothing is born":                   {[]Limit{{By: container, Used: 10, Max: 100, BirthsPerHour: 100}, {By: pod, Used: 200, Max: 200}}, pod, 0},
		"one that is more than full is reached now":                                 {[]Limit{{By: pod, Used: 250, Max: 200}}, pod, 0},
		"of two that are full it is the first":                                      {[]Limit{{By: container, Used: 100, Max: 100}, {By: pod, Used: 200, Max: 200}}, container, 0},
		"of two with the same share it is the first":                                {[]Limit{{By: container, Used: 1, Max: 2}, {By: pod, Used: 2, Max: 4}}, container, -1},
		"what has no limit is left out":                                             {[]Limit{{By: container, Used: 1000, BirthsPerHour: 1e9}, {By: pod, Used: 1, Max: 200}}, pod, -1},
		"a year ahead is in sight":                                                  {[]Limit{{By: pod, Max: 24 * 365, BirthsPerHour: 1}}, pod, 365 * 24 * time.Hour},
		"more than a year ahead is not":                                             {[]Limit{{By: pod, Max: 24*365 + 1, BirthsPerHour: 1}}, pod, -1},
		"no farther ahead than its births may be taken to go on": {
			[]Limit{{By: container, Max: 100, BirthsPerHour: 100, Ahead: time.Hour - 1}, {By: pod, Max: 200, BirthsPerHour: 100, Ahead: 2 * time.Hour}},
			pod, 2 * time.Hour,
		},
		"not in sight where no births may be taken to go on for so long": {[]Limit{{By: pod, Max: 200, BirthsPerHour: 100, Ahead: 2*time.Hour - 1}}, pod, -1},
		"births that go on for longer make it no farther than a year":    {[]Limit{{By: pod, Max: 24*365 + 1, BirthsPerHour: 1, Ahead: 1 << 62}}, pod, -1},
		"full now, however short its births go on":                       {[]Limit{{By: pod, Used: 200, Max: 200, BirthsPerHour: 1, Ahead: 1}}, pod, 0},
		"a rate so small that the time overflows is none":                {[]Limit{{By: pod, Max: 200, BirthsPerHour: 1e-300}}, pod, -1},
		"a rate below 0 is none":                                         {[]Limit{{By: pod, Max: 200, BirthsPerHour: -1}}, pod, -1},
		"a rate that is no number is none":                               {[]Limit{{By: pod, Max: 200, BirthsPerHour: math.NaN()}}, pod, -1},
		"a rate without end is now":                                      {[]Limit{{By: pod, Max: 200, BirthsPerHour: math.Inf(1)}}, pod, 0},
		"a use below 0, of a kernel that is wrong, counts 0":             {[]Limit{{By: pod, Used: -5, Max: 10, BirthsPerHour: 10}}, pod, time.Hour},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := Tightest(tc.limits, now)
			if !ok || got.PIDs.LimitedBy != tc.by {
				t.Errorf("Tightest() = %+v, %t, want limit %s", got, ok, tc.by)
			}
			want := now.Add(tc.left)
			if tc.left < 0 {
				want = time.Time{}
			}
			if off := got.ExhaustionTime.Sub(want).Abs(); off > time.Millisecond || (got.FullBy == "") != want.IsZero() {
				t.Errorf("full at %s, by %q, want %s", got.ExhaustionTime, got.FullBy, want)
			}
		})
	}
}

func TestTightestOfNothingIsNone(t *testing.T) {
	t.Parallel()
	for _, limits := range [][]Limit{nil, {{By: v1alpha1.PIDLimitPod, Used: 5}}, {{By: v1alpha1.PIDLimitPod, Used: 5, Max: -1}}} {
		if got, ok := Tightest(limits, now); ok || got != (Verdict{}) {
			t.Errorf("Tightest(%v) = %+v, want none", limits, got)
		}
	}
}

func TestTightestTellsTheUse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		used, max int64
		want      v1alpha1.PIDs
	}{
		"rounded down":                {15, 200, v1alpha1.PIDs{Used: 15, Limit: 200, UsedPercent: 7}},
		"99 % when one is left":       {32767, 32768, v1alpha1.PIDs{Used: 32767, Limit: 32768, UsedPercent: 99}},
		"100 % when full":             {200, 200, v1alpha1.PIDs{Used: 200, Limit: 200, UsedPercent: 100}},
		"100 % when more than full":   {250, 200, v1alpha1.PIDs{Used: 250, Limit: 200, UsedPercent: 100}},
		"0 % when nothing is used":    {0, 200, v1alpha1.PIDs{Limit: 200}},
		"0 % when less than that is":  {-7, 200, v1alpha1.PIDs{Limit: 200}},
		"within what a report holds":  {1 << 40, 1 << 50, v1alpha1.PIDs{Used: math.MaxInt32, Limit: math.MaxInt32, UsedPercent: 100}},
		"at the largest limit, by 99": {math.MaxInt32 - 1, math.MaxInt32, v1alpha1.PIDs{Used: math.MaxInt32 - 1, Limit: math.MaxInt32, UsedPercent: 99}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := Tightest([]Limit{{By: v1alpha1.PIDLimitPod, Used: tc.used, Max: tc.max}}, now)
			tc.want.LimitedBy = v1alpha1.PIDLimitPod
			if diff := cmp.Diff(tc.want, got.PIDs); diff != "" || !ok {
				t.Errorf("use (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever the limits and their order, none has passed more marks than the one that is told, and what is told fits into a report.
func TestTightestHoldsForRandomLimits(t *testing.T) {
	t.Parallel()
	fits := regexp.MustCompile(`^[0-9][-0-9: hZ]*$`) // as the CRD has it
	random := rand.New(rand.NewPCG(4, 4))
	for range 20_000 {
		limits := make([]Limit, 1+random.IntN(4))
		for i := range limits {
			limits[i] = Limit{Used: random.Int64N(5000), Max: random.Int64N(5000), BirthsPerHour: math.Pow(10, random.Float64()*8-4)}
			if random.IntN(3) == 0 {
				limits[i].BirthsPerHour = 0
			}
		}
		got, ok := Tightest(limits, now)
		if !ok {
			continue
		}
		if n := len(got.FullBy); n > 16 || (n > 0 && !fits.MatchString(got.FullBy)) || (n == 0) != got.ExhaustionTime.IsZero() {
			t.Fatalf("FullBy = %q at %s", got.FullBy, got.ExhaustionTime)
		}
		if (got.PIDs.UsedPercent == 100) != (got.PIDs.Used >= got.PIDs.Limit) || got.PIDs.UsedPercent > 100 {
			t.Fatalf("use = %+v", got.PIDs)
		}
		for _, l := range limits {
			if alone, ok := Tightest([]Limit{l}, now); ok && marks(alone) > marks(got) {
				t.Fatalf("Tightest(%+v) = %+v, but %+v is nearer", limits, got, l)
			}
		}
		slices.Reverse(limits)
		if again, _ := Tightest(limits, now); again.PIDs != got.PIDs {
			t.Fatalf("Tightest(%+v) = %+v, and in the other order %+v", limits, again, got)
		}
	}
}

func marks(v Verdict) int { return max(Step(v.PIDs.UsedPercent), Nearness(v.ExhaustionTime, now)) }
