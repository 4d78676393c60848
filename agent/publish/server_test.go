package publish

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/zombie-operator/zombie-operator/api/applyconfiguration"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// server is an API server in memory that notes every call and fails on demand.
type server struct {
	client.Client
	calls []string
	// failing are the errors of calls, such as "get web".
	failing map[string]error
	owners  map[string]bool
}

func newServer(t *testing.T) *server {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	s := &server{failing: map[string]error{}, owners: map[string]bool{}}
	s.Client = fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.ZombieReport{}).
		WithTypeConverters(applyconfiguration.NewTypeConverter(scheme)).
		WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
				if err := s.note("get", key.Name); err != nil {
					return err
				}
				return c.Get(ctx, key, obj, opts...)
			},
			Apply: func(ctx context.Context, c client.WithWatch, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
				var options client.ApplyOptions
				s.owners[options.ApplyOptions(opts).FieldManager] = true
				if err := s.note("spec", *obj.(named).GetName()); err != nil {
					return err
				}
				return c.Apply(ctx, obj, opts...)
			},
			SubResourceApply: func(ctx context.Context, c client.Client, sub string, obj runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
				var options client.SubResourceApplyOptions
				options.ApplyOpts(opts)
				s.owners[options.FieldManager] = true
				if err := s.note(sub, *obj.(named).GetName()); err != nil {
					return err
				}
				// A real API server never creates by a subresource; the fake does.
				key := client.ObjectKey{Namespace: *obj.(named).GetNamespace(), Name: *obj.(named).GetName()}
				if err := c.Get(ctx, key, &v1alpha1.ZombieReport{}); err != nil {
					return err
				}
				return c.SubResource(sub).Apply(ctx, obj, opts...)
			},
		}).Build()
	return s
}

// named is what every apply configuration of a namespaced object is.
type named interface {
	GetName() *string
	GetNamespace() *string
}

// note notes a call about a report, with the name of its pod only.
func (s *server) note(verb, report string) error {
	call := verb + " " + report[:strings.LastIndexByte(report, '-')]
	s.calls = append(s.calls, call)
	return s.failing[call]
}

// want checks the calls since the last check.
func (s *server) want(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), append([]string{}, s.calls...)); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	s.calls = nil
}

// stored reads a report as it is stored.
func (s *server) stored(t *testing.T, pod Pod) (report v1alpha1.ZombieReport, found bool) {
	t.Helper()
	err := s.Get(t.Context(), key(pod), &report)
	s.calls = slices.DeleteFunc(s.calls, func(string) bool { return true })
	if apierrors.IsNotFound(err) {
		return report, false
	}
	if err != nil {
		t.Fatal(err)
	}
	return report, true
}

// wantLeaking checks the stored report of a pod: how many zombies, whether it leaks, and since when.
func (s *server) wantLeaking(t *testing.T, pod Pod, zombies int32, status metav1.ConditionStatus, since time.Time) {
	t.Helper()
	report, found := s.stored(t, pod)
	if !found || report.Status.Observed == nil {
		t.Fatalf("report = %+v, want one with an observation", report)
	}
	if report.Status.Observed.Zombies != zombies {
		t.Errorf("zombies = %d, want %d", report.Status.Observed.Zombies, zombies)
	}
	c := meta.FindStatusCondition(report.Status.Conditions, v1alpha1.ConditionLeaking)
	if c == nil || c.Status != status || !c.LastTransitionTime.Time.Equal(since) {
		t.Errorf("condition = %+v, want %s since %s", c, status, since)
	}
}

func (s *server) remove(t *testing.T, pod Pod) {
	t.Helper()
	report, _ := s.stored(t, pod)
	if err := s.Delete(t.Context(), &report); err != nil {
		t.Fatal(err)
	}
}

// memories notes what was remembered.
type memories map[string]v1alpha1.Observed

func (m memories) Remember(podUID string, reported v1alpha1.Observed) { m[podUID] = reported }

func newPublisher(s *server, m Memory) (*Publisher, *bytes.Buffer) {
	var log bytes.Buffer
	return New(s, "node-1", m, slog.New(slog.NewTextHandler(&log, nil))), &log
}

func web(zombies int32) Pod {
	return Pod{Namespace: "shop", Name: "web", UID: "uid-web", Observed: observed(zombies)}
}

func called(name string, zombies int32) Pod {
	pod := web(zombies)
	pod.Name, pod.UID = name, "uid-"+name
	return pod
}

func publishAt(t *testing.T, p *Publisher, now time.Time, pods ...Pod) {
	t.Helper()
	if err := p.Publish(t.Context(), Look{At: now, Pods: pods}, now); err != nil {
		t.Fatal(err)
	}
}
