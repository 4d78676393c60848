package signal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/agent/target/targettest"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// middle is the parent that the tests signal.
const middle = 107

// newNode is a node whose container has a parent with some zombies, from PID 201, and a live child, 900.
func newNode(zombies int) *targettest.Node {
	n := targettest.New()
	n.Live(middle, targettest.Init)
	for i := range zombies {
		n.Dead(201+i, middle)
	}
	n.Live(900, middle)
	return n
}

func outcome(err error) v1alpha1.Outcome {
	if notDone, ok := errors.AsType[*act.NotDoneError](err); ok {
		return notDone.Outcome
	}
	return ""
}

// prepare returns the act on the parent, in the usual times.
func prepare(t *testing.T, n *targettest.Node, sig v1alpha1.Signal) act.Prepared {
	t.Helper()
	prepared, err := New(n.Finder()).Prepare(t.Context(), targettest.Remediation(sig, middle))
	if err != nil {
		t.Fatal(err)
	}
	return prepared
}

// sent returns how many signals were sent, which all must be sig to the parent.
func sent(t *testing.T, n *targettest.Node, sig unix.Signal) int {
	t.Helper()
	for _, s := range n.Sent() {
		if s != (targettest.Sent{PID: middle, Signal: sig}) {
			t.Errorf("sent %v, want %v to %d only", s, sig, middle)
		}
	}
	return len(n.Sent())
}

func TestPrepareGuards(t *testing.T) {
	t.Parallel()
	first := targettest.Init
	tests := map[string]struct {
		signal  v1alpha1.Signal
		pid     int
		happen  func(*targettest.Node)
		outcome v1alpha1.Outcome
	}{
		"SIGTERM to PID 1 of the container is refused": {signal: v1alpha1.SignalTerminate, pid: first, outcome: v1alpha1.OutcomeRefused},
		"SIGKILL to PID 1 of the container is refused": {signal: v1alpha1.SignalKill, pid: first, outcome: v1alpha1.OutcomeRefused},
		"SIGHUP to PID 1 of the container is allowed":  {signal: v1alpha1.SignalHangup, pid: first},
		"SIGCONT to PID 1 of the container is allowed": {signal: v1alpha1.SignalContinue, pid: first},
		"SIGCHLD to PID 1 of the container is allowed": {signal: v1alpha1.SignalChild, pid: first},
		"SIGTERM to another process is allowed":        {signal: v1alpha1.SignalTerminate, pid: middle},
		"SIGKILL to PID 1 of a nested namespace is refused": {
			signal: v1alpha1.SignalKill, pid: middle, outcome: v1alpha1.OutcomeRefused,
			happen: func(n *targettest.Node) {
				n.Change(middle, func(p *targettest.Process) { p.Namespace, p.NamespacePIDs = 9, append(p.NamespacePIDs, 1) })
			},
		},
		"a parent without zombies is stale": {
			signal: v1alpha1.SignalTerminate, pid: middle, outcome: v1alpha1.OutcomeStale,
			happen: func(n *targettest.Node) { n.Reap(201, 202) },
		},
		"SIGCHLD for one zombie beside a live child is refused": {
			signal: v1alpha1.SignalChild, pid: middle, outcome: v1alpha1.OutcomeRefused,
			happen: func(n *targettest.Node) { n.Reap(201) },
		},
		"SIGCHLD for one zombie beside none is allowed": {
			signal: v1alpha1.SignalChild, pid: middle,
			happen: func(n *targettest.Node) { n.Reap(201, 900) },
		},
		"SIGCHLD for one zombie beside one that no wait sees is refused": {
			signal: v1alpha1.SignalChild, pid: middle, outcome: v1alpha1.OutcomeRefused,
			happen: func(n *targettest.Node) {
				n.Reap(900)
				n.Change(201, func(p *targettest.Process) { p.ExitSignal = 0 })
			},
		},
		"SIGCHLD for one old and one young zombie beside a live child is refused": {
			signal: v1alpha1.SignalChild, pid: middle, outcome: v1alpha1.OutcomeRefused,
			happen: func(n *targettest.Node) { young(n, 201) },
		},
		"SIGTERM to a parent of young zombies only is stale": {
			signal: v1alpha1.SignalTerminate, pid: middle, outcome: v1alpha1.OutcomeStale,
			happen: func(n *targettest.Node) { young(n, 201); young(n, 202) },
		},
		"SIGTERM for one zombie beside a live child is allowed": {
			signal: v1alpha1.SignalTerminate, pid: middle,
			happen: func(n *targettest.Node) { n.Reap(201) },
		},
		"a parent that is gone is stale": {
			signal: v1alpha1.SignalChild, pid: middle, outcome: v1alpha1.OutcomeStale,
			happen: func(n *targettest.Node) { n.Reap(middle) },
		},
		"a container that ended is stale": {
			signal: v1alpha1.SignalChild, pid: middle, outcome: v1alpha1.OutcomeStale,
			happen: func(n *targettest.Node) { n.Status.Status.State = runtimeapi.ContainerState_CONTAINER_EXITED },
		},
		"a signal that is not known is refused": {signal: "SIGSTOP", pid: middle, outcome: v1alpha1.OutcomeRefused},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(2)
			n.Dead(401, first)
			n.Dead(402, first)
			if tc.happen != nil {
				tc.happen(n)
			}
			prepared, err := New(n.Finder()).Prepare(t.Context(), targettest.Remediation(tc.signal, tc.pid))
			if outcome(err) != tc.outcome || (err == nil) != (tc.outcome == "") {
				t.Errorf("error = %v, want %q", err, tc.outcome)
			}
			if err == nil {
				prepared.Close()
			}
		})
	}
}

func TestPrepareNeedsAProcess(t *testing.T) {
	t.Parallel()
	r := targettest.Remediation(v1alpha1.SignalChild, middle)
	r.Spec.SignalParent = nil
	if _, err := New(newNode(2).Finder()).Prepare(t.Context(), r); outcome(err) != v1alpha1.OutcomeRefused {
		t.Errorf("error = %v, want %s", err, v1alpha1.OutcomeRefused)
	}
}

func TestPrepareLetsGoOfWhatItRefuses(t *testing.T) {
	t.Parallel()
	n := newNode(0)
	closed := 0
	n.Before = func(call string) {
		if call == fmt.Sprint("close ", middle) {
			closed++
		}
	}
	if _, err := New(n.Finder()).Prepare(t.Context(), targettest.Remediation(v1alpha1.SignalChild, middle)); err == nil || closed != 1 {
		t.Errorf("error = %v, closed %d times, want once", err, closed)
	}
	n.Dead(201, middle)
	prepare(t, n, v1alpha1.SignalTerminate).Close()
	if closed != 2 {
		t.Errorf("closed %d times, want twice", closed)
	}
}

func TestPrepareThatFailsMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"container", "processes", "children 107", "identity 201", "exit signal 201", "clocks", "dead 201"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			n := newNode(2)
			n.Fail(call, targettest.ErrBroken)
			_, err := New(n.Finder()).Prepare(t.Context(), targettest.Remediation(v1alpha1.SignalChild, middle))
			if !errors.Is(err, targettest.ErrBroken) || outcome(err) != "" {
				t.Errorf("error = %v, want %v", err, targettest.ErrBroken)
			}
		})
	}
}

// what a parent does at a signal.
var (
	reapsAll = func(n *targettest.Node) { n.Reap(201, 202, 203, 204, 205) }
	diesInto = func(n *targettest.Node) { n.End(middle, targettest.Init) }
)

// proven is what becomes of one signal.
var proven = map[string]struct {
	signal v1alpha1.Signal
	// then happens that long after the signal.
	then    func(*targettest.Node)
	after   time.Duration
	outcome v1alpha1.Outcome
	left    int32
	took    time.Duration
	says    string
}{
	"a stopped parent that goes on and reaps is cured": {
		signal: v1alpha1.SignalContinue, then: reapsAll, outcome: v1alpha1.OutcomeCured,
		says: "Sent SIGCONT 1 time to process 8 (p107): 5 zombies before, 0 after.",
	},
	"a cure in the last second counts": {
		signal: v1alpha1.SignalHangup, then: reapsAll, after: 29500 * time.Millisecond, outcome: v1alpha1.OutcomeCured,
		took: 30 * time.Second, says: "Sent SIGHUP 1 time to process 8 (p107): 5 zombies before, 0 after.",
	},
	"a cure is told within a second": {
		signal: v1alpha1.SignalHangup, then: reapsAll, after: 2500 * time.Millisecond, outcome: v1alpha1.OutcomeCured,
		took: 3 * time.Second, says: "Sent SIGHUP 1 time to process 8 (p107): 5 zombies before, 0 after.",
	},
	"a parent that does nothing shows no effect after 30 seconds": {
		signal: v1alpha1.SignalHangup, then: func(*targettest.Node) {}, outcome: v1alpha1.OutcomeNoEffect, left: 5,
		took: 30 * time.Second, says: "Sent SIGHUP 1 time to process 8 (p107): 5 zombies before, 5 after.",
	},
	"a parent that reaps some is reduced": {
		signal: v1alpha1.SignalHangup, then: func(n *targettest.Node) { n.Reap(201, 202) }, outcome: v1alpha1.OutcomeReduced, left: 3,
		took: 30 * time.Second, says: "Sent SIGHUP 1 time to process 8 (p107): 5 zombies before, 3 after.",
	},
	"zombies that came later do not count": {
		signal: v1alpha1.SignalHangup, then: func(n *targettest.Node) { reapsAll(n); n.Dead(206, middle) },
		outcome: v1alpha1.OutcomeCured, says: "Sent SIGHUP 1 time to process 8 (p107): 5 zombies before, 0 after.",
	},
	"a parent that ends under an init that reaps is cured": {
		signal: v1alpha1.SignalTerminate, then: func(n *targettest.Node) { diesInto(n); reapsAll(n); n.Reap(middle) },
		outcome: v1alpha1.OutcomeCured, says: "Sent SIGTERM 1 time to process 8 (p107): 5 zombies before, 0 after.",
	},
	"a parent that ends under an init that does not reap moved its zombies, and is one more": {
		signal: v1alpha1.SignalKill, then: diesInto, outcome: v1alpha1.OutcomeMoved, left: 6, took: 30 * time.Second,
		says: "Sent SIGKILL 1 time to process 8 (p107): 5 zombies before, 6 after. They passed to process 1 (p100), which does not reap them, and the signalled process is a zombie, too.",
	},
	"a parent that was reaped itself may have moved its zombies all the same": {
		signal: v1alpha1.SignalTerminate, then: func(n *targettest.Node) { diesInto(n); n.Reap(middle, 201) },
		outcome: v1alpha1.OutcomeMoved, left: 4, took: 30 * time.Second,
		says: "Sent SIGTERM 1 time to process 8 (p107): 5 zombies before, 4 after. They passed to process 1 (p100), which does not reap them.",
	},
	"a parent that stays as the only zombie is not a cure": {
		signal: v1alpha1.SignalTerminate, then: func(n *targettest.Node) { diesInto(n); reapsAll(n) },
		outcome: v1alpha1.OutcomeMoved, left: 1, took: 30 * time.Second,
		says: "Sent SIGTERM 1 time to process 8 (p107): 5 zombies before, 1 after. What is left is the signalled process itself, which process 1 (p100) does not reap.",
	},
	"a container that ends with its parent is cured, and that is told": {
		signal: v1alpha1.SignalTerminate, then: func(n *targettest.Node) { reapsAll(n); n.Reap(middle, targettest.Init) },
		outcome: v1alpha1.OutcomeCured, says: "Sent SIGTERM 1 time to process 8 (p107): 5 zombies before, 0 after. The container ended.",
	},
}

func TestOneSignalAndItsProof(t *testing.T) {
	t.Parallel()
	for name, tc := range proven {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNode(5)
				n.Signalled = func(targettest.Sent) { time.AfterFunc(tc.after, func() { tc.then(n) }) }
				prepared := prepare(t, n, tc.signal)
				defer prepared.Close()
				began := time.Now()
				result, err := prepared.Do(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				want := act.Result{Outcome: tc.outcome, After: tc.left, Message: tc.says}
				if diff := cmp.Diff(want, result); diff != "" {
					t.Errorf("result (-want +got):\n%s", diff)
				}
				if took := time.Since(began); tc.took != 0 && took != tc.took || took > 30*time.Second {
					t.Errorf("took %s, want %s", took, tc.took)
				}
				if got := sent(t, n, signals[tc.signal]); got != 1 {
					t.Errorf("sent %d signals, want one", got)
				}
			})
		})
	}
}

// The time between the last look and the act is that of writing the intent: the API server may take long.
func TestOneSignalIsNotSentWhenTheTargetChangedSinceThen(t *testing.T) {
	t.Parallel()
	for name, happen := range map[string]func(*targettest.Node){
		"when the parent was reaped":          func(n *targettest.Node) { n.Reap(middle) },
		"when the parent is a zombie itself":  diesInto,
		"when the parent's PID is another's":  func(n *targettest.Node) { n.Reap(middle); n.Live(middle, targettest.Init) },
		"when the zombies were reaped":        reapsAll,
		"when the zombies passed to another":  func(n *targettest.Node) { n.End(middle, targettest.Init); n.Live(middle, 1) },
		"when the parent ends just then":      happens("signal 107", func(n *targettest.Node) { n.Reap(middle) }),
		"when it was replaced by new zombies": func(n *targettest.Node) { reapsAll(n); n.Dead(206, middle) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(5)
			prepared := prepare(t, n, v1alpha1.SignalTerminate)
			defer prepared.Close()
			happen(n)
			if result, err := prepared.Do(t.Context()); outcome(err) != v1alpha1.OutcomeStale {
				t.Errorf("Do() = %+v, %v, want %s", result, err, v1alpha1.OutcomeStale)
			}
			if len(n.Sent()) > 0 {
				t.Errorf("sent %v, want nothing", n.Sent())
			}
		})
	}
}

// The zombies may pass to another parent while the parent that is held lives on: to it they are gone.
func TestOneSignalIsNotSentForZombiesOfAnother(t *testing.T) {
	t.Parallel()
	n := newNode(2)
	prepared := prepare(t, n, v1alpha1.SignalTerminate)
	defer prepared.Close()
	for _, pid := range []int{201, 202} {
		n.Change(pid, func(p *targettest.Process) { p.ParentPID = targettest.Init })
	}
	if result, err := prepared.Do(t.Context()); outcome(err) != v1alpha1.OutcomeStale || len(n.Sent()) > 0 {
		t.Errorf("Do() = %+v, %v, sent %v, want %s", result, err, n.Sent(), v1alpha1.OutcomeStale)
	}
}

func TestOneSignalIsNotSentToAParentThatLeftItsContainer(t *testing.T) {
	t.Parallel()
	n := newNode(2)
	prepared := prepare(t, n, v1alpha1.SignalTerminate)
	defer prepared.Close()
	n.Change(middle, func(p *targettest.Process) { p.Cgroups = nil })
	if result, err := prepared.Do(t.Context()); outcome(err) != v1alpha1.OutcomeRefused || len(n.Sent()) > 0 {
		t.Errorf("Do() = %+v, %v, sent %v, want %s", result, err, n.Sent(), v1alpha1.OutcomeRefused)
	}
}

func happens(before string, what func(*targettest.Node)) func(*targettest.Node) {
	return func(n *targettest.Node) {
		n.Before = func(call string) {
			if call == before {
				what(n)
			}
		}
	}
}

func TestDoTellsWhatFailed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		happen  func(*targettest.Node)
		outcome v1alpha1.Outcome
		says    string
	}{
		"a signal that may not be sent failed": {
			func(n *targettest.Node) { n.Fail("signal 107", unix.EPERM) }, v1alpha1.OutcomeFailed, "Nothing was sent to process 8 (p107): sending SIGTERM: signalling process 8: operation not permitted.",
		},
		"a last comparison that cannot be made failed": {
			func(n *targettest.Node) { n.Fail("identity 107", targettest.ErrBroken) }, v1alpha1.OutcomeFailed, "Nothing was sent",
		},
		"zombies that cannot be counted before failed": {
			func(n *targettest.Node) { n.Fail("process 201", targettest.ErrBroken) }, v1alpha1.OutcomeFailed, "Nothing was sent",
		},
		"a proof that cannot be seen is interrupted": {
			func(n *targettest.Node) {
				n.Signalled = func(targettest.Sent) { n.Fail("process 201", targettest.ErrBroken) }
			}, v1alpha1.OutcomeInterrupted, "Sent SIGTERM 1 time to process 8 (p107), but what came of it cannot be seen:",
		},
		"a proof that cannot be seen for a while is one": {
			func(n *targettest.Node) {
				n.Signalled = func(targettest.Sent) {
					n.Fail("alive 107", targettest.ErrBroken)
					time.AfterFunc(10*time.Second, func() { n.Fail("alive 107", nil) })
				}
			}, v1alpha1.OutcomeNoEffect, "Sent SIGTERM 1 time to process 8 (p107): 5 zombies before, 5 after.",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNode(5)
				prepared := prepare(t, n, v1alpha1.SignalTerminate)
				defer prepared.Close()
				tc.happen(n)
				result, err := prepared.Do(t.Context())
				if err != nil || result.Outcome != tc.outcome || result.After != 5 || !strings.HasPrefix(result.Message, tc.says) {
					t.Errorf("Do() = %+v, %v, want %s, 5 left, %q", result, err, tc.outcome, tc.says)
				}
			})
		})
	}
}

func TestDoEndsWithItsContext(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		signal v1alpha1.Signal
		after  time.Duration
	}{
		"before the first SIGCHLD":  {v1alpha1.SignalChild, 10 * time.Millisecond},
		"while it waits for answer": {v1alpha1.SignalChild, 500 * time.Millisecond},
		"while it looks":            {v1alpha1.SignalHangup, 500 * time.Millisecond},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNode(5)
				prepared := prepare(t, n, tc.signal)
				defer prepared.Close()
				ctx, cancel := context.WithTimeout(t.Context(), tc.after)
				defer cancel()
				began := time.Now()
				if result, err := prepared.Do(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > tc.after {
					t.Errorf("Do() = %+v, %v after %s", result, err, time.Since(began))
				}
			})
		})
	}
}

func TestSettleObservesOnly(t *testing.T) {
	t.Parallel()
	const unknown = "The agent ended before it could record the outcome, so it cannot be known whether SIGTERM was sent. "
	tests := map[string]struct {
		happen func(*targettest.Node)
		want   act.Result
	}{
		"a parent with zombies": {
			func(*targettest.Node) {}, act.Result{After: 5, Message: unknown + "Now process 8 (p107) has 5 zombies."},
		},
		"a parent with one zombie": {
			func(n *targettest.Node) { n.Reap(202, 203, 204, 205) },
			act.Result{After: 1, Message: unknown + "Now process 8 (p107) has 1 zombie."},
		},
		"a parent without zombies": {
			reapsAll, act.Result{After: 0, Message: unknown + "Now process 8 (p107) has 0 zombies."},
		},
		"a parent that is gone": {
			func(n *targettest.Node) { n.Reap(middle) }, act.Result{After: 0, Message: unknown + "Process 8 that started at tick 107 is gone."},
		},
		"a container that ended": {
			func(n *targettest.Node) { n.Status.Status.State = runtimeapi.ContainerState_CONTAINER_EXITED },
			act.Result{After: 0, Message: unknown + "Container app (0123456789ab) does not run any more."},
		},
		"a parent outside of the container": {
			func(n *targettest.Node) { n.Change(middle, func(p *targettest.Process) { p.Cgroups = nil }) },
			act.Result{After: 7, Message: unknown + "Process 8 is not in the cgroup of the container."},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(5)
			tc.happen(n)
			r := targettest.Remediation(v1alpha1.SignalTerminate, middle)
			r.Status.ZombiesBefore = new(int32(7))
			got, err := New(n.Finder()).Settle(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			tc.want.Outcome = v1alpha1.OutcomeInterrupted
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if len(n.Sent()) > 0 {
				t.Errorf("sent %v, want nothing", n.Sent())
			}
		})
	}
}

func TestSettleThatCannotLookMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"container", "children 107"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			n := newNode(2)
			n.Fail(call, targettest.ErrBroken)
			if result, err := New(n.Finder()).Settle(t.Context(), targettest.Remediation(v1alpha1.SignalChild, middle)); !errors.Is(err, targettest.ErrBroken) {
				t.Errorf("Settle() = %+v, %v, want %v", result, err, targettest.ErrBroken)
			}
		})
	}
}
