// Package metrics shows what the agent sees as Prometheus metrics.
package metrics

import (
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zombie-operator/zombie-operator/agent/printable"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Look is what one scan saw on the node.
type Look struct {
	// Zombies is the number of zombies at least 30 seconds old in all containers of the node.
	Zombies int
	// LookAlikes are what looks like a zombie and is none that its parent's wait() would end, by kind: the condition that
	// tells of it in a report, such as LeaderExited.
	LookAlikes map[string]int
	// Node is what was seen outside of the pods. It bounds the number of series: it names few parents.
	Node v1alpha1.NodeObserved
	// ScanSeconds is how long the scan took.
	ScanSeconds float64
}

// others is the label of the host's zombies whose parents the look does not name. A process may have that name too; then
// both are one.
const others = "(others)"

// scanBuckets reach from an idle node, where a scan takes some milliseconds, to one with 100,000 processes, in seconds.
var scanBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("zombie_agent_"+name, help, labels, nil)
}

var (
	zombies = desc("zombies",
		"Zombies at least 30 seconds old in the containers of the node.")
	lookAlikes = desc("look_alikes",
		"Processes of the node that look like zombies, but whose parent's wait() would not end them, by kind.", "kind")
	hostZombies = desc("host_zombies",
		"Zombies at least 30 seconds old outside of every container, by command name of the parent: ten names at most, the rest as (others).", "parent_command")
	unattributed = desc("unattributed_zombies",
		"Zombies at least 30 seconds old of which cannot be told to what they belong.")
	pidsUsed = desc("pids_used",
		"Processes, threads and zombies that count against zombie_agent_pids_limit.")
	pidsLimit = desc("pids_limit",
		"The tighter of the limits kernel.pid_max and kernel.threads-max.")
	exhaustion = desc("pids_exhaustion_timestamp_seconds",
		"When the node has no PID left at the present rate, in seconds since 1970. Absent when that is not in sight.")
	partUp = desc("part_up",
		"Whether a part of the agent works (1) or fails (0).", "part")
)

// Metrics shows the newest look. It is safe for concurrent use.
type Metrics struct {
	parts func() map[string]bool
	scans prometheus.Histogram

	mu sync.Mutex
	// look is the newest look; nil before the first.
	look *Look
}

// New returns Metrics that are registered with registry and know of no look yet. parts returns, for each part of the
// agent, whether it works.
func New(registry prometheus.Registerer, parts func() map[string]bool) *Metrics {
	m := &Metrics{parts: parts, scans: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "zombie_agent_scan_duration_seconds",
		Help:    "How long the scans of the node's processes took.",
		Buckets: scanBuckets,
	})}
	registry.MustRegister(m, m.scans)
	return m
}

// Set takes in a look.
func (m *Metrics) Set(look Look) {
	m.scans.Observe(look.ScanSeconds)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.look = &look
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{zombies, lookAlikes, hostZombies, unattributed, pidsUsed, pidsLimit, exhaustion, partUp} {
		descs <- d
	}
}

// Collect implements prometheus.Collector. Every series is of one look; one that the look does not have is not shown.
func (m *Metrics) Collect(metrics chan<- prometheus.Metric) {
	show := func(d *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for part, works := range m.parts() {
		value := 0.0
		if works {
			value = 1
		}
		show(partUp, value, part)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.look == nil {
		return
	}
	show(zombies, float64(m.look.Zombies))
	for _, kind := range slices.Sorted(maps.Keys(m.look.LookAlikes)) {
		show(lookAlikes, float64(m.look.LookAlikes[kind]), kind)
	}
	node := m.look.Node
	for command, count := range byCommand(node) {
		show(hostZombies, float64(count), command)
	}
	show(unattributed, float64(node.Unattributed))
	if node.PIDs != nil {
		show(pidsUsed, float64(node.PIDs.Used))
		show(pidsLimit, float64(node.PIDs.Limit))
	}
	if node.ExhaustionTime != nil {
		show(exhaustion, float64(node.ExhaustionTime.Unix()))
	}
}

// byCommand counts the host's zombies by what is shown as their label. No two series may have the same, and none may hold
// foreign bytes: one bad name would make the whole answer invalid.
func byCommand(node v1alpha1.NodeObserved) map[string]int32 {
	counts := map[string]int32{}
	for _, p := range node.Parents {
		counts[printable.Printable(p.Command, v1alpha1.MaxCommand)] += p.Zombies
	}
	if node.ParentsOmitted > 0 {
		counts[others] += node.ParentsOmitted
	}
	return counts
}
