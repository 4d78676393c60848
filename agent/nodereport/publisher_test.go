package nodereport

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/zombie-operator/zombie-operator/agent/publish"
	"github.com/zombie-operator/zombie-operator/api/applyconfiguration"
	v1alpha1ac "github.com/zombie-operator/zombie-operator/api/applyconfiguration/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

var errBroken = errors.New("broken")

const node = "node-1"

// server is an API server in memory that notes every call and fails on demand.
type server struct {
	client.Client
	calls   []string
	failing map[string]error
	owners  map[string]bool
}

// note notes a call and returns the error that was asked for.
func (s *server) note(verb, manager string) error {
	s.calls = append(s.calls, verb)
	if manager != "" {
		s.owners[manager] = true
	}
	return s.failing[verb]
}

func newServer(t *testing.T) *server {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	s := &server{failing: map[string]error{}, owners: map[string]bool{}}
	s.Client = fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.ZombieNodeReport{}).
		WithTypeConverters(applyconfiguration.NewTypeConverter(scheme)).
		WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
				if err := s.note("get", ""); err != nil {
					return err
				}
				return c.Get(ctx, key, obj, opts...)
			},
			Apply: func(ctx context.Context, c client.WithWatch, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
				var options client.ApplyOptions
				if err := s.note("spec", options.ApplyOptions(opts).FieldManager); err != nil {
					return err
				}
				return c.Apply(ctx, obj, opts...)
			},
			SubResourceApply: func(ctx context.Context, c client.Client, sub string, obj runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
				var options client.SubResourceApplyOptions
				if err := s.note(sub, options.ApplyOpts(opts).FieldManager); err != nil {
					return err
				}
				// A real API server never creates by a subresource; the fake does.
				if err := c.Get(ctx, client.ObjectKey{Name: node}, &v1alpha1.ZombieNodeReport{}); err != nil {
					return err
				}
				return c.SubResource(sub).Apply(ctx, obj, opts...)
			},
		}).Build()
	return s
}

// want checks the calls since the last check.
func (s *server) want(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(strings.Join(want, " "), strings.Join(s.calls, " ")); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	s.calls = nil
}

// stored reads the report as it is stored.
func (s *server) stored(t *testing.T) (report v1alpha1.ZombieNodeReport, found bool) {
	t.Helper()
	err := s.Get(t.Context(), client.ObjectKey{Name: node}, &report)
	s.calls = nil
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	return report, err == nil
}

// wantCondition checks a condition of the stored report.
func (s *server) wantCondition(t *testing.T, kind string, status metav1.ConditionStatus, reason string, since time.Time, message string) {
	t.Helper()
	report, _ := s.stored(t)
	c := meta.FindStatusCondition(report.Status.Conditions, kind)
	if c == nil || c.Status != status || c.Reason != reason || !c.LastTransitionTime.Time.Equal(since) || c.Message != message ||
		c.ObservedGeneration != 1 || len(c.Message) > v1alpha1.MaxConditionMessage {
		t.Errorf("condition = %+v, want %s with %s since %s: %s", c, status, reason, since, message)
	}
}

func (s *server) remove(t *testing.T) {
	t.Helper()
	report, _ := s.stored(t)
	if err := s.Delete(t.Context(), &report); err != nil {
		t.Fatal(err)
	}
}

func newPublisher(s *server) (*Publisher, *bytes.Buffer) {
	var log bytes.Buffer
	return New(s, node, slog.New(slog.NewTextHandler(&log, nil))), &log
}

func publishAt(t *testing.T, p *Publisher, now time.Time, observed v1alpha1.NodeObserved) {
	t.Helper()
	if err := p.Publish(t.Context(), observed, now); err != nil {
		t.Fatal(err)
	}
}

// later is so much after noon that everything may be written again.
func later(rounds int) time.Time { return noon.Add(time.Duration(rounds) * publish.RewriteInterval) }

const noZombies = "No zombie is left outside of the containers."

func TestPublishCreatesTheReportOfALeak(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, log := newPublisher(s)
	publishAt(t, p, noon, leak(5))
	s.want(t, "get", "spec", "status")
	report, _ := s.stored(t)
	if diff := cmp.Diff(v1alpha1.ZombieNodeReportSpec{NodeName: node}, report.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(new(leak(5)), report.Status.Observed); diff != "" {
		t.Errorf("observation (-want +got):\n%s", diff)
	}
	s.wantCondition(t, v1alpha1.ConditionLeaking, metav1.ConditionTrue, v1alpha1.ReasonZombiesCounted, noon,
		"Dead for at least 30 s and not waited for: 5 zombies outside of every container, 0 that cannot be attributed.")
	s.wantCondition(t, v1alpha1.ConditionPIDPressure, metav1.ConditionFalse, v1alpha1.ReasonPIDsSuffice, noon,
		"Of the 1000 PIDs that kernel.pid_max allows 10 % are in use.")
	if diff := cmp.Diff(map[string]bool{v1alpha1.FieldManagerAgent: true}, s.owners); diff != "" {
		t.Errorf("field managers (-want +got):\n%s", diff)
	}
	if got := strings.Count(log.String(), "\n"); got != 1 {
		t.Errorf("logged %d lines, want one:\n%s", got, log)
	}
}

func TestPublishTellsOfPressureUntilItIsWellOver(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s)
	publishAt(t, p, noon, using(50))
	const scarce = "Of the 1000 PIDs that kernel.pid_max allows 50 % are in use. This is true from 50 % on, until it is less than 45 %."
	s.wantCondition(t, v1alpha1.ConditionPIDPressure, metav1.ConditionTrue, v1alpha1.ReasonPIDsScarce, noon, scarce)
	s.wantCondition(t, v1alpha1.ConditionLeaking, metav1.ConditionFalse, v1alpha1.ReasonNoZombies, noon, noZombies)
	for round, percent := range []int32{49, 50, 45, 51} { // around the mark: nothing to tell
		publishAt(t, p, later(1+round), using(percent))
		s.want(t)
	}
	restarted, _ := newPublisher(s)
	publishAt(t, restarted, later(6), using(46))
	s.want(t, "get")
	publishAt(t, p, later(7), using(44))
	s.want(t, "status")
	s.wantCondition(t, v1alpha1.ConditionPIDPressure, metav1.ConditionFalse, v1alpha1.ReasonPIDsSuffice, later(7),
		"Of the 1000 PIDs that kernel.pid_max allows 44 % are in use.")
}

func TestPublishSaysNothingOfPIDsWhereTheLimitsCannotBeRead(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s)
	publishAt(t, p, noon, using(60))
	publishAt(t, p, noon.Add(publish.ReblameInterval), unread(leak(5)))
	report, _ := s.stored(t)
	if c := meta.FindStatusCondition(report.Status.Conditions, v1alpha1.ConditionPIDPressure); c != nil {
		t.Errorf("condition = %+v, want none", c)
	}
	back := noon.Add(publish.ReblameInterval + publish.RewriteInterval)
	publishAt(t, p, back, leak(50))
	s.wantCondition(t, v1alpha1.ConditionPIDPressure, metav1.ConditionFalse, v1alpha1.ReasonPIDsSuffice, back,
		"Of the 1000 PIDs that kernel.pid_max allows 10 % are in use.")
}

func TestPublishReadsOnceAndCallsNobodyOnAQuietNode(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s)
	for round := range 100 {
		publishAt(t, p, later(round), quiet())
	}
	s.want(t, "get")
	if _, found := s.stored(t); found {
		t.Error("there is a report of a quiet node")
	}
}

func TestPublishKeepsWhenALeakBeganAndTellsWhenItEnded(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s)
	publishAt(t, p, noon, leak(5))
	publishAt(t, p, later(1), leak(50))
	s.wantCondition(t, v1alpha1.ConditionLeaking, metav1.ConditionTrue, v1alpha1.ReasonZombiesCounted, noon,
		"Dead for at least 30 s and not waited for: 50 zombies outside of every container, 0 that cannot be attributed.")
	publishAt(t, p, later(2), quiet())
	s.want(t)
	ended := later(1).Add(publish.ReblameInterval)
	publishAt(t, p, ended, quiet())
	s.want(t, "status")
	s.wantCondition(t, v1alpha1.ConditionLeaking, metav1.ConditionFalse, v1alpha1.ReasonNoZombies, ended, noZombies)
	if report, _ := s.stored(t); cmp.Diff(new(quiet()), report.Status.Observed) != "" {
		t.Errorf("observation = %+v, want zeros", report.Status.Observed)
	}
}

func TestPublishAfterARestartRewritesNothingAndTellsWhatHealedMeanwhile(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	first, _ := newPublisher(s)
	publishAt(t, first, noon, leak(5))
	s.calls = nil
	second, _ := newPublisher(s)
	publishAt(t, second, later(1), leak(6))
	s.want(t, "get")
	third, _ := newPublisher(s)
	publishAt(t, third, later(2), quiet())
	s.want(t, "get", "status")
	s.wantCondition(t, v1alpha1.ConditionLeaking, metav1.ConditionFalse, v1alpha1.ReasonNoZombies, later(2), noZombies)
}

func TestPublishMakesAReportAgainThatWasDeletedWhileTheNodeLeaks(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s)
	publishAt(t, p, noon, leak(5))
	s.remove(t)
	publishAt(t, p, noon.Add(publish.CompareInterval-1), leak(5))
	s.want(t)
	publishAt(t, p, noon.Add(publish.CompareInterval), leak(5))
	s.want(t, "get", "spec", "status")
	s.remove(t)
	publishAt(t, p, noon.Add(publish.CompareInterval+publish.RewriteInterval), leak(50))
	s.want(t, "status", "spec", "status")
}

func TestPublishMakesNoReportOfANodeThatHealedAndWhoseReportTheControllerDeleted(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s)
	publishAt(t, p, noon, leak(5))
	s.remove(t)
	healed := noon.Add(publish.ReblameInterval)
	publishAt(t, p, healed, quiet())
	s.want(t, "status")
	publishAt(t, p, healed.Add(publish.RewriteInterval), quiet())
	s.want(t)
	if _, found := s.stored(t); found {
		t.Error("there is a report of a healed node")
	}
	publishAt(t, p, healed.Add(2*publish.RewriteInterval), leak(1))
	s.want(t, "get", "spec", "status")
}

// The agent stopped between the two writes that make a report.
func TestPublishCompletesAReportWithoutAnObservation(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	first, _ := newPublisher(s)
	s.failing["status"] = errBroken
	if err := first.Publish(t.Context(), leak(5), noon); !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "writing report of node node-1") {
		t.Fatalf("error = %v, want %v", err, errBroken)
	}
	delete(s.failing, "status")
	s.calls = nil
	second, _ := newPublisher(s)
	publishAt(t, second, later(1), quiet())
	s.want(t, "get", "status")
}

func TestPublishReadsAgainAfterAWriteOfWhichItIsNotKnownWhetherItWasStored(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s)
	publishAt(t, p, noon, leak(5))
	s.failing["status"] = errBroken
	if err := p.Publish(t.Context(), leak(50), later(1)); !errors.Is(err, errBroken) {
		t.Errorf("error = %v, want %v", err, errBroken)
	}
	delete(s.failing, "status")
	s.calls = nil
	publishAt(t, p, later(2), leak(50))
	s.want(t, "get", "status")
}

func TestPublishFailsWhereTheReportCannotBeRead(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s)
	s.failing["get"] = errBroken
	if err := p.Publish(t.Context(), leak(5), noon); !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "reading report of node node-1") {
		t.Errorf("error = %v, want %v", err, errBroken)
	}
	s.want(t, "get")
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Publish(stopped, leak(5), noon); err != nil {
		t.Errorf("error = %v, want none: the agent was told to stop", err)
	}
}

func TestPublishLeavesTheControllersPartAlone(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s)
	publishAt(t, p, noon, leak(5))
	stale := v1alpha1ac.ZombieNodeReport(node).WithStatus(v1alpha1ac.ZombieNodeReportStatus().
		WithConditions(metav1ac.Condition().WithType(v1alpha1.ConditionStale).WithStatus(metav1.ConditionTrue).
			WithReason("Because").WithMessage("").WithLastTransitionTime(metav1.NewTime(noon))))
	if err := s.Status().Apply(t.Context(), stale, client.FieldOwner(v1alpha1.FieldManagerController)); err != nil {
		t.Fatal(err)
	}
	for round, observed := range []v1alpha1.NodeObserved{leak(50), quiet(), leak(5)} {
		publishAt(t, p, noon.Add(time.Duration(1+round)*publish.ReblameInterval), observed)
		if report, _ := s.stored(t); len(report.Status.Conditions) != 3 || report.Status.Observed.HostZombies != observed.HostZombies {
			t.Errorf("status = %+v, want three conditions and %d zombies", report.Status, observed.HostZombies)
		}
	}
}
