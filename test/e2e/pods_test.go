package e2e

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// patience is how long a pod may take until it runs and is reported: nearly a hundred start at once on one machine, and an agent
// writes a report a second.
const patience = 6 * time.Minute

// eventually waits until a condition holds; until then the condition says what is missing.
func eventually(t *testing.T, timeout time.Duration, condition func(context.Context) (missing string)) {
	t.Helper()
	missing := "the condition was never asked"
	err := wait.PollUntilContextTimeout(t.Context(), 500*time.Millisecond, timeout, true, func(ctx context.Context) (bool, error) {
		missing = condition(ctx)
		return missing == "", nil
	})
	if err != nil {
		t.Fatalf("after %s still: %s", timeout, missing)
	}
}

// namespace makes a namespace for one test.
func namespace(t *testing.T, name string) string {
	t.Helper()
	createNamespace(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	return name
}

// createNamespace makes a namespace and waits until it takes pods: where many are made at once, its service account, without
// which it takes none, comes seconds later.
func createNamespace(t *testing.T, object *corev1.Namespace) {
	t.Helper()
	create(t, object)
	eventually(t, time.Minute, func(ctx context.Context) string {
		err := api.Get(ctx, client.ObjectKey{Namespace: object.Name, Name: "default"}, &corev1.ServiceAccount{})
		if err != nil {
			return err.Error()
		}
		return ""
	})
}

// create makes an object, when that of an earlier run is gone, and removes it after the test.
func create(t *testing.T, object client.Object) {
	t.Helper()
	eventually(t, time.Minute, func(ctx context.Context) string {
		err := api.Create(ctx, object)
		switch {
		case err == nil:
			return ""
		case !apierrors.IsAlreadyExists(err):
			t.Fatalf("creating %T %s: %v", object, object.GetName(), err)
		}
		return err.Error()
	})
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(api.Delete(context.Background(), object, client.GracePeriodSeconds(1))); err != nil {
			t.Errorf("deleting %T %s: %v", object, object.GetName(), err)
		}
	})
}

// container makes a container that runs a tree of hack/leaks.
func container(name string, command ...string) corev1.Container {
	return corev1.Container{Name: name, Image: leaksImage, ImagePullPolicy: corev1.PullNever, Command: command}
}

// pod makes a pod on the first node, past the scheduler.
func pod(namespace, name string, containers ...corev1.Container) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{NodeName: nodeName, Containers: containers, TerminationGracePeriodSeconds: new(int64(1))},
	}
}

// fromManifest makes one of the pods of hack/leaks, as the demo shows them, in another namespace and on the first node.
func fromManifest(t *testing.T, namespace, name string) *corev1.Pod {
	t.Helper()
	raw, err := os.ReadFile(repository + "/hack/leaks/manifests/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	var p corev1.Pod
	if err := yaml.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}
	p.Namespace, p.Spec.NodeName = namespace, nodeName
	return &p
}

// ready is what a tree of hack/leaks prints when its zombies are in place.
var ready = regexp.MustCompile(`^(\S+) ready: (\d+) .* under pid (\d+)$`)

// inPlace is the truth about a container that leaks, by its own word.
type inPlace struct {
	at        time.Time
	zombies   int32
	parentPID int32
}

// waitInPlace waits until a container of hack/leaks says that its zombies are in place.
func waitInPlace(t *testing.T, p *corev1.Pod, container string) inPlace {
	t.Helper()
	var truth inPlace
	eventually(t, patience, func(ctx context.Context) string {
		log, err := logOf(ctx, p, container, true)
		if err != nil {
			return err.Error()
		}
		for line := range strings.Lines(log) {
			if m := ready.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
				truth = inPlace{at: parseTime(t, m[1]), zombies: parseInt(t, m[2]), parentPID: parseInt(t, m[3])}
				return ""
			}
		}
		return fmt.Sprintf("no ready line in the log of %s/%s:\n%s", p.Name, container, log)
	})
	return truth
}

// logOf reads the log of a container, of the only one when it has no name. That is asked for each pod until it is ready, and a kubectl for
// each time would take most of the machine.
func logOf(ctx context.Context, p *corev1.Pod, container string, timestamps bool) (string, error) {
	log, err := logs.Pods(p.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{Container: container, Timestamps: timestamps}).DoRaw(ctx)
	if err != nil {
		return "", fmt.Errorf("reading the log of %s/%s: %w", p.Name, container, err)
	}
	return string(log), nil
}

func parseTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func parseInt(t *testing.T, s string) int32 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return int32(n)
}
