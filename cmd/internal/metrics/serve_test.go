package metrics

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// apiServer is an API server that knows two tokens, of which one may get /metrics.
func apiServer(t *testing.T, asked *atomic.Int32) *rest.Config {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /apis/authentication.k8s.io/v1/tokenreviews", func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		var review authenticationv1.TokenReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
		}
		review.Status.Authenticated = review.Spec.Token == "prometheus" || review.Spec.Token == "stranger"
		review.Status.User.Username = review.Spec.Token
		answer(t, w, review)
	})
	mux.HandleFunc("POST /apis/authorization.k8s.io/v1/subjectaccessreviews", func(w http.ResponseWriter, r *http.Request) {
		var review authorizationv1.SubjectAccessReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
		}
		path := review.Spec.NonResourceAttributes
		review.Status.Allowed = review.Spec.User == "prometheus" && path != nil && path.Path == "/metrics" && path.Verb == "get"
		answer(t, w, review)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL}
}

func answer(t *testing.T, w http.ResponseWriter, body any) {
	t.Helper()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		t.Error(err)
	}
}

// freeAddress is an address on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// scraper trusts any certificate, as it is made at start. A connection is for one request.
func scraper(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// scrape asks for metrics with a token. A server that does not listen answers with code 0.
func scrape(t *testing.T, url, token string) (code int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := scraper(t).Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(raw)
}

func own() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(BuildInfo("zombie_test"))
	return registry
}

// serving serves metrics until the test ends.
func serving(t *testing.T, addr string, cfg *rest.Config) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Serve(ctx, addr, cfg, own(), slog.New(slog.DiscardHandler))
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// await asks until somebody listens.
func await(t *testing.T, addr string) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for range ticker.C {
		if code, _ := scrape(t, "https://"+addr+"/metrics", ""); code != 0 {
			return
		}
	}
}

//nolint:paralleltest // it registers metrics with the whole program
func TestServeAnswersThoseWhoMayReadOnly(t *testing.T) {
	var asked atomic.Int32
	addr := freeAddress(t)
	stop := serving(t, addr, apiServer(t, &asked))
	await(t, addr)
	for name, tc := range map[string]struct {
		url, token string
		code       int
		body       string
	}{
		"who may get it, gets it":              {"https://" + addr + "/metrics", "prometheus", http.StatusOK, "zombie_test_build_info{"},
		"a stranger is refused":                {"https://" + addr + "/metrics", "stranger", http.StatusForbidden, "Authorization denied for user stranger"},
		"an unknown token is refused":          {"https://" + addr + "/metrics", "guess", http.StatusInternalServerError, "Authentication failed"}, // as controller-runtime puts it
		"nobody is refused":                    {"https://" + addr + "/metrics", "", http.StatusUnauthorized, "Unauthorized"},
		"there is no other page":               {"https://" + addr + "/debug/pprof/", "prometheus", http.StatusNotFound, "404"},
		"a token never goes over a plain line": {"http://" + addr + "/metrics", "prometheus", http.StatusBadRequest, "HTTP request to an HTTPS server"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, body := scrape(t, tc.url, tc.token); code != tc.code || !strings.Contains(body, tc.body) {
				t.Errorf("answer = %d %.200q, want %d with %q", code, body, tc.code, tc.body)
			}
		})
	}
	before := asked.Load()
	for range 5 {
		scrape(t, "https://"+addr+"/metrics", "prometheus")
	}
	if got := asked.Load(); got != before {
		t.Errorf("the API server was asked %d times more for a token that it has just answered for", got-before)
	}
	stop()
	if code, _ := scrape(t, "https://"+addr+"/metrics", "prometheus"); code != 0 {
		t.Errorf("metrics are still served: %d", code)
	}
	if families, err := metrics.Registry.Gather(); err != nil || hasOwn(families) {
		t.Errorf("own metrics are still registered (error %v)", err)
	}
}

func hasOwn[F interface{ GetName() string }](families []F) bool {
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "zombie_test_") {
			return true
		}
	}
	return false
}

//nolint:paralleltest // it registers metrics with the whole program
func TestServeSaysThatItCannotListenAndLetsTheRestGoOn(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	lines := make(lines, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Serve(ctx, listener.Addr().String(), apiServer(t, new(atomic.Int32)), own(), slog.New(slog.NewTextHandler(lines, nil)))
	}()
	if got := <-lines; !strings.Contains(got, "Metrics are not served") || !strings.Contains(got, "address already in use") {
		t.Errorf("log = %s", got)
	}
	cancel()
	<-done
}

// lines hands on each line that is written.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

//nolint:paralleltest // it registers metrics with the whole program
func TestServeServesNothingWithoutAnAddress(t *testing.T) {
	Serve(t.Context(), "", nil, own(), slog.New(slog.DiscardHandler))
	if got := Options("").BindAddress; got != "0" {
		t.Errorf("the manager serves metrics on %q", got)
	}
}

func TestServedOnlyEncrypted(t *testing.T) {
	t.Parallel()
	o := Options(":8443")
	if !o.SecureServing || o.FilterProvider == nil || o.BindAddress != ":8443" {
		t.Errorf("options = %+v, want TLS, and that everybody is asked for the right", o)
	}
}

func TestCheckAddress(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"": true, ":8443": true, "127.0.0.1:8443": true, "[::1]:8443": true,
		"8443": false, "0": false, "localhost": false, "localhost:": false, "::1:8443": false,
	} {
		err := CheckAddress(addr)
		if (err == nil) != want || err != nil && !strings.Contains(err.Error(), `--metrics-addr is "`+addr+`"`) {
			t.Errorf("CheckAddress(%q) = %v, want right: %t", addr, err, want)
		}
	}
}

func TestBuildInfo(t *testing.T) {
	t.Parallel()
	problems, err := testutil.CollectAndLint(BuildInfo("zombie_agent"))
	if err != nil || len(problems) > 0 {
		t.Errorf("problems %v, error %v", problems, err)
	}
	if got := testutil.ToFloat64(BuildInfo("zombie_agent")); got != 1 {
		t.Errorf("build info = %v, want 1", got)
	}
}
