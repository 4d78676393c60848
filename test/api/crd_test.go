package api

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"
)

// crd is what the tests read of a CustomResourceDefinition.
type crd struct {
	Spec struct {
		Names struct {
			Kind       string   `json:"kind"`
			Plural     string   `json:"plural"`
			Singular   string   `json:"singular"`
			ShortNames []string `json:"shortNames"`
			Categories []string `json:"categories"`
		} `json:"names"`
		Versions []struct {
			Schema struct {
				OpenAPIV3Schema json.RawMessage `json:"openAPIV3Schema"`
			} `json:"schema"`
		} `json:"versions"`
	} `json:"spec"`

	schema *schema
}

// schema has the keywords that the CRDs use. It is read strictly: a keyword that these tests do not know, and so
// could not ask a test for, is an error.
type schema struct {
	Description string          `json:"description"`
	Type        string          `json:"type"`
	Format      string          `json:"format"`
	Default     json.RawMessage `json:"default"`

	Enum      []json.RawMessage `json:"enum"`
	Minimum   *int64            `json:"minimum"`
	Maximum   *int64            `json:"maximum"`
	MinLength *int64            `json:"minLength"`
	MaxLength *int64            `json:"maxLength"`
	Pattern   string            `json:"pattern"`

	Required             []string           `json:"required"`
	Properties           map[string]*schema `json:"properties"`
	AdditionalProperties *schema            `json:"additionalProperties"`
	MinProperties        *int64             `json:"minProperties"`
	MaxProperties        *int64             `json:"maxProperties"`
	MapType              string             `json:"x-kubernetes-map-type"`

	Items       *schema  `json:"items"`
	MinItems    *int64   `json:"minItems"`
	MaxItems    *int64   `json:"maxItems"`
	ListType    string   `json:"x-kubernetes-list-type"`
	ListMapKeys []string `json:"x-kubernetes-list-map-keys"`

	Validations []struct {
		Rule      string `json:"rule"`
		Message   string `json:"message"`
		FieldPath string `json:"fieldPath"`
		Reason    string `json:"reason"`
	} `json:"x-kubernetes-validations"`
}

// readCRDs returns the CRDs by kind, as they are installed.
func readCRDs(t *testing.T) map[string]crd {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(crdDir, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("finding CRDs in %s: %d files, %v", crdDir, len(files), err)
	}
	crds := map[string]crd{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var definition crd
		if err := yaml.Unmarshal(content, &definition); err != nil {
			t.Fatalf("decoding %s: %v", file, err)
		}
		if len(definition.Spec.Versions) != 1 {
			t.Fatalf("%s has %d versions: these tests know one", file, len(definition.Spec.Versions))
		}
		if err := yaml.UnmarshalStrict(definition.Spec.Versions[0].Schema.OpenAPIV3Schema, &definition.schema); err != nil {
			t.Fatalf("decoding the schema in %s: %v", file, err)
		}
		crds[definition.Spec.Names.Kind] = definition
	}
	return crds
}

// walk visits a schema and all that is in it. Entries of lists are named by [], values of maps by .*
func walk(s *schema, path string, visit func(path string, s *schema)) {
	visit(path, s)
	for name, property := range s.Properties {
		walk(property, under(path, name), visit)
	}
	if s.Items != nil {
		walk(s.Items, path+"[]", visit)
	}
	if s.AdditionalProperties != nil {
		walk(s.AdditionalProperties, path+".*", visit)
	}
}

func under(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
