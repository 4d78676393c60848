package publish

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/agent/observe"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// finds is web with zombies and findings, each since as long before noon as told.
func finds(zombies int32, since time.Duration, types ...string) Pod {
	pod := web(zombies)
	for _, kind := range types {
		pod.Findings = append(pod.Findings, observe.Finding{Type: kind, Message: "of " + kind, Since: noon.Add(-since)})
	}
	if zombies == 0 && len(types) > 0 {
		pod.Observed.Finding = types[0]
	}
	return pod
}

// wantConditions checks the conditions of the stored report of a pod: each type with its status.
func (s *server) wantConditions(t *testing.T, pod Pod, want map[string]metav1.ConditionStatus) {
	t.Helper()
	report, _ := s.stored(t, pod)
	got := map[string]metav1.ConditionStatus{}
	for _, c := range report.Status.Conditions {
		got[c.Type] = c.Status
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
}

func TestPublishTellsOfFindingsWithoutZombies(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	publishAt(t, p, noon, finds(0, time.Hour, v1alpha1.ConditionLeaderExited))
	s.want(t, "get web", "spec web", "status web")
	s.wantConditions(t, web(0), map[string]metav1.ConditionStatus{"Leaking": "False", "LeaderExited": "True"})
	report, _ := s.stored(t, web(0))
	if report.Status.Observed.Finding != v1alpha1.ConditionLeaderExited || report.Status.Observed.Zombies != 0 {
		t.Errorf("observation = %+v", report.Status.Observed)
	}
	want := metav1.Condition{
		Type: "LeaderExited", Status: "True", Reason: v1alpha1.ReasonObserved, Message: "of LeaderExited", ObservedGeneration: 1,
		LastTransitionTime: metav1.NewTime(noon.Add(-time.Hour).UTC()),
	}
	if diff := cmp.Diff(want, report.Status.Conditions[1], cmp.Comparer(func(a, b metav1.Time) bool { return a.Equal(&b) })); diff != "" {
		t.Errorf("condition (-want +got):\n%s", diff)
	}
	for round := range 5 {
		publishAt(t, p, later(1+round), finds(0, time.Hour, v1alpha1.ConditionLeaderExited))
	}
	s.want(t)
}

func TestPublishTakesAFindingAwayWhenItEnded(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	publishAt(t, p, noon, finds(5, time.Hour, v1alpha1.ConditionLeaderExited, v1alpha1.ConditionPileBehindD))
	s.wantConditions(t, web(0), map[string]metav1.ConditionStatus{"Leaking": "True", "LeaderExited": "True", "PileBehindD": "True"})
	publishAt(t, p, later(1), finds(5, time.Hour, v1alpha1.ConditionPileBehindD))
	s.want(t, "status web")
	s.wantConditions(t, web(0), map[string]metav1.ConditionStatus{"Leaking": "True", "PileBehindD": "True"})
	publishAt(t, p, later(2), web(0))
	s.want(t, "status web")
	s.wantConditions(t, web(0), map[string]metav1.ConditionStatus{"Leaking": "False"})
	publishAt(t, p, later(3), web(0))
	s.want(t)
}

// counting is web with a finding that tells of a number.
func counting(count int) Pod {
	pod := finds(0, time.Hour, v1alpha1.ConditionOtherExitSignal)
	pod.Findings[0].Message, pod.Findings[0].Gist = fmt.Sprintf("%d dead", count), fmt.Sprint(observe.Step(count))
	return pod
}

// A finding that grows all day is written at the steps of its count, also when its report is read again in between, and by an agent
// that was restarted.
func TestPublishWritesAFindingThatGrowsAtItsSteps(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	writes := func() int {
		calls := s.calls
		s.calls = nil
		return len(slices.DeleteFunc(calls, func(call string) bool { return !strings.HasPrefix(call, "status ") }))
	}
	const looks = 24 * 120 // a day of looks, each of which sees one more
	for look := range looks {
		publishAt(t, p, noon.Add(time.Duration(look)*30*time.Second), counting(1+look))
	}
	// 20, 50, 100, 200, 500, 1000, 2000; of the first steps, which come within 10 minutes, there is one write at the start.
	if got := writes(); got != 8 {
		t.Errorf("%d writes in a day, want 8", got)
	}
	restarted, _ := newPublisher(s, memories{})
	for look := range 120 {
		publishAt(t, restarted, noon.Add(25*time.Hour+time.Duration(look)*30*time.Second), counting(looks+look))
	}
	if got := writes(); got != 1 {
		t.Errorf("%d writes by an agent that was restarted, want 1: it does not know what the count was", got)
	}
}

// An agent that started later saw the look-alike for the first time when it started.
func TestPublishKeepsSinceWhenAFindingIsTrue(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	first, _ := newPublisher(s, memories{})
	publishAt(t, first, noon, finds(0, 2*time.Hour, v1alpha1.ConditionLeaderExited))
	s.calls = nil
	second, _ := newPublisher(s, memories{})
	since := func(want time.Time) {
		t.Helper()
		report, _ := s.stored(t, web(0))
		for _, c := range report.Status.Conditions {
			if c.Type == v1alpha1.ConditionLeaderExited && !c.LastTransitionTime.Time.Equal(want) {
				t.Errorf("true since %s, want %s", c.LastTransitionTime, want)
			}
		}
	}
	publishAt(t, second, later(1), finds(0, 0, v1alpha1.ConditionLeaderExited))
	s.want(t, "get web")
	publishAt(t, second, later(2), finds(5, 0, v1alpha1.ConditionLeaderExited))
	s.want(t, "status web")
	since(noon.Add(-2 * time.Hour))
	publishAt(t, second, later(3), web(5))
	publishAt(t, second, later(4), finds(5, -time.Minute, v1alpha1.ConditionLeaderExited))
	s.want(t, "status web", "status web")
	since(noon.Add(time.Minute)) // it began anew
}

func TestPublishTellsThatAPodThatIsGoneHasNoFinding(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	publishAt(t, p, noon, finds(0, time.Hour, v1alpha1.ConditionContainerDead))
	s.calls = nil
	publishAt(t, p, later(1))
	s.want(t, "status web")
	s.wantConditions(t, web(0), map[string]metav1.ConditionStatus{"Leaking": "False"})
	publishAt(t, p, later(2))
	if len(p.states) != 0 {
		t.Errorf("states = %v, want none", p.states)
	}
}

func TestPublishCreatesAReportThatWasDeletedWhenItsFindingGoesOn(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	publishAt(t, p, noon, finds(0, time.Hour, v1alpha1.ConditionContainerDead))
	s.remove(t, web(0))
	s.calls = nil
	publishAt(t, p, later(1), finds(0, time.Hour, v1alpha1.ConditionContainerDead, v1alpha1.ConditionLeaderExited))
	s.want(t, "status web", "spec web", "status web")
	s.wantConditions(t, web(0), map[string]metav1.ConditionStatus{"Leaking": "False", "ContainerDead": "True", "LeaderExited": "True"})
}
