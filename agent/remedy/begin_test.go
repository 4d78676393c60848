package remedy

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Nobody knows for an hour what is stored; by then the act would be of no use.
func TestReconcileDoesNotBeginWhatItIntendedLongAgo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.after["intent"] = func() error { f.before["read"] = fails; return nil }
	if err := f.reconcile(t.Context()); err == nil {
		t.Error("error = nil, want one")
	}
	f.agent.now = func() time.Time { return noon.Add(time.Hour) }
	f.settleDown()
	f.wantActs(0)
	f.wantOutcome(v1alpha1.OutcomeExpired)
	if got := f.stored().Status.Message; !strings.HasPrefix(got, "Nothing was done: ") || f.kind.settled != 0 {
		t.Errorf("message = %q, settled %d times, want that nothing was done, and nothing settled", got, f.kind.settled)
	}
}

func TestReconcileTakesFewLooksAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &gathering{free: make(chan struct{})}
		r := New(nil, nil, Self{}, map[v1alpha1.RemediationAction]act.Kind{v1alpha1.RemediationSignalParent: k}, time.Now, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		for range lookers + 3 {
			done.Go(func() { _, _ = r.prepare(ctx, remediation()) })
		}
		synctest.Wait()
		if got := k.looks.Load(); got != lookers {
			t.Errorf("%d looks at the same time, want %d", got, lookers)
		}
		k.free <- struct{}{}
		synctest.Wait()
		if got := k.looks.Load(); got != lookers+1 {
			t.Errorf("%d looks when one ended, want %d", got, lookers+1)
		}
		cancel()
		synctest.Wait()
		close(k.free)
		done.Wait()
		if got := k.looks.Load(); got != lookers+1 {
			t.Errorf("%d looks after the end of the agent, want no more than %d", got, lookers+1)
		}
	})
}

// gathering is a kind of act whose looks wait until they are freed.
type gathering struct {
	act.Kind
	looks atomic.Int32
	free  chan struct{}
}

func (g *gathering) Prepare(context.Context, *v1alpha1.ZombieRemediation) (act.Prepared, error) {
	g.looks.Add(1)
	<-g.free
	return nil, errBroken
}
