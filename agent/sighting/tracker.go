// Package sighting remembers zombies from look to look: only one that stays is a leak, and its age has to be known.
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
	scan.Zombie
	// Since is when it died or, where the kernel does not tell, when it was first seen.
	Since time.Time
}

// Tracker remembers the zombies of the last look.
type Tracker struct {
	seen map[scan.Key]sight
}

type sight struct {
	first time.Time
	since time.Time
}

// NewTracker returns a Tracker that has seen nothing.
func NewTracker() *Tracker { return &Tracker{seen: map[scan.Key]sight{}} }

// Look takes in one look and returns the zombies that were there at an earlier look, at least MinApart ago.
func (t *Tracker) Look(result scan.Result) []Zombie {
	seen := make(map[scan.Key]sight, len(result.Zombies))
	var stayed []Zombie
	for _, z := range result.Zombies {
		s, ok := t.seen[z.Key]
		if !ok {
			s = sight{first: result.At, since: z.DiedAt}
			if s.since.IsZero() {
				s.since = result.At
			}
		}
		seen[z.Key] = s
		if result.At.Sub(s.first) >= MinApart {
			stayed = append(stayed, Zombie{Zombie: z, Since: s.since})
		}
	}
	t.seen = seen
	return stayed
}

// Remember gives the zombies of a container the ages that an earlier agent reported of it: where the kernel does not
// tell when a process died, only the report still knows. The one that started first takes the reported time of the
// oldest; as many as were reported to have an age take that age at time now. A zombie that started later than it
// would have died keeps the age it has: it replaces one that was reaped since. Ages never shrink.
func (t *Tracker) Remember(zombies []Zombie, ages []v1alpha1.AgeCount, oldest, now time.Time) {
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
		if s, ok := t.seen[zombies[i].Key]; ok {
			s.since = since
			t.seen[zombies[i].Key] = s
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
