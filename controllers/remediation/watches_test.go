package remediation

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

func TestCompletionsAskForACount(t *testing.T) {
	t.Parallel()
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	created := func(after *v1alpha1.ZombieRemediation) func(context.Context, queue) {
		return func(ctx context.Context, q queue) { completions().Create(ctx, event.CreateEvent{Object: after}, q) }
	}
	updated := func(before, after *v1alpha1.ZombieRemediation) func(context.Context, queue) {
		return func(ctx context.Context, q queue) {
			completions().Update(ctx, event.UpdateEvent{ObjectOld: before, ObjectNew: after}, q)
		}
	}
	tests := map[string]struct {
		happens func(context.Context, queue)
		want    bool
	}{
		"one that completes is counted":               {updated(justMade(executing(0)), justMade(executing(0), ended(0))), true},
		"one found completed at a start is counted":   {created(justMade(ended(0))), true},
		"one that is made is not":                     {created(justMade()), false},
		"one that begins is not":                      {updated(justMade(claimed), justMade(executing(0))), false},
		"one completed that changes otherwise is not": {updated(justMade(ended(0)), justMade(ended(0), made(1))), false},
		"one that is deleted is not, as there are less": {func(ctx context.Context, q queue) {
			completions().Delete(ctx, event.DeleteEvent{Object: justMade(ended(0))}, q)
		}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := &delays{}
			tc.happens(t.Context(), q)
			var want []time.Duration
			if tc.want {
				want = []time.Duration{boundDelay}
			}
			if diff := cmp.Diff(want, q.ofCount); diff != "" {
				t.Errorf("counts asked for (-want +got):\n%s", diff)
			}
		})
	}
}

// delays is a queue that records after what time a count is asked for.
type delays struct {
	workqueue.TypedRateLimitingInterface[reconcile.Request]
	ofCount []time.Duration
}

func (d *delays) AddAfter(request reconcile.Request, after time.Duration) {
	if request == everyCompleted {
		d.ofCount = append(d.ofCount, after)
	}
}

func TestCachedStripsWhatNobodyReads(t *testing.T) {
	t.Parallel()
	for obj, options := range Cached() {
		if _, ok := obj.(*v1alpha1.ZombieRemediation); !ok || options.Transform == nil {
			t.Errorf("%T is cached whole", obj)
		}
	}
}
