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
	// PartRemediations is learning what is to be done on this node.
	PartRemediations = "remediations"
)

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

// Handler serves /livez and /readyz: 200 and "ok", or 503 and what is wrong.
func (h *Health) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", answer(h.Live))
	mux.HandleFunc("GET /readyz", answer(h.Ready))
	return mux
}

func answer(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err := check(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprintln(w, err)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	}
}
