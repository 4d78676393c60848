package api

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Samples are copied by users, so each must be good as it stands.
func TestEverySampleCanBeApplied(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(samplesDir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no samples in %s", samplesDir)
	}
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
			for {
				var object tree
				if err := documents.Decode(&object); errors.Is(err, io.EOF) {
					return
				} else if err != nil {
					t.Fatalf("decoding: %v", err)
				}
				if object != nil {
					applySample(t, object)
				}
			}
		})
	}
}

func applySample(t *testing.T, object tree) {
	t.Helper()
	sample := &unstructured.Unstructured{Object: object}
	if isNamespaced(sample) {
		sample.SetNamespace(newNamespace(t))
	}
	body, err := sample.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	options := &client.PatchOptions{FieldManager: "test", DryRun: []string{metav1.DryRunAll}}
	if err := server.client.Patch(t.Context(), sample, client.RawPatch("application/apply-patch+yaml", body), strict, options); err != nil {
		t.Errorf("applying: %v", err)
	}
}
