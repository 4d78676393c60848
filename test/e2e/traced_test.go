package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/zombie-operator/zombie-operator/agent/target/targettest"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/remedy"
)

// tracerOutside lets a debugger on the node, which is this test, hold the parent. A restart would hang: killed, the parent would
// stay a zombie until the debugger waits for it, and the container's PID 1 would not end before.
func tracerOutside(t *testing.T) {
	const name = "guard-traced"
	p, _ := leakingPod(t, perl(t, namespace(t, name), name, "worker"))
	targettest.Trace(t, processNamed(t, p, "worker"), true)
	eventually(t, patience, func(ctx context.Context) string {
		report, err := getReport(ctx, p.Namespace, p.Name, p.UID)
		switch {
		case err != nil:
			return err.Error()
		case report == nil || report.Status.Observed == nil || report.Status.Observed.Finding != string(v1alpha1.CauseParentTraced):
			return fmt.Sprintf("the report of pod %s does not tell that the parent is traced: %+v", p.Name, report)
		}
		parent := report.Status.Observed.Containers[0].Parents[0]
		if want := append(slices.Clone(heldParent), v1alpha1.RemedyRestartContainer); !slices.Equal(parent.CannotHelp, want) {
			t.Fatalf("remedies that cannot help are %v, want %v", parent.CannotHelp, want)
		}
		return ""
	})
	enforce(t, p, restart)
	checkRefused(t, p, remedy.ReasonCannotHelp, "a tracer outside of the container holds it", v1alpha1.ActionRestartContainer)
}

// tracerOfAnother lets this test trace a process that is no parent of zombies, of which no report tells: the agent finds it at its last look.
func tracerOfAnother(t *testing.T) {
	const name = "traced-init"
	p, _ := leakingPod(t, perl(t, namespace(t, name), name, "worker"))
	id := containerID(t, p, "app")
	targettest.Trace(t, hostPID(t, p), false)
	enforce(t, p, restart)
	act := waitActs(t, p, 1)[0]
	if act.Status.Outcome != v1alpha1.OutcomeRefused || !strings.Contains(act.Status.Message, "process 1 (init), traced by process") {
		t.Errorf("the outcome is %s (%s), want Refused, and who traces PID 1", act.Status.Outcome, act.Status.Message)
	}
	checkUntouched(t, p, id)
}
