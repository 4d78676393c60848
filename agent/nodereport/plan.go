package nodereport

import (
	"slices"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/headroom"
	"github.com/zombie-operator/zombie-operator/agent/observe"
	"github.com/zombie-operator/zombie-operator/agent/publish"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// slack is by how many points of percent the use of PIDs must fall below a mark before that is told: a node whose use moves
// around a mark would else write at every look. A rise is told at once.
const slack = 5

// memory is what the agent knows of the report of its node.
type memory struct {
	// comparedAt is when the stored report was last read; zero means never.
	comparedAt time.Time
	// stored says that there was a report then, or that the agent wrote one since.
	stored bool
	// reported is what the stored report says; nil when there is none or it says nothing.
	reported *v1alpha1.NodeObserved
	// leaking and pressure are the conditions in it.
	leaking, pressure state
	// writtenAt is when the agent last wrote the report.
	writtenAt time.Time
}

// state is a condition's status and since when it has it; the zero value is a condition that is not there.
type state struct {
	on    bool
	since time.Time
}

// turned is the state after a look at time now.
func (s state) turned(on bool, now time.Time) state {
	if s.since.IsZero() || s.on != on {
		return state{on: on, since: now}
	}
	return s
}

// isLeaking says whether there are zombies outside of pods.
func isLeaking(observed v1alpha1.NodeObserved) bool {
	return observed.HostZombies > 0 || observed.Unattributed > 0
}

// isPressed says whether PIDs are scarce. Once they are, they are until the use is well below the limit again.
func isPressed(observed v1alpha1.NodeObserved, was bool) bool {
	least := int32(v1alpha1.NodePressurePercent)
	if was {
		least -= slack
	}
	return observed.PIDs != nil && observed.PIDs.UsedPercent >= least
}

// isWorthAReport says whether a node that has no report gets one.
func isWorthAReport(observed v1alpha1.NodeObserved) bool {
	return isLeaking(observed) || isPressed(observed, false)
}

// step is what to do about the report.
type step int

const (
	// nothing: the report says what was seen, or none is needed.
	nothing step = iota
	// compare: read the stored report before anything else.
	compare
	// write: write what was seen.
	write
)

// plan decides what to do about the report. One that an earlier agent left may tell of what is over, so the stored one is
// read first in any case; later only while it matters, in case somebody deleted it.
func plan(m memory, observed v1alpha1.NodeObserved, now time.Time) step {
	switch {
	case m.comparedAt.IsZero():
		return compare
	case isWorthAReport(observed) && now.Sub(m.comparedAt) >= publish.CompareInterval:
		return compare
	case !m.stored && !isWorthAReport(observed):
		return nothing
	}
	if m.reported != nil {
		wait, differs := patience(*m.reported, observed, m.pressure.on, now)
		if !differs || now.Sub(m.writtenAt) < wait {
			return nothing
		}
	}
	return write
}

// patience says whether an observation differs so much from the reported one that it is worth a write, and for how long after
// the last write that can wait. What only got better, or is only named otherwise, can wait longer than what got worse: a
// parent on the host that reaps every minute would else write each time. pressed says whether the report says that PIDs are
// scarce; that has a slack of its own.
func patience(reported, observed v1alpha1.NodeObserved, pressed bool, now time.Time) (wait time.Duration, differs bool) {
	was, is := nearness(reported, now), nearness(observed, now)
	host, unattributed := rise(reported.HostZombies, observed.HostZombies), rise(reported.Unattributed, observed.Unattributed)
	switch {
	case host > 0, unattributed > 0,
		observed.PIDs != nil && isPressed(observed, pressed) != pressed,
		is > was,
		isWorse(reported.PIDs, observed.PIDs):
		return publish.RewriteInterval, true
	case host < 0, unattributed < 0,
		is < was,
		isBetter(reported.PIDs, observed.PIDs),
		!slices.Equal(commands(reported), commands(observed)):
		return publish.ReblameInterval, true
	}
	return 0, false
}

// rise is by how many steps a count rose; it is less than 0 when it fell.
func rise(before, after int32) int { return observe.Step(int(after)) - observe.Step(int(before)) }

// nearness is how near the moment is when no PID is left.
func nearness(observed v1alpha1.NodeObserved, now time.Time) int {
	if observed.ExhaustionTime == nil {
		return headroom.Nearness(time.Time{}, now)
	}
	return headroom.Nearness(observed.ExhaustionTime.Time, now)
}

// isWorse says that the use of PIDs rose over a mark.
func isWorse(reported, observed *v1alpha1.PIDs) bool {
	if reported == nil || observed == nil {
		return false
	}
	return headroom.Step(observed.UsedPercent) > headroom.Step(reported.UsedPercent)
}

// isBetter says that the use of PIDs fell well below a mark, or that another limit is the tighter one or can be read.
func isBetter(reported, observed *v1alpha1.PIDs) bool {
	if reported == nil || observed == nil {
		return reported != observed
	}
	return headroom.Step(observed.UsedPercent+slack) < headroom.Step(reported.UsedPercent) || reported.LimitedBy != observed.LimitedBy
}

// commands are the parents' names without their order, which follows from counts that change all the time.
func commands(observed v1alpha1.NodeObserved) []string {
	names := make([]string, 0, len(observed.Parents))
	for _, p := range observed.Parents {
		names = append(names, p.Command)
	}
	slices.Sort(names)
	return names
}
