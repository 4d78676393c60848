package remedy

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

func TestARemediationThatSomebodyDeletedFreesItsUnitOnlyWhenItsActHasEndedForSure(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ladder(restart))
	w.judged()
	w.must(w.api.Delete(t.Context(), w.one()))
	w.reconcile()
	if w.book().Disruptive() == nil {
		t.Error("free before its time")
	}
	w.pass(w.lease())
	w.reconcile()
	if b := w.book(); b.Disruptive() != nil || !b.DisruptedAt(webUID).Equal(w.clock.Now()) {
		t.Errorf("book %+v", b)
	}
}

func TestANamespaceThatIsBeingDeletedIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.reconcile()
	w.pass(time.Minute)
	edit(w, client.ObjectKey{Name: "shop"}, &corev1.Namespace{}, func(n *corev1.Namespace) { n.Finalizers = []string{"example.com/hold"} })
	var shop corev1.Namespace
	w.read(client.ObjectKey{Name: "shop"}, &shop)
	w.must(w.api.Delete(t.Context(), &shop))
	w.reconcile()
	if w.next().Reason != ReasonTerminating || len(w.remediations()) != 0 {
		t.Errorf("next %+v", w.next())
	}
}

// What was watched may be out of date: the live pod decides by which policy it is governed.
func TestThePodsLabelsOfNowDecide(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.reconcile()
	w.pass(time.Minute)
	w.refuseRead = func(obj client.Object) error {
		if p, ok := obj.(*corev1.Pod); ok {
			w.refuseRead = nil
			*p = *leakingPod()
			p.Labels = nil
			return errAnswered
		}
		return nil
	}
	w.reconcile()
	if len(w.remediations()) != 0 || w.report().Status.Judgement != nil {
		t.Errorf("judged %+v", w.report().Status.Judgement)
	}
}

func TestAFullLedgerIsSettledByWhoeverLooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.reconcile()
	w.pass(time.Minute)
	var b ledger.Book
	for range ledger.MaxUnits {
		b.Units = append(b.Units, otherUnit(false)) // of which no remediation was ever made
	}
	_, err := ledger.NewStore(w.api, ourSpace).Save(t.Context(), ledger.Edition{}, b, now)
	w.must(err)
	w.reconcile()
	if n := len(w.remediations()); n != 1 {
		t.Errorf("%d remediations, want one: units %d", n, len(w.book().Units))
	}
}

func TestAnActThatEndedBeforeItBeganIsDatedFromItsDecision(t *testing.T) {
	t.Parallel()
	r := ended("a", v1alpha1.OutcomeNoEffect, 2*time.Hour) // by a node's clock that is behind
	if got := decide(leaking(remediations(r)), now).judgement.LastAct.Time; !got.Equal(&r.CreationTimestamp) {
		t.Errorf("last act at %s, want %s", got, r.CreationTimestamp)
	}
}

func TestHowLongAnActMayTake(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change change
		want   time.Duration
	}{
		"a signal":                 {ladder(signal(v1alpha1.SignalTerminate)), longestSignal},
		"a restart, and its grace": {ladder(restart), longestRestart + 25*time.Second},
		"a restart, by the policy's own": {ladder(v1alpha1.Rung{
			Action: v1alpha1.ActionRestartContainer, RestartContainer: &v1alpha1.RestartContainer{GracePeriodSeconds: new(int32(3600))},
		}), longestRestart + time.Hour},
	} {
		if got := decide(leaking(tc.change), now).act.unit.EndsBy.Sub(now); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

// The first of two signals was made, so an agent may send it: the unit stays until that has ended.
func TestAnActThatWasRefusedInPartIsNotGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ladder(signal(v1alpha1.SignalTerminate)), parents(parent(7, 10), parent(8, 10)))
	w.reconcile()
	w.pass(time.Minute)
	forbidden := apierrors.NewForbidden(apischema.GroupResource{Resource: "zombieremediations"}, "web", errors.New("no right"))
	made := 0
	w.refuse = func(verb string, obj client.Object) error {
		if verb+" "+kindOf(obj) != "create remediation" {
			return nil
		}
		if made++; made == 1 {
			return nil
		}
		return forbidden
	}
	if _, err := w.r.Reconcile(t.Context(), webRequest); !apierrors.IsForbidden(err) {
		t.Fatalf("Reconcile() = %v, want the refusal", err)
	}
	if w.book().Disruptive() == nil || len(w.remediations()) != 1 {
		t.Errorf("units %+v, %d remediations", w.book().Units, len(w.remediations()))
	}
}
