package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// findingCase is a pod with what looks like zombies and must not be counted, or with zombies that no wait() ends.
type findingCase struct {
	finding string
	make    func(t *testing.T, namespace string) *corev1.Pod
	// silent is whether its program does not say when all is in place.
	silent  bool
	prepare func(*testing.T, *corev1.Pod)
	// says are parts of the condition's message.
	says []string
	rows []string
}

// PileBehindD comes with zombies that count: it is among the causes, with ParentStuckInD.
var findingCases = []findingCase{
	{
		finding: v1alpha1.ConditionLeaderExited,
		make: func(_ *testing.T, ns string) *corev1.Pod {
			return guarded(ns, "leader-exited", container("app", "/leaks/launcher", "leader-exited", "-count=2"))
		},
		silent: true,
		says:   []string{"2 alive", "java", "No zombies"},
		rows:   []string{"E s6-overlay#135, moby#35910"},
	},
	{
		finding: v1alpha1.ConditionHeldByTracer,
		make:    func(t *testing.T, ns string) *corev1.Pod { return perl(t, ns, "held", "held") },
		says:    []string{"1 dead process is held by a tracer", "victim", "by node PID "},
	},
	{
		finding: v1alpha1.ConditionOtherExitSignal,
		make:    func(t *testing.T, ns string) *corev1.Pod { return perl(t, ns, "other-signal", "other_signal") },
		says:    []string{"3 dead processes sent no SIGCHLD, so plain wait() misses them", "clone", "signal"},
	},
	{
		finding: v1alpha1.ConditionContainerDead,
		make: func(_ *testing.T, ns string) *corev1.Pod {
			return programs(ns, "dead", "sleep", "infinity")
		},
		silent: true, prepare: killContainer,
		says: []string{"its PID 1 is a zombie", "a restart cannot work"},
	},
}

func TestEveryFindingHasAPod(t *testing.T) {
	t.Parallel()
	var shown []string
	for _, c := range findingCases {
		shown = append(shown, c.finding)
	}
	for _, c := range causeCases {
		if c.finding != "" {
			shown = append(shown, c.finding)
		}
	}
	want := slices.Clone(v1alpha1.Findings)
	slices.Sort(want)
	slices.Sort(shown)
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("findings without a pod (-) and the reverse (+):\n%s", diff)
	}
}

func (c findingCase) test(t *testing.T, namespace string) {
	p := c.make(t, namespace)
	create(t, p)
	containerID(t, p, "app")
	if !c.silent {
		waitLogged(t, p, "ready: ")
	}
	if c.prepare != nil {
		c.prepare(t, p)
	}
	// What is found may grow for a while: processes die one after the other.
	report := waitFinding(t, p, c.finding, append(c.says, "Container app: ", v1alpha1.DocsURL(c.finding))...)
	observed := report.Status.Observed
	if observed.Zombies != 0 || len(observed.Containers) != 0 || observed.Finding != c.finding {
		t.Errorf("the report says %+v, want no zombies and %s", observed, c.finding)
	}
	if meta.IsStatusConditionTrue(report.Status.Conditions, v1alpha1.ConditionLeaking) {
		t.Errorf("conditions are %+v, want the pod not to leak", report.Status.Conditions)
	}
	checkFindings(t, report, c.finding)
	keepSeen(t, report, c.finding)
	shown(t, c.rows...)
}

// waitFinding waits for a finding in the report of a pod, whose message must have these parts.
func waitFinding(t *testing.T, p *corev1.Pod, finding string, says ...string) *v1alpha1.ZombieReport {
	t.Helper()
	var report *v1alpha1.ZombieReport
	eventually(t, patience, func(ctx context.Context) string {
		var err error
		report, err = getReport(ctx, p.Namespace, p.Name, p.UID)
		switch {
		case err != nil:
			return err.Error()
		case report == nil:
			return fmt.Sprintf("no report of pod %s/%s", p.Namespace, p.Name)
		case !meta.IsStatusConditionTrue(report.Status.Conditions, finding) || report.Status.Observed == nil:
			return fmt.Sprintf("the report of pod %s does not tell %s: %+v", p.Name, finding, report.Status)
		}
		message := meta.FindStatusCondition(report.Status.Conditions, finding).Message
		for _, part := range says {
			if !strings.Contains(message, part) {
				return fmt.Sprintf("condition %s of pod %s says %q, want %q in it", finding, p.Name, message, part)
			}
		}
		return ""
	})
	return report
}
