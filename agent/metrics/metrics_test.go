package metrics

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/agent/nodereport"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func newMetrics() (*Metrics, *prometheus.Registry) {
	registry := prometheus.NewPedanticRegistry()
	return New(registry, func() map[string]bool { return map[string]bool{"scan": true, "container runtime": false} }), registry
}

// full is a look that has something of everything.
func full() Look {
	return Look{
		Zombies:    37,
		LookAlikes: map[string]int{v1alpha1.ConditionLeaderExited: 2, v1alpha1.ConditionHeldByTracer: 0},
		Node: v1alpha1.NodeObserved{
			HostZombies: 9, Parents: []v1alpha1.HostParent{{Command: "kubelet", Zombies: 5}, {Command: "cron", Zombies: 1}}, ParentsOmitted: 3,
			Unattributed:   4,
			PIDs:           &v1alpha1.PIDs{Used: 16384, Limit: 32768, LimitedBy: v1alpha1.PIDLimitPIDMax, UsedPercent: 50},
			ExhaustionTime: new(metav1.NewTime(noon)),
		},
		ScanSeconds: 0.02,
	}
}

// shown are the series without help, types and histogram.
func shown(t *testing.T, registry prometheus.Gatherer) []string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var series []string
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if m.GetHistogram() != nil {
				continue
			}
			labels := ""
			for _, l := range m.GetLabel() {
				labels += fmt.Sprintf("{%s=%q}", l.GetName(), l.GetValue())
			}
			series = append(series, fmt.Sprintf("%s%s %.0f", strings.TrimPrefix(family.GetName(), "zombie_agent_"), labels, m.GetGauge().GetValue()))
		}
	}
	return series
}

func TestShowsTheNewestLook(t *testing.T) {
	t.Parallel()
	m, registry := newMetrics()
	m.Set(full())
	want := []string{
		`host_zombies{parent_command="(others)"} 3`, `host_zombies{parent_command="cron"} 1`, `host_zombies{parent_command="kubelet"} 5`,
		`look_alikes{kind="HeldByTracer"} 0`, `look_alikes{kind="LeaderExited"} 2`,
		`part_up{part="container runtime"} 0`, `part_up{part="scan"} 1`,
		`pids_exhaustion_timestamp_seconds 1769860800`, `pids_limit 32768`, `pids_used 16384`,
		`unattributed_zombies 4`, `zombies 37`,
	}
	if diff := cmp.Diff(want, shown(t, registry)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	m.Set(Look{})
	want = []string{`part_up{part="container runtime"} 0`, `part_up{part="scan"} 1`, `unattributed_zombies 0`, `zombies 0`}
	if diff := cmp.Diff(want, shown(t, registry)); diff != "" {
		t.Errorf("series after a look that saw nothing (-want +got):\n%s", diff)
	}
}

func TestShowsNoZombiesBeforeTheFirstLook(t *testing.T) {
	t.Parallel()
	_, registry := newMetrics()
	want := []string{`part_up{part="container runtime"} 0`, `part_up{part="scan"} 1`}
	if diff := cmp.Diff(want, shown(t, registry)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestCountsTheTimeOfScans(t *testing.T) {
	t.Parallel()
	m, registry := newMetrics()
	for _, seconds := range []float64{0.004, 0.02, 30} {
		m.Set(Look{ScanSeconds: seconds})
	}
	var want strings.Builder
	want.WriteString("# HELP zombie_agent_scan_duration_seconds How long the scans of the node's processes took.\n# TYPE zombie_agent_scan_duration_seconds histogram\n")
	for _, bucket := range []string{"0.005 1", "0.01 1", "0.025 2", "0.05 2", "0.1 2", "0.25 2", "0.5 2", "1 2", "2.5 2", "5 2", "10 2", "+Inf 3"} {
		edge, count, _ := strings.Cut(bucket, " ")
		fmt.Fprintf(&want, "zombie_agent_scan_duration_seconds_bucket{le=%q} %s\n", edge, count)
	}
	want.WriteString("zombie_agent_scan_duration_seconds_sum 30.024\nzombie_agent_scan_duration_seconds_count 3\n")
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want.String()), "zombie_agent_scan_duration_seconds"); err != nil {
		t.Error(err)
	}
}

func TestNamesFollowTheRulesOfPrometheus(t *testing.T) {
	t.Parallel()
	m, registry := newMetrics()
	m.Set(full())
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) != 0 {
		t.Errorf("problems %v, error %v", problems, err)
	}
}

// scraped is what a scraper gets.
func scraped(t *testing.T, registry prometheus.Gatherer) string {
	t.Helper()
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("answer %d: %s", answer.Code, answer.Body)
	}
	return answer.Body.String()
}

// A process chooses its own name. One that breaks the format would hide all other metrics of the node.
func TestHostileNamesStayInTheirLabel(t *testing.T) {
	t.Parallel()
	hostile := []string{
		"a\nzombies 7", `"} 7`, `back\slash`, ") Z 1 (", "\xff\xfe", strings.Repeat("\xff", 15), "\x1b[2J", "", "\x00", "\x01", "(others)", "caf\u00e9",
		strings.Repeat("n", 99),
	}
	var host []nodereport.Zombie
	direct := v1alpha1.NodeObserved{ParentsOmitted: 1}
	for _, command := range hostile {
		host = append(host, nodereport.Zombie{Since: noon, ParentCommand: command})
		direct.Parents = append(direct.Parents, v1alpha1.HostParent{Command: command, Zombies: 1})
	}
	observed := nodereport.Observed(nodereport.Look{Host: host}, noon.Add(time.Hour))
	for name, node := range map[string]v1alpha1.NodeObserved{"as observed": observed, "even if nobody had made them printable": direct} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, registry := newMetrics()
			m.Set(Look{Node: node})
			for line := range strings.Lines(scraped(t, registry)) {
				if strings.Contains(line, "zombie_agent_host_zombies") && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, `zombie_agent_host_zombies{parent_command="`) {
					t.Errorf("line %q", line)
				}
			}
			total := 0.0
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, family := range families {
				if family.GetName() != "zombie_agent_host_zombies" {
					continue
				}
				for _, m := range family.GetMetric() {
					total += m.GetGauge().GetValue()
					for _, r := range m.GetLabel()[0].GetValue() {
						if r < ' ' || r > '~' {
							t.Errorf("label %q", m.GetLabel()[0].GetValue())
						}
					}
				}
			}
			want := float64(node.ParentsOmitted)
			for _, p := range node.Parents {
				want += float64(p.Zombies)
			}
			if total != want {
				t.Errorf("%v zombies are shown, want %v", total, want)
			}
		})
	}
}

func TestIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	m, registry := newMetrics()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				m.Set(full())
			}
		})
		all.Go(func() {
			for range 50 {
				if _, err := registry.Gather(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
