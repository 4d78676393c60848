// Package act is what the protocol of a remediation and the two kinds of act agree on.
package act

import (
	"context"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Result is what an act did and what was seen afterwards.
type Result struct {
	Outcome v1alpha1.Outcome
	// After is the number of zombies at the proof.
	After int32
	// Message is the outcome in a sentence for people, at most 512 characters of printable ASCII.
	Message string
}

// NotDoneError says that nothing was done, and that nothing is to be tried again.
type NotDoneError struct {
	// Outcome is Stale when the target is not the one that was decided on any more, Refused when a guard of the agent
	// forbids the act, and Failed when the intent was stored and the target could then not be compared.
	Outcome v1alpha1.Outcome
	// Message is the reason in a sentence for people.
	Message string
}

// Error returns the reason.
func (e *NotDoneError) Error() string { return e.Message }

// Kind is one kind of act: to signal a parent, or to restart a container.
type Kind interface {
	// Prepare takes a last look at the target of a remediation. It fails with a *NotDoneError when the act must not be
	// done; any other error says that the look itself failed and may be tried again.
	Prepare(ctx context.Context, r *v1alpha1.ZombieRemediation) (Prepared, error)
	// Settle ends an act of which an earlier agent stored the intent and then ended itself. It observes, and never acts
	// anew; only a stop of a container that still runs is asked for again, which is the same act, unless it was begun long
	// ago. An error says that it may be tried again.
	Settle(ctx context.Context, r *v1alpha1.ZombieRemediation) (Result, error)
}

// Prepared is an act whose target was found to be the one that was decided on.
type Prepared interface {
	// Before is the number of zombies at the last look.
	Before() int32
	// Do compares the target once more, acts, and observes until the outcome is known. It fails with a *NotDoneError when
	// nothing was done, as when the target changed since Prepare, and with the error of its context when that ended first; then what was begun is
	// for the next agent to settle.
	Do(ctx context.Context) (Result, error)
	// Close lets go of what Prepare holds.
	Close()
}
