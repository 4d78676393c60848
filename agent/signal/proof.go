package signal

import (
	"context"
	"fmt"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// view is what is left of the zombies that were counted before the signal, and what became of the parent. Zombies that came
// later are no part of it: the signal was not sent for them.
type view struct {
	left  []kernel.Process
	alive bool
	// corpse is the parent, if it is a zombie itself.
	corpse []kernel.Process
}

// after is the number of zombies that are left, the parent among them if it became one.
func (v view) after() int { return len(v.left) + len(v.corpse) }

// judge says what a signal did, when that is known.
func judge(before int, v view) v1alpha1.Outcome {
	switch {
	case v.after() == 0:
		return v1alpha1.OutcomeCured
	case !v.alive:
		return v1alpha1.OutcomeMoved
	case len(v.left) < before:
		return v1alpha1.OutcomeReduced
	}
	return v1alpha1.OutcomeNoEffect
}

// prove looks until the zombies are gone or the time for it is over. When the last signal had its effect and no other is
// going to be sent there is nothing to wait for; a signal without an effect may still have one.
func (p *prepared) prove(ctx context.Context, s sending) (act.Result, error) {
	deadline := time.Now()
	if s.end != spared && s.end != enough {
		deadline = deadline.Add(p.times.proof)
	}
	for {
		v, err := p.look()
		outcome := judge(len(p.zombies), v)
		switch over := !time.Now().Before(deadline); {
		case err != nil && over:
			return act.Result{
				Outcome: v1alpha1.OutcomeInterrupted, After: p.Before(),
				Message: sentence("Sent %s, but what came of it cannot be seen: %v.", p.sentTo(s), err),
			}, nil
		case err == nil && (over || outcome == v1alpha1.OutcomeCured):
			return act.Result{Outcome: outcome, After: count(v.after()), Message: p.story(s, v)}, nil
		}
		if err := pause(ctx, min(p.times.poll, time.Until(deadline))); err != nil {
			return act.Result{}, fmt.Errorf("proving a signal: %w", err)
		}
	}
}

// look looks at the zombies that were counted before, and at the parent.
func (p *prepared) look() (view, error) {
	alive, err := p.parent.Alive()
	if err != nil {
		return view{}, fmt.Errorf("looking at the parent: %w", err)
	}
	left, err := p.finder.Left(p.zombies)
	if err != nil {
		return view{}, fmt.Errorf("looking at the zombies: %w", err)
	}
	v := view{left: left, alive: alive}
	if !alive {
		v.corpse, err = p.finder.Left([]scan.Key{{PID: p.parent.Process.PID, StartTicks: p.parent.Process.StartTicks}})
		if err != nil {
			return view{}, fmt.Errorf("looking at the parent: %w", err)
		}
	}
	return v, nil
}
