// Package sighting remembers zombies, and what looks like one, from look to look: only one that stays is a leak, and its
// age has to be known.
package sighting

import (
	"cmp"
	"slices"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// MinApart is how far apart two looks must be for a zombie in both to count as seen twice: a parent that waits
// promptly does so within milliseconds, but a tight loop of fork and wait shows the same zombie in two looks
// taken back to back.
const MinApart = time.Second

// Zombie is a zombie that was seen twice.
type Zombie struct {
	*scan.Zombie
	// Since is when it died or, where the kernel does not tell, when it was first seen.
	Since time.Time
	// MovedFrom is the command name, foreign bytes, of the first parent that it was seen under before the one it has now;
	// a parent that could not be read does not count. It is empty when its parent never changed.
	MovedFrom string
	// Reaped is how many zombies its parent was seen to reap within the last hour.
	Reaped int
	// Temporary is whether that is at least half as many as the parent holds now: it does wait, if late, and this one is no more
	// that stays.
	Temporary bool
}

// LookAlike is a look-alike that was seen twice.
type LookAlike struct {
	scan.LookAlike
	// Since is when it was first seen as what it is.
	Since time.Time
}

// Tracker remembers the zombies and look-alikes of the last look.
type Tracker struct {
	// at is when the last look was, seen are its sights of zombies.
	at   time.Time
	seen sights
	// others are the first sights of look-alikes.
	others map[other]time.Time
	// reaped are the parents that were seen to reap.
	reaped reaped
}

type sight struct {
	// Zombie is what it was at the last look.
	*scan.Zombie
	// first is when it was first seen, by this agent or by an earlier one.
	first time.Time
	// parentCommand is the command name of the parent that it had at the last look; empty when that was never read.
	parentCommand string
	// parent is that parent; the zero Key where it could not be read yet.
	parent    scan.Key
	movedFrom string
}

// twice is whether it was seen twice, at a look that saw it.
func (s sight) twice(at time.Time) bool { return at.Sub(s.first) >= MinApart }

// sights are sorted by PID: of many a map would take several times as much memory.
type sights []sight

// of is the sight of a zombie; nil when it was not seen.
func (all sights) of(key scan.Key) *sight {
	i, ok := slices.BinarySearchFunc(all, key.PID, func(s sight, pid int) int { return cmp.Compare(s.PID, pid) })
	if !ok || all[i].Key != key {
		return nil
	}
	return &all[i]
}

// other is a look-alike of one kind: what was held by a tracer and now is something else was not seen before.
type other struct {
	scan.Key
	kind scan.LookAlikeKind
}

// NewTracker returns a Tracker that has seen nothing.
func NewTracker() *Tracker { return &Tracker{} }

// Look takes in one look and returns what was there at an earlier look too, at least MinApart ago, in the order of the look.
func (t *Tracker) Look(result scan.Result) ([]Zombie, []LookAlike) {
	return t.zombies(result), t.lookAlikes(result)
}

func (t *Tracker) zombies(result scan.Result) []Zombie {
	seen := make(sights, 0, len(result.Zombies))
	stayed := make([]Zombie, 0, len(result.Zombies))
	for _, z := range result.Zombies {
		s := sight{Zombie: z, first: result.At}
		if before := t.seen.of(z.Key); before != nil {
			s = *before
		}
		s = s.as(z, result.Parents)
		seen = append(seen, s)
		if s.twice(result.At) {
			stayed = append(stayed, Zombie{Zombie: z, Since: s.since(), MovedFrom: s.movedFrom})
		}
	}
	slices.SortFunc(seen, func(a, b sight) int { return cmp.Compare(a.PID, b.PID) })
	t.reaped.look(result.At, t.at, t.seen, seen)
	t.reaped.tell(stayed, seen)
	t.at = result.At
	t.seen = seen
	return stayed
}

// since is when it died or, where the kernel does not tell, when it was first seen.
func (s sight) since() time.Time {
	if s.DiedAt.IsZero() {
		return s.first
	}
	return s.DiedAt
}

// as is the sight after a look that saw the zombie as it is now. A parent that could not be read this time keeps the name it had.
func (s sight) as(now *scan.Zombie, parents map[int]*scan.Parent) sight {
	if now.ParentPID != s.ParentPID && s.movedFrom == "" {
		s.movedFrom = s.parentCommand
	}
	if now.ParentPID != s.ParentPID {
		s.parent = scan.Key{}
	}
	s.Zombie = now
	if parent, ok := parents[now.ParentPID]; ok {
		s.parent, s.parentCommand = parent.Key, parent.Command
	}
	return s
}

func (t *Tracker) lookAlikes(result scan.Result) []LookAlike {
	others := make(map[other]time.Time, len(result.LookAlikes))
	var stayed []LookAlike
	for _, l := range result.LookAlikes {
		key := other{l.Key, l.Kind}
		first, ok := t.others[key]
		if !ok {
			first = result.At
		}
		others[key] = first
		if result.At.Sub(first) >= MinApart {
			stayed = append(stayed, LookAlike{LookAlike: l, Since: first})
		}
	}
	t.others = others
	return stayed
}

// Remember gives the zombies of a container the ages that an earlier agent reported of it: where the kernel does not
// tell when a process died, only the report still knows. The one that started first takes the reported time of the
// oldest; as many as were reported to have an age take that age at time now. A zombie that started later than it
// would have died keeps the age it has: it replaces one that was reaped since. Ages never shrink.
func (t *Tracker) Remember(zombies []*Zombie, ages []v1alpha1.AgeCount, oldest, now time.Time) {
	untold := make([]int, 0, len(zombies))
	for i, z := range zombies {
		if z.DiedAt.IsZero() {
			untold = append(untold, i)
		}
	}
	slices.SortFunc(untold, func(a, b int) int { return cmp.Compare(zombies[a].StartTicks, zombies[b].StartTicks) })
	for rank, i := range untold {
		since := reportedSince(rank, ages, oldest, now)
		if !since.Before(zombies[i].Since) || zombies[i].StartedAt.After(since) {
			continue
		}
		zombies[i].Since = since
		if s := t.seen.of(zombies[i].Key); s != nil {
			s.first = since
		}
	}
}

// reportedSince is when the zombie of a rank, 0 being the oldest, died at the latest according to a report.
func reportedSince(rank int, ages []v1alpha1.AgeCount, oldest, now time.Time) time.Time {
	if rank == 0 {
		return oldest
	}
	since := now
	for _, age := range ages {
		if int64(rank) < int64(age.Zombies) {
			since = now.Add(-time.Duration(age.MinAgeSeconds) * time.Second)
		}
	}
	return since
}
