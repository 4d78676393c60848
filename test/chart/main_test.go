// Package chart tests what the chart and config/ install: what is refused, which rights and privileges come out,
// that both ways install the same, and that an API server takes it.
//
// It needs the tools of hack/tools, which the go command builds and keeps, and for some tests the programs of the
// local cluster (KUBEBUILDER_ASSETS): run `make test-api`.
package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const (
	root      = "../.."
	chartDir  = "charts/zombie-operator"
	release   = "zombie-operator"
	namespace = "zombie-operator-system"
)

// helmPath builds helm once; running it through `go tool` each time costs a second.
var helmPath = sync.OnceValues(func() (string, error) {
	command := exec.Command("go", "tool", "-n", "-modfile=hack/tools/go.mod", "helm")
	command.Dir = root
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("building helm from hack/tools: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
})

// runHelm returns what helm says on stdout, or an error with what it says on stderr.
func runHelm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := helmPath()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), path, args...)
	command.Dir = root
	home := t.TempDir() // nothing of the user's own settings
	command.Env = append(os.Environ(), "HELM_CONFIG_HOME="+home, "HELM_CACHE_HOME="+home, "HELM_DATA_HOME="+home, "KUBECONFIG=/dev/null")
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("helm %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// templateError renders the chart with settings that must be refused and returns the message.
func templateError(t *testing.T, settings ...string) string {
	t.Helper()
	out, err := runHelm(t, templateArgs(settings)...)
	if err == nil {
		t.Fatalf("helm template with %v was not refused: %d bytes", settings, len(out))
	}
	return err.Error()
}

// render returns the objects that the chart installs with some settings (as after --set).
func render(t *testing.T, settings ...string) objects {
	t.Helper()
	out, err := runHelm(t, templateArgs(settings)...)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, []byte(out))
}

func templateArgs(settings []string) []string {
	args := []string{"template", release, chartDir, "--namespace", namespace}
	for _, setting := range settings {
		args = append(args, "--set-json", setting)
	}
	return args
}

// objects are what one way of installing makes, by kind and name.
type objects map[string]*unstructured.Unstructured

func parse(t *testing.T, manifests []byte) objects {
	t.Helper()
	found := objects{}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifests), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("parsing manifests: %v", err)
		}
		if len(object.Object) == 0 {
			continue
		}
		key := object.GetKind() + "/" + object.GetName()
		if _, twice := found[key]; twice {
			t.Fatalf("%s is there twice", key)
		}
		found[key] = object
	}
}

// get fills a typed object, and fails on a field that the type does not have.
func (o objects) get(t *testing.T, key string, into any) {
	t.Helper()
	object, found := o[key]
	if !found {
		t.Fatalf("there is no %s", key)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, into, true); err != nil {
		t.Fatalf("reading %s: %v", key, err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// findAsset returns a program of the local cluster, or leaves the test out. Where KUBEBUILDER_ASSETS is set, as by
// `make test-api`, its absence is a failure.
func findAsset(t *testing.T, program string) string {
	t.Helper()
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		t.Skipf("KUBEBUILDER_ASSETS is not set, so there is no %s: run `make test-api`", program)
	}
	path := filepath.Join(assets, program)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("looking for %s: %v", program, err)
	}
	return path
}
