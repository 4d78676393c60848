package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/health"
)

// procOf is a proc mount in which the agent has a PID, and nothing else is.
func procOf(t *testing.T, pid string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(pid, filepath.Join(dir, "self")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSameNamespace(t *testing.T) {
	t.Parallel()
	own := os.Getpid()
	tests := map[string]struct {
		root string
		want error
	}{
		"the real one":                        {"/proc", nil},
		"one where the agent has the PID":     {procOf(t, strconv.Itoa(own)), nil},
		"one where the agent has another PID": {procOf(t, strconv.Itoa(own+1)), errOtherNamespace},
		"one where the agent is not":          {t.TempDir(), os.ErrNotExist},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := sameNamespace(tc.root); !errors.Is(err, tc.want) {
				t.Errorf("sameNamespace() = %v, want %v", err, tc.want)
			}
		})
	}
}

func newRemedies(procRoot string) (remedies, *bytes.Buffer) {
	var log bytes.Buffer
	h := health.New(time.Second, time.Now)
	for _, part := range []string{health.PartScan, health.PartHostPID, health.PartRuntime} {
		h.Set(part, nil)
	}
	return remedies{options: options{procRoot: procRoot}, health: h, log: slog.New(slog.NewTextHandler(&log, nil))}, &log
}

func readyz(t *testing.T, r remedies) string {
	t.Helper()
	answer := httptest.NewRecorder()
	r.health.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
	return strconv.Itoa(answer.Code) + " " + answer.Body.String()
}

// What keeps the agent from acting is told when it changes, and tried again; the agent stays ready.
func TestRunTriesAgainAndStaysReady(t *testing.T) {
	t.Parallel()
	root := procOf(t, "0")
	synctest.Test(t, func(t *testing.T) {
		r, log := newRemedies(root)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); r.run(ctx) }()
		time.Sleep(3 * retryAfter) // in a bubble
		synctest.Wait()
		if got := readyz(t, r); !strings.HasPrefix(got, "200 ok\nremediations: ") || !strings.Contains(got, "another PID namespace") {
			t.Errorf("/readyz = %q, want that it is ready and executes nothing", got)
		}
		if err := os.Remove(filepath.Join(root, "self")); err != nil {
			t.Error(err)
		}
		time.Sleep(retryAfter)
		synctest.Wait()
		if got := readyz(t, r); !strings.Contains(got, "no such file") {
			t.Errorf("/readyz = %q, want what the last try met", got)
		}
		cancel()
		<-done
		if got := strings.Count(log.String(), "Remediations are not executed"); got != 2 {
			t.Errorf("logged %d times, want once for each of two reasons:\n%s", got, log)
		}
	})
}

func TestTellLogsWhatChanges(t *testing.T) {
	t.Parallel()
	r, log := newRemedies("")
	for _, err := range []error{nil, errOtherNamespace, errOtherNamespace, nil, nil} {
		r.tell(err)
	}
	if got := strings.Count(log.String(), "\n"); got != 2 || !strings.Contains(log.String(), "Remediations are executed") {
		t.Errorf("log:\n%s\nwant one line that it fails and one that it works", log)
	}
}
