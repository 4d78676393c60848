package chart

import (
	"maps"
	"os/exec"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// kustomized returns what `kubectl apply -k` would apply.
func kustomized(t *testing.T, directory string) objects {
	t.Helper()
	command := exec.CommandContext(t.Context(), findAsset(t, "kubectl"), "kustomize", directory)
	command.Dir = root
	out, err := command.Output()
	if err != nil {
		t.Fatalf("running kubectl kustomize %s: %v", directory, err)
	}
	return parse(t, out)
}

// withoutHelm removes what only Helm has a use for.
func withoutHelm(object *unstructured.Unstructured) map[string]any {
	object = object.DeepCopy()
	labels, annotations := object.GetLabels(), object.GetAnnotations()
	delete(labels, "app.kubernetes.io/managed-by")
	delete(labels, "helm.sh/chart")
	delete(annotations, "helm.sh/resource-policy")
	object.SetLabels(labels)
	object.SetAnnotations(annotations)
	return object.Object
}

func TestConfigInstallsWhatTheChartInstalls(t *testing.T) {
	t.Parallel()
	config := kustomized(t, "config/default")
	system, found := config["Namespace/"+namespace]
	if !found {
		t.Fatalf("config/default has no namespace: %v", slices.Sorted(maps.Keys(config)))
	}
	if got := system.GetLabels()["pod-security.kubernetes.io/enforce"]; got != "privileged" {
		t.Errorf("pod security of the namespace is %q: agents would be refused", got)
	}
	delete(config, "Namespace/"+namespace) // of a release, the user makes it
	chart := render(t)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(chart)), slices.Sorted(maps.Keys(config))); diff != "" {
		t.Fatalf("objects (-chart +config/default):\n%s", diff)
	}
	for key, object := range chart {
		diff := cmp.Diff(withoutHelm(object), withoutHelm(config[key]))
		switch {
		case diff == "":
		case object.GetKind() == "CustomResourceDefinition":
			t.Errorf("%s is not the same in the chart and in config/crd: run `make update-crds`", key)
		default:
			t.Errorf("%s (-chart +config/default):\n%s", key, diff)
		}
	}
}

func TestProjectNamesEveryKind(t *testing.T) {
	t.Parallel()
	var project struct {
		Layout    []string `json:"layout"`
		Version   string   `json:"version"`
		Resources []struct {
			API struct {
				Namespaced bool `json:"namespaced"`
			} `json:"api"`
			Kind string `json:"kind"`
		} `json:"resources"`
	}
	if err := yaml.Unmarshal(readFile(t, "PROJECT"), &project); err != nil {
		t.Fatal(err)
	}
	if project.Version != "3" || !slices.Equal(project.Layout, []string{"go.kubebuilder.io/v4"}) {
		t.Errorf("version %q, layout %q", project.Version, project.Layout)
	}
	listed := map[string]bool{}
	for _, r := range project.Resources {
		listed[r.Kind] = r.API.Namespaced
	}
	defined := map[string]bool{}
	for _, object := range render(t) {
		if object.GetKind() != "CustomResourceDefinition" {
			continue
		}
		kind, _, _ := unstructured.NestedString(object.Object, "spec", "names", "kind")
		scope, _, _ := unstructured.NestedString(object.Object, "spec", "scope")
		defined[kind] = scope == "Namespaced"
	}
	if diff := cmp.Diff(defined, listed); diff != "" {
		t.Errorf("kinds and whether they are namespaced (-CRDs +PROJECT):\n%s", diff)
	}
}
