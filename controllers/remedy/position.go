package remedy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/govern"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

// settleTime is how long a report that still says what it said before an act that helped is not believed. The agent writes
// within two scans, which are at most 10 min apart; after that it is taken to mean what it says.
const settleTime = 10 * time.Minute

// currentPosition is the position in the ledger, or the bottom of the ladder when that one is out of date: the policy is
// another or changed, the container was replaced by another hand, or had no leak for an hour.
func (s situation) currentPosition() ledger.Position {
	p := s.book.Position(s.target())
	if p.ContainerID != s.container.ContainerID && p.Restarted {
		p.ContainerID, p.Restarted = s.container.ContainerID, false
	}
	if p.Policy != policyMark(s.ruling) || p.ContainerID != s.container.ContainerID || s.wasQuiet(p) {
		p.Policy, p.ContainerID = policyMark(s.ruling), s.container.ContainerID
		p.Rung, p.Tries, p.Await, p.Seen = 0, 0, false, ""
	}
	p.Attempts = max(p.Attempts, s.highestAttempt())
	return p
}

// wasQuiet is whether the container was seen to stop leaking, and did not begin again for an hour. A leak that needs a day to meet the
// trigger again has not stopped for that time: the oldest of its zombies died soon after the last act.
func (s situation) wasQuiet(p ledger.Position) bool {
	return !p.StoppedAt.IsZero() && !s.since.IsZero() && earlier(s.since, s.oldestZombie()).Sub(p.StoppedAt) >= quietTime
}

// oldestZombie is when the oldest zombie of the container died, or at the latest so; the zero time when that is not known.
func (s situation) oldestZombie() time.Time {
	var oldest time.Time
	if s.container.ParentsOmitted > 0 && s.report.Status.Observed.OldestZombieTime != nil {
		oldest = s.report.Status.Observed.OldestZombieTime.Time
	}
	for _, p := range s.container.Parents {
		oldest = earlier(oldest, p.OldestZombieTime.Time)
	}
	return oldest
}

// earlier is the earlier of two times; a zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// highestAttempt keeps a ledger that was lost from giving an attempt's number, and so a name, twice.
func (s situation) highestAttempt() int32 {
	var highest int32
	for i := range s.remediations {
		if spec := s.remediations[i].Spec; spec.ContainerName == s.container.Name {
			highest = max(highest, spec.Attempt)
		}
	}
	return highest
}

// policyMark names a policy as it was read. Its UID tells it from one that was made anew under its name.
func policyMark(r govern.Ruling) string {
	mark := fmt.Sprintf("%s/%s@%d", r.Reference.Kind, r.Reference.Name, r.Reference.Generation)
	if policy, ok := r.Object.(metav1.Object); ok && policy.GetUID() != "" {
		mark += " " + string(policy.GetUID())
	}
	return mark
}

// observationMark marks what the agent reported of a container. It is short, as the ledger keeps it.
func observationMark(c v1alpha1.ContainerObservation) string {
	var mark strings.Builder
	fmt.Fprintf(&mark, "%s %d", c.ContainerID, c.Zombies)
	for _, p := range c.Parents {
		fmt.Fprintf(&mark, " %d:%d@%d", p.StartTicks, p.Zombies, p.OldestZombieTime.Unix())
	}
	sum := sha256.Sum256([]byte(mark.String()))
	return hex.EncodeToString(sum[:8])
}

// settled is the position that follows from the outcomes of a unit.
//
// The next rung is on only when the proof says that this one did not cure, or that it cannot be done. An act that helped
// is tried again when the leak comes back, and one of which nothing is known, because its target changed or its agent was
// away, is decided anew from what the agent reports next.
func settled(p ledger.Position, u ledger.Unit, outcomes []v1alpha1.Outcome, now time.Time) ledger.Position {
	p.EndedAt = now
	if u.Disruptive && slices.ContainsFunc(outcomes, wasDone) {
		p.DisruptedAt = now
	}
	p.Restarted = u.Disruptive && slices.ContainsFunc(outcomes, wasDone)
	p.Await = true
	if slices.ContainsFunc(outcomes, helped) {
		p.StoppedAt = now
	}
	switch {
	case !u.Disruptive && onlyCured(outcomes): // as often as it is needed: it disturbs nobody
	case slices.ContainsFunc(outcomes, helped), slices.Contains(outcomes, v1alpha1.OutcomeInterrupted):
		p.Tries++
	case slices.ContainsFunc(outcomes, failed):
		p.Tries, p.Await = maxTries, false
	case slices.Contains(outcomes, v1alpha1.OutcomeCancelled):
		p.Await = false // called off by people, who may want it again at once
	default: // Stale, Expired: nothing was done
	}
	if p.Tries >= maxTries {
		p.Rung, p.Tries = p.Rung+1, 0
	}
	return p
}

func onlyCured(outcomes []v1alpha1.Outcome) bool {
	return !slices.ContainsFunc(outcomes, func(o v1alpha1.Outcome) bool { return o != v1alpha1.OutcomeCured })
}

func helped(o v1alpha1.Outcome) bool {
	return o == v1alpha1.OutcomeCured || o == v1alpha1.OutcomeCleared || o == v1alpha1.OutcomeReduced
}

// failed is whether the rung did not cure or cannot be taken.
func failed(o v1alpha1.Outcome) bool {
	return o == v1alpha1.OutcomeNoEffect || o == v1alpha1.OutcomeMoved || o == v1alpha1.OutcomeFailed || o == v1alpha1.OutcomeRefused
}

// wasDone is whether something was done or may have been.
func wasDone(o v1alpha1.Outcome) bool {
	return helped(o) || o == v1alpha1.OutcomeNoEffect || o == v1alpha1.OutcomeMoved ||
		o == v1alpha1.OutcomeFailed || o == v1alpha1.OutcomeInterrupted
}
