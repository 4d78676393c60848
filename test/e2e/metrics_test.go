package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
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
			if status, _ := port.get(t, token); status != want {
				t.Errorf("%s answered %d, want %d", p.Name, status, want)
			}
		}
		if status, text := port.get(t, tokenOf(t, scraperName)); status != http.StatusOK || !strings.Contains(text, "_build_info{") {
			t.Errorf("%s answered %d to the one who may read:\n%s", p.Name, status, text)
		}
	}
}

// scrape reads the metrics of a pod of the operator.
func scrape(t *testing.T, p *corev1.Pod) string {
	t.Helper()
	port := &metricsPort{pod: p}
	status, text := port.get(t, tokenOf(t, scraperName))
	if status != http.StatusOK {
		t.Fatalf("%s answered %d:\n%s", p.Name, status, text)
	}
	return text
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

// forward makes the port for metrics of a pod reachable until the test ends.
func forward(t *testing.T, p *corev1.Pod) string {
	t.Helper()
	var port int32
	for _, named := range p.Spec.Containers[0].Ports {
		if named.Name == "metrics" {
			port = named.ContainerPort
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	cmd := command(ctx, kubectl, "port-forward", "-n", p.Namespace, "pod/"+p.Name, fmt.Sprintf(":%d", port))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait() // it was killed
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	m := forwarded.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("kubectl port-forward to port %d of %s said %q: %v", port, p.Name, line, err)
	}
	return m[1]
}

// metricsPort is the port for metrics of a pod.
type metricsPort struct {
	pod     *corev1.Pod
	address string // where kubectl forwards to it; empty when it does not
}

// get asks for the metrics, and again while too many others ask too or kubectl's tunnel breaks, as it does under load.
func (m *metricsPort) get(t *testing.T, token string) (status int, text string) {
	t.Helper()
	eventually(t, time.Minute, func(ctx context.Context) string {
		if m.address == "" {
			m.address = forward(t, m.pod)
		}
		var err error
		if status, text, err = askForMetrics(ctx, m.address, token); err != nil {
			m.address = ""
			return err.Error()
		}
		if status == http.StatusServiceUnavailable {
			return fmt.Sprintf("%s answered %d:\n%s", m.pod.Name, status, text)
		}
		return ""
	})
	return status, text
}

func askForMetrics(ctx context.Context, address, token string) (status int, text string, err error) {
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
