package restart

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/agent/target"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// line is the line of a restart that begins at the first time of a bubble.
const line = "zombie-operator began to restart this container at 2000-01-01T00:00:00Z: 37 zombies not reaped by their parents (see zombieremediation shop/web-0123, policy web)"

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
		"when the container is gone":           {(*node).nobody, v1alpha1.OutcomeStale, "ended"},
		"when no zombie is left":               {func(n *node) { n.zombies = nil }, v1alpha1.OutcomeStale, "no zombies any more"},
		"when a zombie has its parent outside": {func(n *node) { n.outside = 1 }, v1alpha1.OutcomeRefused, "1 zombie of the container with a parent or tracer outside"},
		"when a living process has a tracer outside": {
			func(n *node) { n.traced = debugged }, v1alpha1.OutcomeRefused,
			"A tracer would keep the container from ending: process 7 (api), traced by process 4711 (gdb?) of the node.",
		},
		"when several have": {
			func(n *node) { n.traced = append(slices.Clone(debugged), target.Traced{PID: 8}, target.Traced{PID: 9}) },
			v1alpha1.OutcomeRefused, "process 7 (api), traced by process 4711 (gdb?) of the node, and 2 more.",
		},
		"when a living process is traced, but no zombie is left": {
			func(n *node) { n.zombies, n.traced = nil, debugged }, v1alpha1.OutcomeStale, "no zombies any more",
		},
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
		"at its tracers":   func(n *node) { n.trace = func() error { return errBroken } },
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
		"and no zombie is left":                    {func(n *node) { n.zombies = nil }, v1alpha1.OutcomeStale, "no zombies any more"},
		"and all of its zombies are others":        {func(n *node) { n.zombies = dead(200, 37) }, v1alpha1.OutcomeStale, "were reaped"},
		"and a zombie has its parent outside":      {func(n *node) { n.outside = 2 }, v1alpha1.OutcomeRefused, "2 zombies of the container with a parent or tracer outside"},
		"and a debugger came":                      {func(n *node) { n.traced = debugged }, v1alpha1.OutcomeRefused, "traced by process 4711"},
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
			func(ctx context.Context) error { _ = pause(ctx, 60*time.Second); return context.DeadlineExceeded }, 90 * time.Second, "as stopping it failed: context deadline exceeded.",
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
				n.later = []event{{50 * time.Second, func() { n.zombies = dead(100, 36) }}}
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
	const unconfirmed = "The first process of the container ended, but the container runtime did not say within 30s that the container did."
	silent := func(n *node) {
		n.end()
		n.askRuns = func() error { return errBroken }
	}
	tests := map[string]struct {
		stop    func(*node) error
		outcome v1alpha1.Outcome
		after   int32
		texts   []string
	}{
		"the runtime says it ended, but its first process lives": {
			func(n *node) error { n.runs = false; return nil }, v1alpha1.OutcomeFailed, 37, list("The container still runs"),
		},
		"its first process ended, but the runtime says it runs": {
			func(n *node) error { n.die(); return nil }, v1alpha1.OutcomeInterrupted, 0, list(unconfirmed),
		},
		"its first process ended, but the runtime does not answer": {
			func(n *node) error { silent(n); return errBroken }, v1alpha1.OutcomeInterrupted, 0, list(unconfirmed, "Stopping it failed: broken."),
		},
		"its first process ended, and some zombies stay": {
			func(n *node) error { silent(n); n.left = []kernel.Process{{PID: 100, StartTicks: 1000}}; return nil }, v1alpha1.OutcomeInterrupted, 1, list(unconfirmed),
		},
		"its first process ended, and nothing can be seen": {
			func(n *node) error { silent(n); n.askLeft = n.askRuns; return nil }, v1alpha1.OutcomeInterrupted, 37, list(unconfirmed),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(n *node) {
				t := n.t
				n.stop = func(context.Context) error { return tc.stop(n) }
				got, err := n.restart(t.Context(), plain)
				wantResult(t, got, err, tc.outcome, tc.after, tc.texts...)
			})
		})
	}
}

func list(texts ...string) []string { return texts }

// A stop that took all its time leaves the runtime time to learn of the end.
func TestRestartWaitsForTheEndHoweverLongTheStopTook(t *testing.T) {
	t.Parallel()
	inBubble(t, func(n *node) {
		t := n.t
		n.stop = func(ctx context.Context) error {
			_ = pause(ctx, 60*time.Second)
			n.die()
			return context.DeadlineExceeded
		}
		n.later = []event{{85 * time.Second, func() { n.runs = false }}}
		got, err := n.restart(t.Context(), plain)
		wantResult(t, got, err, v1alpha1.OutcomeCleared, 0, "runs in its place")
	})
}

// In a PID namespace that a pod shares the end of a container is not the end of all in it.
func TestRestartFailsWhenZombiesOutliveTheContainer(t *testing.T) {
	t.Parallel()
	inBubble(t, func(n *node) {
		t := n.t
		n.left = []kernel.Process{{PID: 99, StartTicks: 1000}, {PID: 100, StartTicks: 1000}, {PID: 101, StartTicks: 1001}}
		got, err := n.restart(t.Context(), plain)
		wantResult(t, got, err, v1alpha1.OutcomeFailed, 1, "The container ended, but 1 zombie of it did not")
	})
}

func TestRestartSaysWhenItCannotSeeThatTheZombiesAreGone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(n *node) {
		t := n.t
		n.askLeft = func() error { return errBroken }
		got, err := n.restart(t.Context(), plain)
		wantResult(t, got, err, v1alpha1.OutcomeCleared, 0, "runs in its place", "That its zombies are gone could not be seen: broken.")
	})
}

func TestRestartGoesOnWhileOneOfItsZombiesIsLeft(t *testing.T) {
	t.Parallel()
	inBubble(t, func(n *node) {
		t := n.t
		p, err := n.kind().Prepare(t.Context(), remediation(plain))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		n.zombies = append(dead(200, 5), scan.Key{PID: 136, StartTicks: 1000})
		got, err := p.Do(t.Context())
		wantResult(t, got, err, v1alpha1.OutcomeCleared, 0, "runs in its place")
		if text, _ := os.ReadFile(n.message()); !strings.Contains(string(text), ": 6 zombies") {
			t.Errorf("termination message = %q, want the zombies of the last look", text)
		}
	})
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
	"for runc":                      fmt.Errorf("rpc error: fork/exec /usr/bin/runc: %w", unix.EAGAIN),
	"for a thread of runc with cgo": errors.New("runc did not terminate successfully: exit status 2: runtime/cgo: pthread_create failed: Resource temporarily unavailable"),
	"for runc, with a capital":      errors.New("fork: Resource temporarily unavailable"),
	"for a thread, without a cause": errors.New("runtime/cgo: pthread_create failed: error 11"),
	"for a thread of runc":          errors.New("runc did not terminate successfully: runtime: failed to create new OS thread (have 2 already; errno=11)"),
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
	const fullQueue = "connection error: desc = \"transport: Error while dialing: dial unix /run/containerd/containerd.sock: connect: resource temporarily unavailable\""
	for name, err := range map[string]error{
		"another error":                        errors.New("permission denied"),
		"a runtime whose queue is full":        fmt.Errorf("stopping container c1 by CRI socket: %w", status.Error(codes.Unavailable, fullQueue)),
		"a call that took too long":            status.Error(codes.DeadlineExceeded, "latest balancer error: "+fullQueue),
		"a call that was given up":             status.Error(codes.Canceled, fullQueue),
		"a context's end that knows the cause": fmt.Errorf("%w: latest balancer error: %w", context.DeadlineExceeded, errBroken),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(n *node) {
				t := n.t
				n.stop = func(context.Context) error { return err }
				got, doErr := n.restart(t.Context(), plain)
				wantResult(t, got, doErr, v1alpha1.OutcomeFailed, 37, err.Error())
				n.wantAlive()
			})
		})
	}
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
