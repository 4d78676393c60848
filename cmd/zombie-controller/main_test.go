package main

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

func TestRequireCRDs(t *testing.T) {
	t.Parallel()
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []string{"ZombieReport", "ZombieNodeReport", "ZombiePolicy", "ClusterZombiePolicy", "ZombieRemediation"} {
		err := requireCRDs(mapper)
		if !meta.IsNoMatchError(err) {
			t.Fatalf("without %s: requireCRDs() = %v, want a no-match error", kind, err)
		}
		for _, want := range []string{kind + " in zombie-operator.io", "v1alpha1", "helm upgrade --install", "kubectl apply"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("requireCRDs() = %q, want it to name %q", err, want)
			}
		}
		mapper.Add(v1alpha1.GroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	if err := requireCRDs(mapper); err != nil {
		t.Errorf("requireCRDs() = %v with all CRDs in place", err)
	}
}

// cacheInMemory is a cache that is filled or not.
type cacheInMemory struct {
	cache.Cache
	filled bool
}

func (c cacheInMemory) WaitForCacheSync(ctx context.Context) bool {
	if !c.filled {
		<-ctx.Done()
	}
	return c.filled
}

func TestReadinessFollowsTheCaches(t *testing.T) {
	t.Parallel()
	probe := httptest.NewRequestWithContext(t.Context(), "GET", "/readyz", nil)
	if err := synced(cacheInMemory{filled: true})(probe); err != nil {
		t.Errorf("filled: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := synced(cacheInMemory{})(probe.WithContext(ended)); err == nil {
		t.Error("ready while the caches are not filled")
	}
}

func TestLimitedSaysHowManyRequestsItMakes(t *testing.T) {
	t.Parallel()
	cfg := &rest.Config{}
	got := limited(cfg)
	if got.QPS != clientQPS || got.Burst != clientBurst || cfg.QPS != 0 {
		t.Errorf("limited() = QPS %v, burst %v, and the original has %v", got.QPS, got.Burst, cfg.QPS)
	}
}
