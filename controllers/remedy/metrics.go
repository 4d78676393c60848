package remedy

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// collectTimeout is below the 10 s after which Prometheus gives up a scrape. The cache answers at once, or is not filled yet.
const collectTimeout = 5 * time.Second

// Values of the label cause that are no cause and no finding.
const (
	// causeNone is of a report that counts no zombies and has no finding.
	causeNone = "None"
	// causeUnknown is of a word that this controller does not know: agents write it, and a label must be bounded.
	causeUnknown = "Unknown"
)

// collector counts reports when it is asked, from the cache: so the gauges say what the reports say, and nothing has to be kept.
type collector struct {
	cached  client.Reader
	elected <-chan struct{}

	alerts, reports *prometheus.Desc
}

// RegisterMetrics adds the gauges zombie_controller_alerts and zombie_controller_reports to a registry. cached is the manager's
// cache, and elected is closed when this replica leads: the others tell nothing, or each alert would be counted once a replica.
func RegisterMetrics(registry prometheus.Registerer, cached client.Reader, elected <-chan struct{}) error {
	c := &collector{
		cached: cached, elected: elected,
		alerts: prometheus.NewDesc("zombie_controller_alerts",
			"Pods of whose leaks a policy alerts people now, by namespace, policy, and cause or finding.",
			[]string{"namespace", "policy", "cause"}, nil),
		reports: prometheus.NewDesc("zombie_controller_reports",
			"ZombieReports, by cause or finding.",
			[]string{"cause"}, nil),
	}
	if err := registry.Register(c); err != nil {
		return fmt.Errorf("registering the metrics of reports: %w", err)
	}
	return nil
}

// Describe is of prometheus.Collector.
func (c *collector) Describe(described chan<- *prometheus.Desc) {
	described <- c.alerts
	described <- c.reports
}

// Collect is of prometheus.Collector. While the cache does not answer it tells nothing, which is not the same as no alerts.
func (c *collector) Collect(collected chan<- prometheus.Metric) {
	select {
	case <-c.elected:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	var list v1alpha1.ZombieReportList
	if err := c.cached.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil { // nothing here changes one
		return
	}
	alerts, reports := tally(list.Items)
	for key, n := range alerts {
		collected <- prometheus.MustNewConstMetric(c.alerts, prometheus.GaugeValue, float64(n), key.namespace, key.policy, key.cause)
	}
	for cause, n := range reports {
		collected <- prometheus.MustNewConstMetric(c.reports, prometheus.GaugeValue, float64(n), cause)
	}
}

// alertKey are the labels of an alert.
type alertKey struct{ namespace, policy, cause string }

// tally counts the reports that alert, and all of them.
func tally(list []v1alpha1.ZombieReport) (alerts map[alertKey]int, reports map[string]int) {
	alerts, reports = map[alertKey]int{}, map[string]int{}
	for i := range list {
		r := &list[i]
		cause := causeOf(r)
		reports[cause]++
		if !conditionIsTrue(r, v1alpha1.ConditionAlerting) {
			continue
		}
		key := alertKey{namespace: r.Namespace, cause: cause}
		if j := r.Status.Judgement; j != nil && j.Policy != nil {
			key.policy = j.Policy.Name
		}
		alerts[key]++
	}
	return alerts, reports
}

// causeOf is a report's word for its cause, if it is one of those that there are.
func causeOf(r *v1alpha1.ZombieReport) string {
	if r.Status.Observed == nil || r.Status.Observed.Finding == "" {
		return causeNone
	}
	word := r.Status.Observed.Finding
	if slices.Contains(v1alpha1.Causes, v1alpha1.Cause(word)) || slices.Contains(v1alpha1.Findings, word) {
		return word
	}
	return causeUnknown
}
