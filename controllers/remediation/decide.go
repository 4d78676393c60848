package remediation

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

const (
	// Retention is how long a completed remediation is kept: long enough for whoever comes in the next morning to read
	// what was done in the night.
	Retention = 24 * time.Hour
	// MaxCompleted is how many completed remediations are kept at most. At about 3 kB each they take 6 MB of the API server
	// and of this process. This number wins over Retention: where so much is done in a day the oldest go early.
	MaxCompleted = 2000
)

// Settings say how long a remediation may take and how long it is kept.
type Settings struct {
	// ClaimTimeout is how long after its creation a remediation waits for an agent to claim it.
	ClaimTimeout time.Duration
	// BeginTimeout is how long after its creation one that was claimed waits for the act to begin. It is longer than ClaimTimeout.
	BeginTimeout time.Duration
	// SignalAllowance is how long a signal and its proof may take.
	SignalAllowance time.Duration
	// RestartAllowance is how long a restart and its proof may take besides the grace period.
	RestartAllowance time.Duration
	// Retention is how long a completed remediation is kept.
	Retention time.Duration
	// MaxCompleted is how many completed remediations are kept at most.
	MaxCompleted int
}

// Defaults are the settings that fit the agent.
func Defaults() Settings {
	return Settings{
		// An agent that is there sees a remediation within a second. A minute lets one that is being updated come back;
		// later the target is not worth trusting, and a new decision on a new report is better than an old one.
		ClaimTimeout: time.Minute,
		// An agent that claimed it begins within seconds. Another minute is for a node so loaded that the last look takes
		// long; after that the agent has fallen silent.
		BeginTimeout: 2 * time.Minute,
		// 200 signals at least 50 ms apart take 10 s and their counts some more, and the proof comes 30 s after the last.
		// The rest lets an agent that was restarted meanwhile observe how it ended.
		SignalAllowance: 5 * time.Minute,
		// After the grace, the runtime is given 30 s to answer and the new container 5 min to be ready. Two more minutes let
		// an agent that was restarted meanwhile ask for the stop again.
		RestartAllowance: 30*time.Second + 5*time.Minute + 2*time.Minute,
		Retention:        Retention,
		MaxCompleted:     MaxCompleted,
	}
}

// verdict is what is to be done about a remediation: end it, delete it, or wait.
type verdict struct {
	ending *ending
	// delete says that it was kept long enough.
	delete bool
	// checkAgainAfter is when time alone will change the verdict; zero when it will not.
	checkAgainAfter time.Duration
}

// ending is how a remediation ended that no agent brings to an end.
type ending struct {
	outcome v1alpha1.Outcome
	message string
}

// decide says what is to be done about a remediation. It rests on the remediation alone: whether its pod is still there
// does not matter to an audit trail.
func decide(r *v1alpha1.ZombieRemediation, s Settings, now time.Time) verdict {
	switch {
	case is(r, v1alpha1.ConditionCompleted):
		if left := s.Retention - now.Sub(completedAt(r)); left > 0 {
			return verdict{checkAgainAfter: left}
		}
		return verdict{delete: true}
	case is(r, v1alpha1.ConditionExecuting):
		return interrupted(r, s, now)
	case is(r, v1alpha1.ConditionCancelled):
		return verdict{ending: &ending{v1alpha1.OutcomeCancelled, "It was called off before the act began. Nothing was done."}}
	default:
		return expired(r, s, now)
	}
}

// expired ends what no agent begins. It can still be begun while this is decided; then the write of this ending fails,
// since it is about an older version, or else the agent's does. Never both count.
func expired(r *v1alpha1.ZombieRemediation, s Settings, now time.Time) verdict {
	timeout := s.ClaimTimeout
	message := fmt.Sprintf("No agent of node %q claimed it within %s. Nothing was done.", r.Spec.NodeName, timeout)
	if is(r, v1alpha1.ConditionClaimed) {
		timeout = s.BeginTimeout
		message = fmt.Sprintf("The agent of node %q claimed it and did not begin within %s. Nothing was done.", r.Spec.NodeName, timeout)
	}
	if left := timeout - now.Sub(r.CreationTimestamp.Time); left > 0 {
		return verdict{checkAgainAfter: left}
	}
	return verdict{ending: &ending{v1alpha1.OutcomeExpired, message}}
}

// interrupted ends what was begun and does not come to an end.
func interrupted(r *v1alpha1.ZombieRemediation, s Settings, now time.Time) verdict {
	allowance := s.SignalAllowance
	if restart := r.Spec.RestartContainer; restart != nil {
		allowance = s.RestartAllowance + time.Duration(restart.GracePeriodSeconds)*time.Second
	}
	if left := allowance - now.Sub(begunAt(r, now)); left > 0 {
		return verdict{checkAgainAfter: left}
	}
	return verdict{ending: &ending{v1alpha1.OutcomeInterrupted, fmt.Sprintf(
		"The act began and its end was not told within %s: node %q or its agent is gone or cannot reach the API server. "+
			"What was done cannot be known.", allowance, r.Spec.NodeName)}}
}

// begunAt is when an act began. The agent's word counts as far as its clock can be right: no act begins before its
// remediation was made, or in the future. Else the remediation's own time counts, which the API server wrote.
func begunAt(r *v1alpha1.ZombieRemediation, now time.Time) time.Time {
	begun := timeOr(r.Status.StartTime, r, v1alpha1.ConditionExecuting)
	if begun.Before(r.CreationTimestamp.Time) || begun.After(now) {
		return r.CreationTimestamp.Time
	}
	return begun
}

// completedAt is when a remediation ended. The time is its node's; that it was before it was made cannot be.
func completedAt(r *v1alpha1.ZombieRemediation) time.Time {
	ended := timeOr(r.Status.CompletionTime, r, v1alpha1.ConditionCompleted)
	if ended.Before(r.CreationTimestamp.Time) {
		return r.CreationTimestamp.Time
	}
	return ended
}

// timeOr is a time of the status or, where it was not written, when a condition came about.
func timeOr(t *metav1.Time, r *v1alpha1.ZombieRemediation, condition string) time.Time {
	if t != nil {
		return t.Time
	}
	if c := meta.FindStatusCondition(r.Status.Conditions, condition); c != nil {
		return c.LastTransitionTime.Time
	}
	return r.CreationTimestamp.Time
}

func is(r *v1alpha1.ZombieRemediation, condition string) bool {
	return meta.IsStatusConditionTrue(r.Status.Conditions, condition)
}

// surplus are the completed remediations beyond a number, the oldest first. What is not completed is no surplus.
func surplus(all []v1alpha1.ZombieRemediation, most int) []*v1alpha1.ZombieRemediation {
	var completed []*v1alpha1.ZombieRemediation
	for i := range all {
		if is(&all[i], v1alpha1.ConditionCompleted) && all[i].DeletionTimestamp == nil {
			completed = append(completed, &all[i])
		}
	}
	if len(completed) <= most {
		return nil
	}
	slices.SortFunc(completed, func(a, b *v1alpha1.ZombieRemediation) int {
		return cmp.Or(completedAt(a).Compare(completedAt(b)), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return completed[:len(completed)-most]
}
