package remedy

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// leaks has the agent report so many zombies of the trigger's age.
func (w *world) leaks(zombies int32) {
	w.t.Helper()
	w.reports(func(o *v1alpha1.Observed) { o.Containers[0].Ages[2].Zombies = zombies })
	w.reconcile()
}

// exhaustedWorld is a world in which every rung was tried.
func exhaustedWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, ladder(signal(v1alpha1.SignalChild)))
	w.judged()
	w.ends(v1alpha1.OutcomeNoEffect)
	w.reconcile()
	if next := w.next(); next.Reason != ReasonLadderExhausted {
		t.Fatalf("next %+v", next)
	}
	return w
}

// A leak that goes up and down around the trigger has not stopped, however long ago the last act was.
func TestAShortBreakDoesNotStartTheLadderAnew(t *testing.T) {
	t.Parallel()
	w := exhaustedWorld(t)
	w.pass(3 * time.Hour)
	w.leaks(9)
	if got := w.book().Position(web).StoppedAt; !got.Equal(w.clock.Now()) {
		t.Fatalf("stopped at %s, want %s", got, w.clock.Now())
	}
	w.quietly("while it is quiet", func() { w.pass(time.Minute); w.reconcile() })
	w.pass(58 * time.Minute)
	w.leaks(10)
	w.pass(time.Minute)
	w.reconcile()
	if next := w.next(); next.Reason != ReasonLadderExhausted || len(w.remediations()) != 1 {
		t.Errorf("after 59 min: next %+v, %d remediations", next, len(w.remediations()))
	}
	w.leaks(9)
	w.pass(time.Hour)
	w.reports(func(o *v1alpha1.Observed) {
		o.Containers[0].Parents[0].OldestZombieTime = metav1.NewTime(w.clock.Now())
	})
	w.leaks(10)
	w.pass(time.Minute)
	w.reconcile()
	if r := w.one(); r.Spec.Attempt != 2 || w.next().Reason != ReasonActing {
		t.Errorf("after an hour: attempt %d, next %+v", r.Spec.Attempt, w.next())
	}
}

// openreplay: a probe leaks 24 processes a minute, and it takes most of a day until they matter again.
func TestALeakThatTakesADayToComeBackIsNotRestartedForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ladder(restart))
	for range 12 {
		w.leaks(10)
		w.pass(2 * time.Minute)
		w.reconcile()
		if w.next().Reason == ReasonActing {
			w.ends(v1alpha1.OutcomeCleared)
		}
		began := metav1.NewTime(w.clock.Now().Add(time.Minute))
		w.reports(func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].OldestZombieTime = began })
		w.leaks(9)
		w.pass(20 * time.Hour)
	}
	w.leaks(10)
	w.pass(2 * time.Minute)
	w.reconcile()
	if next := w.next(); len(w.remediations()) != maxTries || next.Reason != ReasonLadderExhausted {
		t.Errorf("%d restarts in ten days, next %+v; want %d and nothing more", len(w.remediations()), next, maxTries)
	}
}

func TestACrashDoesNotForgetThatALeakStopped(t *testing.T) {
	t.Parallel()
	w := exhaustedWorld(t)
	w.pass(3 * time.Hour)
	w.reports(func(o *v1alpha1.Observed) { o.Containers[0].Ages[2].Zombies = 9 })
	w.refuse = func(_ string, obj client.Object) error {
		if kindOf(obj) == "ledger" {
			return errCrash
		}
		return nil
	}
	if _, err := w.r.Reconcile(t.Context(), webRequest); !errors.Is(err, errCrash) {
		t.Fatalf("Reconcile() = %v, want the crash", err)
	}
	w.refuse = nil
	w.reconcile()
	if w.book().Position(web).StoppedAt.IsZero() {
		t.Error("the report was written before the ledger")
	}
}

func TestTheEndOfALeakThatWasNeverActedOnIsNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ruled1dry)
	w.judged()
	w.writes = nil
	w.leaks(9)
	for _, write := range w.writes {
		if write != "apply status ZombieReport" {
			t.Errorf("wrote %q", w.writes)
		}
	}
}
