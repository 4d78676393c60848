package sighting

import (
	"testing"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/scan"
)

const apart = 30 * time.Second

// family is a parent and its zombies, of which it may reap some between two looks.
type family struct {
	tracker *Tracker
	at      time.Time
	parent  scan.Key
	// unread is whether the parent cannot be read.
	unread  bool
	zombies []*scan.Zombie
	next    int
}

func newFamily() *family {
	return &family{tracker: NewTracker(), at: noon, parent: scan.Key{PID: 5, StartTicks: 5}, next: 100}
}

// born adds zombies, and reap takes the oldest away.
func (f *family) born(count int) {
	for range count {
		z := untold(f.next)
		z.ParentPID = f.parent.PID
		f.zombies, f.next = append(f.zombies, z), f.next+1
	}
}

func (f *family) reap(count int) { f.zombies = f.zombies[count:] }

// move gives the zombies another parent; a scan tells of them anew then.
func (f *family) move(parent int) {
	for i, z := range f.zombies {
		moved := *z
		moved.ParentPID, f.zombies[i] = parent, &moved
	}
}

// look is the next look.
func (f *family) look() []Zombie {
	f.at = f.at.Add(apart)
	result := look(f.at, f.zombies...)
	if !f.unread {
		result.Parents = map[int]*scan.Parent{f.parent.PID: {Key: f.parent}}
	}
	stayed, _ := f.tracker.Look(result)
	return stayed
}

// temporary says whether the newest zombie seen twice is temporary, and how many its parent reaped.
func temporary(t *testing.T, stayed []Zombie) (bool, int) {
	t.Helper()
	if len(stayed) == 0 {
		t.Fatal("no zombie was seen twice")
	}
	z := stayed[len(stayed)-1]
	return z.Temporary, z.Reaped
}

// Twelve are born between two looks, and all are reaped every five minutes.
func TestTheZombiesOfASawtoothAreTemporaryFromTheFirstReapOn(t *testing.T) {
	t.Parallel()
	f := newFamily()
	for i := range 1000 {
		if i > 0 && i%10 == 0 {
			f.reap(len(f.zombies))
		}
		f.born(12)
		stayed := f.look()
		if len(stayed) == 0 {
			continue // just reaped
		}
		got, reaped := temporary(t, stayed)
		// Of each batch those that the last look saw for the first time are not counted. The oldest step may be forgotten.
		if least := min(i/10, 11) * 108; reaped < least || reaped > 13*108 {
			t.Fatalf("look %d: reaped %d, want about %d", i, reaped, least)
		}
		if got != (i > 10) {
			t.Fatalf("look %d: temporary: %t, reaped %d", i, got, reaped)
		}
	}
}

func TestAParentThatReapsOneChildInAHundredLeaks(t *testing.T) {
	t.Parallel()
	f := newFamily()
	f.born(100)
	f.look()
	for i := range 120 {
		f.born(10)
		if i%10 == 9 {
			f.reap(1)
		}
		if got, reaped := temporary(t, f.look()); got || (i > 9 && reaped == 0) {
			t.Fatalf("look %d: temporary: %t, reaped %d", i, got, reaped)
		}
	}
}

// It reaps 60 once, as by a signal that made the parent look; then it leaks on.
func TestAParentThatReapedOnceLeaksAgain(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		// births are those between two looks, and until how many minutes after the reap the zombies may be temporary.
		births  int
		minutes int
	}{
		"as soon as it holds twice as many": {10, 7},
		"an hour later, however slowly":     {1, 60},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFamily()
			f.born(60)
			f.look()
			f.look()
			f.reap(60)
			reapedAt := f.at
			f.born(tc.births)
			f.look()
			for ended := false; !ended; {
				f.born(tc.births)
				got, _ := temporary(t, f.look())
				passed := f.at.Sub(reapedAt)
				if ended = !got; ended && passed < time.Duration(tc.minutes)*time.Minute-6*time.Minute {
					t.Errorf("not temporary after %s", passed)
				}
				if passed > time.Duration(tc.minutes)*time.Minute+apart {
					t.Fatalf("temporary after %s", passed)
				}
			}
		})
	}
}

func TestWhatVanishedOtherwiseWasNotReaped(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*family){
		"with its parent, whose PID another process has now": func(f *family) {
			f.reap(9)
			f.parent.StartTicks++
			f.born(1)
		},
		"to another parent": func(f *family) {
			f.parent = scan.Key{PID: 1, StartTicks: 1}
			f.move(1)
		},
		"to another parent, that reaps it before the next look": func(f *family) {
			f.reap(9)
			f.parent = scan.Key{PID: 1, StartTicks: 1}
			f.born(1)
		},
		"under a parent that could not be read": func(f *family) {
			f.reap(9)
			f.parent = scan.Key{}
			f.born(1)
		},
		"nowhere, as it was not seen twice": func(f *family) {
			f.born(1)
			f.look()
			f.zombies = f.zombies[:9]
		},
	}
	for name, happens := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFamily()
			f.born(9)
			f.look()
			f.look()
			happens(f)
			f.look()
			if got, reaped := temporary(t, f.look()); got || reaped != 0 {
				t.Errorf("temporary: %t, reaped %d, want none", got, reaped)
			}
		})
	}
}

// Whom they moved to may be nobody that reaps.
func TestZombiesThatMovedTakeNoHabitOfTheirParentAlong(t *testing.T) {
	t.Parallel()
	f := newFamily()
	f.born(9)
	f.look()
	f.look()
	f.reap(5)
	if got, reaped := temporary(t, f.look()); !got || reaped != 5 {
		t.Fatalf("temporary: %t, reaped %d, want 5", got, reaped)
	}
	f.unread = true
	f.move(1)
	if got, reaped := temporary(t, f.look()); got || reaped != 0 {
		t.Errorf("when they moved: temporary: %t, reaped %d, want none", got, reaped)
	}
}

func TestAParentThatIsReadLateReapedTooWhatItWasKnownFor(t *testing.T) {
	t.Parallel()
	f := newFamily()
	f.born(9)
	f.look()
	f.unread = true
	f.look() // it is the same parent, as the zombies did not move
	f.reap(9)
	f.born(1)
	f.look()
	f.unread = false
	if got, reaped := temporary(t, f.look()); !got || reaped != 9 {
		t.Errorf("temporary: %t, reaped %d, want 9", got, reaped)
	}
}

// A tenant makes new parents all the time, each of which reaps one zombie and goes.
func TestWhoReapedIsRememberedOfFew(t *testing.T) {
	t.Parallel()
	held := func(parents, each int) sights {
		var out sights
		for i := range parents * each {
			out = append(out, sight{Zombie: &scan.Zombie{Key: scan.Key{PID: i}}, first: after(-time.Hour), parent: scan.Key{PID: parents + i/each, StartTicks: 1}})
		}
		return out
	}
	var r reaped
	r.look(noon, noon, held(1, 50), nil)
	for i := range 3 {
		r.look(after(time.Duration(i)*time.Minute), noon, held(maxReapers+i, 1), nil)
	}
	if got := r.parents[scan.Key{PID: 1, StartTicks: 1}]; len(r.parents) != maxReapers || got.sum() != 50 {
		t.Errorf("%d parents, of one that reaped 50: %v, want that one among %d", len(r.parents), got, maxReapers)
	}
	r.look(after(2*time.Hour), noon, nil, nil)
	if len(r.parents) != 0 {
		t.Errorf("%d parents are remembered for two hours", len(r.parents))
	}
}

func TestAClockThatLeapsForgetsNoMoreThanAll(t *testing.T) {
	t.Parallel()
	for name, leap := range map[string]time.Duration{"back": -1000 * time.Hour, "ahead": 1000 * time.Hour} {
		f := newFamily()
		f.born(9)
		f.look()
		f.look()
		f.at = f.at.Add(leap)
		f.reap(5)
		f.look()
		f.look()
		if got := f.tracker.reaped.parents[f.parent]; got.sum() != 5 {
			t.Errorf("%s: reaped %v, want 5", name, got)
		}
	}
}
