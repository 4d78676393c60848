// Package signal is the act SignalParent: to send a signal to a process that does not wait for its dead children, and to
// see whether they go away.
package signal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/agent/target"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// times are how long things take.
type times struct {
	// apart is the least time between two signals, and between the two counts before the first one.
	apart time.Duration
	// answer is how long a SIGCHLD may take until a zombie is gone.
	answer time.Duration
	// proof is how long after the last signal the outcome is known.
	proof time.Duration
	// poll is the time between two looks meanwhile.
	poll time.Duration
}

// usual are the times outside of tests.
var usual = times{
	// Signals of one kind merge while the process did not take the first: 20 without a pause cured one zombie, at this pace each.
	apart: 50 * time.Millisecond,
	// A container at its CPU limit gets its share once in each period of 100 ms. Ten of them are a fair chance, even for one
	// that gets too little in each. That no more signals are sent afterwards harms nobody, as it is still seen during the proof.
	answer: time.Second,
	// What the design gives a signal to work: a process that was told to end may have work to finish.
	proof: 30 * time.Second,
	// The whole proof takes thirty looks at the most; people who watch see a cure within a second.
	poll: time.Second,
}

// Kind is the act of signalling a parent.
type Kind struct {
	finder target.Finder
	times  times
}

var _ act.Kind = (*Kind)(nil)

// New returns the act; finder finds its targets.
func New(finder target.Finder) *Kind { return &Kind{finder: finder, times: usual} }

var signals = map[v1alpha1.Signal]unix.Signal{
	v1alpha1.SignalChild:     unix.SIGCHLD,
	v1alpha1.SignalContinue:  unix.SIGCONT,
	v1alpha1.SignalHangup:    unix.SIGHUP,
	v1alpha1.SignalTerminate: unix.SIGTERM,
	v1alpha1.SignalKill:      unix.SIGKILL,
}

// Prepare takes the last look: at the container, at the parent, and at its zombies.
func (k *Kind) Prepare(ctx context.Context, r *v1alpha1.ZombieRemediation) (act.Prepared, error) {
	sig, known := signals[signalOf(r)]
	if !known {
		return nil, refused("The remediation names no signal that may be sent.")
	}
	parent, err := k.find(ctx, r)
	if err != nil {
		return nil, err
	}
	prepared, err := k.prepare(parent, sig)
	if err != nil {
		parent.Close()
		return nil, err
	}
	return prepared, nil
}

func (k *Kind) prepare(parent *target.Parent, sig unix.Signal) (*prepared, error) {
	zombies, err := allowed(parent, sig)
	if err != nil {
		return nil, err
	}
	return &prepared{finder: k.finder, times: k.times, parent: parent, signal: sig, zombies: zombies}, nil
}

func signalOf(r *v1alpha1.ZombieRemediation) v1alpha1.Signal {
	if r.Spec.SignalParent == nil {
		return ""
	}
	return r.Spec.SignalParent.Signal
}

func (k *Kind) find(ctx context.Context, r *v1alpha1.ZombieRemediation) (*target.Parent, error) {
	spec := r.Spec.SignalParent
	if spec == nil {
		return nil, refused("The remediation names no process.")
	}
	c, err := k.finder.Container(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("looking at the container: %w", err)
	}
	parent, err := k.finder.Parent(c, scan.Key{PID: int(spec.PID), StartTicks: uint64(max(0, spec.StartTicks))})
	if err != nil {
		return nil, fmt.Errorf("looking at the parent: %w", err)
	}
	return parent, nil
}

// allowed returns the zombies of a parent, unless the signal must not be sent to it.
func allowed(parent *target.Parent, sig unix.Signal) ([]scan.Key, error) {
	if (sig == unix.SIGTERM || sig == unix.SIGKILL) && parent.EndsMore() {
		return nil, refused("%s is not sent to %s: it is the first process of the container or of a PID namespace in it, which would end with it. RestartContainer is for that.", unix.SignalName(sig), who(parent))
	}
	zombies, err := parent.Zombies()
	if err != nil {
		return nil, fmt.Errorf("counting zombies: %w", err)
	}
	if len(zombies) == 0 {
		return nil, stale("No zombies that have been dead for half a minute are left at %s.", who(parent))
	}
	if sig == unix.SIGCHLD && len(zombies) == 1 {
		live, err := parent.HasLiveChild()
		if err != nil {
			return nil, fmt.Errorf("looking for live children: %w", err)
		}
		if live {
			return nil, tooFew(parent)
		}
	}
	return zombies, nil
}

// prepared is a parent that was found to be the one that was decided on, and its zombies.
type prepared struct {
	finder  target.Finder
	times   times
	parent  *target.Parent
	signal  unix.Signal
	zombies []scan.Key
}

// Before is the number of the parent's zombies.
func (p *prepared) Before() int32 { return count(len(p.zombies)) }

// Close lets go of the parent.
func (p *prepared) Close() { p.parent.Close() }

// Do sends the signal and sees what becomes of the zombies that were counted before.
func (p *prepared) Do(ctx context.Context) (act.Result, error) {
	send := p.sendOnce
	if p.signal == unix.SIGCHLD {
		send = p.askToWait
	}
	done, err := send(ctx)
	var notDone *act.NotDoneError
	switch {
	case ctx.Err() != nil:
		return act.Result{}, fmt.Errorf("signalling: %w", ctx.Err())
	case done.sent > 0: // an error afterwards does not undo it; the proof tells
		return p.prove(ctx, done)
	case errors.As(err, &notDone):
		return act.Result{}, notDone
	}
	return act.Result{Outcome: v1alpha1.OutcomeFailed, After: p.Before(), Message: sentence("Nothing was sent to %s: %v.", who(p.parent), err)}, nil
}

// sendOnce sends one signal.
func (p *prepared) sendOnce(context.Context) (sending, error) {
	if err := p.parent.Same(); err != nil {
		return sending{}, fmt.Errorf("comparing the target: %w", err)
	}
	held, err := p.held(p.zombies)
	if err != nil {
		return sending{}, err
	}
	if len(held) == 0 {
		return sending{}, stale("The zombies of %s are gone.", who(p.parent))
	}
	if err := p.send(); err != nil {
		return sending{}, err
	}
	return sending{sent: 1, end: waiting}, nil
}

func (p *prepared) send() error {
	err := p.parent.Signal(p.signal)
	if errors.Is(err, unix.ESRCH) {
		return stale("There is no %s any more.", who(p.parent))
	}
	if err != nil {
		return fmt.Errorf("sending %s: %w", unix.SignalName(p.signal), err)
	}
	return nil
}

// held returns those of some zombies that are zombies of the parent still.
func (p *prepared) held(zombies []scan.Key) ([]scan.Key, error) {
	left, err := p.finder.Left(zombies)
	if err != nil {
		return nil, fmt.Errorf("counting zombies: %w", err)
	}
	var held []scan.Key
	for _, z := range left {
		if z.ParentPID == p.parent.Process.PID {
			held = append(held, scan.Key{PID: z.PID, StartTicks: z.StartTicks})
		}
	}
	return held, nil
}

// Settle tells what is there after an agent ended between storing its intent and the outcome. It sends nothing: whether
// the signal was sent cannot be known, and a second one may be one too many.
func (k *Kind) Settle(ctx context.Context, r *v1alpha1.ZombieRemediation) (act.Result, error) {
	result := act.Result{Outcome: v1alpha1.OutcomeInterrupted}
	if r.Status.ZombiesBefore != nil {
		result.After = *r.Status.ZombiesBefore // for want of anything newer
	}
	now, err := k.now(ctx, r)
	var notDone *act.NotDoneError
	switch {
	case err == nil:
		result.After = count(now.zombies)
	case errors.As(err, &notDone) && notDone.Outcome == v1alpha1.OutcomeStale:
		result.After, now.message = 0, notDone.Message
	case errors.As(err, &notDone):
		now.message = notDone.Message
	default:
		return act.Result{}, err
	}
	result.Message = sentence("The agent ended before it could record the outcome, so it cannot be known whether %s was sent. %s", signalOf(r), now.message)
	return result, nil
}

// found is what there is at a parent.
type found struct {
	zombies int
	message string
}

func (k *Kind) now(ctx context.Context, r *v1alpha1.ZombieRemediation) (found, error) {
	parent, err := k.find(ctx, r)
	if err != nil {
		return found{}, err
	}
	defer parent.Close()
	zombies, err := parent.Zombies()
	if err != nil {
		return found{}, fmt.Errorf("counting zombies: %w", err)
	}
	return found{len(zombies), fmt.Sprintf("Now %s has %s.", who(parent), zombiesIn(len(zombies)))}, nil
}
