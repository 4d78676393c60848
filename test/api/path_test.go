package api

import (
	"strconv"
	"strings"
	"testing"
)

// steps cuts a field path as the API server writes it, such as spec.ladder[0].action, into map keys and list indices.
// Only matchLabels has keys with dots; no attempt is made below them, see schemaPath.
func steps(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}

// set replaces what is at a path of an object; the parents must be there.
func set(t *testing.T, object tree, path string, change func(old any) any) {
	t.Helper()
	keys := steps(path)
	if len(keys) == 0 {
		change(object) // merges in place
		return
	}
	var at any = object
	for _, key := range keys[:len(keys)-1] {
		at = child(t, at, key)
	}
	last := keys[len(keys)-1]
	switch parent := at.(type) {
	case tree:
		parent[last] = change(parent[last])
	case []any:
		i := index(t, parent, last)
		parent[i] = change(parent[i])
	default:
		t.Fatalf("the good object has nothing at %s", path)
	}
}

func child(t *testing.T, parent any, key string) any {
	t.Helper()
	switch parent := parent.(type) {
	case tree:
		return parent[key]
	case []any:
		return parent[index(t, parent, key)]
	}
	t.Fatalf("the good object has nothing at %q", key)
	return nil
}

func index(t *testing.T, list []any, text string) int {
	t.Helper()
	i, err := strconv.Atoi(text)
	if err != nil || i >= len(list) {
		t.Fatalf("the good object has no entry %q in a list of %d", text, len(list))
	}
	return i
}
