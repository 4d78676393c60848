package births

import (
	"math"
	"slices"
	"time"
)

const (
	// tick is the resolution of start times. What is closer is as good as at once.
	tick = 10 * time.Millisecond
	// apart is how many times farther from each other bursts are than the births in them. A hole of one burst makes a gap
	// twice as long, which must not look like it.
	apart = 3
	// farApart is the same where no equal distances confirm it. The gaps of births by chance differ by less, but for the smallest.
	farApart = 10
	// fewGaps is how many gaps must be equal to be called regular: of three gaps by chance, all are within spread in 1 of 30 cases.
	fewGaps = 3
	// spread is by which factor equal gaps may differ: starts of a period of a second, each up to 100 ms early or late.
	spread = 1.5
	// fewShorter is in how many gaps one may be shorter than the equal ones, as when a kubelet starts again. Bursts that were
	// reaped make longer gaps only; many shorter ones come by chance.
	fewShorter = 10
	// fewBursts is how many gaps each half of the bursts must have to be compared: of halves with as many births by chance,
	// one takes more than twice as long as the other in 1 of 20 cases, which does no harm.
	fewBursts = 16
	// outweighs is how many times more births a burst must hold than all before it to be a new time of its own.
	outweighs = 4
)

// split is a way to tell the gaps within bursts from those between them.
type split struct {
	// within is the longest gap within a burst.
	within time.Duration
	// ratio is how many times longer the shortest gap between bursts is.
	ratio float64
}

// splitsOf returns the ways to group births into bursts, the coarsest first: wherever the gaps, sorted by length, jump. The
// last one groups only births at the same time. As each jump is threefold, there are fewer than 25 of them from a tick to
// the age of any node.
func splitsOf(born []time.Duration) []split {
	gaps := make([]time.Duration, 0, len(born)-1)
	for i, at := range born[1:] {
		gaps = append(gaps, at-born[i])
	}
	slices.Sort(gaps)
	splits := []split{{}}
	for i, gap := range gaps[1:] {
		if ratio := float64(gap) / float64(max(gaps[i], tick)); ratio >= apart {
			splits = append(splits, split{within: gaps[i], ratio: ratio})
		}
	}
	slices.Reverse(splits)
	return splits
}

// bursts are groups of births.
type bursts struct {
	// at is when each began, and size how many births it has.
	at   []time.Duration
	size []int
	// within is the longest gap in one, last the time of the last birth.
	within, last time.Duration
	// width is the time from the first birth to the last in each, summed up; longest is the longest of those after the first,
	// before which it may have been another time.
	width, longest time.Duration
}

// group groups births that are at most so far from the next.
func group(born []time.Duration, within time.Duration) bursts {
	b := bursts{within: within, last: born[len(born)-1]}
	for i, at := range born {
		if i > 0 && at-born[i-1] <= within {
			b.size[len(b.size)-1]++
			b.width += at - born[i-1]
			if len(b.at) > 1 {
				b.longest = max(b.longest, at-b.at[len(b.at)-1])
			}
			continue
		}
		b.at, b.size = append(b.at, at), append(b.size, 1)
	}
	return b
}

// latest returns the births since things changed for good: where nearly all came lately and close together, the few of
// long ago say nothing about what comes.
func latest(born []time.Duration) []time.Duration {
	for _, split := range splitsOf(born) {
		b := group(born, split.within)
		size := b.size[len(b.size)-1]
		if earlier := len(born) - size; earlier > 0 && size >= 2*fewBursts && size > outweighs*earlier {
			born = born[earlier:]
		}
	}
	return born
}

// latest returns the newer half of the bursts, and of that again, as long as it was twice as fast or slow as the older.
func (b bursts) latest() bursts {
	for len(b.at) > 2*fewBursts {
		half := len(b.at) / 2
		older, newer := b.at[half]-b.at[0], b.at[len(b.at)-1]-b.at[half]
		if ratio := float64(newer) / float64(older); ratio > 1/2.0 && ratio < 2 {
			return b
		}
		b.at, b.size = b.at[half:], b.size[half:]
	}
	return b
}

func (b bursts) span() time.Duration { return b.at[len(b.at)-1] - b.at[0] }

// short says whether there are pauses between the bursts, next to which they take no time.
func (b bursts) short() bool { return len(b.at) > 1 && b.width*farApart <= b.span() }

// period returns the most common gap between the bursts, if they have one: most gaps are as long and hardly any shorter,
// they make up most of the time, and no burst takes longer, as then things would be faster now.
func (b bursts) period() (time.Duration, bool) {
	gaps := make([]time.Duration, 0, len(b.at))
	for i, at := range b.at[1:] {
		gaps = append(gaps, at-b.at[i])
	}
	slices.Sort(gaps)
	from, most := 0, 0
	end := 0
	for i, gap := range gaps {
		for end < len(gaps) && float64(gaps[end]) <= spread*float64(gap) {
			end++
		}
		if end-i > most {
			from, most = i, end-i
		}
	}
	if most < fewGaps || 5*most < 3*len(gaps) || fewShorter*from > len(gaps) {
		return 0, false
	}
	var sum time.Duration
	for _, gap := range gaps[from : from+most] {
		sum += gap
	}
	period := sum / time.Duration(most)
	return period, 2*sum >= b.span() && b.longest < period
}

// over says whether after such a silence no more is to be expected of bursts whose usual distance is given. A time that is too
// short to tell a rate is too short to tell that there is none.
func (b bursts) over(usual, silence time.Duration) bool {
	var longest time.Duration
	for i, at := range b.at[1:] {
		longest = max(longest, at-b.at[i])
	}
	return silence >= max(overAfter*usual, longer*longest, leastSpan)
}

// every tells the rate of bursts at such a distance, the last of which ended so long ago.
func (b bursts) every(period, silence time.Duration) Estimate {
	// Of the first burst some may be reaped, and it may have been another time; the last may still go on.
	counted := b.size[1:]
	switch goesOn := silence <= b.within; {
	case goesOn && len(counted) == 1:
		counted = b.size[:1]
	case goesOn:
		counted = counted[:len(counted)-1]
	}
	births := 0
	for _, size := range counted {
		births += size
	}
	burst := float64(births) / float64(len(counted))
	overdue := max(0, silence-patience*period)
	falls := float64(b.span()) / float64(b.span()+overdue)
	e := Estimate{PerHour: burst * float64(time.Hour) / float64(period) * falls, Span: b.span()}
	if overdue == 0 && period >= leastPeriod {
		e.Burst, e.Period = int(math.Round(burst)), period
	}
	return e
}
