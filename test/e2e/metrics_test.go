package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// scraperName is a service account that may read metrics, strangerName one that may not.
const (
	scraperName  = "e2e-scraper"
	strangerName = "e2e-stranger"
)

// makeScrapers makes both, for all tests.
func makeScrapers(t *testing.T) {
	t.Helper()
	for _, name := range []string{scraperName, strangerName} {
		create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: name}})
	}
	create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: scraperName},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: release + "-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: operatorNamespace, Name: scraperName}},
	})
}

// metricsRefused shows that nobody reads metrics without the right to.
func metricsRefused(t *testing.T) {
	for _, p := range operatorPods(t) {
		port := &metricsPort{pod: &p}
		for token, want := range map[string]int{
			// The API server answers with an error that it does not know a token, which counts as a failed question.
			"": http.StatusUnauthorized, "rubbish": http.StatusInternalServerError, tokenOf(t, strangerName): http.StatusForbidden,
		} {
			port.get(t, token, want)
		}
		if text := port.get(t, tokenOf(t, scraperName), http.StatusOK); !strings.Contains(text, "_build_info{") {
			t.Errorf("%s answered the one who may read:\n%s", p.Name, text)
		}
	}
}

// scrape reads the metrics of a pod of the operator.
func scrape(t *testing.T, p *corev1.Pod) string {
	t.Helper()
	return (&metricsPort{pod: p}).get(t, tokenOf(t, scraperName), http.StatusOK)
}

// checkMetrics wants metrics that parse and follow the rules of naming, where they are the operator's own.
func checkMetrics(t *testing.T, text string) {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Errorf("the metrics do not parse: %v\n%s", err, text)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "zombie_") {
			t.Errorf("metric %s: %s", p.Metric, p.Text)
		}
	}
	for line := range strings.Lines(text) {
		checkPrintable(t, "a line of the metrics", strings.TrimSuffix(line, "\n"))
	}
}

func tokenOf(t *testing.T, account string) string {
	t.Helper()
	token, err := output(kubectl, "create", "token", "-n", operatorNamespace, account)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(token)
}

// forwarded is what kubectl port-forward says of where it listens.
var forwarded = regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:\d+)`)

// metricsPort is the port for metrics of a pod.
type metricsPort struct {
	pod     *corev1.Pod
	address string // where kubectl forwards to it; empty when it does not
	stop    func() // ends that
}

// get asks for the metrics until the answer has a status. Few may ask at a time, and other tests do too; the question who asks fails when the
// API server is slow, and so do kubectl's tunnels.
func (m *metricsPort) get(t *testing.T, token string, want int) (text string) {
	t.Helper()
	eventually(t, 2*time.Minute, func(ctx context.Context) string {
		if m.address == "" {
			if err := m.forward(t); err != nil {
				return err.Error()
			}
		}
		status, body, err := askForMetrics(ctx, m.address, token)
		switch {
		case err != nil:
			m.stop()
			m.address = ""
			return err.Error()
		case status != want:
			return fmt.Sprintf("%s answered %d, want %d:\n%s", m.pod.Name, status, want, body)
		}
		text = body
		return ""
	})
	return text
}

// forward makes the port reachable until it is stopped or the test ends.
func (m *metricsPort) forward(t *testing.T) error {
	t.Helper()
	var port int32
	for _, named := range m.pod.Spec.Containers[0].Ports {
		if named.Name == "metrics" {
			port = named.ContainerPort
		}
	}
	ctx, end := context.WithCancel(t.Context())
	cmd := command(ctx, kubectl, "port-forward", "-n", m.pod.Namespace, "pod/"+m.pod.Name, fmt.Sprintf(":%d", port))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.stop = sync.OnceFunc(func() {
		end()
		_ = cmd.Wait() // it was killed
	})
	t.Cleanup(m.stop)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	found := forwarded.FindStringSubmatch(line)
	if found == nil {
		m.stop()
		return fmt.Errorf("kubectl port-forward to port %d of %s said %q: %w: %s", port, m.pod.Name, line, err, stderr.String())
	}
	m.address = found[1]
	return nil
}

func askForMetrics(ctx context.Context, address, token string) (status int, text string, err error) {
	ctx, stop := context.WithTimeout(ctx, 20*time.Second) // the server asks the API server, which may be slow
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/metrics", nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	// The certificate was made when the program started.
	scraper := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	response, err := scraper.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}
