package policystatus

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// delays is a queue that records what is asked for, and after what time.
type delays struct {
	workqueue.TypedRateLimitingInterface[reconcile.Request]
	asked []asked
}

type asked struct {
	request reconcile.Request
	after   time.Duration
}

func (d *delays) AddAfter(request reconcile.Request, after time.Duration) {
	d.asked = append(d.asked, asked{request, after})
}

func TestCountAfter(t *testing.T) {
	t.Parallel()
	q := &delays{}
	h := countAfter(later)
	h.Create(t.Context(), event.CreateEvent{}, q)
	h.Update(t.Context(), event.UpdateEvent{}, q)
	h.Delete(t.Context(), event.DeleteEvent{}, q)
	want := slices.Repeat([]asked{{everything, later}}, 3)
	if diff := cmp.Diff(want, q.asked, cmp.AllowUnexported(asked{})); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}

func TestPredicates(t *testing.T) {
	t.Parallel()
	meta := func(generation int64, uid string, labels map[string]string) *metav1.PartialObjectMetadata {
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Generation: generation, UID: types.UID(uid), Labels: labels}}
	}
	holding := func(since time.Duration, names ...v1alpha1.ContainerName) *v1alpha1.ZombieReport {
		zr := &v1alpha1.ZombieReport{}
		for _, name := range names {
			if zr.Status.Judgement == nil {
				zr.Status.Judgement = &v1alpha1.Judgement{}
			}
			zr.Status.Judgement.Triggered = append(zr.Status.Judgement.Triggered,
				v1alpha1.TriggeredContainer{Name: name, Since: metav1.NewTime(now.Add(since))})
		}
		return zr
	}
	web := map[string]string{"app": "web"}
	tests := map[string]struct {
		predicate     predicate.Predicate
		before, after client.Object
		want          bool
	}{
		"a policy whose spec changed is counted for":            {specChanged(), meta(1, "a", nil), meta(2, "a", nil), true},
		"a policy that is new under an old name is counted for": {specChanged(), meta(1, "a", nil), meta(1, "b", nil), true},
		"a policy whose status was written is not":              {specChanged(), meta(1, "a", nil), meta(1, "a", web), false},
		"a pod whose labels changed is counted":                 {labelsChanged(), meta(1, "a", nil), meta(1, "a", web), true},
		"a pod whose label has another value is counted":        {labelsChanged(), meta(1, "a", map[string]string{"app": "db"}), meta(1, "a", web), true},
		"a pod that changed otherwise is not":                   {labelsChanged(), meta(1, "a", web), meta(2, "a", web), false},
		"a report in which a trigger began is counted":          {leaksChanged(), holding(0), holding(0, "app"), true},
		"a report in which a trigger ceased is counted":         {leaksChanged(), holding(0, "app", "log"), holding(0, "log"), true},
		"a report of another container is counted":              {leaksChanged(), holding(0, "app"), holding(0, "log"), true},
		"a report that was written otherwise is not":            {leaksChanged(), holding(0, "app"), holding(1, "app"), false},
		"a report without a judgement is not":                   {leaksChanged(), holding(0), holding(0), false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tc.predicate.Update(event.UpdateEvent{ObjectOld: tc.before, ObjectNew: tc.after}); got != tc.want {
				t.Errorf("Update() = %t, want %t", got, tc.want)
			}
			if !tc.predicate.Create(event.CreateEvent{Object: tc.after}) || !tc.predicate.Delete(event.DeleteEvent{Object: tc.after}) {
				t.Error("what comes and goes is kept back")
			}
		})
	}
}

func TestCachedNamesNamespacesByTheirMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t, given())
	var kinds []string
	for obj, options := range Cached() {
		gvk, err := apiutil.GVKForObject(obj, w.api.Scheme())
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, gvk.Kind)
		if options.Transform == nil {
			t.Fatalf("%s is cached whole", gvk.Kind)
		}
		if gvk.Kind != "Namespace" {
			continue
		}
		in := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Name: "shop", UID: "u", ResourceVersion: "7", Labels: map[string]string{"team": "shop"}, Generation: 3,
			Annotations:   map[string]string{v1alpha1.AnnotationOptOut: "true", "example.com/big": "x"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		}}
		want := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Name: "shop", UID: "u", ResourceVersion: "7", Labels: map[string]string{"team": "shop"},
			Annotations: map[string]string{v1alpha1.AnnotationOptOut: "true"},
		}}
		got, err := options.Transform(in)
		if diff := cmp.Diff(any(want), got); diff != "" || err != nil {
			t.Errorf("a namespace in the cache, %v (-want +got):\n%s", err, diff)
		}
	}
	slices.SortFunc(kinds, strings.Compare)
	if diff := cmp.Diff([]string{"ClusterZombiePolicy", "Namespace", "ZombiePolicy"}, kinds); diff != "" {
		t.Errorf("kinds in the cache (-want +got):\n%s", diff)
	}
}
