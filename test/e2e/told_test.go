package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/controllers/remedy"
)

// eventsOn lists the operator's Events about an object of a namespace.
func eventsOn(ctx context.Context, namespace, kind, name string) ([]eventsv1.Event, error) {
	var list eventsv1.EventList
	if err := api.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing events of %s: %w", namespace, err)
	}
	var about []eventsv1.Event
	for _, e := range list.Items {
		if e.Regarding.Kind == kind && e.Regarding.Name == name && e.ReportingController != "kubelet" {
			about = append(about, e)
		}
	}
	return about, nil
}

// countTold counts the Events of a reason, each as often as it was repeated.
func countTold(events []eventsv1.Event, reason string) int {
	count := 0
	for _, e := range events {
		if e.Reason != reason {
			continue
		}
		count++
		if e.Series != nil {
			count += int(e.Series.Count) - 1
		}
	}
	return count
}

func describeEvents(events []eventsv1.Event) string {
	var all strings.Builder
	for _, e := range events {
		fmt.Fprintf(&all, "  %s %s: %s (series %+v)\n", e.Type, e.Reason, e.Note, e.Series)
	}
	return all.String()
}

// waitTold waits until Events about an object give all these reasons, and returns all that there are.
func waitTold(t *testing.T, namespace, kind, name string, reasons ...string) []eventsv1.Event {
	t.Helper()
	var events []eventsv1.Event
	eventually(t, time.Minute, func(ctx context.Context) string {
		var err error
		if events, err = eventsOn(ctx, namespace, kind, name); err != nil {
			return err.Error()
		}
		for _, reason := range reasons {
			if countTold(events, reason) == 0 {
				return fmt.Sprintf("%s %s has no Event %s:\n%s", kind, name, reason, describeEvents(events))
			}
		}
		return ""
	})
	return events
}

// checkRefusalTold wants one Event, and no more, that tells why nothing is done about a pod.
func checkRefusalTold(t *testing.T, p *corev1.Pod, reason, says string) {
	t.Helper()
	events := waitTold(t, p.Namespace, "Pod", p.Name, remedy.EventActRefused)
	if n := countTold(events, remedy.EventActRefused); n != 1 {
		t.Errorf("%d Events tell that nothing is done about pod %s, want 1:\n%s", n, p.Name, describeEvents(events))
	}
	for _, e := range events {
		if e.Reason == remedy.EventActRefused && (!strings.Contains(e.Note, reason) || !strings.Contains(e.Note, says)) {
			t.Errorf("the Event on pod %s is %q; want it to say %s and %q", p.Name, e.Note, reason, says)
		}
	}
}

// checkNotToldTwice wants no more than one Event about a limit that made an act on a pod wait.
func checkNotToldTwice(t *testing.T, p *corev1.Pod, reason string) {
	t.Helper()
	events, err := eventsOn(t.Context(), p.Namespace, "Pod", p.Name)
	if err != nil {
		t.Fatal(err)
	}
	var about []eventsv1.Event
	for _, e := range events {
		if strings.HasPrefix(e.Note, reason) {
			about = append(about, e)
		}
	}
	if n := countTold(about, remedy.EventActRefused); n > 1 {
		t.Errorf("%d Events tell %s of pod %s, want at most 1:\n%s", n, reason, p.Name, describeEvents(events))
	}
}

// describePod is what a user reads.
func describePod(t *testing.T, p *corev1.Pod) string {
	t.Helper()
	text, err := output(kubectl, "describe", "pod", "-n", p.Namespace, p.Name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
