package headroom

import (
	"testing"
	"time"
)

func TestFullByIsAsPreciseAsTheForecast(t *testing.T) {
	t.Parallel()
	kolkata := time.FixedZone("IST", 5*3600+1800) // a zone whose hours begin at another minute
	tests := map[string]struct {
		left time.Duration
		want string
	}{
		"a year away, the day":              {365 * day, "2027-11-22"},
		"7 days away, the day":              {7 * day, "2026-11-29"},
		"just less, the hour":               {7*day - time.Second, "2026-11-29 12hZ"},
		"a day away, the hour":              {day, "2026-11-23 12hZ"},
		"6 hours away, the hour":            {6 * time.Hour, "2026-11-22 18hZ"},
		"just less, the minute":             {6*time.Hour - time.Second, "11-22 18:29Z"},
		"a minute away, the minute":         {time.Minute, "11-22 12:31Z"},
		"a moment away, never told too far": {time.Minute - time.Nanosecond, "11-22 12:30Z"},
		"now":                               {0, "11-22 12:30Z"},
		"in the past":                       {-time.Hour, "11-22 11:30Z"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := fullBy(now.Add(tc.left).In(kolkata), now); got != tc.want {
				t.Errorf("fullBy() = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestStepGrowsAtEachMark(t *testing.T) {
	t.Parallel()
	for percent, want := range map[int32]int{-1: 0, 0: 0, 49: 0, 50: 1, 69: 1, 70: 2, 79: 2, 80: 3, 89: 3, 90: 4, 94: 4, 95: 5, 100: 5} {
		if got := Step(percent); got != want {
			t.Errorf("Step(%d) = %d, want %d", percent, got, want)
		}
	}
}

func TestNearnessGrowsAtEachMark(t *testing.T) {
	t.Parallel()
	for left, want := range map[time.Duration]int{
		365 * day: 0, 7 * day: 0, 7*day - 1: 1, day: 1, day - 1: 2, 6 * time.Hour: 2, 6*time.Hour - 1: 3,
		time.Hour: 3, time.Hour - 1: 4, 10 * time.Minute: 4, 10*time.Minute - 1: 5, 0: 5, -time.Hour: 5,
	} {
		if got := Nearness(now.Add(left), now); got != want {
			t.Errorf("Nearness of %s = %d, want %d", left, got, want)
		}
	}
	if got := Nearness(time.Time{}, now); got != 0 {
		t.Errorf("Nearness of no exhaustion = %d, want 0", got)
	}
}
