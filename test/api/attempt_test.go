package api

import (
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// An attempt writes a good object with one change. Without refused the API server takes it.
type attempt struct {
	// patch is YAML that is laid over the good object at the suite's path: maps are merged, null removes,
	// everything else replaces.
	patch string
	// replace makes the patch replace what is there, so that nothing of a good map is left.
	replace bool
	// refused has an entry for each field that the API server complains about, relative to the suite's path, with
	// the part of the message that says what is allowed.
	refused map[string]string
}

// attempts are keyed by a sentence that says what the API does.
type attempts map[string]attempt

// A suite is what is tried around one good object.
type suite struct {
	about string
	good  string // YAML of the good object; for updates it is stored first, with its status
	at    string // path of what the attempts change, such as status.observed.containers[0]
	verb  verb
	tries attempts
}

func TestTheAPIServerAcceptsAndRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range suites() {
		t.Run(s.about, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			good := parse(t, s.good)
			if s.verb != creating {
				good = store(t, namespace, good)
			}
			for sentence, a := range s.tries {
				t.Run(sentence, func(t *testing.T) {
					t.Parallel()
					try(t, s, a, namespace, changed(t, good, s.at, a))
				})
			}
		})
	}
}

func try(t *testing.T, s suite, a attempt, namespace string, object tree) {
	t.Helper()
	_, err := send(t, s.verb, namespace, object, metav1.DryRunAll)
	switch {
	case a.refused == nil && err != nil:
		t.Fatalf("refused, want accepted: %v", err)
	case a.refused != nil && err == nil:
		t.Fatalf("accepted, want refused: %v", a.refused)
	case a.refused != nil:
		compareRefusal(t, s.at, a.refused, refusalOf(t, err))
	}
}

// compareRefusal wants exactly the fields that were foretold, each with the foretold part of the message.
func compareRefusal(t *testing.T, at string, want map[string]string, got refusal) {
	t.Helper()
	left := maps.Clone(got)
	for field, says := range want {
		messages := got[at+field]
		delete(left, at+field)
		if !slices.ContainsFunc(messages, func(message string) bool { return strings.Contains(message, says) }) {
			t.Errorf("on field %q the API server says %q, want %q (all it says: %q)", at+field, messages, says, got)
		}
	}
	if len(left) > 0 {
		t.Errorf("the API server complains about more: %q", left)
	}
}

// changed is the good object with the attempt's patch at a path.
func changed(t *testing.T, good tree, at string, a attempt) tree {
	t.Helper()
	copied := runtime.DeepCopyJSON(good)
	var patch any
	if wrapped := parse(t, "patch: "+a.patch); wrapped != nil {
		patch = wrapped["patch"]
	}
	set(t, copied, at, func(old any) any {
		if a.replace {
			return patch
		}
		return merge(old, patch)
	})
	return copied
}

func merge(old, patch any) any {
	fields, isMap := patch.(tree)
	if !isMap {
		return patch
	}
	merged, wasMap := old.(tree)
	if !wasMap {
		merged = tree{}
	}
	for key, value := range fields {
		if value == nil {
			delete(merged, key)
			continue
		}
		merged[key] = merge(merged[key], value)
	}
	return merged
}
