package api

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
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
			applyAll(t, readFile(t, file))
		})
	}
}

// yamlIn finds objects in text: in fenced blocks of a document, and in what a shell is to hand to kubectl.
var yamlIn = regexp.MustCompile("(?sm)^```yaml\n(.*?)^```$|<<EOF\n(.*?)^EOF$")

// Policies in documents are copied even more.
func TestEveryObjectInADocumentCanBeApplied(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(docsDir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, file := range append(files, notes) {
		for _, match := range yamlIn.FindAllStringSubmatch(string(readFile(t, file)), -1) {
			found[filepath.Base(file)]++
			applyAll(t, []byte(match[1]+match[2]))
		}
	}
	for _, file := range []string{"policies.md", "NOTES.txt"} {
		if found[file] == 0 {
			t.Errorf("%s shows no policy", file)
		}
	}
}

func readFile(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func applyAll(t *testing.T, content []byte) {
	t.Helper()
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		var object tree
		if err := documents.Decode(&object); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("decoding: %v\n%s", err, content)
		}
		if object != nil {
			applySample(t, object)
		}
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
