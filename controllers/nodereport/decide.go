package nodereport

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/agentpods"
	"github.com/zombie-operator/zombie-operator/controllers/report"
)

// Reasons for which a report is deleted; they are told in the log.
const (
	// ReasonNodeGone: there is no such node any more.
	ReasonNodeGone = "NodeGone"
	// ReasonHealed: the node has had nothing to report for the time a healed report is kept.
	ReasonHealed = "Healed"
	// ReasonStale: the node has had no ready agent for the time a stale report is kept.
	ReasonStale = "Stale"
)

// facts is everything a decision rests on, read at one moment.
type facts struct {
	report *v1alpha1.ZombieNodeReport
	// node is the node as the API server has it now, its metadata alone; nil when there is none.
	node  *metav1.PartialObjectMetadata
	agent agentpods.Agent
}

// verdict is what is to be done about a report: delete it, or write its conditions when one changed and tell what is new.
type verdict struct {
	deletion *deletion
	// conditions are all conditions that the controller owns, since what an apply leaves out is removed;
	// nil when none changed.
	conditions []metav1.Condition
	// news are the Events that the change of conditions stands for.
	news []occurrence
	// checkAgainAfter is when time alone will change the verdict; zero when it will not.
	checkAgainAfter time.Duration
}

// deletion says why a report goes.
type deletion struct{ reason, message string }

// decide says what is to be done about a report.
func decide(f facts, s report.Settings, now time.Time) verdict {
	if f.node == nil {
		return verdict{deletion: &deletion{ReasonNodeGone, fmt.Sprintf("the API server has no node %q", f.report.Spec.NodeName)}}
	}
	// The report is the memory of what was told. While that is not over it stays: else the Node had a Warning without an end, and the same
	// would be told again as new.
	open := meta.IsStatusConditionTrue(f.report.Status.Conditions, ConditionTold)
	gone, left := healed(f.report, s.HealedRetention, now)
	if gone != nil && !open {
		return verdict{deletion: gone}
	}
	stale := f.agent.Staleness(f.report.Spec.NodeName, f.report.Status.Conditions, s.StaleAfter, s.DeleteStaleAfter, now)
	switch {
	case stale.Expired == "":
	case open:
		stale.CheckAgainAfter = s.DeleteStaleAfter // nodes are not watched, and this one may go
	default:
		return verdict{deletion: &deletion{ReasonStale, stale.Expired}}
	}
	told, news, end := tell(f.report, now)
	v := verdict{checkAgainAfter: sooner(end, sooner(left, stale.CheckAgainAfter))}
	own, changed := ownConditions(f.report), false
	for _, c := range []*metav1.Condition{stale.Condition, told} {
		if c == nil {
			continue
		}
		c.ObservedGeneration = f.report.Generation
		c.LastTransitionTime = metav1.NewTime(now)
		// A name may be so long that a message does not fit; cut, it still says what is wrong.
		c.Message = c.Message[:min(len(c.Message), v1alpha1.MaxConditionMessage)]
		changed = meta.SetStatusCondition(&own, *c) || changed
	}
	if changed {
		v.conditions, v.news = own, news
	}
	return v
}

// healed lets a report go some time after the last of what it reported, or tells how long it stays. One without an
// observation, or without a word on zombies or PIDs, is unknown and not healed. Where the agent can read no limit on PIDs it never has
// a word on them; then zombies are all that there is to heal of.
func healed(r *v1alpha1.ZombieNodeReport, retention time.Duration, now time.Time) (*deletion, time.Duration) {
	if o := r.Status.Observed; o == nil || o.HostZombies > 0 || o.Unattributed > 0 {
		return nil, 0
	}
	var since time.Time
	for _, kind := range []string{v1alpha1.ConditionLeaking, v1alpha1.ConditionPIDPressure} {
		c := meta.FindStatusCondition(r.Status.Conditions, kind)
		if c == nil && kind == v1alpha1.ConditionPIDPressure && r.Status.Observed.PIDs == nil {
			continue
		}
		if c == nil || c.Status != metav1.ConditionFalse {
			return nil, 0
		}
		if c.LastTransitionTime.After(since) {
			since = c.LastTransitionTime.Time
		}
	}
	left := retention - now.Sub(since)
	if left > 0 {
		return nil, left
	}
	return &deletion{ReasonHealed, "nothing was wrong with the node since " + since.UTC().Format(time.RFC3339)}, 0
}

func ownConditions(r *v1alpha1.ZombieNodeReport) []metav1.Condition {
	var own []metav1.Condition
	for _, c := range r.Status.Conditions {
		if c.Type == v1alpha1.ConditionStale || c.Type == ConditionTold {
			own = append(own, c)
		}
	}
	return own
}

// sooner is the shorter of two durations of which zero means never.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}
