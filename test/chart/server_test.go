package chart

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
)

// startServer starts an API server for one test.
func startServer(t *testing.T) client.Client {
	t.Helper()
	assets := filepath.Dir(findAsset(t, "kube-apiserver"))
	logf.SetLogger(logr.Discard())
	environment := &envtest.Environment{
		UseExistingCluster:       new(false), // whatever the environment says: never a user's cluster
		BinaryAssetsDirectory:    assets,
		ControlPlaneStartTimeout: 2 * time.Minute, // the machine may be starting a cluster beside
	}
	config, err := environment.Start()
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Errorf("stopping the API server: %v", err)
		}
	})
	if err != nil {
		t.Fatalf("starting the API server: %v", err)
	}
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return client.WithFieldValidation(c, metav1.FieldValidationStrict)
}

func newNamespace(name, level string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{"pod-security.kubernetes.io/enforce": level},
	}}
}

func TestAPIServerTakesTheChart(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	for _, n := range []*corev1.Namespace{newNamespace(namespace, "privileged"), newNamespace("strict", "restricted")} {
		if err := server.Create(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	rendered := render(t, `controller.replicas=2`, `metrics.enabled=true`,
		`metrics.scrapers=[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"monitoring"}}}]`)
	for _, key := range slices.Sorted(maps.Keys(rendered)) {
		if err := server.Create(t.Context(), rendered[key].DeepCopy()); err != nil {
			t.Errorf("creating %s: %v", key, err)
		}
	}
	agent, controller := agentOf(t, rendered).Spec.Template.Spec, controllerOf(t, rendered).Spec.Template.Spec
	for _, test := range []struct {
		name, namespace string
		spec            corev1.PodSpec
		want            string // part of the refusal; empty: taken
	}{
		{"agent", namespace, agent, ""},
		{"agent", "strict", agent, "hostPID=true"},
		{"controller", "strict", controller, ""},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: test.name, Namespace: test.namespace}, Spec: test.spec}
		err := server.Create(t.Context(), pod)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("the %s's pod is refused in namespace %s: %v", test.name, test.namespace, err)
		case test.want != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), test.want)):
			t.Errorf("the %s's pod in namespace %s: %v, want a refusal that says %s", test.name, test.namespace, err, test.want)
		}
	}
}
