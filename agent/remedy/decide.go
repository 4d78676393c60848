package remedy

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// place is where an agent runs, and what it is able to do there.
type place struct {
	node string
	// boot is the present boot of the node.
	boot string
	// able are the actions that this agent knows.
	able map[v1alpha1.RemediationAction]bool
	// now is the present time of the node.
	now time.Time
}

// beginWithin is how old a remediation may be for its act to begin. The controller ends those that are left alone sooner; this
// holds when it is away: what was decided long ago is not to be done now. A node whose clock is minutes ahead begins none.
const beginWithin = 3 * time.Minute

// tooLate says whether a remediation is too old for its act to begin.
func (p place) tooLate(r *v1alpha1.ZombieRemediation) bool {
	return p.now.Sub(r.CreationTimestamp.Time) > beginWithin
}

// attempt is what this process did about one remediation.
type attempt struct {
	uid types.UID
	// id is the mark of its claim.
	id string
	// begun says that it began to act. It never does so again.
	begun bool
	// end is how the act ended, as long as that is not stored.
	end *ending
}

// ending is how a remediation ended.
type ending struct {
	outcome v1alpha1.Outcome
	message string
	// after is nil when nobody looked.
	after *int32
}

type step int

const (
	// leave: there is nothing to do.
	leave step = iota
	// begin: the act is to be done by this process.
	begin
	// settle: the act was begun, and how it ended is to be found out.
	settle
	// record: it is known how the remediation ended.
	record
)

// decision is the next step, and for record the ending.
type decision struct {
	step step
	end  ending
}

// next decides what to do about a remediation. The order is the rule: what is final comes first, an act that was begun
// is never begun again, and only what nobody began can be called off.
func next(r *v1alpha1.ZombieRemediation, mine attempt, here place) decision {
	executing := is(r, v1alpha1.ConditionExecuting)
	able := here.able[r.Spec.Action]
	switch {
	case r.Spec.NodeName != here.node || is(r, v1alpha1.ConditionCompleted):
		return decision{step: leave}
	case mine.end != nil:
		return decision{step: record, end: *mine.end}
	case mayAct(r, mine) && here.tooLate(r):
		return decision{step: record, end: tooOld(r.CreationTimestamp.Time, here.now)} // its intent alone is stored
	case mayAct(r, mine):
		return decision{step: begin} // the intent was stored, only its answer was lost
	case executing && r.Status.BootID != here.boot:
		return decision{step: record, end: rebooted()}
	case executing && !able:
		return decision{step: record, end: begunByOther(r.Spec.Action)}
	case executing:
		return settled(r, mine)
	case mine.begun || is(r, v1alpha1.ConditionCancelled) || r.DeletionTimestamp != nil:
		return decision{step: leave}
	case !able:
		return decision{step: record, end: unsupported(r.Spec.Action)}
	case here.tooLate(r):
		return decision{step: record, end: tooOld(r.CreationTimestamp.Time, here.now)}
	}
	return decision{step: begin}
}

// settled decides about an act whose intent is stored. An intent of this process that did not lead to an act is left
// when the remediation is being deleted: it is gone soon, and with it the need for an ending.
func settled(r *v1alpha1.ZombieRemediation, mine attempt) decision {
	if !mine.begun && marked(r, mine) {
		return decision{step: leave}
	}
	return decision{step: settle}
}

// mayAct says whether what is stored allows this process to act, now and for the first time.
func mayAct(r *v1alpha1.ZombieRemediation, mine attempt) bool {
	return r.UID == mine.uid && marked(r, mine) && !mine.begun &&
		is(r, v1alpha1.ConditionExecuting) && !is(r, v1alpha1.ConditionCancelled) && !is(r, v1alpha1.ConditionCompleted) &&
		r.DeletionTimestamp == nil
}

// marked says whether the claim that is stored is that of this process.
func marked(r *v1alpha1.ZombieRemediation, mine attempt) bool {
	return mine.id != "" && r.Status.AttemptID == mine.id
}

func is(r *v1alpha1.ZombieRemediation, condition string) bool {
	return meta.IsStatusConditionTrue(r.Status.Conditions, condition)
}

func rebooted() ending {
	return ending{
		outcome: v1alpha1.OutcomeInterrupted,
		message: "The node was started anew while the act was under way. All processes of that time are gone.",
	}
}

func tooOld(made, now time.Time) ending {
	return ending{
		outcome: v1alpha1.OutcomeExpired,
		message: fmt.Sprintf("Nothing was done: it was made at %s, and by the clock of the node it is %s now, more than %s later.",
			made.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339), beginWithin),
	}
}

func unsupported(action v1alpha1.RemediationAction) ending {
	return ending{
		outcome: v1alpha1.OutcomeFailed,
		message: fmt.Sprintf("Nothing was done: the action %s is not supported by the agent of this node.", action),
	}
}

func begunByOther(action v1alpha1.RemediationAction) ending {
	return ending{
		outcome: v1alpha1.OutcomeInterrupted,
		message: fmt.Sprintf("An earlier agent began it, and the present agent of this node does not support the action %s.", action),
	}
}
