// Package headroom tells which limit on processes and threads is met first, and when.
package headroom

import (
	"math"
	"time"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// horizon is how far a forecast looks. Beyond a year the rate of today says nothing, and a node is restarted before.
const horizon = 365 * 24 * time.Hour

// Limit is a limit on processes and threads, and how far it is used.
type Limit struct {
	// By says whose limit it is.
	By v1alpha1.PIDLimit
	// Used is how many processes, threads and zombies count against it.
	Used int64
	// Max is how many there may be; 0 is no limit.
	Max int64
	// BirthsPerHour is how many more of them there are each hour; 0 where that is not known.
	BirthsPerHour float64
	// Ahead is how far ahead they may be taken to go on so; 0 is as far as a forecast looks.
	Ahead time.Duration
}

// Verdict is the limit that is met first, and when.
type Verdict struct {
	// PIDs is the limit and its use. ForksFailing is left to who knows the look before.
	PIDs v1alpha1.PIDs
	// ExhaustionTime is when it is reached; the zero time where nothing is born or it is farther away than can be told.
	ExhaustionTime time.Time
	// FullBy is the same for people, always in UTC, cut and not rounded so that it is never too late: "2026-11-30" when it is
	// 7 days and more away, "2026-11-24 15hZ" when 6 hours and more, else "11-22 15:04Z"; "" where ExhaustionTime is zero.
	FullBy string
}

// Tightest picks the limit that has passed most marks, of use as Step counts them or in time as Nearness does; of equals the
// one that is reached first, then the one of which the highest share is used, then the first. So one that is nearly full is
// not hidden by one that is reached in months, nor one that is reached in hours by one that is half full and stays so. It is
// false where there is no limit.
func Tightest(limits []Limit, now time.Time) (Verdict, bool) {
	var tightest limit
	found := false
	for _, l := range limits {
		if l.Max <= 0 {
			continue
		}
		if candidate := newLimit(l, now); !found || candidate.tighterThan(tightest) {
			tightest, found = candidate, true
		}
	}
	if !found {
		return Verdict{}, false
	}
	verdict := Verdict{PIDs: v1alpha1.PIDs{
		Used:        int32(tightest.used), //nolint:gosec // newLimit bounds it
		Limit:       int32(tightest.max),  //nolint:gosec // newLimit bounds it
		LimitedBy:   tightest.by,
		UsedPercent: tightest.percent(),
	}}
	if tightest.inSight {
		verdict.ExhaustionTime = now.Add(tightest.left)
		verdict.FullBy = fullBy(verdict.ExhaustionTime, now)
	}
	return verdict, true
}

// limit is a Limit in numbers that a report can hold, with what follows from them.
type limit struct {
	by        v1alpha1.PIDLimit
	used, max int64
	// left is the time until it is reached, known when inSight.
	left    time.Duration
	inSight bool
	// marks is how many marks it has passed.
	marks int
}

// newLimit bounds the numbers to what a report holds: the kernel's are smaller, 4,194,304 for PIDs and 2^30 for threads.
func newLimit(l Limit, now time.Time) limit {
	out := limit{by: l.By, used: min(max(0, l.Used), math.MaxInt32), max: min(l.Max, math.MaxInt32)}
	// Compared as numbers that may be infinite or none, before they become a Duration, which may not.
	hours := float64(out.max-out.used) / l.BirthsPerHour
	switch {
	case out.used >= out.max:
		out.inSight = true
	case l.BirthsPerHour > 0 && hours <= l.farthest().Hours():
		out.left, out.inSight = time.Duration(hours*float64(time.Hour)), true
	}
	out.marks = Step(out.percent())
	if out.inSight {
		out.marks = max(out.marks, Nearness(now.Add(out.left), now))
	}
	return out
}

// farthest is how far ahead a forecast of the limit is told.
func (l Limit) farthest() time.Duration {
	if l.Ahead == 0 {
		return horizon
	}
	return min(l.Ahead, horizon)
}

// percent is rounded down: 100 % is full.
func (l limit) percent() int32 {
	return int32(min(100, l.used*100/l.max)) //nolint:gosec // it is at most 100
}

func (l limit) tighterThan(other limit) bool {
	switch {
	case l.marks != other.marks:
		return l.marks > other.marks
	case l.inSight && other.inSight && l.left != other.left:
		return l.left < other.left
	case l.inSight != other.inSight:
		return l.inSight
	}
	return l.used*other.max > other.used*l.max // both are below 2^31, so that no product overflows
}
