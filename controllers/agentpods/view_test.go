package agentpods

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(minutes int) time.Time { return start.Add(-time.Duration(minutes) * time.Minute) }

// agentPod is a pod on n1 that has been in a state since some time; no state: no kubelet has seen it.
func agentPod(name string, ready corev1.ConditionStatus, since time.Time) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "zombies", Name: name, CreationTimestamp: metav1.NewTime(since)},
		Spec:       corev1.PodSpec{NodeName: "n1"},
	}
	if ready != "" {
		pod.CreationTimestamp = metav1.NewTime(ago(600))
		pod.Status.Conditions = []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
			{Type: corev1.PodReady, Status: ready, LastTransitionTime: metav1.NewTime(since)},
		}
	}
	return pod
}

func newAPI(pods ...client.Object) client.WithWatch {
	return fake.NewClientBuilder().WithIndex(&corev1.Pod{}, NodeNameIndex, IndexByNodeName).WithObjects(pods...).Build()
}

func TestOnNode(t *testing.T) {
	t.Parallel()
	elsewhere := agentPod("agent-b", corev1.ConditionTrue, ago(9))
	elsewhere.Spec.NodeName = "n2"
	foreign := agentPod("agent-c", corev1.ConditionTrue, ago(9))
	foreign.Namespace = "other"
	tests := map[string]struct {
		pods []client.Object
		want Agent
	}{
		"a ready pod makes a ready agent": {
			[]client.Object{agentPod("agent-a", corev1.ConditionTrue, ago(9))},
			Agent{PodName: "agent-a", Ready: true},
		},
		"a pod that is not ready says since when": {
			[]client.Object{agentPod("agent-a", corev1.ConditionFalse, ago(9))},
			Agent{PodName: "agent-a", NotReadySince: ago(9)},
		},
		"a pod of a lost node is not ready": {
			[]client.Object{agentPod("agent-a", corev1.ConditionUnknown, ago(9))},
			Agent{PodName: "agent-a", NotReadySince: ago(9)},
		},
		"a pod no kubelet has seen is not ready since it was made": {
			[]client.Object{agentPod("agent-a", "", ago(3))},
			Agent{PodName: "agent-a", NotReadySince: ago(3)},
		},
		"a node without a pod is without an agent from the first look": {
			nil, Agent{NotReadySince: start},
		},
		"pods of other nodes and namespaces do not count": {
			[]client.Object{elsewhere, foreign}, Agent{NotReadySince: start},
		},
		"one ready pod of two is enough, be it the old one": {
			[]client.Object{agentPod("agent-a", corev1.ConditionTrue, ago(9)), agentPod("agent-b", "", ago(1))},
			Agent{PodName: "agent-a", Ready: true},
		},
		"one ready pod of two is enough, be it the new one": {
			[]client.Object{agentPod("agent-a", corev1.ConditionFalse, ago(9)), agentPod("agent-b", corev1.ConditionTrue, ago(1))},
			Agent{PodName: "agent-b", Ready: true},
		},
		"a pod that failed long ago does not age the one that runs": {
			[]client.Object{agentPod("agent-a", corev1.ConditionFalse, ago(500)), agentPod("agent-b", corev1.ConditionFalse, ago(1))},
			Agent{PodName: "agent-b", NotReadySince: ago(1)},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			view := NewView(clocktesting.NewFakePassiveClock(start), newAPI(tc.pods...), "zombies", time.Hour)
			tc.want.Namespace = "zombies"
			if diff := cmp.Diff(tc.want, ask(t, view)); diff != "" {
				t.Errorf("OnNode() (-want +got):\n%s", diff)
			}
		})
	}
}

func ask(t *testing.T, view *View) Agent {
	t.Helper()
	agent, err := view.OnNode(t.Context(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	return agent
}

func TestOnNodeRemembersSinceWhenThereIsNoReadyAgent(t *testing.T) {
	t.Parallel()
	clock := clocktesting.NewFakePassiveClock(start)
	api := newAPI()
	view := NewView(clock, api, "zombies", time.Hour)
	wantSince := func(when string, want time.Time) {
		t.Helper()
		if got := ask(t, view).NotReadySince; !got.Equal(want) {
			t.Errorf("%s: not ready since %s, want %s", when, got, want)
		}
	}
	write := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	wantSince("a pod is missing", start)
	clock.SetTime(start.Add(4 * time.Minute))
	wantSince("it is still missing", start)

	replacement := agentPod("agent-b", corev1.ConditionFalse, clock.Now())
	write(api.Create(t.Context(), replacement))
	wantSince("one replaced it and is not ready yet", start)

	write(api.Delete(t.Context(), replacement))
	clock.SetTime(start.Add(6 * time.Minute))
	wantSince("that one is gone too", start)

	healthy := agentPod("agent-c", corev1.ConditionTrue, clock.Now())
	write(api.Create(t.Context(), healthy))
	wantSince("one is ready", time.Time{})

	write(api.Delete(t.Context(), healthy))
	clock.SetTime(start.Add(8 * time.Minute))
	wantSince("it is missing anew", start.Add(8*time.Minute))
}

func TestOnNodeForgetsNodesNobodyAsksAbout(t *testing.T) {
	t.Parallel()
	clock := clocktesting.NewFakePassiveClock(start)
	view := NewView(clock, newAPI(), "zombies", time.Hour)
	for _, node := range []string{"gone", "kept"} {
		if _, err := view.OnNode(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		clock.SetTime(clock.Now().Add(30 * time.Minute))
		if agent, err := view.OnNode(t.Context(), "kept"); err != nil || !agent.NotReadySince.Equal(start) {
			t.Errorf("OnNode(kept) = %+v, %v, want not ready since %s", agent, err, start)
		}
	}
	ask(t, view)
	if _, ok := view.notReady["gone"]; ok {
		t.Error("remembers a node nobody asked about for more than an hour")
	}
	if len(view.notReady) != 2 {
		t.Errorf("remembers %v, want kept and n1", view.notReady)
	}
}

func TestOnNodeReturnsTheErrorOfTheCache(t *testing.T) {
	t.Parallel()
	broken := errors.New("cache is not started")
	api := interceptor.NewClient(newAPI(), interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return broken },
	})
	view := NewView(clocktesting.NewFakePassiveClock(start), api, "zombies", time.Hour)
	if _, err := view.OnNode(t.Context(), "n1"); !errors.Is(err, broken) {
		t.Errorf("OnNode() = %v, want %v", err, broken)
	}
}

func TestOnNodeIsSafeForSeveralWorkers(t *testing.T) {
	t.Parallel()
	view := NewView(clocktesting.NewFakePassiveClock(start), newAPI(), "zombies", 0)
	var workers sync.WaitGroup
	for i := range 8 {
		workers.Go(func() {
			if _, err := view.OnNode(t.Context(), fmt.Sprintf("n%d", i%3)); err != nil {
				t.Error(err)
			}
		})
	}
	workers.Wait()
}

func TestStripToReadinessKeepsWhatAViewReads(t *testing.T) {
	t.Parallel()
	pod := agentPod("agent-a", corev1.ConditionTrue, ago(9))
	pod.UID, pod.ResourceVersion = "uid", "7"
	want := pod.DeepCopy()
	want.Status.Conditions = want.Status.Conditions[1:]

	pod.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet"}}
	pod.Annotations = map[string]string{"example.com/big": "x"}
	pod.Spec.Containers = []corev1.Container{{Name: "agent"}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "agent"}}
	got, err := stripToReadiness(pod)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Errorf("stripToReadiness() (-want +got):\n%s", diff)
	}
}

func TestReadinessChanged(t *testing.T) {
	t.Parallel()
	ready := agentPod("agent-a", corev1.ConditionTrue, ago(9))
	unready := agentPod("agent-a", corev1.ConditionFalse, ago(1))
	pending := agentPod("agent-a", "", ago(1))
	unscheduled := agentPod("agent-a", "", ago(1))
	unscheduled.Spec.NodeName = ""
	tests := map[string]struct {
		before, after *corev1.Pod
		want          bool
	}{
		"a pod that stops being ready passes":         {ready, unready, true},
		"a pod that becomes ready passes":             {unready, ready, true},
		"a pod that becomes ready at once passes":     {pending, ready, true},
		"a pod that gets its node passes":             {unscheduled, pending, true},
		"a pod that stays ready does not pass":        {ready, ready, false},
		"a pod that stays not ready does not pass":    {unready, unready, false},
		"a pod that is seen by a kubelet may not yet": {pending, unready, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := event.TypedUpdateEvent[*corev1.Pod]{ObjectOld: tc.before, ObjectNew: tc.after}
			if got := ReadinessChanged().Update(e); got != tc.want {
				t.Errorf("Update() = %t, want %t", got, tc.want)
			}
		})
	}
	if !ReadinessChanged().Create(event.TypedCreateEvent[*corev1.Pod]{Object: ready}) ||
		!ReadinessChanged().Delete(event.TypedDeleteEvent[*corev1.Pod]{Object: ready}) {
		t.Error("a pod that comes or goes does not pass")
	}
}
