// Package diagnose says why zombies stay and what ends the leak for good. It claims nothing that its evidence does not carry.
package diagnose

import (
	"cmp"
	"fmt"

	"github.com/zombie-operator/zombie-operator/agent/printable"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Diagnosis is a cause in the words of a report. All of its text is printable ASCII and within the bounds of the API.
type Diagnosis struct {
	Cause v1alpha1.Cause
	// Message is the cause in a sentence.
	Message string
	// Evidence is what was read of the parent; "" when there was nothing.
	Evidence string
	// Fix is what ends the leak for good.
	Fix string
	// CannotHelp are the remedies that cannot work, in the order of rising force; of the others it is not known.
	CannotHelp []v1alpha1.Remedy
}

// rule is a cause with the evidence that it takes. It leaves the cause itself to the list of rules.
type rule struct {
	// cause is the cause of any parent, and ofPID1 that of PID 1 of the container where it is another.
	cause, ofPID1 v1alpha1.Cause
	holds         func(Evidence) (Diagnosis, bool)
}

// rules are tried in this order, which is told in docs/causes. The first that holds is the diagnosis: first what keeps a parent
// from running at all, whatever it would do then; next what is certain of its signal; next where its zombies come from
// and what it does instead of waiting for them. The last holds always and claims least.
var rules = []rule{
	{cause: v1alpha1.CauseParentOutsideContainer, holds: outside},
	{cause: v1alpha1.CauseParentTraced, holds: traced},
	{cause: v1alpha1.CauseParentFrozen, holds: frozen},
	{cause: v1alpha1.CauseParentStopped, holds: stopped},
	{cause: v1alpha1.CauseParentStuckInD, holds: stuck},
	{cause: v1alpha1.CauseSignalBlocked, holds: blocked},
	{cause: v1alpha1.CauseSignalIgnored, holds: ignored},
	{cause: v1alpha1.CauseMovedFromOtherParent, holds: moved},
	{cause: v1alpha1.CauseWaitsForOtherChild, holds: waiting},
	{cause: v1alpha1.CauseParentDoesNotWait, ofPID1: v1alpha1.CausePID1DoesNotReap, holds: goProgram},
	{cause: v1alpha1.CauseHandlerLeavesChildren, holds: handler},
	{cause: v1alpha1.CauseParentDoesNotWait, ofPID1: v1alpha1.CausePID1DoesNotReap, holds: doesNotWait},
}

// Diagnose says why the zombies of a parent stay.
func Diagnose(e Evidence) Diagnosis {
	e = known(e)
	for _, r := range rules {
		if d, ok := r.holds(e); ok {
			d.Cause = r.cause
			if e.PID == 1 {
				d.Cause = cmp.Or(r.ofPID1, r.cause)
			}
			d.Evidence = sentence(e)
			d.CannotHelp = cannotHelp(e)
			return d
		}
	}
	return Diagnosis{} // not reached: the last rule holds always
}

const (
	// maxWchan is how many characters of a kernel function's name are shown; few are longer than 28.
	maxWchan = 32
	// maxInit is how long the path of an init in an image may be, as in the API.
	maxInit = 48
)

// known is evidence without what is not known when the parent could not be read, and fit to be shown.
func known(e Evidence) Evidence {
	if !e.Read {
		e = Evidence{
			Command: e.Command, PID: e.PID, SameNamespace: e.SameNamespace, Zombies: e.Zombies, Moved: e.Moved, MovedFrom: e.MovedFrom,
			Reaped: e.Reaped, Frozen: e.Frozen, TracerOutside: e.TracerOutside, ReaperHolds: e.ReaperHolds, InitInImage: e.InitInImage,
		}
	}
	e.Command = printable.Printable(e.Command, v1alpha1.MaxCommand)
	e.MovedFrom = printable.Printable(e.MovedFrom, v1alpha1.MaxCommand)
	e.Wchan = printable.Printable(e.Wchan, maxWchan)
	if path := printable.Printable(e.InitInImage, maxInit); path != e.InitInImage {
		e.InitInImage = "" // half a path is of no use
	}
	return e
}

// who names the parent at the beginning of a sentence.
func (e Evidence) who() string {
	if e.PID == 1 {
		return fmt.Sprintf("PID 1 (%s)", e.Command)
	}
	return fmt.Sprintf("Process %d (%s)", e.PID, e.Command)
}
