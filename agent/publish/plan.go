package publish

import (
	"time"

	"github.com/zombie-operator/zombie-operator/agent/observe"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// RewriteInterval is the least time between two writes of one report. A parent that reaps now and then makes its count
// cross many steps in every cycle; it must not make a write of each. It is a little less than the default scan interval,
// so that a write waits for the next look and not for the one after.
const RewriteInterval = 25 * time.Second

// ReblameInterval is the same where only details changed: a parent that renames itself all the time, fifty that leak
// alike and take turns among the worst, or a use of PIDs around a mark must not be worth a write at every look.
const ReblameInterval = 10 * time.Minute

// CompareInterval is how often the report of a leaking pod is read again, in case somebody deleted it.
const CompareInterval = 10 * time.Minute

// memory is what the agent knows of the report of one pod.
type memory struct {
	// pod is the pod as it was last seen.
	pod Pod
	// comparedAt is when the stored report was last read; zero means never.
	comparedAt time.Time
	// stored says that there was a report then, or that the agent wrote one since.
	stored bool
	// reported is what the stored report says; nil when there is none or it says nothing.
	reported *v1alpha1.Observed
	// leakingChangedAt is when the stored condition Leaking got its present status; zero when there is none.
	leakingChangedAt time.Time
	// findings are those that the stored report tells of, by their type.
	findings map[string]observe.Finding
	// first says that the last write was the first of a leak: of a burst it may tell of those zombies only that were old enough by then.
	first bool
	// writtenAt is when the agent last wrote the report.
	writtenAt time.Time
}

// transition is when the condition Leaking got the status that goes with an observation. A leak began when the oldest of
// its zombies died, not when it was noticed.
func (m memory) transition(observed v1alpha1.Observed, now time.Time) time.Time {
	changed := m.reported == nil || m.leakingChangedAt.IsZero() || (m.reported.Zombies > 0) != (observed.Zombies > 0)
	switch {
	case !changed:
		return m.leakingChangedAt
	case observed.OldestZombieTime != nil:
		return observed.OldestZombieTime.Time
	}
	return now
}

// told are the findings as they are reported: one that was reported already keeps since when it is true, which an agent
// that started later does not know.
func (m memory) told(found []observe.Finding) map[string]observe.Finding {
	told := make(map[string]observe.Finding, len(found))
	for _, f := range found {
		if before, ok := m.findings[f.Type]; ok {
			f.Since = before.Since
		}
		told[f.Type] = f
	}
	return told
}

// compareFindings says how findings differ from the reported ones. A count that grows makes another message at every look: what
// counts is the gist and, where that of the reported one is not known, the message.
func (m memory) compareFindings(found []observe.Finding) observe.Difference {
	difference := observe.Same
	for _, f := range found {
		switch before, ok := m.findings[f.Type]; {
		case !ok:
			return observe.OtherNumbers
		case before.Message != f.Message && (before.Gist == "" || before.Gist != f.Gist):
			difference = observe.OtherDetails
		}
	}
	if len(found) != len(m.findings) {
		return observe.OtherNumbers
	}
	return difference
}

// step is what to do about the report of one pod.
type step int

const (
	// nothing: the report says what was seen, or no report is needed.
	nothing step = iota
	// compare: read the stored report before anything else.
	compare
	// write: write what was seen.
	write
)

// plan decides what to do about the report of one pod.
//
// A pod that was never compared may have a report by an earlier agent. When that one matters now, because there is
// something to tell of the pod or because only the report knows the age of its zombies, it is compared at once. Otherwise its report may still speak of zombies that went away while no agent looked; that can wait, so it is compared
// only when spare, which the caller grants to few pods at a time to keep reads rare.
func plan(m memory, pod Pod, now time.Time, spare bool) step {
	matters := pod.matters()
	if pod.Incomplete {
		return nothing
	}
	if m.comparedAt.IsZero() {
		if matters || pod.AgesUntold || spare {
			return compare
		}
		return nothing
	}
	if matters && spare && now.Sub(m.comparedAt) >= CompareInterval {
		return compare
	}
	if m.reported == nil && !m.stored && !matters {
		return nothing // and a report without an observation, left by an agent that stopped in between, is completed
	}
	wait := RewriteInterval
	if m.reported != nil {
		difference := max(observe.Compare(*m.reported, pod.Observed, now), m.compareFindings(pod.Findings))
		if m.first && m.reported.Zombies != pod.Observed.Zombies {
			difference = observe.OtherNumbers // once, or it would tell of a part of the burst for as long as no step is crossed
		}
		switch difference {
		case observe.Same:
			return nothing
		case observe.OtherDetails:
			wait = ReblameInterval
		case observe.OtherNumbers:
		}
	}
	if now.Sub(m.writtenAt) < wait {
		return nothing
	}
	return write
}
