package api

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// tree is an object as it is sent: any YAML, also what no Go type could hold.
type tree = map[string]any

func parse(t *testing.T, text string) tree {
	t.Helper()
	var parsed tree
	if err := yaml.Unmarshal([]byte(text), &parsed); err != nil {
		t.Fatalf("parsing the test's own YAML: %v\n%s", err, text)
	}
	return parsed
}

func newNamespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "api-test-"}}
	if err := server.client.Create(t.Context(), namespace); err != nil {
		t.Fatalf("creating a namespace: %v", err)
	}
	return namespace.Name
}

// strict is the field validation that kubectl asks for.
const strict = client.FieldValidation(metav1.FieldValidationStrict)

// verb is how an object reaches the API server.
type verb int

const (
	creating verb = iota
	updating
	updatingStatus
)

// send writes an object in a namespace and returns it as the API server holds it. A dry run is validated in full.
func send(t *testing.T, v verb, namespace string, object tree, dryRun ...string) (tree, error) {
	t.Helper()
	sent := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(object)}
	if isNamespaced(sent) {
		sent.SetNamespace(namespace)
	}
	var err error
	switch v {
	case creating:
		err = server.client.Create(t.Context(), sent, strict, &client.CreateOptions{DryRun: dryRun})
	case updating:
		err = server.client.Update(t.Context(), sent, strict, &client.UpdateOptions{DryRun: dryRun})
	case updatingStatus:
		options := &client.SubResourceUpdateOptions{UpdateOptions: client.UpdateOptions{DryRun: dryRun}}
		err = server.client.Status().Update(t.Context(), sent, strict, options)
	}
	return sent.Object, err
}

// store creates an object together with its status and returns it. An object of the cluster takes the namespace's
// name, so that no two tests store the same.
func store(t *testing.T, namespace string, object tree) tree {
	t.Helper()
	named := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(object)}
	if !isNamespaced(named) {
		named.SetName(namespace)
	}
	if named.GetKind() == "ZombieNodeReport" { // has the name of its node
		named.Object["spec"] = tree{"nodeName": named.GetName()}
	}
	stored, err := send(t, creating, namespace, named.Object)
	if err != nil {
		t.Fatalf("creating the good object: %v", err)
	}
	if status, hasStatus := object["status"]; hasStatus {
		stored["status"] = status
		if stored, err = send(t, updatingStatus, namespace, stored); err != nil {
			t.Fatalf("writing the status of the good object: %v", err)
		}
	}
	return stored
}

// refusal is what the API server says against a write: a message for each field it names.
type refusal map[string][]string

var unknownField = regexp.MustCompile(`(unknown|duplicate) field "([^"]+)"`)

// refusalOf sorts an error by field. Unknown fields are found before validation and have no causes, only a message.
func refusalOf(t *testing.T, err error) refusal {
	t.Helper()
	var status *apierrors.StatusError
	if !errors.As(err, &status) {
		t.Fatalf("the API server did not answer with a status: %v", err)
	}
	found := refusal{}
	for _, match := range unknownField.FindAllStringSubmatch(status.Error(), -1) {
		found[match[2]] = append(found[match[2]], match[1]+" field")
	}
	if details := status.Status().Details; details != nil {
		for _, cause := range details.Causes {
			// Lines without a field follow others that have one: that some rules were not checked, say.
			if cause.Field == "<nil>" {
				continue
			}
			found[cause.Field] = append(found[cause.Field], cause.Message)
		}
	}
	if len(found) == 0 {
		t.Fatalf("the API server names no field: %v", err)
	}
	return found
}

func nameOf(object tree) string {
	return (&unstructured.Unstructured{Object: object}).GetName()
}

func isNamespaced(object *unstructured.Unstructured) bool {
	return !strings.HasPrefix(object.GetKind(), "Cluster") && object.GetKind() != "ZombieNodeReport"
}
