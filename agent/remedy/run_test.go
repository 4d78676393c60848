package remedy

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

const collectionPath = "/apis/zombie-operator.io/v1alpha1/zombieremediations"

// web is an API server behind HTTP that has one remediation.
type web struct {
	mu        sync.Mutex
	away      bool
	stored    *v1alpha1.ZombieRemediation
	asked     map[string]bool
	selectors map[string]bool
	completed chan struct{}
}

func newWeb() *web {
	r := remediation(madeAt(time.Now())) // Run goes by the real clock
	r.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ZombieRemediation"}
	r.ResourceVersion = "1"
	return &web{away: true, stored: r, asked: map[string]bool{}, selectors: map[string]bool{}, completed: make(chan struct{})}
}

func (w *web) ServeHTTP(answer http.ResponseWriter, req *http.Request) {
	w.mu.Lock()
	away := w.away
	w.asked[req.Method+" "+req.URL.Path] = true
	if req.URL.Path == collectionPath {
		w.selectors[req.URL.Query().Get("fieldSelector")] = true
	}
	w.mu.Unlock()
	answer.Header().Set("Content-Type", "application/json")
	switch {
	case away:
		answer.WriteHeader(http.StatusServiceUnavailable)
	case req.Method == http.MethodPut:
		w.put(answer, req)
	case req.URL.Path == collectionPath:
		w.collection(answer, req)
	default:
		w.mu.Lock()
		defer w.mu.Unlock()
		_ = json.NewEncoder(answer).Encode(w.stored)
	}
}

// collection lists what is there, or watches it: then it streams what is there when asked to, says that this is all, and
// hangs as a quiet watch does.
func (w *web) collection(answer http.ResponseWriter, req *http.Request) {
	w.mu.Lock()
	stored := w.stored
	w.mu.Unlock()
	if req.URL.Query().Get("watch") == "" {
		list := &v1alpha1.ZombieRemediationList{TypeMeta: stored.TypeMeta, Items: []v1alpha1.ZombieRemediation{*stored}}
		list.Kind, list.ResourceVersion = "ZombieRemediationList", stored.ResourceVersion
		_ = json.NewEncoder(answer).Encode(list)
		return
	}
	end := &v1alpha1.ZombieRemediation{TypeMeta: stored.TypeMeta, ObjectMeta: metav1.ObjectMeta{
		ResourceVersion: stored.ResourceVersion, Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"},
	}}
	if req.URL.Query().Get("sendInitialEvents") != "" {
		for _, event := range []map[string]any{{"type": "ADDED", "object": stored}, {"type": "BOOKMARK", "object": end}} {
			_ = json.NewEncoder(answer).Encode(event)
		}
	}
	answer.(http.Flusher).Flush()
	<-req.Context().Done()
}

func (w *web) put(answer http.ResponseWriter, req *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var r v1alpha1.ZombieRemediation
	if json.NewDecoder(req.Body).Decode(&r) != nil || r.ResourceVersion != w.stored.ResourceVersion {
		answer.WriteHeader(http.StatusConflict)
		return
	}
	r.ResourceVersion += "1"
	w.stored = &r
	if is(&r, v1alpha1.ConditionCompleted) {
		close(w.completed)
	}
	_ = json.NewEncoder(answer).Encode(&r)
}

func (w *web) back() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away = false
}

// The API server is away when the agent starts. When it is back the agent does what is to be done, and has asked for
// nothing but the remediations of its node.
func TestRunWaitsForTheAPIServer(t *testing.T) {
	t.Parallel()
	w := newWeb()
	server := httptest.NewServer(w)
	defer server.Close()
	k := &kind{result: act.Result{Outcome: v1alpha1.OutcomeCured, Message: "done"}}
	told := make(chan error, 100)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	go func() {
		kinds := map[v1alpha1.RemediationAction]act.Kind{v1alpha1.RemediationSignalParent: k}
		tell := func(err error) { told <- err }
		done <- Run(ctx, &rest.Config{Host: server.URL, Timeout: time.Nanosecond}, Self{Node: "node-1", BootID: "boot-1"}, kinds, tell, slog.New(slog.DiscardHandler))
	}()
	if err := <-told; err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("told %v, want that the API server is away", err)
	}
	w.back()
	select {
	case <-w.completed:
	case <-time.After(30 * time.Second):
		t.Fatal("the remediation is not executed")
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run() = %v, want nil", err)
	}
	close(told)
	last := errBroken
	for err := range told {
		last = err
	}
	if last != nil || k.acted != 1 {
		t.Errorf("told %v last and acted %d times, want nil and once", last, k.acted)
	}
	one := "/apis/zombie-operator.io/v1alpha1/namespaces/shop/zombieremediations/web-1"
	want := []string{"GET " + one, "GET " + collectionPath, "PUT " + one + "/status"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(w.asked))); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]bool{"spec.nodeName=node-1": true}, w.selectors); diff != "" {
		t.Errorf("field selectors (-want +got):\n%s", diff)
	}
}

func TestRunEndsWhileTheAPIServerIsAway(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newWeb())
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	told := make(chan struct{}, 100)
	go func() {
		defer close(done)
		_ = Run(ctx, &rest.Config{Host: server.URL}, Self{Node: "node-1"}, nil, func(error) { told <- struct{}{} }, slog.New(slog.DiscardHandler))
	}()
	<-told
	cancel()
	<-done
}

// halfway is a cache or a controller that runs until its context ends, and then a little longer; or that fails.
type halfway struct {
	longer time.Duration
	err    error
}

func (h halfway) run(ctx context.Context) error {
	if h.err == nil {
		<-ctx.Done()
	}
	time.Sleep(h.longer) // in a bubble
	return h.err
}

type halfCache struct {
	cache.Cache
	halfway
}

func (h halfCache) Start(ctx context.Context) error { return h.run(ctx) }

type halfController struct {
	controller.Controller
	halfway
}

func (h halfController) Start(ctx context.Context) error { return h.run(ctx) }

func TestStartEndsWithItsParts(t *testing.T) {
	t.Parallel()
	const told = 10 * time.Second
	tests := map[string]struct {
		cache, controller halfway
		took              time.Duration
		want              error
	}{
		"when it is told to":                  {halfway{}, halfway{}, told, nil},
		"after the acts that are under way":   {halfway{}, halfway{longer: 8 * time.Second}, told + 8*time.Second, nil},
		"but soon while the watch is pausing": {halfway{longer: 30 * time.Second}, halfway{}, told + watchEnds, nil},
		"when the cache fails":                {halfway{err: errBroken}, halfway{}, 0, errBroken},
		"when the controller fails":           {halfway{}, halfway{err: errBroken}, 0, errBroken},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), told)
				defer cancel()
				began := time.Now()
				if err := start(ctx, halfCache{halfway: tc.cache}, halfController{halfway: tc.controller}); !errors.Is(err, tc.want) {
					t.Errorf("start() = %v, want %v", err, tc.want)
				}
				if took := time.Since(began); took != tc.took {
					t.Errorf("start() took %s, want %s", took, tc.took)
				}
				time.Sleep(tc.cache.longer) // until the watch ended too
			})
		})
	}
}

// transport answers every request with a status, or fails.
type transport struct {
	status int
	err    error
}

func (t transport) RoundTrip(*http.Request) (*http.Response, error) {
	if t.err != nil {
		return nil, t.err
	}
	return &http.Response{StatusCode: t.status, Status: http.StatusText(t.status), Body: http.NoBody}, nil
}

func TestWatchedTellsHowTheWatchIsDoing(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	tests := map[string]struct {
		ctx       context.Context
		transport transport
		method    string
		path      string
		told      bool
		want      string
	}{
		"a watch that is granted":           {t.Context(), transport{status: 200}, "GET", collectionPath, true, ""},
		"a watch that is forbidden":         {t.Context(), transport{status: 403}, "GET", collectionPath, true, "the API server answers Forbidden"},
		"a watch without a CRD":             {t.Context(), transport{status: 404}, "GET", collectionPath, true, "Not Found"},
		"a watch that nobody answers":       {t.Context(), transport{err: errBroken}, "GET", collectionPath, true, "watching remediations: broken"},
		"a watch that was given up":         {ended, transport{err: errors.New("cancelled")}, "GET", collectionPath, false, ""},
		"one remediation that is not found": {t.Context(), transport{status: 404}, "GET", collectionPath + "/web-1", false, ""},
		"a write that meets a conflict":     {t.Context(), transport{status: 409}, "PUT", collectionPath + "/web-1/status", false, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told, got := false, error(nil)
			w := watched{next: tc.transport, tell: func(err error) { told, got = true, err }}
			answer, err := w.RoundTrip(httptest.NewRequestWithContext(tc.ctx, tc.method, tc.path, nil))
			if err == nil {
				_ = answer.Body.Close()
			}
			if !errors.Is(err, tc.transport.err) || told != tc.told {
				t.Errorf("error = %v, told: %t, want %v and %t", err, told, tc.transport.err, tc.told)
			}
			if (got == nil) != (tc.want == "") || got != nil && !strings.Contains(got.Error(), tc.want) {
				t.Errorf("told %v, want %q", got, tc.want)
			}
		})
	}
}
