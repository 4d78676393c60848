package restart

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

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
		"when all of it is gone":   {time.Minute, "0s stop c1 2s"},
		"when it is hardly late":   {20*time.Second + goneWithin + newWithin, "0s stop c1 2s"},
		"when the clock was moved": {-time.Hour, "0s stop c1 20s"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(n *node) {
				t := n.t
				n.zombies = nil // which is no reason to leave it half stopped
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

func TestSettleOnlyObserves(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		begun  time.Duration
		change func(*node)
		text   string
	}{
		"what began too long ago":    {30*time.Second + goneWithin + newWithin + time.Second, func(*node) {}, "left alone: its restart began long ago, at 1999-12-31T23:53:59Z."},
		"what could not end":         {time.Second, func(n *node) { n.outside = 1 }, "left alone: 1 zombie of the container with a parent or tracer outside of it would keep it from ending."},
		"what a tracer would hold":   {time.Second, func(n *node) { n.traced = debugged }, "left alone: A tracer would keep the container from ending: process 7 (api)"},
		"what is old and cannot end": {time.Hour, func(n *node) { n.outside = 1; n.count = func() error { return errBroken } }, "its restart began long ago"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(n *node) {
				t := n.t
				tc.change(n)
				got, err := n.kind().Settle(t.Context(), begunBefore(tc.begun, plain))
				wantResult(t, got, err, v1alpha1.OutcomeInterrupted, 37, tc.text, "An earlier agent began it.")
				n.wantCalls()
				n.wantAlive()
			})
		})
	}
}

func TestSettleLooksWhetherZombiesOutliveTheContainer(t *testing.T) {
	t.Parallel()
	inBubble(t, func(n *node) {
		t := n.t
		n.left = []kernel.Process{{PID: 100, StartTicks: 1000}}
		got, err := n.kind().Settle(t.Context(), begunBefore(time.Second, plain))
		wantResult(t, got, err, v1alpha1.OutcomeFailed, 1, "1 zombie of it did not")
	})
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
	for name, change := range map[string]func(*node){
		"at the container": func(n *node) { n.look = func() error { return errBroken } },
		"at its zombies":   func(n *node) { n.count = func() error { return errBroken } },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			change(n)
			if _, err := n.kind().Settle(t.Context(), begunBefore(time.Minute, plain)); !errors.Is(err, errBroken) {
				t.Errorf("error = %v, want %v", err, errBroken)
			}
			n.wantCalls()
		})
	}
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
