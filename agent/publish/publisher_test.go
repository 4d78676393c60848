package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1ac "github.com/zombie-operator/zombie-operator/api/applyconfiguration/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

var errBroken = errors.New("broken")

// later is so much after noon that everything may be written again.
func later(rounds int) time.Time { return noon.Add(time.Duration(rounds) * RewriteInterval) }

func TestPublishCreatesTheReportOfALeak(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, log := newPublisher(s, memories{})
	publishAt(t, p, noon, web(5))
	s.want(t, "get web", "spec web", "status web")
	report, _ := s.stored(t, web(5))
	want := v1alpha1.ZombieReportSpec{PodName: "web", PodUID: "uid-web", NodeName: "node-1"}
	if diff := cmp.Diff(want, report.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(reported(5), report.Status.Observed); diff != "" {
		t.Errorf("observation (-want +got):\n%s", diff)
	}
	s.wantLeaking(t, web(5), 5, metav1.ConditionTrue, noon.Add(-time.Hour))
	c := report.Status.Conditions[0]
	if c.Reason != v1alpha1.ReasonZombiesCounted || !strings.HasSuffix(c.Message, ": 5. Why, and what to do: "+v1alpha1.DocsURL("PID1DoesNotReap")) {
		t.Errorf("condition = %+v", c)
	}
	if diff := cmp.Diff(map[string]bool{v1alpha1.FieldManagerAgent: true}, s.owners); diff != "" {
		t.Errorf("field managers (-want +got):\n%s", diff)
	}
	if got := strings.Count(log.String(), "msg=Reported"); got != 1 {
		t.Errorf("logged %d times, want once:\n%s", got, log)
	}
}

func TestPublishCallsNobodyWhenNothingChanges(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	publishAt(t, p, noon, web(5), called("quiet", 0))
	s.calls = nil
	for round := range 10 {
		publishAt(t, p, later(1+round), web(5), called("quiet", 0))
	}
	s.want(t)
}

func TestPublishAfterARestartRewritesNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	first, _ := newPublisher(s, memories{})
	publishAt(t, first, noon, web(5))
	s.calls = nil
	second, _ := newPublisher(s, memories{})
	publishAt(t, second, later(1), web(6))
	s.want(t, "get web")
	publishAt(t, second, later(2), web(6))
	s.want(t)
	publishAt(t, second, later(3), web(10))
	s.want(t, "status web")
	s.wantLeaking(t, web(10), 10, metav1.ConditionTrue, noon.Add(-time.Hour))
}

func TestPublishKeepsWhenALeakBeganAndTellsWhenItEnded(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	publishAt(t, p, noon, web(5))
	more := web(50)
	more.Observed.OldestZombieTime = new(metav1.NewTime(noon)) // the oldest was reaped since
	publishAt(t, p, later(1), more)
	s.wantLeaking(t, more, 50, metav1.ConditionTrue, noon.Add(-time.Hour))
	publishAt(t, p, later(2), web(0))
	s.want(t, "status web")
	s.wantLeaking(t, web(0), 0, metav1.ConditionFalse, later(2))
	report, _ := s.stored(t, web(0))
	if report.Status.Observed.OldestZombieTime != nil || len(report.Status.Observed.Containers) != 0 {
		t.Errorf("observation = %+v, want nothing left", report.Status.Observed)
	}
	if c := report.Status.Conditions[0]; c.Reason != v1alpha1.ReasonNoZombies || c.Message == "" {
		t.Errorf("condition = %+v", c)
	}
	publishAt(t, p, later(3), web(0))
	s.want(t)
	again := web(1)
	again.Observed.OldestZombieTime = new(metav1.NewTime(later(2).Add(time.Second)))
	publishAt(t, p, later(4), again)
	s.wantLeaking(t, again, 1, metav1.ConditionTrue, later(2).Add(time.Second))
}

func TestPublishAfterARestartTellsThatAPodHealedMeanwhile(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	first, _ := newPublisher(s, memories{})
	publishAt(t, first, noon, web(5))
	s.calls = nil
	second, _ := newPublisher(s, memories{})
	publishAt(t, second, later(1), web(0))
	s.want(t, "get web", "status web")
	s.wantLeaking(t, web(0), 0, metav1.ConditionFalse, later(1))
}

func TestPublishReadsOnePodARoundThatIsNotUrgent(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	quiet := []Pod{called("a", 0), called("b", 0), called("c", 0)}
	for round, want := range []string{"get a", "get b", "get c"} {
		publishAt(t, p, later(round), quiet...)
		s.want(t, want)
	}
	publishAt(t, p, later(4), quiet...)
	s.want(t)
	publishAt(t, p, later(5), append(quiet, called("x", 5), called("y", 7), called("z", 0))...)
	s.want(t, "get y", "spec y", "status y", "get x", "spec x", "status x", "get z")
}

func TestPublishReadsTheReportOfALeakAgainInCaseItWasDeleted(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	publishAt(t, p, noon, web(5))
	s.remove(t, web(5))
	s.calls = nil
	publishAt(t, p, noon.Add(CompareInterval-1), web(5))
	s.want(t)
	publishAt(t, p, noon.Add(CompareInterval), web(5))
	s.want(t, "get web", "spec web", "status web")
	s.wantLeaking(t, web(5), 5, metav1.ConditionTrue, noon.Add(-time.Hour))
}

func TestPublishCreatesAReportThatWasDeletedWhenItsPodLeaksOn(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	publishAt(t, p, noon, web(5))
	s.remove(t, web(5))
	s.calls = nil
	publishAt(t, p, later(1), web(50))
	s.want(t, "status web", "spec web", "status web")
	s.wantLeaking(t, web(50), 50, metav1.ConditionTrue, noon.Add(-time.Hour))
}

func TestPublishMakesNoReportOfAPodThatHealed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	publishAt(t, p, noon, web(5))
	s.remove(t, web(5))
	s.calls = nil
	publishAt(t, p, later(1), web(0))
	s.want(t, "status web")
	publishAt(t, p, later(2), web(0))
	s.want(t)
	if report, found := s.stored(t, web(0)); found {
		t.Errorf("report = %+v, want none", report)
	}
	publishAt(t, p, later(3), web(5))
	s.want(t, "status web", "spec web", "status web")
}

// The agent stopped between the two writes that make a report.
func TestPublishCompletesAReportWithoutAnObservation(t *testing.T) {
	t.Parallel()
	for _, zombies := range []int32{5, 0} {
		s := newServer(t)
		first, _ := newPublisher(s, memories{})
		s.failing["status web"] = errBroken
		if err := first.Publish(t.Context(), Look{At: noon, Pods: []Pod{web(5)}}, noon); !errors.Is(err, errBroken) {
			t.Fatalf("error = %v, want %v", err, errBroken)
		}
		s.want(t, "get web", "spec web", "status web")
		delete(s.failing, "status web")
		second, _ := newPublisher(s, memories{})
		publishAt(t, second, later(1), web(zombies))
		s.want(t, "get web", "status web")
		if report, _ := s.stored(t, web(zombies)); report.Status.Observed == nil || report.Status.Observed.Zombies != zombies {
			t.Errorf("observation = %+v, want %d zombies", report.Status.Observed, zombies)
		}
	}
}

func TestPublishWritesNoReportTwiceWithinTheInterval(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	publishAt(t, p, noon, web(5))
	s.calls = nil
	publishAt(t, p, noon.Add(RewriteInterval-1), web(50))
	s.want(t)
	publishAt(t, p, noon.Add(RewriteInterval), web(50))
	s.want(t, "status web")
}

func TestPublishTellsThatAPodThatIsGoneHasNoZombies(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	publishAt(t, p, noon, web(5))
	s.calls = nil
	publishAt(t, p, noon.Add(RewriteInterval-1)) // too soon: it is not forgotten meanwhile
	s.want(t)
	s.failing["status web"] = errBroken
	if err := p.Publish(t.Context(), Look{At: later(1)}, later(1)); !errors.Is(err, errBroken) {
		t.Errorf("error = %v, want %v", err, errBroken)
	}
	delete(s.failing, "status web")
	s.calls = nil
	publishAt(t, p, later(2))
	s.want(t, "get web", "status web")
	s.wantLeaking(t, web(0), 0, metav1.ConditionFalse, later(2))
	publishAt(t, p, later(3))
	s.want(t)
	if len(p.states) != 0 {
		t.Errorf("states = %v, want none", p.states)
	}
}

func TestPublishTellsOfNoZombiesOnceMoreWhenAPodIsGone(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	publishAt(t, p, noon, web(5))
	s.calls = nil
	publishAt(t, p, later(1))
	s.want(t, "status web")
	s.wantLeaking(t, web(0), 0, metav1.ConditionFalse, later(1))
	publishAt(t, p, later(2))
	s.want(t)
	if len(p.states) != 0 {
		t.Errorf("states = %v, want none", p.states)
	}
}

func TestPublishGivesAReplacedPodAReportOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	replaced := web(5)
	replaced.UID = "uid-web-2"
	publishAt(t, p, noon, web(5))
	publishAt(t, p, later(1), replaced)
	for _, pod := range []Pod{web(5), replaced} {
		if report, found := s.stored(t, pod); !found || report.Spec.PodUID != pod.UID {
			t.Errorf("report = %+v, want one of pod %s", report, pod.UID)
		}
	}
}

func TestPublishRemembersAgesBeforeItWrites(t *testing.T) {
	t.Parallel()
	s, remembered := newServer(t), memories{}
	first, _ := newPublisher(s, remembered)
	publishAt(t, first, noon, web(5))
	if len(remembered) > 0 {
		t.Errorf("remembered %v, want nothing where the kernel tells ages", remembered)
	}
	s.calls = nil
	second, _ := newPublisher(s, remembered)
	untold := web(50)
	untold.AgesUntold = true
	publishAt(t, second, later(1), untold)
	s.want(t, "get web")
	if diff := cmp.Diff(memories{"uid-web": observed(5)}, remembered); diff != "" {
		t.Errorf("remembered (-want +got):\n%s", diff)
	}
	publishAt(t, second, later(2), untold)
	s.want(t, "status web")
}

func TestPublishRemembersNothingOfItsOwnReport(t *testing.T) {
	t.Parallel()
	s, remembered := newServer(t), memories{}
	p, _ := newPublisher(s, remembered)
	untold := web(5)
	untold.AgesUntold = true
	publishAt(t, p, noon, untold)
	publishAt(t, p, later(1), untold)
	s.calls = nil
	publishAt(t, p, noon.Add(CompareInterval), untold)
	s.want(t, "get web")
	if len(remembered) > 0 {
		t.Errorf("remembered %v, want nothing: the tracker knew it all", remembered)
	}
}

func TestPublishRemembersNothingOfAReportThatIsNotThere(t *testing.T) {
	t.Parallel()
	s, remembered := newServer(t), memories{}
	p, _ := newPublisher(s, remembered)
	untold := web(5)
	untold.AgesUntold = true
	publishAt(t, p, noon, untold)
	s.want(t, "get web")
	publishAt(t, p, later(1), untold)
	s.want(t, "spec web", "status web")
	if len(remembered) > 0 {
		t.Errorf("remembered %v, want nothing", remembered)
	}
}

var refusals = map[string]struct {
	err error
	// alone says whether the error is returned when no other pod could be reported.
	alone bool
}{
	"an internal error": {apierrors.NewInternalError(errBroken), true},
	"no right":          {apierrors.NewForbidden(schema.GroupResource{}, "bad", errBroken), true},
	"a namespace that is being deleted": {&apierrors.StatusError{ErrStatus: metav1.Status{
		Reason: metav1.StatusReasonForbidden, Code: 403,
		Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}},
	}}, false},
	"a report that is too large": {apierrors.NewRequestEntityTooLargeError("broken"), false},
}

func TestPublishTriesAgainWhatWasRefusedAndGoesOnWithTheOthers(t *testing.T) {
	t.Parallel()
	for name, tc := range refusals {
		for _, failing := range []string{"get bad", "status bad", "spec bad"} {
			t.Run(name+" to "+failing, func(t *testing.T) {
				t.Parallel()
				s := newServer(t)
				p, log := newPublisher(s, memories{})
				s.failing[failing] = tc.err
				bad, good := called("bad", 9), called("good", 5)
				publishAt(t, p, noon, bad, good)
				s.wantLeaking(t, good, 5, metav1.ConditionTrue, noon.Add(-time.Hour))
				if !strings.Contains(log.String(), "bad") {
					t.Errorf("log does not name the pod:\n%s", log)
				}
				alone, _ := newPublisher(s, memories{})
				err := alone.Publish(t.Context(), Look{At: later(1), Pods: []Pod{bad}}, later(1))
				if (err != nil) != tc.alone {
					t.Errorf("alone: error = %v, want one: %t", err, tc.alone)
				}
				delete(s.failing, failing)
				publishAt(t, p, later(2), bad, good)
				s.wantLeaking(t, bad, 9, metav1.ConditionTrue, noon.Add(-time.Hour))
			})
		}
	}
}

func TestPublishStopsARoundWhenTheServerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	s.failing["get a"] = errBroken
	if err := p.Publish(t.Context(), Look{At: noon, Pods: []Pod{called("a", 9), called("b", 5)}}, noon); !errors.Is(err, errBroken) {
		t.Errorf("error = %v, want %v", err, errBroken)
	}
	s.want(t, "get a")
}

func TestPublishReadsAReportAgainAfterAWriteOfWhichItIsNotKnownWhetherItWasStored(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	publishAt(t, p, noon, web(5))
	s.failing["status web"] = errBroken
	_ = p.Publish(t.Context(), Look{At: later(1), Pods: []Pod{web(50)}}, later(1))
	delete(s.failing, "status web")
	s.calls = nil
	publishAt(t, p, later(2), web(50))
	s.want(t, "get web", "status web")
}

func TestPublishGivesEveryLeakItsTurnToBeReadAgain(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	leaks := []Pod{called("worst", 50), called("middle", 20), called("least", 5)}
	publishAt(t, p, noon, leaks...)
	s.calls = nil
	for round := range leaks {
		publishAt(t, p, noon.Add(CompareInterval+time.Duration(round)*time.Second), leaks...)
	}
	slices.Sort(s.calls)
	s.want(t, "get least", "get middle", "get worst")
}

func TestPublishWritesNothingFromALookThatDidNotKnowTheAgesYet(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	first, _ := newPublisher(s, memories{})
	publishAt(t, first, noon, web(5))
	s.calls = nil
	second, _ := newPublisher(s, memories{})
	untold := web(0)
	untold.AgesUntold = true
	publishAt(t, second, later(1), untold)
	s.want(t, "get web")
	if err := second.Publish(t.Context(), Look{At: later(1).Add(-1), Pods: []Pod{untold}}, later(2)); err != nil {
		t.Fatal(err)
	}
	s.want(t)
}

func TestPublishStopsWhenTheAgentStops(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.failing["get a"] = ctx.Err()
	if err := p.Publish(ctx, Look{At: noon, Pods: []Pod{called("a", 9), called("b", 5)}}, noon); err != nil {
		t.Errorf("error = %v, want none: nothing is wrong", err)
	}
	s.want(t, "get a")
}

func TestPublishLeavesTheControllersPartAlone(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	publishAt(t, p, noon, web(5))
	judged := v1alpha1ac.ZombieReport(key(web(5)).Name, "shop").WithStatus(v1alpha1ac.ZombieReportStatus().
		WithJudgement(v1alpha1ac.Judgement().WithNext(v1alpha1ac.NextStep().WithMode("DryRun").WithReason("Because"))).
		WithConditions(metav1ac.Condition().WithType(v1alpha1.ConditionVerified).WithStatus(metav1.ConditionTrue).
			WithReason("PodFound").WithMessage("").WithLastTransitionTime(metav1.NewTime(noon))))
	if err := s.Status().Apply(t.Context(), judged, client.FieldOwner(v1alpha1.FieldManagerController)); err != nil {
		t.Fatal(err)
	}
	for round, zombies := range []int32{50, 0, 5} {
		publishAt(t, p, later(1+round), web(zombies))
		report, _ := s.stored(t, web(zombies))
		if len(report.Status.Conditions) != 2 || report.Status.Judgement == nil || report.Status.Observed.Zombies != zombies {
			t.Errorf("status = %+v, want both conditions, the judgement and %d zombies", report.Status, zombies)
		}
	}
}

func TestPublishLeavesAPodAloneThatWasNotLookedIntoWhole(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	publishAt(t, p, noon, web(5))
	s.calls = nil
	partly := web(0)
	partly.Incomplete = true
	for round := range 3 {
		publishAt(t, p, later(1+round), partly)
	}
	s.want(t)
	s.wantLeaking(t, partly, 5, metav1.ConditionTrue, noon.Add(-time.Hour))
	publishAt(t, p, later(5), web(5)) // looked into again: nothing was forgotten
	s.want(t)
}

func TestPublishReportsTheWorstFirst(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	var pods []Pod
	for i := range 5 {
		pods = append(pods, called(fmt.Sprint("p", i), int32(1+i)))
	}
	publishAt(t, p, noon, pods...)
	var order []string
	for _, call := range s.calls {
		if name, ok := strings.CutPrefix(call, "get "); ok {
			order = append(order, name)
		}
	}
	if diff := cmp.Diff([]string{"p4", "p3", "p2", "p1", "p0"}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}
