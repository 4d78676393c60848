// Package ledger keeps what limits acts: which are under way, when the last ones were, and how far up its ladder each
// container is. It is one object of the API server, changed by compare-and-swap before each act, so that neither a second
// controller nor a new one after a crash exceeds a limit. ZombieRemediations are the trail of what was done and feed no
// limit: deleting one frees nothing.
package ledger

import (
	"slices"
	"time"
)

const (
	// Retention is how long a container is remembered after its last act. It exceeds the week that a trigger may look ahead: a leak that
	// takes days to meet it again is still the one that a restart does not cure. And it exceeds the time for which a finished
	// ZombieRemediation is kept, so that an attempt's number, which is part of its name, is never given twice.
	Retention = 8 * 24 * time.Hour
	// MaxTargets bounds the book: a thousand stay below the megabyte of an object, however long the names in them are.
	MaxTargets = 1000
	// MaxUnits is how many units may be under way at once. Every agent watches remediations, of which a unit has up to five.
	MaxUnits = 100
)

// Target is a container of a pod, whichever its ID is now.
type Target struct {
	PodUID    string `json:"podUID"`
	Container string `json:"container"`
}

// Unit is one rung of a ladder under way: one act, or one signal to each of a few parents.
type Unit struct {
	Target
	Namespace string `json:"namespace"`
	PodName   string `json:"podName"`
	// ContainerID is the container that is acted on.
	ContainerID string `json:"containerID"`
	// Remediations are the names of its ZombieRemediations.
	Remediations []string `json:"remediations"`
	// Disruptive says that it counts against the limits of disruptive acts.
	Disruptive bool `json:"disruptive,omitempty"`
	// Restart says that it stops the container.
	Restart bool `json:"restart,omitempty"`
	// Action, Word and Message tell it to people, as it was planned: by what is seen later, another act might be chosen.
	Action  string `json:"action"`
	Word    string `json:"word"`
	Message string `json:"message"`
	// Attempt is the number of this act among those on the container.
	Attempt int32 `json:"attempt"`
	// ReservedAt is when it was entered, before any of its ZombieRemediations was made.
	ReservedAt time.Time `json:"reservedAt"`
	// EndsBy is when it has ended for sure, should nothing be to be seen of it any more.
	EndsBy time.Time `json:"endsBy"`
}

// Position is how far up its ladder a container is.
type Position struct {
	Target
	// Policy names the policy and its generation; another one starts its own ladder from the bottom.
	Policy string `json:"policy"`
	// ContainerID is the container that was acted on last.
	ContainerID string `json:"containerID"`
	// Restarted says that this operator restarted that container, so that another ID is no surprise.
	Restarted bool `json:"restarted,omitempty"`
	// Rung is the index of the rung that is on.
	Rung int `json:"rung"`
	// Tries is how often this rung was tried.
	Tries int `json:"tries"`
	// Attempts is how many ZombieRemediations were named for this container; it is never set back.
	Attempts int32 `json:"attempts"`
	// Await says that the last act may have changed what a report tells: one that still says what was Seen then is of
	// before the act.
	Await bool   `json:"await,omitempty"`
	Seen  string `json:"seen,omitempty"`
	// EndedAt is when the last act ended; zero while the first is under way.
	EndedAt time.Time `json:"endedAt,omitzero"`
	// DisruptedAt is when the last disruptive act ended.
	DisruptedAt time.Time `json:"disruptedAt,omitzero"`
	// StoppedAt is when the container was last seen to stop leaking.
	StoppedAt time.Time `json:"stoppedAt,omitzero"`
}

// Book is what the ledger says. Its zero value says nothing.
type Book struct {
	Units     []Unit     `json:"units,omitempty"`
	Positions []Position `json:"positions,omitempty"`
	// Dropped counts the positions that were forgotten early because there were too many.
	Dropped int `json:"dropped,omitempty"`
}

// Unit returns the unit of a pod that is under way; nil when there is none.
func (b Book) Unit(podUID string) *Unit {
	for i := range b.Units {
		if b.Units[i].PodUID == podUID {
			return &b.Units[i]
		}
	}
	return nil
}

// Disruptive returns the disruptive unit that is under way in the cluster; nil when there is none.
func (b Book) Disruptive() *Unit {
	for i := range b.Units {
		if b.Units[i].Disruptive {
			return &b.Units[i]
		}
	}
	return nil
}

// Full is whether no further unit may be entered before another has ended.
func (b Book) Full() bool { return len(b.Units) >= MaxUnits }

// Position returns the position of a container, the bottom of the ladder when it was never acted on.
func (b Book) Position(t Target) Position {
	for _, p := range b.Positions {
		if p.Target == t {
			return p
		}
	}
	return Position{Target: t}
}

// DisruptedAt is when any container of a pod was last disrupted; zero when none was within the Retention.
func (b Book) DisruptedAt(podUID string) time.Time {
	var last time.Time
	for _, p := range b.Positions {
		if p.PodUID == podUID && p.DisruptedAt.After(last) {
			last = p.DisruptedAt
		}
	}
	return last
}

// Reserve enters a unit and the position from which it starts.
func (b Book) Reserve(u Unit, p Position) Book {
	return Book{Units: append(slices.Clone(b.Units), u), Positions: b.with(p), Dropped: b.Dropped}
}

// Settle takes a unit out and enters the position that follows from its outcome.
func (b Book) Settle(u Unit, p Position) Book {
	units := slices.DeleteFunc(slices.Clone(b.Units), func(other Unit) bool { return other.Target == u.Target })
	return Book{Units: units, Positions: b.with(p), Dropped: b.Dropped}
}

// Stopped enters when containers stopped leaking, of those that were acted on. It tells whether there is one.
func (b Book) Stopped(targets []Target, at time.Time) (Book, bool) {
	positions := slices.Clone(b.Positions)
	found := false
	for i := range positions {
		if slices.Contains(targets, positions[i].Target) {
			positions[i].StoppedAt, found = at, true
		}
	}
	return Book{Units: b.Units, Positions: positions, Dropped: b.Dropped}, found
}

func (b Book) with(p Position) []Position {
	positions := slices.DeleteFunc(slices.Clone(b.Positions), func(other Position) bool { return other.Target == p.Target })
	return append(positions, p)
}

// Trim forgets containers whose last act is past, those longest ago first where there are too many. A container with a
// unit under way stays.
func (b Book) Trim(now time.Time) Book {
	var busy, quiet []Position
	for _, p := range b.Positions {
		switch {
		case slices.ContainsFunc(b.Units, func(u Unit) bool { return u.Target == p.Target }):
			busy = append(busy, p)
		case now.Sub(p.EndedAt) < Retention:
			quiet = append(quiet, p)
		}
	}
	slices.SortStableFunc(quiet, func(a, b Position) int { return b.EndedAt.Compare(a.EndedAt) })
	room := min(len(quiet), max(0, MaxTargets-len(busy)))
	return Book{Units: b.Units, Positions: append(busy, quiet[:room]...), Dropped: b.Dropped + len(quiet) - room}
}
