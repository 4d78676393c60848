package remedy

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

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
