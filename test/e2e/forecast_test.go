package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/remedy"
)

// forecast compares what a report says with the moment at which a fork fails, in a pod that leaks one process a second.
func forecast(t *testing.T) {
	p := guarded(namespace(t, "forecast"), "pikoci", container("app", "/leaks/every", "every", "-count=1", "-every=1s", "-max=100000"))
	p, _ = leakingPod(t, p)
	// The limit of the pod, as the kubelet sets it by podPidsLimit.
	fillPIDs(t, filepath.Dir(pidsCgroup(t, hostPID(t, p))), 150)
	first := waitForecast(t, p)
	c := first.Status.Observed.Containers[0]
	if c.PIDs.LimitedBy != v1alpha1.PIDLimitPod || c.PIDs.ForksFailing || c.FullBy == "" {
		t.Errorf("PIDs are %+v, full by %q; want the pod's limit, and no fork failing yet", c.PIDs, c.FullBy)
	}
	if c.Births == nil || c.Births.PerHour < 3240 || c.Births.PerHour > 3960 {
		t.Errorf("births are %+v, want 3600 per hour within a tenth", c.Births)
	}
	said := lastStatusWrite(t, first)
	policy := policyFor(p, v1alpha1.ModeDryRun, restart)
	policy.Spec.Trigger = v1alpha1.Trigger{ExhaustionWithinSeconds: 3600, MinAgeSeconds: 30, ForSeconds: new(int32(2))}
	apply(t, policy)
	waitNext(t, p, remedy.ReasonDryRun)
	checkTriggered(t, p, remedy.ReasonExhaustionNear)
	failed := waitForkFailed(t, p)
	off, left := c.ExhaustionTime.Sub(failed).Abs(), failed.Sub(said)
	t.Logf("%s before forks failed the report said %s; they failed at %s: off by %s", left, c.ExhaustionTime.UTC(), failed.UTC(), off)
	if off > left/10 {
		t.Errorf("the forecast is off by %s, want at most a tenth of %s", off, left)
	}
	waitContainer(t, p, time.Minute, func(c v1alpha1.ContainerObservation) string {
		if c.PIDs == nil || !c.PIDs.ForksFailing {
			return "want it to say that forks fail"
		}
		return ""
	})
	shown(t, "A pikoci#681")
}

// waitForecast waits for the first report that says when a limit is reached.
func waitForecast(t *testing.T, p *corev1.Pod) *v1alpha1.ZombieReport {
	t.Helper()
	var report *v1alpha1.ZombieReport
	eventually(t, 2*time.Minute, func(ctx context.Context) string {
		var err error
		report, err = getReport(ctx, p.Namespace, p.Name, p.UID)
		if err != nil || report == nil || report.Status.Observed == nil || len(report.Status.Observed.Containers) == 0 ||
			report.Status.Observed.Containers[0].ExhaustionTime == nil || report.Status.Observed.Containers[0].PIDs == nil {
			return fmt.Sprintf("no forecast for pod %s (%v): %+v", p.Name, err, report)
		}
		return ""
	})
	return report
}

// waitForkFailed waits until the program in a pod says that it could not fork, and returns when that was.
func waitForkFailed(t *testing.T, p *corev1.Pod) time.Time {
	t.Helper()
	var at time.Time
	eventually(t, patience, func(ctx context.Context) string {
		log, err := logOf(ctx, p, "", true)
		if err != nil {
			return err.Error()
		}
		for line := range strings.Lines(log) {
			if stamp, text, _ := strings.Cut(line, " "); strings.Contains(text, "resource temporarily unavailable") {
				at = parseTime(t, stamp)
				return ""
			}
		}
		return "no fork has failed:\n" + log
	})
	return at
}

// checkTriggered wants a policy to have fired, and by the part of its trigger that gives this reason.
func checkTriggered(t *testing.T, p *corev1.Pod, reason string) {
	t.Helper()
	report, err := getReport(t.Context(), p.Namespace, p.Name, p.UID)
	if err != nil || report == nil {
		t.Fatalf("pod %s has no report: %v", p.Name, err)
	}
	c := meta.FindStatusCondition(report.Status.Conditions, v1alpha1.ConditionTriggered)
	if c == nil || c.Status != metav1.ConditionTrue || c.Reason != reason {
		t.Errorf("condition Triggered of pod %s is %+v, want True for %s", p.Name, c, reason)
	}
}

// pidUsage shows a policy that acts at a share of the PIDs in use, most of which are zombies: first it tells, then it restarts.
func pidUsage(t *testing.T) {
	p := guarded(namespace(t, "pid-usage"), "pid-usage", container("app", "/leaks/every", "every", "-count=60", "-every=0s"))
	p, truth := leakingPod(t, p)
	id := containerID(t, p, "app")
	fillPIDs(t, pidsCgroup(t, hostPID(t, p)), 6)
	waitContainer(t, p, patience, func(c v1alpha1.ContainerObservation) string {
		if c.Zombies != truth.zombies || c.PIDs == nil || c.PIDs.LimitedBy != v1alpha1.PIDLimitContainer || c.PIDs.UsedPercent < 80 {
			return fmt.Sprintf("want %d zombies and 80 %% of the container's PIDs", truth.zombies)
		}
		return ""
	})
	policy := policyFor(p, v1alpha1.ModeDryRun, restart)
	policy.Spec.Trigger = v1alpha1.Trigger{PIDUsagePercent: 80, MinAgeSeconds: 30, ForSeconds: new(int32(2))}
	apply(t, policy)
	waitNext(t, p, remedy.ReasonDryRun)
	checkTriggered(t, p, remedy.ReasonPIDUsageReached)
	setMode(t, policy, v1alpha1.ModeEnforce)
	checkAct(t, waitActs(t, p, 1)[0], wantAct{v1alpha1.RemediationRestartContainer, v1alpha1.OutcomeCleared, truth.zombies, 0})
	waitRestarted(t, p, id)
}
