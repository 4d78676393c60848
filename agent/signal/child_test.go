package signal

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/target/targettest"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// oneWait is a handler that waits once, some time after each signal: for the oldest zombie, as the kernel does.
func oneWait(n *targettest.Node, after time.Duration) {
	n.Signalled = func(targettest.Sent) { time.AfterFunc(after, func() { reapOldest(n) }) }
}

// young adds a zombie that just died.
func young(n *targettest.Node, pid int) {
	n.Dead(pid, middle)
	n.Change(pid, func(p *targettest.Process) { p.DeadFor = 29 * time.Second })
}

func reapOldest(n *targettest.Node) {
	children, _ := n.Children(middle)
	for _, pid := range children {
		if p, err := n.Process(pid); err == nil && p.State == "Z" {
			n.Reap(pid)
			return
		}
	}
}

// asked is what SIGCHLD is sent for, and how often.
var asked = map[string]struct {
	zombies int
	handler func(*targettest.Node)
	signals int
	outcome v1alpha1.Outcome
	left    int32
	// took is the least time, and half a minute more is the most.
	took time.Duration
	says string
}{
	"once to a parent that waits in a loop": {
		zombies: 5, handler: func(n *targettest.Node) { n.Signalled = func(targettest.Sent) { reapsAll(n) } },
		signals: 1, outcome: v1alpha1.OutcomeCured,
	},
	"once to a parent whose loop takes its time": {
		zombies: 5, signals: 1, outcome: v1alpha1.OutcomeCured,
		handler: func(n *targettest.Node) {
			n.Signalled = func(targettest.Sent) {
				for i := range 5 {
					time.AfterFunc(time.Duration(i)*40*time.Millisecond, func() { reapOldest(n) })
				}
			}
		},
	},
	"once to a parent that does nothing": {
		zombies: 5, handler: func(*targettest.Node) {}, signals: 1, outcome: v1alpha1.OutcomeNoEffect, left: 5, took: 31 * time.Second,
	},
	"once for each zombie but one to a parent with a live child that waits once": {
		zombies: 5, handler: func(n *targettest.Node) { oneWait(n, 0) }, signals: 4, outcome: v1alpha1.OutcomeReduced, left: 1,
		says: "Sent SIGCHLD 4 times to process 8 (p107): 5 zombies before, 1 after. One is left alone: while the process has a live child, a signal more could hang it.",
	},
	"once for each zombie to a parent without a live child that waits once": {
		zombies: 5, handler: func(n *targettest.Node) { n.Reap(900); oneWait(n, 0) }, signals: 5, outcome: v1alpha1.OutcomeCured,
	},
	"no more when the last zombie got a live sibling meanwhile": {
		zombies: 3, signals: 2, outcome: v1alpha1.OutcomeReduced, left: 1,
		handler: func(n *targettest.Node) {
			n.Reap(900)
			n.Signalled = func(targettest.Sent) { reapOldest(n); n.Live(301, middle) }
		},
	},
	"again when the answer takes most of a second": {
		zombies: 3, handler: func(n *targettest.Node) { oneWait(n, 900*time.Millisecond) },
		signals: 2, outcome: v1alpha1.OutcomeReduced, left: 1, took: 1800 * time.Millisecond,
	},
	"no more when the answer takes longer, which is seen all the same": {
		zombies: 3, handler: func(n *targettest.Node) { oneWait(n, 3*time.Second) },
		signals: 1, outcome: v1alpha1.OutcomeReduced, left: 2, took: 31 * time.Second,
	},
	"at most 200 times in one act": {
		zombies: 300, handler: func(n *targettest.Node) { oneWait(n, 0) }, signals: 200, outcome: v1alpha1.OutcomeReduced, left: 100,
		says: "Sent SIGCHLD 200 times to process 8 (p107): 300 zombies before, 100 after. No more are sent in one act.",
	},
	"no more once another thread reaps as well": {
		zombies: 5, handler: func(n *targettest.Node) {
			n.Signalled = func(targettest.Sent) { reapOldest(n); reapOldest(n) }
		},
		signals: 1, outcome: v1alpha1.OutcomeReduced, left: 3, took: 30 * time.Second,
		says: "Sent SIGCHLD 1 time to process 8 (p107): 5 zombies before, 3 after. More of them went than signals were sent, so no more were sent: one too many could hang the process.",
	},
	"no more once two went at a signal, though a young one took the place of one": {
		zombies: 5, signals: 1, outcome: v1alpha1.OutcomeReduced, left: 3, took: 30 * time.Second, handler: func(n *targettest.Node) {
			n.Signalled = func(targettest.Sent) { reapOldest(n); reapOldest(n); young(n, 250) }
		},
	},
	"once for each old zombie but one when young ones come and go": {
		zombies: 3, signals: 2, outcome: v1alpha1.OutcomeReduced, left: 1, handler: func(n *targettest.Node) {
			young(n, 251)
			oneWait(n, 0)
			time.AfterFunc(10*time.Millisecond, func() { n.Reap(251); young(n, 252) })
			time.AfterFunc(60*time.Millisecond, func() { n.Reap(252) })
		},
		says: "Sent SIGCHLD 2 times to process 8 (p107): 3 zombies before, 1 after. One is left alone",
	},
	"without effect when young zombies alone go": {
		zombies: 5, signals: 1, outcome: v1alpha1.OutcomeNoEffect, left: 5, took: 31 * time.Second, handler: func(n *targettest.Node) {
			young(n, 251)
			n.Signalled = func(targettest.Sent) { n.Reap(251) }
		},
	},
	"for a minute at the most": {
		zombies: 100, handler: func(n *targettest.Node) { oneWait(n, 910*time.Millisecond) }, signals: 64, outcome: v1alpha1.OutcomeReduced,
		left: 36, took: time.Minute,
		says: "Sent SIGCHLD 64 times to process 8 (p107): 100 zombies before, 36 after. No more are sent in one act.",
	},
	"no more when the parent ends": {
		zombies: 5, handler: func(n *targettest.Node) {
			n.Signalled = func(targettest.Sent) { n.Reap(201); n.End(middle, targettest.Init) }
		},
		signals: 1, outcome: v1alpha1.OutcomeMoved, left: 5, took: 30 * time.Second,
	},
	"no more when the zombies cannot be looked at for a while": {
		zombies: 5, handler: func(n *targettest.Node) {
			n.Signalled = func(targettest.Sent) {
				n.Reap(201)
				n.Fail("process 202", targettest.ErrBroken)
				time.AfterFunc(5*time.Second, func() { n.Fail("process 202", nil) })
			}
		},
		signals: 1, outcome: v1alpha1.OutcomeReduced, left: 4, took: 30 * time.Second,
	},
}

func TestSIGCHLDIsSentWhileItHelps(t *testing.T) {
	t.Parallel()
	for name, tc := range asked {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNode(tc.zombies)
				tc.handler(n)
				prepared := prepare(t, n, v1alpha1.SignalChild)
				defer prepared.Close()
				began := time.Now()
				result, err := prepared.Do(t.Context())
				if err != nil || result.Outcome != tc.outcome || result.After != tc.left || !strings.HasPrefix(result.Message, tc.says) {
					t.Errorf("Do() = %+v, %v, want %s, %d left, %q", result, err, tc.outcome, tc.left, tc.says)
				}
				if got := sent(t, n, unix.SIGCHLD); got != tc.signals {
					t.Errorf("sent %d signals, want %d", got, tc.signals)
				}
				if took := time.Since(began); took < tc.took || took >= tc.took+30*time.Second {
					t.Errorf("took %s, want %s and not half a minute more", took, tc.took)
				}
			})
		})
	}
}

func TestSIGCHLDsAreApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(5)
		times := []time.Time{time.Now()}
		n.Signalled = func(targettest.Sent) {
			times = append(times, time.Now())
			reapOldest(n)
		}
		prepared := prepare(t, n, v1alpha1.SignalChild)
		defer prepared.Close()
		if _, err := prepared.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(times) != 5 {
			t.Fatalf("sent at %v, want four", times)
		}
		for i, at := range times[1:] {
			if gap := at.Sub(times[i]); gap < 50*time.Millisecond { // the first from the count at Prepare
				t.Errorf("signal %d came %s after what was before, want 50ms at least", i, gap)
			}
		}
	})
}

func TestSIGCHLDIsNotSentWhenTheTargetChangedSinceThen(t *testing.T) {
	t.Parallel()
	later := func(what func(*targettest.Node)) func(*targettest.Node) {
		return func(n *targettest.Node) { time.AfterFunc(40*time.Millisecond, func() { what(n) }) }
	}
	tests := map[string]struct {
		zombies int
		happen  func(*targettest.Node)
		outcome v1alpha1.Outcome
	}{
		"when one of many zombies was reaped before":          {5, func(n *targettest.Node) { n.Reap(203) }, v1alpha1.OutcomeStale},
		"when one was reaped in the pause":                    {5, later(func(n *targettest.Node) { n.Reap(203) }), v1alpha1.OutcomeStale},
		"when one was replaced by a later one":                {5, func(n *targettest.Node) { n.Reap(203); n.Dead(206, middle) }, v1alpha1.OutcomeStale},
		"when one passed to another parent":                   {5, func(n *targettest.Node) { n.Change(203, func(p *targettest.Process) { p.ParentPID = 1 }) }, v1alpha1.OutcomeStale},
		"when all but one are reaped at the last moment":      {5, happens("alive 107", func(n *targettest.Node) { n.Reap(201, 202, 203, 204) }), v1alpha1.OutcomeStale},
		"when the first of two is reaped at the last moment":  {2, happens("alive 107", func(n *targettest.Node) { n.Reap(201) }), v1alpha1.OutcomeStale},
		"when the second of two is reaped at the last moment": {2, happens("alive 107", func(n *targettest.Node) { n.Reap(202) }), v1alpha1.OutcomeStale},
		"when the parent was reaped":                          {5, func(n *targettest.Node) { n.Reap(middle) }, v1alpha1.OutcomeStale},
		"when the parent's PID is another's by now":           {5, happens("identity 107", func(n *targettest.Node) { n.Reap(middle); n.Live(middle, targettest.Init) }), v1alpha1.OutcomeStale},
		"when the parent left the container":                  {5, func(n *targettest.Node) { n.Change(middle, func(p *targettest.Process) { p.Cgroups = nil }) }, v1alpha1.OutcomeRefused},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNode(tc.zombies)
				prepared := prepare(t, n, v1alpha1.SignalChild)
				defer prepared.Close()
				tc.happen(n)
				if result, err := prepared.Do(t.Context()); outcome(err) != tc.outcome {
					t.Errorf("Do() = %+v, %v, want %s", result, err, tc.outcome)
				}
				if len(n.Sent()) > 0 {
					t.Errorf("sent %v, want nothing", n.Sent())
				}
			})
		})
	}
}

// A child that is born after the last look is one all the same.
func TestSIGCHLDIsRefusedWhenALiveChildCameSinceThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(1)
		n.Reap(900)
		prepared := prepare(t, n, v1alpha1.SignalChild)
		defer prepared.Close()
		n.Live(900, middle)
		if result, err := prepared.Do(t.Context()); outcome(err) != v1alpha1.OutcomeRefused || len(n.Sent()) > 0 {
			t.Errorf("Do() = %+v, %v, sent %v, want %s", result, err, n.Sent(), v1alpha1.OutcomeRefused)
		}
	})
}

// After a signal, too, enough zombies must be there right before the next.
func TestSIGCHLDStopsWhenZombiesGoAtTheLastMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(4)
		looks := 0
		n.Before = func(call string) {
			if call == fmt.Sprint("alive ", middle) && len(n.Sent()) == 1 {
				if looks++; looks == 1 {
					n.Reap(202, 203)
				}
			}
		}
		oneWait(n, 0)
		prepared := prepare(t, n, v1alpha1.SignalChild)
		defer prepared.Close()
		result, err := prepared.Do(t.Context())
		if err != nil || result.Outcome != v1alpha1.OutcomeReduced || result.After != 1 {
			t.Errorf("Do() = %+v, %v, want one left", result, err)
		}
		if got := sent(t, n, unix.SIGCHLD); got != 1 {
			t.Errorf("sent %d signals, want one", got)
		}
	})
}

func TestSIGCHLDThatCannotBeSentFails(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"process 203", "process 107", "signal 107"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNode(5)
				prepared := prepare(t, n, v1alpha1.SignalChild)
				defer prepared.Close()
				n.Fail(call, targettest.ErrBroken)
				result, err := prepared.Do(t.Context())
				if err != nil || result.Outcome != v1alpha1.OutcomeFailed || len(n.Sent()) > 0 {
					t.Errorf("Do() = %+v, %v, sent %v, want %s", result, err, n.Sent(), v1alpha1.OutcomeFailed)
				}
			})
		})
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	zombies := []kernel.Process{{PID: 201}, {PID: 202}, {PID: 203}}
	tests := map[string]struct {
		view view
		want v1alpha1.Outcome
	}{
		"none left is cured":                       {view{alive: true}, v1alpha1.OutcomeCured},
		"none left of a parent that ended is, too": {view{}, v1alpha1.OutcomeCured},
		"some left is reduced":                     {view{alive: true, left: zombies[:2]}, v1alpha1.OutcomeReduced},
		"all left is no effect":                    {view{alive: true, left: zombies}, v1alpha1.OutcomeNoEffect},
		"some left without their parent are moved": {view{left: zombies[:1]}, v1alpha1.OutcomeMoved},
		"the parent alone is moved":                {view{corpse: zombies[:1]}, v1alpha1.OutcomeMoved},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := judge(3, tc.view); got != tc.want {
				t.Errorf("judge() = %s, want %s", got, tc.want)
			}
		})
	}
}
