package api

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

func TestReportsAndRemediationsAreFoundByPodUIDAndNode(t *testing.T) {
	t.Parallel()
	for kind, good := range map[string]string{"ZombieReport": goodReport, "ZombieRemediation": goodRestart} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			for name, spec := range map[string]string{
				"first":  `{podName: web-0, podUID: uid-1, nodeName: node-1}`,
				"second": `{podName: web-0, podUID: uid-2, nodeName: node-2}`,
				"third":  `{podName: web-1, podUID: uid-3, nodeName: node-2}`,
			} {
				object := changed(t, parse(t, good), "spec", attempt{patch: spec})
				object["metadata"].(tree)["name"] = name
				store(t, namespace, object)
			}
			for about, lookup := range map[string]struct {
				by   client.MatchingFields
				want []string
			}{
				"by the pod's name": {client.MatchingFields{"spec.podName": "web-0"}, []string{"first", "second"}},
				"by the pod's UID":  {client.MatchingFields{"spec.podUID": "uid-3"}, []string{"third"}},
				"by the node":       {client.MatchingFields{"spec.nodeName": "node-2"}, []string{"second", "third"}},
				"by two of them":    {client.MatchingFields{"spec.podName": "web-0", "spec.nodeName": "node-2"}, []string{"second"}},
				"by what none has":  {client.MatchingFields{"spec.nodeName": "node-3"}, nil},
			} {
				t.Run(about, func(t *testing.T) {
					t.Parallel()
					names, err := namesBy(t, kind, namespace, lookup.by)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(lookup.want, names); diff != "" {
						t.Errorf("found (- want, + got):\n%s", diff)
					}
				})
			}
			t.Run("by another field it is refused", func(t *testing.T) {
				t.Parallel()
				if _, err := namesBy(t, kind, namespace, client.MatchingFields{"spec.image": "web"}); !apierrors.IsBadRequest(err) {
					t.Errorf("got %v, want a bad request", err)
				}
			})
		})
	}
}

func namesBy(t *testing.T, kind, namespace string, by client.MatchingFields) ([]string, error) {
	t.Helper()
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind + "List"))
	err := server.client.List(t.Context(), list, client.InNamespace(namespace), by)
	var names []string
	for _, item := range list.Items {
		names = append(names, item.GetName())
	}
	slices.Sort(names)
	return names, err
}

// kubectl learns from discovery what `kubectl get zombies -A` and `kubectl get zr` mean.
func TestKindsHaveShortNamesAndOneCategory(t *testing.T) {
	t.Parallel()
	discoveryClient, err := discovery.NewDiscoveryClientForConfig(server.config)
	if err != nil {
		t.Fatal(err)
	}
	found, err := discoveryClient.ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
	if err != nil {
		t.Fatal(err)
	}
	type names struct {
		Plural, Singular, Short string
		Namespaced              bool
	}
	got := map[string]names{}
	for _, resource := range found.APIResources {
		if strings.Contains(resource.Name, "/") {
			continue // a status
		}
		got[resource.Kind] = names{resource.Name, resource.SingularName, resource.ShortNames[0], resource.Namespaced}
		if diff := cmp.Diff([]string{"zombies"}, resource.Categories); diff != "" {
			t.Errorf("categories of %s: `kubectl get all` must not list it (- want, + got):\n%s", resource.Kind, diff)
		}
	}
	want := map[string]names{
		"ZombiePolicy":        {"zombiepolicies", "zombiepolicy", "zp", true},
		"ClusterZombiePolicy": {"clusterzombiepolicies", "clusterzombiepolicy", "czp", false},
		"ZombieReport":        {"zombiereports", "zombiereport", "zr", true},
		"ZombieNodeReport":    {"zombienodereports", "zombienodereport", "znr", false},
		"ZombieRemediation":   {"zombieremediations", "zombieremediation", "zrem", true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kinds (- want, + got):\n%s", diff)
	}
}
