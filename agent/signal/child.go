package signal

import (
	"context"
	"fmt"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/scan"
)

// mostSignals is how many SIGCHLD one act sends. At 50 ms each that is ten seconds; a parent that needs more has a handler
// that takes one zombie a signal, and the next act goes on with it.
const mostSignals = 200

// longest is how long one act sends SIGCHLD, which is longer than ten seconds only where the answers are slow or the zombies
// so many that each count of them takes its time. With the proof it stays well within the five minutes after which the
// controller takes an act for lost.
const longest = time.Minute

// ending is why no further signal is sent.
type ending int

const (
	// waiting: the signal was sent, and what it does will show.
	waiting ending = iota
	// none: no zombie is left.
	none
	// spared: one zombie is left, and one signal more could hang the parent.
	spared
	// unanswered: the last signal changed nothing.
	unanswered
	// contended: more zombies went than signals were sent, or went at the wrong moment.
	contended
	// enough: as many signals as one act may send were sent, or for as long as it may.
	enough
	// unseen: the target changed, or could not be looked at any more.
	unseen
)

// sending is what was sent.
type sending struct {
	sent int
	end  ending
}

// askToWait sends SIGCHLD, again and again while each one cures something. A parent may have a handler that calls wait()
// once a signal, and blocking: a signal that finds no zombie hangs it until some child ends. So while a child lives one
// zombie more must be there than the signal needs, for the case that another thread of the parent takes one at that moment.
func (p *prepared) askToWait(ctx context.Context) (sending, error) {
	var s sending
	if err := pause(ctx, p.times.apart); err != nil {
		return s, err
	}
	held, err := p.held(p.zombies)
	if err != nil {
		return s, err
	}
	if len(held) < len(p.zombies) {
		return s, p.reaping()
	}
	began := time.Now()
	for s.sent < mostSignals && time.Since(began) < longest {
		end, err := p.ask(held)
		if end != waiting || err != nil {
			s.end = end
			return s, err
		}
		s.sent++
		before := len(held)
		if held, err = p.answer(ctx, before); err != nil {
			s.end = unseen
			return s, err
		}
		if s.end = p.after(s.sent, len(held), before); s.end != waiting {
			return s, nil
		}
	}
	s.end = enough
	return s, nil
}

// ask sends one SIGCHLD if enough zombies are there. Between the last look at them and the signal there is nothing.
func (p *prepared) ask(held []scan.Key) (ending, error) {
	if len(held) == 1 {
		live, err := p.parent.HasLiveChild()
		if err != nil {
			return unseen, fmt.Errorf("looking for live children: %w", err)
		}
		if live {
			return spared, tooFew(p.parent)
		}
	}
	if err := p.parent.Same(); err != nil {
		return unseen, fmt.Errorf("comparing the target: %w", err)
	}
	witnesses := held[:min(2, len(held))]
	switch still, err := p.held(witnesses); {
	case err != nil:
		return unseen, err
	case len(still) < len(witnesses):
		return contended, p.reaping()
	}
	if err := p.send(); err != nil {
		return unseen, err
	}
	return waiting, nil
}

// answer returns the zombies that are held once they are fewer than before, or when they had time enough to be.
func (p *prepared) answer(ctx context.Context, before int) ([]scan.Key, error) {
	deadline := time.Now().Add(p.times.answer)
	for {
		if err := pause(ctx, p.times.apart); err != nil {
			return nil, err
		}
		held, err := p.held(p.zombies)
		if err != nil || len(held) < before || !time.Now().Before(deadline) {
			return held, err
		}
	}
}

// after says whether another signal may follow. Where the zombies became fewer by more than the signals can have done, the
// parent reaps by itself: in a loop that will take the others too, or in another thread that must not be raced. A signal of
// a new death may have done it as well, but zombies that young may be gone the next moment, and make up for nothing.
func (p *prepared) after(sent, held, before int) ending {
	switch {
	case held == 0:
		return none
	case held == before:
		return unanswered
	case held < len(p.zombies)-sent:
		return contended
	}
	return waiting
}

func (p *prepared) reaping() error {
	return stale("No SIGCHLD is sent to %s: its zombies are being reaped right now, and one too many could hang it.", who(p.parent))
}

// pause waits, unless the context ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the caller says what was interrupted
	case <-timer.C:
		return nil
	}
}
