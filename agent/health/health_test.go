package health

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const interval = 30 * time.Second

var (
	noon      = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	errBroken = errors.New("broken")
)

// clock is a clock that a test moves.
type clock struct{ now time.Time }

func (c *clock) pass(d time.Duration) { c.now = c.now.Add(d) }

func newHealth() (*Health, *clock) {
	c := &clock{noon}
	return New(interval, func() time.Time { return c.now }), c
}

// works is a health whose agent scanned once.
func works() (*Health, *clock) {
	h, c := newHealth()
	for _, part := range []string{PartScan, PartHostPID, PartRuntime} {
		h.Set(part, nil)
	}
	h.Scanned()
	return h, c
}

func want(t *testing.T, what string, got error, text string) {
	t.Helper()
	switch {
	case text == "" && got != nil:
		t.Errorf("%s: %v, want nil", what, got)
	case text != "" && (got == nil || !strings.Contains(got.Error(), text)):
		t.Errorf("%s: %v, want an error with %q", what, got, text)
	}
}

func TestLiveFailsWhenScansStop(t *testing.T) {
	t.Parallel()
	h, c := newHealth()
	want(t, "at the start", h.Live(), "")
	c.pass(3 * interval)
	want(t, "after three intervals", h.Live(), "")
	c.pass(time.Second)
	want(t, "after more than three", h.Live(), "no scan finished for 1m31s: scans have stopped")
	h.Scanned()
	want(t, "after a scan", h.Live(), "")
	c.pass(3*interval + 1)
	want(t, "after three intervals more", h.Live(), "scans have stopped")
}

// Calls to a runtime that hangs take longer than three of the shortest intervals.
func TestLiveGivesALookTimeWhenTheIntervalIsShort(t *testing.T) {
	t.Parallel()
	c := &clock{noon}
	h := New(time.Second, func() time.Time { return c.now })
	c.pass(time.Second + slowLook)
	want(t, "during a slow look", h.Live(), "")
	c.pass(1)
	want(t, "after it", h.Live(), "scans have stopped")
}

func TestLiveAllowsForARuntimeThatHangsHoweverShortTheInterval(t *testing.T) {
	t.Parallel()
	c := &clock{noon}
	h := New(time.Second, func() time.Time { return c.now })
	c.pass(time.Second + slowLook)
	want(t, "after a look that took as long as it may", h.Live(), "")
	c.pass(1)
	want(t, "after a longer one", h.Live(), "scans have stopped")
}

func TestLiveDoesNotCareForAnythingElse(t *testing.T) {
	t.Parallel()
	h, c := works()
	for _, part := range []string{PartScan, PartHostPID, PartRuntime, PartReports} {
		h.Set(part, errBroken)
	}
	c.pass(interval)
	want(t, "with every part failing", h.Live(), "")
}

func TestReady(t *testing.T) {
	t.Parallel()
	h, c := newHealth()
	want(t, "before the first scan", h.Ready(), "container runtime: not tried yet; hostPID: not tried yet; scan: not tried yet")
	h.Set(PartScan, errBroken)
	h.Set(PartRuntime, errBroken)
	h.Set(PartHostPID, nil)
	want(t, "after a first scan that failed", h.Ready(), "container runtime: broken; scan: broken")
	h.Set(PartScan, nil)
	want(t, "without the runtime", h.Ready(), "container runtime: broken")
	h.Set(PartRuntime, nil)
	want(t, "after a scan", h.Ready(), "")
	h.Set(PartRuntime, errBroken)
	want(t, "when the runtime has just failed", h.Ready(), "")
	c.pass(3*interval - 1)
	h.Set(PartRuntime, errors.New("broken otherwise"))
	want(t, "when it fails for less than three intervals", h.Ready(), "")
	c.pass(1)
	want(t, "when it fails for three intervals, whatever the error", h.Ready(), "container runtime: broken otherwise")
	h.Set(PartHostPID, errBroken)
	h.Set(PartReports, errBroken)
	c.pass(3 * interval)
	want(t, "when more fail", h.Ready(), "container runtime: broken otherwise; hostPID: broken; reports: broken")
	h.Set(PartRuntime, nil)
	want(t, "when one works again", h.Ready(), "hostPID: broken; reports: broken")
	h.Set(PartRuntime, errBroken)
	want(t, "when it fails anew, its time begins anew", h.Ready(), "hostPID: broken; reports: broken")
}

func TestSetTellsWhatChanged(t *testing.T) {
	t.Parallel()
	h, c := works()
	for i, tc := range []struct {
		err  error
		want bool
	}{
		{nil, false}, {errBroken, true}, {errBroken, false}, {errors.New("broken"), false}, {errors.New("else"), true}, {nil, true}, {nil, false},
	} {
		c.pass(time.Second)
		if got := h.Set(PartRuntime, tc.err); got != tc.want {
			t.Errorf("step %d: Set(%v) = %t, want %t", i, tc.err, got, tc.want)
		}
	}
}

func TestHandlerAnswersProbes(t *testing.T) {
	t.Parallel()
	failing, c := newHealth()
	c.pass(time.Hour)
	working, _ := works()
	idle, later := works()
	idle.Set(PartRemediations, errBroken)
	later.pass(time.Hour)
	idle.Scanned()
	several, _ := works()
	several.Set(PartCgroups, errBroken)
	several.Set(PartRemediations, errBroken)
	several.Set(PartNodeReport, errBroken)
	several.Set(PartFiles, errBroken)
	both, _ := newHealth()
	both.Set(PartRemediations, errBroken)
	tests := map[string]struct {
		health       *Health
		method, path string
		code         int
		body         string
	}{
		"an agent that scans is alive":                    {working, http.MethodGet, "/livez", http.StatusOK, "ok\n"},
		"an agent that scans is ready":                    {working, http.MethodGet, "/readyz", http.StatusOK, "ok\n"},
		"an agent that stopped scanning is dead":          {failing, http.MethodGet, "/livez", http.StatusServiceUnavailable, "no scan finished for 1h0m0s: scans have stopped\n"},
		"an agent that never scanned is unready":          {failing, http.MethodGet, "/readyz", http.StatusServiceUnavailable, "container runtime: not tried yet; hostPID: not tried yet; scan: not tried yet\n"},
		"one that only executes nothing is ready":         {idle, http.MethodGet, "/readyz", http.StatusOK, "ok\nremediations: broken\n"},
		"one that does not even report the node is ready": {several, http.MethodGet, "/readyz", http.StatusOK, "ok\nremediations: broken\ncgroups: broken\nnode report: broken\ncontainer files: broken\n"},
		"and alive": {idle, http.MethodGet, "/livez", http.StatusOK, "ok\n"},
		"one that does not scan either is unready": {both, http.MethodGet, "/readyz", http.StatusServiceUnavailable, "container runtime: not tried yet; hostPID: not tried yet; scan: not tried yet\nremediations: broken\n"},
		"a path of its own is nothing":             {working, http.MethodGet, "/", http.StatusNotFound, "404 page not found\n"},
		"writing is not allowed":                   {working, http.MethodPost, "/livez", http.StatusMethodNotAllowed, "Method Not Allowed\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := httptest.NewRecorder()
			tc.health.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), tc.method, tc.path, nil))
			if answer.Code != tc.code || answer.Body.String() != tc.body {
				t.Errorf("answer = %d %q, want %d %q", answer.Code, answer.Body, tc.code, tc.body)
			}
		})
	}
}

func TestPartsTellsWhichWork(t *testing.T) {
	t.Parallel()
	h, _ := newHealth()
	want := map[string]bool{
		PartScan: false, PartHostPID: false, PartRuntime: false, PartReports: true, PartRemediations: true, PartCgroups: true,
		PartNodeReport: true, PartFiles: true,
	}
	if diff := cmp.Diff(want, h.Parts()); diff != "" {
		t.Errorf("parts at the start (-want +got):\n%s", diff)
	}
	h.Set(PartScan, nil)
	h.Set(PartCgroups, errBroken)
	want[PartScan], want[PartCgroups] = true, false
	if diff := cmp.Diff(want, h.Parts()); diff != "" {
		t.Errorf("parts later (-want +got):\n%s", diff)
	}
}

func TestHealthIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	h, _ := works()
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 100 {
				h.Set(PartRuntime, errBroken)
				h.Scanned()
				_, _, _ = h.Live(), h.Ready(), h.Parts()
				h.Set(PartRuntime, nil)
			}
		}()
	}
	for range 4 {
		<-done
	}
}
