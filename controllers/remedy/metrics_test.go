package remedy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// gathered are the metrics of a registry, one line for each, with their labels by name.
func gathered(t *testing.T, registry *prometheus.Registry) []string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			all = append(all, fmt.Sprintf("%s{%s} %g", family.GetName(), strings.Join(labels, ","), m.GetGauge().GetValue()))
		}
	}
	return all
}

// reported is a report of a pod, alerted of by a policy unless its name is empty.
func reported(namespace, pod, policy, finding string) *v1alpha1.ZombieReport {
	r := leakingReport()
	r.Namespace, r.Name = namespace, v1alpha1.ReportName(pod, pod)
	r.Status.Observed.Finding = finding
	if policy != "" {
		r.Status.Conditions[3].Status = "True"
		r.Status.Judgement.Policy.Name = policy
	}
	return r
}

func metricsOf(t *testing.T, elected <-chan struct{}, cached client.Reader) *prometheus.Registry {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := RegisterMetrics(registry, cached, elected); err != nil {
		t.Fatal(err)
	}
	return registry
}

func cacheOf(t *testing.T, reports ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(reports...).Build()
}

func closed() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func TestMetricsCountWhatReportsSay(t *testing.T) {
	t.Parallel()
	unseen := reported("shop", "unseen", "", "")
	unseen.Status.Observed = nil
	unnamed := reported("bank", "unnamed", "gone", "ParentStuckInD")
	unnamed.Status.Judgement = nil
	cached := cacheOf(t,
		reported("shop", "web-0", "web", "PID1DoesNotReap"), reported("shop", "web-1", "web", "PID1DoesNotReap"),
		reported("shop", "web-2", "web", "ParentStopped"), reported("shop", "web-3", "", "PID1DoesNotReap"),
		reported("bank", "db-0", "all", "LeaderExited"), reported("bank", "db-1", "all", "Hacked"), reported("bank", "db-2", "all", "Hacked2"),
		unseen, unnamed)
	registry := metricsOf(t, closed(), cached)
	want := []string{
		"zombie_controller_alerts{cause=LeaderExited,namespace=bank,policy=all} 1",
		"zombie_controller_alerts{cause=PID1DoesNotReap,namespace=shop,policy=web} 2",
		"zombie_controller_alerts{cause=ParentStopped,namespace=shop,policy=web} 1",
		"zombie_controller_alerts{cause=ParentStuckInD,namespace=bank,policy=} 1",
		"zombie_controller_alerts{cause=Unknown,namespace=bank,policy=all} 2",
		"zombie_controller_reports{cause=LeaderExited} 1",
		"zombie_controller_reports{cause=None} 1",
		"zombie_controller_reports{cause=PID1DoesNotReap} 3",
		"zombie_controller_reports{cause=ParentStopped} 1",
		"zombie_controller_reports{cause=ParentStuckInD} 1",
		"zombie_controller_reports{cause=Unknown} 2",
	}
	if diff := cmp.Diff(want, gathered(t, registry)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	// What is over is not told any more, not even as 0.
	if err := cached.DeleteAllOf(t.Context(), &v1alpha1.ZombieReport{}, client.InNamespace("bank")); err != nil {
		t.Fatal(err)
	}
	want = []string{want[1], want[2], "zombie_controller_reports{cause=None} 1", want[7], want[8]}
	if diff := cmp.Diff(want, gathered(t, registry)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestOnlyTheLeaderTells(t *testing.T) {
	t.Parallel()
	elected := make(chan struct{})
	registry := metricsOf(t, elected, cacheOf(t, reported("shop", "web-0", "web", "PID1DoesNotReap")))
	if got := gathered(t, registry); got != nil {
		t.Errorf("before it is elected: %q", got)
	}
	close(elected)
	if got := gathered(t, registry); len(got) != 2 {
		t.Errorf("when it is elected: %q", got)
	}
}

// brokenReader is a cache that is not filled.
type brokenReader struct{ client.Reader }

func (brokenReader) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return errors.New("not filled")
}

// An error would cost all other metrics of the scrape too.
func TestACacheThatDoesNotAnswerTellsNothing(t *testing.T) {
	t.Parallel()
	if got := gathered(t, metricsOf(t, closed(), brokenReader{})); got != nil {
		t.Errorf("metrics %q", got)
	}
}

func TestMetricsAreRegisteredOnce(t *testing.T) {
	t.Parallel()
	registry := metricsOf(t, closed(), cacheOf(t))
	if err := RegisterMetrics(registry, cacheOf(t), closed()); err == nil {
		t.Error("registered twice")
	}
}
