// Package health says whether the agent is alive and whether what it reports can be relied on.
package health

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Parts of the agent whose failure makes it not ready.
const (
	// PartScan is reading the processes of the node.
	PartScan = "scan"
	// PartHostPID is being in the host's PID namespace.
	PartHostPID = "hostPID"
	// PartRuntime is talking to the container runtime.
	PartRuntime = "container runtime"
	// PartReports is writing reports.
	PartReports = "reports"
)

// Parts whose failure is told, and does not make the agent not ready: that would have the controller take the reports of the
// node for out of date, which they are not.
const (
	// PartRemediations is executing what is to be done on this node.
	PartRemediations = "remediations"
	// PartCgroups is reading limits on processes, and whether processes are frozen, from the host's cgroups.
	PartCgroups = "cgroups"
	// PartNodeReport is writing the report of the node.
	PartNodeReport = "node report"
	// PartFiles is looking into the file systems of containers, for Go programs and inits.
	PartFiles = "container files"
)

// parts are all of them.
var parts = []string{PartScan, PartHostPID, PartRuntime, PartReports, PartRemediations, PartCgroups, PartNodeReport, PartFiles}

// isAside says whether a part is one whose failure does not make the agent not ready.
func isAside(part string) bool {
	switch part {
	case PartRemediations, PartCgroups, PartNodeReport, PartFiles:
		return true
	}
	return false
}

// Health gathers what the parts of the agent tell of themselves. It is safe for concurrent use.
type Health struct {
	now      func() time.Time
	interval time.Duration

	mu       sync.Mutex
	lastScan time.Time
	failures map[string]failure
}

type failure struct {
	since time.Time
	err   error
}

// missedScans is after how many intervals without a scan the agent is taken for stuck, and for how many a part may fail
// before what is reported cannot be relied on.
const missedScans = 3

// slowLook is how long one look may take beyond the interval: longer than all calls to a runtime that hangs, which are
// given up after eight seconds.
const slowLook = 15 * time.Second

// New returns the health of an agent that scans at an interval. now is the clock.
func New(interval time.Duration, now func() time.Time) *Health {
	return &Health{now: now, interval: interval, lastScan: now(), failures: map[string]failure{
		PartScan: {err: errNotYet}, PartHostPID: {err: errNotYet}, PartRuntime: {err: errNotYet},
	}}
}

type notYet string

func (n notYet) Error() string { return string(n) }

const errNotYet = notYet("not tried yet")

// Scanned says that a scan was finished.
func (h *Health) Scanned() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lastScan = h.now()
}

// Set says whether a part works: err is nil when it does. It tells whether that changed.
func (h *Health) Set(part string, err error) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old, failing := h.failures[part]
	if err == nil {
		delete(h.failures, part)
		return failing
	}
	if !failing {
		old.since = h.now()
	}
	changed = !failing || old.err.Error() != err.Error()
	h.failures[part] = failure{since: old.since, err: err}
	return changed
}

// Live fails when scans have stopped.
func (h *Health) Live() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if quiet := h.now().Sub(h.lastScan); quiet > max(missedScans*h.interval, h.interval+slowLook) {
		return fmt.Errorf("no scan finished for %s: %w", quiet.Round(time.Second), errStuck)
	}
	return nil
}

const errStuck = notYet("scans have stopped")

// Ready fails when a part has been failing for so long that reports may be out of date.
func (h *Health) Ready() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var broken []string
	for part, f := range h.failures {
		if isAside(part) {
			continue
		}
		// A failure at start counts at once: nothing was ever right. A later one may be a restart of the runtime.
		if h.now().Sub(f.since) >= missedScans*h.interval || f.since.IsZero() {
			broken = append(broken, part+": "+f.err.Error())
		}
	}
	if len(broken) == 0 {
		return nil
	}
	slices.Sort(broken)
	return notYet(strings.Join(broken, "; "))
}

// aside is what fails without making the agent not ready, a line for each part; "" when nothing does.
func (h *Health) aside() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var lines strings.Builder
	for _, part := range parts {
		if f, failing := h.failures[part]; failing && isAside(part) {
			fmt.Fprintf(&lines, "%s: %v\n", part, f.err)
		}
	}
	return lines.String()
}

// Parts tells, for each part of the agent, whether it works now.
func (h *Health) Parts() map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	works := make(map[string]bool, len(parts))
	for _, part := range parts {
		_, failing := h.failures[part]
		works[part] = !failing
	}
	return works
}

// Handler serves /livez and /readyz: 200 and "ok", or 503 and what is wrong. What fails without making the agent not ready is a
// line of its own in the answer of /readyz.
func (h *Health) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", answer(h.Live, func() string { return "" }))
	mux.HandleFunc("GET /readyz", answer(h.Ready, h.aside))
	return mux
}

func answer(check func() error, aside func() string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err := check(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprintf(w, "%v\n%s", err, aside())
			return
		}
		_, _ = fmt.Fprintf(w, "ok\n%s", aside())
	}
}
