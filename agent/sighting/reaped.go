package sighting

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/scan"
)

const (
	// memory is for how long it counts that a parent reaped, in steps. A parent that was made to reap once, by a signal, and
	// leaks on has a forecast again after that at the latest.
	memory = time.Hour
	steps  = 12
	step   = memory / steps
	// maxReapers is of how many parents it is remembered, those that reaped most: some 0.5 MiB. A tenant may make as many as it
	// has PIDs, one after another.
	maxReapers = 4096
)

// reaped remembers which parents reaped zombies. That a zombie is gone says so only of a parent that lives; one that ended
// reaped nothing, and what it left behind was moved or ended with it. But whoever holds zombies later is the same process by its
// Key and lived all the time, so only such a parent is told of.
type reaped struct {
	// began is the first look.
	began   time.Time
	parents map[scan.Key]counts
}

// counts are how many zombies a parent reaped in each of the newest steps.
type counts struct {
	of [steps]int
	// newest is the number of the newest step, from the first look on.
	newest int
}

// look takes in what was seen at the last look and at this one. Zombies that were seen once say nothing: every parent has them.
func (r *reaped) look(now, last time.Time, before, seen sights) {
	if r.parents == nil {
		r.began, r.parents = now, map[scan.Key]counts{}
	}
	current := int(now.Sub(r.began) / step)
	for key, c := range r.parents {
		if c.forget(current); c.sum() == 0 {
			delete(r.parents, key)
			continue
		}
		r.parents[key] = c
	}
	for _, s := range before {
		if s.parent == (scan.Key{}) || !s.twice(last) || seen.of(s.Key) != nil {
			continue
		}
		c := r.parents[s.parent]
		c.forget(current)
		c.of[c.newest%steps]++
		r.parents[s.parent] = c
	}
	if len(r.parents) > maxReapers {
		r.cut()
	}
}

// cut keeps the parents that reaped most.
func (r *reaped) cut() {
	most := slices.SortedFunc(maps.Keys(r.parents), func(a, b scan.Key) int {
		return cmp.Or(cmp.Compare(r.parents[b].sum(), r.parents[a].sum()), cmp.Compare(a.PID, b.PID))
	})
	for _, key := range most[maxReapers:] {
		delete(r.parents, key)
	}
}

// tell says of each zombie what its parent has reaped.
func (r *reaped) tell(zombies []Zombie, seen sights) {
	if len(r.parents) == 0 {
		return
	}
	held := map[scan.Key]int{}
	for _, z := range zombies {
		held[seen.of(z.Key).parent]++
	}
	for i := range zombies {
		parent := seen.of(zombies[i].Key).parent
		n := r.parents[parent].sum()
		zombies[i].Reaped, zombies[i].Temporary = n, n > 0 && 2*n >= held[parent]
	}
}

// forget empties the steps that began since the newest one, up to the current one.
func (c *counts) forget(current int) {
	for s := max(c.newest+1, current-steps+1); s <= current; s++ {
		c.of[s%steps] = 0
	}
	c.newest = max(c.newest, current)
}

func (c counts) sum() int {
	sum := 0
	for _, n := range c.of {
		sum += n
	}
	return sum
}
