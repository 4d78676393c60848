package births

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 22, 12, 30, 0, 0, time.UTC)

// series are births made for a test, as times before now.
type series struct {
	starts []time.Time
	random *rand.Rand
}

func newSeries(seed uint64) *series { return &series{random: rand.New(rand.NewPCG(seed, 4))} }

// every adds bursts that are a period apart, the births of each spread over width, the last of which began ago before now.
func (s *series) every(period time.Duration, bursts, size int, width, ago time.Duration) *series {
	for i := range bursts {
		for range size {
			at := now.Add(-ago - time.Duration(i)*period)
			if width > 0 {
				at = at.Add(time.Duration(s.random.Int64N(int64(width))))
			}
			s.starts = append(s.starts, at)
		}
	}
	return s
}

// chance adds births at random times with a mean distance, the last one ago before now.
func (s *series) chance(mean time.Duration, births int, ago time.Duration) *series {
	at := now.Add(-ago)
	for range births {
		s.starts = append(s.starts, at)
		at = at.Add(-time.Duration(s.random.ExpFloat64() * float64(mean)))
	}
	return s
}

// jitter moves each birth by up to so much in each direction, but not beyond now.
func (s *series) jitter(most time.Duration) *series {
	for i, at := range s.starts {
		at = at.Add(time.Duration(s.random.Int64N(int64(2*most)+1)) - most)
		if at.After(now) {
			at = now
		}
		s.starts[i] = at
	}
	return s
}

// ticks cuts the times to the kernel's hundredths of a second, and shuffles them as PIDs do.
func (s *series) ticks() []time.Time {
	for i, at := range s.starts {
		s.starts[i] = at.Truncate(tick)
	}
	s.random.Shuffle(len(s.starts), func(i, j int) { s.starts[i], s.starts[j] = s.starts[j], s.starts[i] })
	return s.starts
}

// without leaves out births.
func (s *series) without(drop func(at time.Duration) bool) *series {
	kept := s.starts[:0]
	for _, at := range s.starts {
		if !drop(now.Sub(at)) {
			kept = append(kept, at)
		}
	}
	s.starts = kept
	return s
}

// near says whether a number is within 10 % of another.
func near(got, want float64) bool { return math.Abs(got-want) <= want/10 }

func TestOfTellsTheRate(t *testing.T) {
	t.Parallel()
	const second, minute, hour = time.Second, time.Minute, time.Hour
	tests := map[string]struct {
		series  *series
		perHour float64
		burst   int
		period  time.Duration // 0: not told
	}{
		"of 26 every five minutes":                       {newSeries(1).every(5*minute, 12, 26, second, 2*minute), 312, 26, 5 * minute},
		"of 26 every three seconds":                      {newSeries(2).every(3*second, 8, 26, 100*time.Millisecond, second), 31200, 26, 3 * second},
		"of two bursts, which span one pause only":       {newSeries(3).every(5*minute, 2, 26, second, 2*minute), 312, 0, 0},
		"of three bursts":                                {newSeries(4).every(5*minute, 3, 26, second, 4*minute), 312, 0, 0},
		"of two bursts and one that goes on":             {newSeries(5).every(5*minute, 2, 26, second, 5*minute).every(0, 1, 1, 0, 0), 312, 0, 0},
		"of five bursts and one that goes on":            {newSeries(6).every(5*minute, 5, 26, second, 5*minute).every(0, 1, 3, 0, 0), 312, 26, 5 * minute},
		"of 24 a minute":                                 {newSeries(7).every(2500*time.Millisecond, 480, 1, 0, second), 1440, 1, 2500 * time.Millisecond},
		"of 24 a minute, early or late by a tick":        {newSeries(8).every(2500*time.Millisecond, 480, 1, 0, second).jitter(tick), 1440, 1, 2500 * time.Millisecond},
		"of 24 a minute, as exactly as a kubelet":        {newSeries(9).every(2500*time.Millisecond, 480, 1, 0, second).jitter(200 * time.Millisecond), 1440, 1, 2500 * time.Millisecond},
		"of one in ten seconds, as exactly as a kubelet": {newSeries(10).every(10*second, 6, 1, 0, 9*second).jitter(300 * time.Millisecond), 360, 1, 10 * second},
		"of one a second, as exactly as a kubelet":       {newSeries(11).every(second, 60, 1, 0, 0).jitter(100 * time.Millisecond), 3600, 1, second},
		"of one an hour, by two":                         {newSeries(12).every(hour, 2, 1, 0, 59*minute), 1, 0, 0},
		"of one an hour, by three":                       {newSeries(13).every(hour, 3, 1, 0, minute), 1, 0, 0},
		"of one an hour, by four":                        {newSeries(14).every(hour, 4, 1, 0, 30*minute).jitter(second), 1, 1, hour},
		"of four a minute, one by one":                   {newSeries(15).every(15*second, 40, 1, 0, 10*second), 240, 1, 15 * second},
		"of four a minute, at once":                      {newSeries(16).every(minute, 40, 4, 0, 10*second), 240, 4, minute},
		"of a hundred a second, too fast for a period":   {newSeries(17).every(tick, 5000, 1, 0, 0), 360000, 0, 0},
		"of five thousand a second, many in each tick":   {newSeries(18).every(200*time.Microsecond, 100_000, 1, 0, 0), 18e6, 0, 0},
		"by chance":               {newSeries(19).chance(minute, 1000, 30*second), 60, 0, 0},
		"by chance, ten a second": {newSeries(20).chance(100*time.Millisecond, 1000, 0), 36000, 0, 0},
		"of one probe every 10 s and another every 30 s":    {newSeries(21).every(10*second, 60, 1, 0, second).every(30*second, 20, 1, 0, 6*second), 480, 0, 0},
		"with every fifth burst reaped":                     {newSeries(22).every(10*second, 50, 3, second/2, 5*second).without(fifth), 1080, 3, 10 * second},
		"with a third of the time reaped":                   {newSeries(23).every(10*second, 90, 1, 0, 5*second).without(between(200*second, 500*second)), 360, 1, 10 * second},
		"of now, not of a month with one a day before":      {newSeries(24).chance(36*second, 1000, second).every(24*hour, 30, 1, 0, 12*hour), 100, 0, 0},
		"of now, not of when it was a fifth":                {newSeries(25).chance(12*second, 1000, second).chance(minute, 500, 12000*second), 300, 0, 0},
		"of the new period of a probe":                      {newSeries(26).every(30*second, 100, 1, 0, second).every(10*second, 80, 1, 0, 3011*second), 120, 1, 30 * second},
		"of the new period, when it is shorter":             {newSeries(32).every(10*second, 100, 1, 0, second).every(minute, 100, 1, 0, 1051*second), 360, 1, 10 * second},
		"of the new period, by a few":                       {newSeries(33).every(30*second, 12, 1, 0, second).every(10*second, 12, 1, 0, 371*second), 120, 1, 30 * second},
		"of one burst and one that goes on":                 {newSeries(34).every(0, 1, 26, second, 5*minute).every(0, 1, 1, 0, 0), 312, 0, 0},
		"of one a day, after many on the first day":         {newSeries(27).every(24*hour, 29, 1, 0, hour).chance(minute, 200, 29*24*hour), 1 / 24.0, 1, 24 * hour},
		"of a period, when one birth is overdue":            {newSeries(28).every(10*second, 30, 1, 0, 19*second), 360, 1, 10 * second},
		"of those that are there where most are reaped":     {newSeries(29).every(10*second, 3000, 1, 0, second).without(mostly(29)), 360 * 0.3, 0, 0},
		"of bursts over a quarter of their period":          {newSeries(30).every(4*second, 20, 26, second, 2*second), 23400, 26, 4 * second},
		"of one every other second, though the clock leaps": {newSeries(31).every(2*second, 30, 1, 0, -second), 1800, 1, 2 * second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := Of(tc.series.ticks(), now)
			if !ok || !near(got.PerHour, tc.perHour) {
				t.Errorf("Of() = %+v, %t, want %.1f an hour", got, ok, tc.perHour)
			}
			if got.Burst != tc.burst || !near(float64(got.Period), float64(tc.period)) {
				t.Errorf("Of() = %+v, want %d every %s", got, tc.burst, tc.period)
			}
		})
	}
}

func fifth(at time.Duration) bool { return (at/(10*time.Second))%5 == 3 }

func between(from, to time.Duration) func(time.Duration) bool {
	return func(at time.Duration) bool { return at > from && at < to }
}

// mostly drops seven births of ten, by chance.
func mostly(seed uint64) func(time.Duration) bool {
	random := rand.New(rand.NewPCG(seed, 5))
	return func(time.Duration) bool { return random.Float64() < 0.7 }
}

func TestOfTellsNothingWhereOneLookDoesNot(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*series{
		"of no zombie":                                  newSeries(1),
		"of one":                                        newSeries(2).every(0, 1, 1, 0, time.Hour),
		"of two at once":                                newSeries(3).every(0, 1, 2, 0, time.Hour),
		"of 10,000 at once, now":                        newSeries(4).every(0, 1, 10_000, 0, 0),
		"of 10,000 within seconds, now":                 newSeries(5).every(0, 1, 10_000, 4*time.Second, 0),
		"of 10,000 within seconds, long ago":            newSeries(6).every(0, 1, 10_000, 20*time.Second, time.Hour),
		"of 10,000 at once after one of the day before": newSeries(7).every(0, 1, 10_000, time.Second, time.Minute).every(0, 1, 1, 0, 24*time.Hour),
		"of a leak that stopped long ago":               newSeries(8).every(2500*time.Millisecond, 100, 1, 0, time.Hour),
		"of ten in six seconds, half a minute later":    newSeries(10).every(6*time.Second/9, 10, 1, 0, 30*time.Second),
		"of ten by chance, when it was quiet for long":  newSeries(11).chance(time.Second, 10, 30*time.Second),
		"of 20 in a minute, a minute later":             newSeries(12).every(3*time.Second, 20, 1, 0, time.Minute),
		"of what is said to be born tomorrow":           newSeries(9).every(0, 1, 10, time.Second, -24*time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, ok := Of(s.ticks(), now); ok || got != (Estimate{}) {
				t.Errorf("Of() = %+v, %t, want nothing", got, ok)
			}
		})
	}
}

// Births that come in fits have far longer gaps than the usual one, and are not over after each.
func TestOfGoesOnThroughThePausesOfWhatComesInFits(t *testing.T) {
	t.Parallel()
	s := newSeries(1)
	at := time.Minute // of silence up to now
	for _, pause := range []int{20, 60, 10, 45, 35, 5} {
		s.every(100*time.Millisecond, 50, 1, 0, at)
		at += time.Duration(5+pause) * time.Second
	}
	if got, ok := Of(s.ticks(), now); !ok {
		t.Errorf("Of() = %+v, %t, want a rate after a minute of silence, as there was one before", got, ok)
	}
	if got, ok := Of(s.starts, now.Add(2*time.Minute)); ok {
		t.Errorf("Of() = %+v, %t, want none after a pause twice as long", got, ok)
	}
}

// A start that leaves a few zombies looks like a leak that just began: only what keeps a distance goes on for sure.
func TestHowFarAheadBirthsGoOn(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		series *series
		ahead  time.Duration // 0: without end
	}{
		"two of a start, ten times their distance":         {newSeries(1).every(20*time.Second, 2, 1, 0, 10*time.Second), 200 * time.Second},
		"of two distances, ten times as long as they came": {newSeries(2).every(10*time.Second, 7, 1, 0, 0).every(30*time.Second, 3, 1, 0, 4*time.Second), 640 * time.Second},
		"at equal distances, without end":                  {newSeries(3).every(15*time.Second, 5, 1, 0, 10*time.Second), 0},
		"at equal distances, when the third is missed":     {newSeries(4).every(15*time.Second, 5, 1, 0, 31*time.Second), 10 * time.Minute},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := Of(tc.series.ticks(), now)
			ahead, bounded := got.Ahead()
			if !ok || bounded != (tc.ahead > 0) || (bounded && ahead != tc.ahead) {
				t.Errorf("Of() = %+v, %t, ahead %s, %t, want %s", got, ok, ahead, bounded, tc.ahead)
			}
		})
	}
}

func TestOfFallsWhenNothingIsBornAnyMore(t *testing.T) {
	t.Parallel()
	for name, leak := range map[string]func(ago time.Duration) *series{
		"of a regular leak":   func(ago time.Duration) *series { return newSeries(1).every(10*time.Second, 60, 2, time.Second, ago) },
		"of births by chance": func(ago time.Duration) *series { return newSeries(2).chance(5*time.Second, 120, ago) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			last := math.Inf(1)
			for ago := time.Duration(0); ago < 2*time.Hour; ago += 30 * time.Second {
				got, ok := Of(leak(ago).ticks(), now)
				if !ok {
					got.PerHour = 0 // over
				}
				if got.PerHour > last || (got.PerHour == last && last > 0 && ago > time.Minute) {
					t.Fatalf("after %s the rate is %.1f, and it was %.1f", ago, got.PerHour, last)
				}
				// It is never more than what came, over the time in which it came and that since, but for what may be due.
				if most := 120 * float64(time.Hour) / float64(10*time.Minute+ago-time.Minute); ago > time.Minute && got.PerHour > 1.2*most {
					t.Fatalf("after %s the rate is %.1f, want less than %.1f", ago, got.PerHour, most)
				}
				last = got.PerHour
			}
			if last > 0 {
				t.Errorf("after two hours the rate is %.1f, want none", last)
			}
		})
	}
}

// Births at equal distances are told within 10 %, whatever the distance, the bursts, the jitter and the moment of the look.
func TestOfHoldsForRandomPeriods(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for i := range uint64(500) {
		// From 600 ms to 6 days, each order of magnitude alike.
		period := time.Duration(0.6e9 * math.Pow(10, 6*random.Float64()))
		bursts, size := 5+random.IntN(60), 1+random.IntN(40)
		if time.Duration(bursts)*period < 2*leastSpan {
			bursts = int(2*leastSpan/period) + 1
		}
		width := time.Duration(float64(period) * random.Float64() / 8)
		ago := time.Duration(float64(period-width) * random.Float64())
		s := newSeries(i).every(period, bursts, size, width, ago-width/2)
		s.starts = s.starts[:len(s.starts)-random.IntN(size)] // of the oldest, some are reaped
		if random.IntN(2) == 0 {
			s.jitter(min(period/20, 300*time.Millisecond))
		}
		got, ok := Of(s.ticks(), now)
		want := float64(size) * float64(time.Hour) / float64(period)
		if !ok || !near(got.PerHour, want) || got.Burst != size || !near(float64(got.Period), float64(period)) {
			t.Fatalf("case %d: Of() = %+v, %t, want %d every %s (%.1f an hour), %d times, over %s, the last %s ago",
				i, got, ok, size, period, want, bursts, width, ago)
		}
	}
}

// A few bursts that are missing change nothing.
func TestOfHoldsWithHoles(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for i := range uint64(200) {
		period := time.Duration(1e9 * math.Pow(10, 4*random.Float64()))
		size := 1 + random.IntN(30)
		s := newSeries(i).every(period, 40+random.IntN(60), size, period/20, period/2)
		s.without(func(at time.Duration) bool { return (at/period)%8 == 5 || at/period == 20 || at/period == 21 })
		got, ok := Of(s.ticks(), now)
		want := float64(size) * float64(time.Hour) / float64(period)
		if !ok || !near(got.PerHour, want) || got.Burst != size || !near(float64(got.Period), float64(period)) {
			t.Fatalf("case %d: Of() = %+v, %t, want %d every %s (%.1f an hour)", i, got, ok, size, period, want)
		}
	}
}

// Births by chance are told at their mean, and rarely with a period.
func TestOfHoldsForChance(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	regular := 0
	for i := range uint64(100) {
		mean := time.Duration(0.1e9 * math.Pow(10, 5*random.Float64()))
		// The mean of 2,000 is within 2.2 % of the truth in two of three cases, so within 10 % in all.
		got, ok := Of(newSeries(i).chance(mean, 2000, 0).ticks(), now)
		if want := float64(time.Hour) / float64(mean); !ok || !near(got.PerHour, want) {
			t.Errorf("case %d: Of() = %+v, %t, want %.1f an hour", i, got, ok, want)
		}
		if few, ok := Of(newSeries(i).chance(time.Minute, 8, 0).ticks(), now); ok && few.Period > 0 {
			regular++
		}
	}
	if regular > 5 {
		t.Errorf("8 births by chance had a period in %d of 100 cases, want one in twenty at most", regular)
	}
}

// Of more zombies than are looked at, the newest are.
func TestOfLooksAtTheNewestOfAMillion(t *testing.T) {
	t.Parallel()
	s := newSeries(1).every(time.Minute, 100, 10_000, time.Second, 30*time.Second)
	got, ok := Of(s.starts, now)
	if !ok || !near(got.PerHour, 600_000) || got.Burst != 10_000 {
		t.Errorf("Of() = %+v, %t, want 10,000 a minute", got, ok)
	}
}

func FuzzOf(f *testing.F) {
	f.Add([]byte{}, int64(0))
	f.Add([]byte{1, 1, 1, 1, 200, 1, 1, 1, 1, 200, 1, 1, 1, 1}, int64(1e10))
	f.Add([]byte{0, 0, 255, 0, 0, 255, 0, 255, 0}, int64(-1))
	f.Fuzz(func(t *testing.T, gaps []byte, ago int64) {
		at := now.Add(-time.Duration(ago))
		var starts []time.Time
		for _, gap := range gaps {
			// From nothing over a tick to a year.
			at = at.Add(-time.Duration(math.Pow(1.2, float64(gap))) * time.Millisecond / 10)
			starts = append(starts, at)
		}
		got, ok := Of(starts, now)
		if math.IsNaN(got.PerHour) || got.PerHour < 0 || (got.PerHour == 0) == ok {
			t.Errorf("Of() = %+v, %t", got, ok)
		}
		if (got.Burst == 0) != (got.Period == 0) || got.Burst < 0 || got.Burst > len(starts) || got.Period < 0 {
			t.Errorf("Of() = %+v of %d births", got, len(starts))
		}
		// Nobody sees more births in a second than there are zombies.
		if got.PerHour > 3600*float64(len(starts)) {
			t.Errorf("Of() = %+v of %d births", got, len(starts))
		}
	})
}
