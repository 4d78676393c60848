package headroom

import "time"

// day is 24 hours: a forecast knows no time zone.
const day = 24 * time.Hour

// From which distance a forecast is told by the day, and from which by the hour. A rate is known to about a tenth: that is
// most of a day in a week, and half an hour in six.
const (
	byDay  = 7 * day
	byHour = 6 * time.Hour
)

// fullBy tells people when a limit is reached, in at most 15 characters. What has a time of day ends with Z, as it would be
// taken for local time otherwise. The year of what is hours away is plain, and without it the nearest sort first.
func fullBy(exhaustion, now time.Time) string {
	layout := "01-02 15:04Z"
	switch left := exhaustion.Sub(now); {
	case left >= byDay:
		layout = time.DateOnly
	case left >= byHour:
		layout = "2006-01-02 15hZ"
	}
	return exhaustion.UTC().Format(layout)
}

// Marks at which a use, in percent, and a distance in time are worth telling anew.
var (
	useMarks      = [...]int32{50, 70, 80, 90, 95}
	distanceMarks = [...]time.Duration{byDay, day, byHour, time.Hour, 10 * time.Minute}
)

// Step tells how many of the marks 50, 70, 80, 90 and 95 % a use has reached.
func Step(percent int32) int {
	step := 0
	for _, mark := range useMarks {
		if percent >= mark {
			step++
		}
	}
	return step
}

// Nearness tells how many of the marks 7 days, 1 day, 6 hours, 1 hour and 10 minutes are farther away than an exhaustion;
// 0 where it is the zero time, which is none.
func Nearness(exhaustion, now time.Time) int {
	if exhaustion.IsZero() {
		return 0
	}
	nearness, left := 0, exhaustion.Sub(now)
	for _, mark := range distanceMarks {
		if left < mark {
			nearness++
		}
	}
	return nearness
}
