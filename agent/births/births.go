// Package births tells how fast zombies come from the start times of those that are there, in one look.
package births

import (
	"slices"
	"time"
)

const (
	// leastSpan is from how long a time of births on a rate is told. What one exec probe leaves is there within seconds, and
	// alone looks like the beginning of a leak that is a hundred times as fast.
	leastSpan = 5 * time.Second
	// overAfter is after how many gaps of the usual length without a birth it is over, and tells nothing about the next: of
	// births by chance one pause in 22,000 is as long.
	overAfter = 10
	// longer is how many times longer than the longest gap a pause must be as well. Births that come in fits have gaps that are
	// far longer than the usual one, and go on after them.
	longer = 2
	// outlook is how many times as far ahead as they have come births are taken to go on that keep no distance. What comes at
	// equal distances has a clock and goes on; what does not may be a start that ends. So those that came have taken a tenth
	// of what they are to fill.
	outlook = 10
	// patience is how many gaps of the usual length may pass without a birth before the rate falls: one because the next
	// birth is not due before, and one because a zombie may have been reaped or may be too young to be counted.
	patience = 2
	// leastPeriod is the shortest period that is told. An exec probe's is a second at least.
	leastPeriod = 500 * time.Millisecond
	// newest is of how many births the gaps are looked at, the newest ones: enough for four bursts as large as the default
	// kernel.pid_max.
	newest = 4 << 15
)

// Estimate says how fast zombies come.
type Estimate struct {
	// PerHour is how many are born in an hour.
	PerHour float64
	// Burst is how many are born at a time; 0 where they do not come at equal distances, or too fast to tell.
	Burst int
	// Period is the distance of the bursts; 0 where Burst is.
	Period time.Duration
	// Span is for how long they have come so.
	Span time.Duration
}

// Ahead is how far ahead they may be taken to go on so; false where nothing speaks against any time.
func (e Estimate) Ahead() (time.Duration, bool) {
	return outlook * e.Span, e.Period == 0
}

// Of tells how fast zombies come that started at these times, in any order. now is the moment up to which none is left
// out: for zombies that are counted from an age on, that age before the look. It is false where one look does not tell:
// of no or one zombie, or when all came within seconds, or when nothing came any more for ten of the usual gaps.
//
// Zombies that come in bursts at equal distances are told with the most common distance as the period; where a few bursts
// are missing they count as born and reaped since. Else the rate is the mean of the newest part that has one. It falls
// when the next birth is overdue.
//
// It takes O(n log n) time and 8 bytes for each zombie, of which there are at most 4,194,304, and 6 MiB at most beside.
func Of(starts []time.Time, now time.Time) (Estimate, bool) {
	if len(starts) < 2 {
		return Estimate{}, false
	}
	// As numbers they take a third of the memory and a tenth of the time to sort.
	born := make([]time.Duration, len(starts))
	for i, start := range starts {
		born[i] = start.Sub(now)
	}
	slices.Sort(born)
	return estimate(latest(born[max(0, len(born)-newest):]))
}

// estimate tells the rate of births at sorted times, in which 0 is now.
func estimate(born []time.Duration) (Estimate, bool) {
	silence := max(0, -born[len(born)-1])
	if born[len(born)-1]-born[0] < leastSpan {
		return Estimate{}, false
	}
	bursts, usual, regular := distance(born)
	if bursts.over(usual, silence) {
		return Estimate{}, false
	}
	e := bursts.every(usual, silence)
	if !regular {
		e.Burst, e.Period = 0, 0
	}
	return e, true
}

// distance groups births into bursts and tells their usual distance, and whether they keep it.
func distance(born []time.Duration) (b bursts, usual time.Duration, regular bool) {
	splits := splitsOf(born)
	for _, split := range splits {
		b = group(born, split.within).latest()
		if period, ok := b.period(); ok {
			return b, period, true
		}
	}
	b = irregular(born, splits).latest()
	return b, b.span() / time.Duration(len(b.at)-1), false
}

// irregular groups births that come at no equal distances. Where some came at one moment, the first of those moments counts
// for no time at all: two bursts of 26 five minutes apart are 26 births in five minutes, not 51.
func irregular(born []time.Duration, splits []split) bursts {
	for _, split := range splits {
		if split.ratio < farApart {
			continue
		}
		if b := group(born, split.within); b.short() {
			return b
		}
	}
	return group(born, 0)
}
