package restart

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

const line = "zombie-operator restarted this container: 37 zombies not reaped by their parents (see zombieremediation shop/web-0123, policy web)\n"

func TestRestartStopsTheContainerAndProvesIt(t *testing.T) {
	t.Parallel()
	inBubble(t, func(n *node) {
		t := n.t
		n.stop = func(context.Context) error {
			n.end()
			return pause(t.Context(), 10*time.Second)
		}
		n.successor = ""
		n.later = []event{{42 * time.Second, func() { n.successor = "0123456789abcdef" }}}
		got, err := n.restart(t.Context(), plain)
		wantResult(t, got, err, v1alpha1.OutcomeCleared, 0, "The container ended, and container 0123456789ab runs in its place.")
		n.wantCalls("0s stop c1 30s")
		if took := time.Since(n.began); took < 42*time.Second || took > 44*time.Second {
			t.Errorf("took %s, want until the new container runs", took)
		}
		if text, err := os.ReadFile(n.message()); string(text) != line || err != nil {
			t.Errorf("termination message = %q, %v, want %q", text, err, line)
		}
	})
}

func TestPrepareSaysNo(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change  func(*node)
		outcome v1alpha1.Outcome
		text    string
	}{
		"when the container is gone":                {(*node).nobody, v1alpha1.OutcomeStale, "ended"},
		"when no zombie is left":                    {func(n *node) { n.zombies = 0 }, v1alpha1.OutcomeStale, "no zombies any more"},
		"when the first process ended meanwhile":    {(*node).end, v1alpha1.OutcomeStale, "just ended"},
		"when there are no settings of the restart": {nil, v1alpha1.OutcomeRefused, "does not say"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, r := newNode(t), remediation(plain)
			if tc.change == nil {
				r.Spec.RestartContainer = nil
			} else {
				tc.change(n)
			}
			_, err := n.kind().Prepare(t.Context(), r)
			wantNotDone(t, err, tc.outcome, tc.text)
			n.wantCalls()
		})
	}
}

func TestPrepareCanBeTriedAgainWhenTheLookFailed(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*node){
		"at the container": func(n *node) { n.look = func() error { return errBroken } },
		"at its zombies":   func(n *node) { n.count = func() error { return errBroken } },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			change(n)
			if _, err := n.kind().Prepare(t.Context(), remediation(plain)); !errors.Is(err, errBroken) {
				t.Errorf("error = %v, want %v", err, errBroken)
			}
		})
	}
}

// Between Prepare and Do the intent is stored, which may take long.
func TestDoLooksAgain(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change  func(*node)
		outcome v1alpha1.Outcome
		text    string
	}{
		"and the container is gone":                {(*node).nobody, v1alpha1.OutcomeStale, "ended"},
		"and no zombie is left":                    {func(n *node) { n.zombies = 0 }, v1alpha1.OutcomeStale, "no zombies any more"},
		"and the first process has another PID":    {func(n *node) { n.container.InitPID++ }, v1alpha1.OutcomeStale, "another one now"},
		"and the first process started later":      {func(n *node) { n.container.InitTicks++ }, v1alpha1.OutcomeStale, "another one now"},
		"and the first process that was held died": {(*node).end, v1alpha1.OutcomeStale, "another one now"},
		"and the look fails":                       {func(n *node) { n.look = func() error { return errBroken } }, v1alpha1.OutcomeFailed, "Nothing was done"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			p, err := n.kind().Prepare(t.Context(), remediation(plain))
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			tc.change(n)
			_, err = p.Do(t.Context())
			wantNotDone(t, err, tc.outcome, tc.text)
			n.wantCalls()
			if text, _ := os.ReadFile(n.message()); len(text) > 0 {
				t.Errorf("termination message = %q, want none", text)
			}
		})
	}
}

func TestHookTakesItsTimeFromTheGrace(t *testing.T) {
	t.Parallel()
	exec := v1alpha1.RestartContainerAct{GracePeriodSeconds: 30, PreStopExec: []string{"/bin/drain", "-a"}}
	sleep := func(seconds int32) v1alpha1.RestartContainerAct {
		return v1alpha1.RestartContainerAct{GracePeriodSeconds: 30, PreStopSleepSeconds: &seconds}
	}
	tests := map[string]struct {
		how   v1alpha1.RestartContainerAct
		takes time.Duration
		err   error
		calls []string
		text  string
	}{
		"a command":                 {exec, 12 * time.Second, nil, []string{"0s exec c1 /bin/drain -a 30s", "12s stop c1 18s"}, "runs in its place."},
		"a command that fails":      {exec, 3 * time.Second, errBroken, []string{"0s exec c1 /bin/drain -a 30s", "3s stop c1 27s"}, "Its preStop hook failed: broken."},
		"a command that takes all":  {exec, 30 * time.Second, errBroken, []string{"0s exec c1 /bin/drain -a 30s", "30s stop c1 2s"}, "Its preStop hook failed: broken."},
		"a sleep":                   {sleep(5), 0, nil, []string{"5s stop c1 25s"}, ""},
		"a sleep longer than grace": {sleep(600), 0, nil, []string{"30s stop c1 2s"}, ""},
		"no hook and little grace":  {v1alpha1.RestartContainerAct{GracePeriodSeconds: 1}, 0, nil, []string{"0s stop c1 2s"}, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(n *node) {
				t := n.t
				n.exec = func(ctx context.Context) error { _ = pause(ctx, tc.takes); return tc.err }
				got, err := n.restart(t.Context(), tc.how)
				wantResult(t, got, err, v1alpha1.OutcomeCleared, 0, tc.text)
				n.wantCalls(tc.calls...)
			})
		})
	}
}

func TestRestartFailsWhenTheContainerDoesNotEnd(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		stop func(ctx context.Context) error
		took time.Duration
		text string
	}{
		"and the runtime gives up": {
			func(ctx context.Context) error { _ = pause(ctx, 60*time.Second); return context.DeadlineExceeded }, 60 * time.Second, "as stopping it failed: context deadline exceeded.",
		},
		"and the runtime fails at once": {func(context.Context) error { return errBroken }, 60 * time.Second, "as stopping it failed: broken."},
		"and the runtime says it did":   {func(context.Context) error { return nil }, 60 * time.Second, "its first process hangs"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(n *node) {
				t := n.t
				n.stop = tc.stop
				n.later = []event{{50 * time.Second, func() { n.zombies = 36 }}}
				got, err := n.restart(t.Context(), plain)
				wantResult(t, got, err, v1alpha1.OutcomeFailed, 36, "The container still runs", tc.text)
				if took := time.Since(n.began); took != tc.took {
					t.Errorf("took %s, want %s", took, tc.took)
				}
				n.wantAlive()
			})
		})
	}
}

func TestRestartBelievesOnlyTheKernelAndTheRuntimeTogether(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*node){
		"the runtime says it ended, but its first process lives": func(n *node) { n.runs = false },
		"its first process ended, but the runtime says it runs":  func(n *node) { n.end(); n.runs = true },
		"its first process ended, but the runtime does not answer": func(n *node) {
			n.end()
			n.askRuns = func() error { return errBroken }
		},
	}
	for name, stop := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(n *node) {
				t := n.t
				n.stop = func(context.Context) error { stop(n); return nil }
				got, err := n.restart(t.Context(), plain)
				wantResult(t, got, err, v1alpha1.OutcomeFailed, 37)
			})
		})
	}
}

func TestRestartWorkedThoughTheRuntimeSaysItFailed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(n *node) {
		t := n.t
		n.stop = func(context.Context) error {
			n.runs = false
			time.AfterFunc(20*time.Second, n.die)
			return errBroken
		}
		got, err := n.restart(t.Context(), plain)
		wantResult(t, got, err, v1alpha1.OutcomeCleared, 0, "runs in its place")
	})
}

func TestRestartIsClearedWhenTheNewContainerIsLate(t *testing.T) {
	t.Parallel()
	inBubble(t, func(n *node) {
		t := n.t
		n.successor = ""
		got, err := n.restart(t.Context(), plain)
		wantResult(t, got, err, v1alpha1.OutcomeCleared, 0, "no new one runs after 5m0s")
		if took := time.Since(n.began); took != newWithin {
			t.Errorf("took %s, want %s", took, newWithin)
		}
	})
}

var noForks = map[string]error{
	"for runc":             fmt.Errorf("rpc error: fork/exec /usr/bin/runc: %w", unix.EAGAIN),
	"for a thread of runc": errors.New("runc did not terminate successfully: runtime: failed to create new OS thread (have 2 already; errno=11)"),
}

func TestRestartKillsWhenTheRuntimeCannotFork(t *testing.T) {
	t.Parallel()
	for name, noFork := range noForks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(n *node) {
				t := n.t
				n.stop = func(context.Context) error { return errors.New(noFork.Error()) } // text is all that gRPC leaves
				n.askRuns = func() error {
					n.askRuns = nil
					n.runs = false
					return nil
				}
				time.AfterFunc(time.Second/2, n.killed)
				got, err := n.restart(t.Context(), plain)
				wantResult(t, got, err, v1alpha1.OutcomeCleared, 0, "could not fork, so SIGKILL was sent")
			})
		})
	}
}

func TestRestartKillsNoOtherProcess(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*node)
		text   string
	}{
		"when the first process is another one now":  {func(n *node) { n.container.InitTicks++ }, "another one now"},
		"when the container is not the one any more": {(*node).nobody, "The container ended"},
		"when the look fails":                        {func(n *node) { n.look = func() error { return errBroken } }, "broken"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(n *node) {
				t := n.t
				n.stop = func(context.Context) error { tc.change(n); return unix.EAGAIN }
				got, err := n.restart(t.Context(), plain)
				wantResult(t, got, err, v1alpha1.OutcomeFailed, 37, "the runtime cannot fork, and SIGKILL was not sent", tc.text)
				n.wantAlive()
			})
		})
	}
}

func TestRestartKillsForNoOtherError(t *testing.T) {
	t.Parallel()
	inBubble(t, func(n *node) {
		t := n.t
		n.stop = func(context.Context) error { return errors.New("permission denied") }
		got, err := n.restart(t.Context(), plain)
		wantResult(t, got, err, v1alpha1.OutcomeFailed, 37, "permission denied")
		n.wantAlive()
	})
}

// Told to end, the agent leaves at once what the next one settles.
func TestRestartEndsWithTheAgent(t *testing.T) {
	t.Parallel()
	wait := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	tests := map[string]struct {
		how   v1alpha1.RestartContainerAct
		stage func(*node)
		calls []string
	}{
		"during the hook": {
			v1alpha1.RestartContainerAct{GracePeriodSeconds: 30, PreStopExec: []string{"drain"}}, func(n *node) { n.exec = wait }, []string{"0s exec c1 drain 30s"},
		},
		"during the sleep":                   {v1alpha1.RestartContainerAct{GracePeriodSeconds: 30, PreStopSleepSeconds: new(int32(20))}, func(*node) {}, nil},
		"during the stop":                    {plain, func(n *node) { n.stop = wait }, []string{"0s stop c1 30s"}},
		"while the container ends":           {plain, func(n *node) { n.stop = func(context.Context) error { return nil } }, []string{"0s stop c1 30s"}},
		"while the new container is awaited": {plain, func(n *node) { n.successor = "" }, []string{"0s stop c1 30s"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(n *node) {
				t := n.t
				tc.stage(n)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				if _, err := n.restart(ctx, tc.how); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error = %v, want that of the context", err)
				}
				n.wantCalls(tc.calls...)
				if took := time.Since(n.began); took != 5*time.Second {
					t.Errorf("took %s, want 5s", took)
				}
			})
		})
	}
}

func begunBefore(d time.Duration, how v1alpha1.RestartContainerAct) *v1alpha1.ZombieRemediation {
	r := remediation(how)
	r.Status.StartTime, r.Status.ZombiesBefore = new(metav1.NewTime(time.Now().Add(-d))), new(int32(37))
	return r
}

func TestSettleAsksAgainForTheStopWithTheGraceThatIsLeft(t *testing.T) {
	t.Parallel()
	hook := v1alpha1.RestartContainerAct{GracePeriodSeconds: 20, PreStopExec: []string{"drain"}}
	tests := map[string]struct {
		begun time.Duration
		call  string
	}{
		"when half of it is gone":  {10 * time.Second, "0s stop c1 10s"},
		"when all of it is gone":   {time.Minute, "0s stop c1 1s"},
		"when the clock was moved": {-time.Hour, "0s stop c1 20s"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(n *node) {
				t := n.t
				n.zombies = 0 // which is no reason to leave it half stopped
				got, err := n.kind().Settle(t.Context(), begunBefore(tc.begun, hook))
				wantResult(t, got, err, v1alpha1.OutcomeCleared, 0, "runs in its place", "An earlier agent began it.")
				n.wantCalls(tc.call)
				if text, _ := os.ReadFile(n.message()); len(text) > 0 {
					t.Errorf("termination message = %q, want none", text)
				}
			})
		})
	}
}

func TestSettleFailsWhenTheContainerDoesNotEnd(t *testing.T) {
	t.Parallel()
	inBubble(t, func(n *node) {
		t := n.t
		n.stop = func(context.Context) error {
			n.look = func() error { return errBroken }
			return nil
		}
		got, err := n.kind().Settle(t.Context(), begunBefore(time.Second, plain))
		wantResult(t, got, err, v1alpha1.OutcomeFailed, 37, "its first process hangs", "An earlier agent began it.")
	})
}

func TestSettleOfAContainerThatEndedObserves(t *testing.T) {
	t.Parallel()
	inBubble(t, func(n *node) {
		t := n.t
		n.nobody()
		n.later = []event{{10 * time.Second, func() { n.runs = false }}}
		got, err := n.kind().Settle(t.Context(), begunBefore(time.Minute, plain))
		wantResult(t, got, err, v1alpha1.OutcomeCleared, 0, "runs in its place", "An earlier agent began it.")
		n.wantCalls()
	})
}

func TestSettleOfAContainerThatMustNotBeTouchedDoesNot(t *testing.T) {
	t.Parallel()
	inBubble(t, func(n *node) {
		t := n.t
		n.nobody()
		got, err := n.kind().Settle(t.Context(), begunBefore(time.Minute, plain))
		wantResult(t, got, err, v1alpha1.OutcomeInterrupted, 37, "must not be touched now: The container ended.")
		n.wantCalls()
		n.wantAlive()
	})
}

func TestSettleCanBeTriedAgainWhenTheLookFailed(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.look = func() error { return errBroken }
	if _, err := n.kind().Settle(t.Context(), begunBefore(time.Minute, plain)); !errors.Is(err, errBroken) {
		t.Errorf("error = %v, want %v", err, errBroken)
	}
	n.wantCalls()
}

func TestSettleToleratesAStatusWithoutTimes(t *testing.T) {
	t.Parallel()
	inBubble(t, func(n *node) {
		t := n.t
		r := remediation(plain)
		r.Spec.RestartContainer = nil
		got, err := n.kind().Settle(t.Context(), r)
		wantResult(t, got, err, v1alpha1.OutcomeCleared, 0)
		n.wantCalls("0s stop c1 2s")
	})
}
