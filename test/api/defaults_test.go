package api

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The default of a field is what its users get who do not think of it, so each is the most careful choice.
func TestWhatIsNotWrittenGetsItsDefault(t *testing.T) {
	t.Parallel()
	for kind, good := range map[string]string{"ZombiePolicy": goodPolicy, "ClusterZombiePolicy": goodClusterPolicy} {
		t.Run("a "+kind, func(t *testing.T) {
			t.Parallel()
			stored := readBack(t, store(t, newNamespace(t), parse(t, good)))
			wantAt(t, stored, "DryRun", "spec", "mode")
			wantAt(t, stored, int64(0), "spec", "priority")
			wantAt(t, stored, int64(300), "spec", "trigger", "minAgeSeconds")
			wantAt(t, stored, int64(60), "spec", "trigger", "forSeconds")
			wantAt(t, stored, []any{
				tree{"action": "Alert"},
				tree{"action": "SignalParent", "signalParent": tree{"signal": "SIGCHLD"}},
				tree{"action": "RestartContainer", "restartContainer": tree{}},
			}, "spec", "ladder")
			wantAt(t, stored, nil, "spec", "containerNames")
			wantAt(t, stored, tree{
				"observedGeneration": int64(-1),
			}, "status")
		})
	}
	t.Run("a signal rung without settings stays without, and means SIGCHLD", func(t *testing.T) {
		t.Parallel()
		policy := changed(t, parse(t, goodPolicy), "spec.ladder", attempt{patch: `[{action: SignalParent}]`})
		stored := readBack(t, store(t, newNamespace(t), policy))
		wantAt(t, stored, []any{tree{"action": "SignalParent"}}, "spec", "ladder")
	})
	t.Run("a trigger that fires at once is not taken for one without a time", func(t *testing.T) {
		t.Parallel()
		policy := changed(t, parse(t, goodPolicy), "spec.trigger", attempt{patch: `{forSeconds: 0}`})
		stored := readBack(t, store(t, newNamespace(t), policy))
		wantAt(t, stored, int64(0), "spec", "trigger", "forSeconds")
	})
	t.Run("a report and a remediation have no defaults and no status until somebody writes one", func(t *testing.T) {
		t.Parallel()
		namespace := newNamespace(t)
		for _, good := range []string{goodReport, goodRestart} {
			object := parse(t, good)
			delete(object, "status")
			stored := readBack(t, store(t, namespace, object))
			if diff := cmp.Diff(withoutFloats(t, object)["spec"], stored["spec"]); diff != "" {
				t.Errorf("the spec was changed (- sent, + stored):\n%s", diff)
			}
			wantAt(t, stored, nil, "status")
		}
	})
}

// The status is written by its own right: whoever may write the object may not write its status, and the other way round.
func TestTheStatusIsApartFromTheObject(t *testing.T) {
	t.Parallel()
	for about, good := range map[string]string{
		"a ZombiePolicy":        goodPolicy + statusOfPolicy,
		"a ClusterZombiePolicy": goodClusterPolicy + statusOfPolicy,
		"a ZombieReport":        goodReport,
		"a ZombieRemediation":   goodSignal,
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t)
			with := parse(t, good)
			without := maps.Clone(with)
			delete(without, "status")
			stored := store(t, namespace, without)
			before := readBack(t, stored)["status"]

			stored["status"] = with["status"]
			stored["metadata"].(tree)["labels"] = tree{"written": "object"}
			if _, err := send(t, updating, namespace, stored); err != nil {
				t.Fatalf("updating the object: %v", err)
			}
			after := readBack(t, stored)
			if diff := cmp.Diff(before, after["status"]); diff != "" {
				t.Errorf("an update of the object changed its status:\n%s", diff)
			}
			wantAt(t, after, "object", "metadata", "labels", "written")

			after["status"] = with["status"]
			after["metadata"].(tree)["labels"] = tree{"written": "status"}
			if _, err := send(t, updatingStatus, namespace, after); err != nil {
				t.Fatalf("updating the status: %v", err)
			}
			last := readBack(t, stored)
			if diff := cmp.Diff(withoutFloats(t, with)["status"], last["status"]); diff != "" {
				t.Errorf("the status was not stored as it was sent:\n%s", diff)
			}
			wantAt(t, last, "object", "metadata", "labels", "written")
		})
	}
}

func readBack(t *testing.T, object tree) tree {
	t.Helper()
	sent := &unstructured.Unstructured{Object: object}
	stored := &unstructured.Unstructured{}
	stored.SetGroupVersionKind(sent.GroupVersionKind())
	if err := server.client.Get(t.Context(), client.ObjectKeyFromObject(sent), stored); err != nil {
		t.Fatalf("reading back: %v", err)
	}
	return stored.Object
}

func wantAt(t *testing.T, object tree, want any, fields ...string) {
	t.Helper()
	got, _, err := unstructured.NestedFieldNoCopy(object, fields...)
	if err != nil {
		t.Errorf("at %v: %v", fields, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("at %v (- want, + got):\n%s", fields, diff)
	}
}

// withoutFloats is an object of the tests with the number types that the API server's objects have.
func withoutFloats(t *testing.T, object tree) tree {
	t.Helper()
	body, err := (&unstructured.Unstructured{Object: object}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	again := &unstructured.Unstructured{}
	if err := again.UnmarshalJSON(body); err != nil {
		t.Fatal(err)
	}
	return again.Object
}
