package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/remedy"
)

// rows are the leaks that were seen in the field: A orphans adopted by a PID 1 that never waits, B exec probes, C a parent's
// own children, D a parent outside of the container, E what only looks like a leak. A test that shows one calls shown.
var rows = []string{
	"A argo-cd#3611, argo-cd#22194",
	"A pikoci#681",
	"A argo-helm#3773, prefect-helm#170, kratix#897",
	"A sandboxes: PID 1 is tail", "A sandboxes: PID 1 is cat", "A sandboxes: PID 1 is sleep",
	"B openreplay#4824",
	"B bitnami#34735",
	"B pulsar-helm-chart#554, olake-helm#176",
	"C cilium#5103",
	"C longhorn#941",
	"C datadog-agent#12997",
	"C puppeteer#615",
	"D containerd#7717, kubernetes#81042",
	"D containerd#3781",
	"D acs-engine#521",
	"E s6-overlay#135, moby#35910",
	"E kubernetes#110070",
	"E longhorn#6687",
	"E s6-overlay#359",
	"E php-src#8282",
}

var shownRows struct {
	mu   sync.Mutex
	rows map[string]bool
}

// shown notes, if the test passes, that it showed rows.
func shown(t *testing.T, names ...string) {
	t.Helper()
	if t.Failed() {
		return
	}
	shownRows.mu.Lock()
	defer shownRows.mu.Unlock()
	if shownRows.rows == nil {
		shownRows.rows = map[string]bool{}
	}
	for _, name := range names {
		shownRows.rows[name] = true
	}
}

// everyRow looks back: every row was shown.
func everyRow(t *testing.T) {
	known := map[string]bool{}
	for _, row := range rows {
		known[row] = true
		if !shownRows.rows[row] {
			t.Errorf("no test showed %s", row)
		}
	}
	for row := range shownRows.rows {
		if !known[row] {
			t.Errorf("%s is no row", row)
		}
	}
}

// rowCase is a row that no cause and no finding shows.
type rowCase struct {
	row  string
	test func(t *testing.T, namespace string)
}

var rowCases = []rowCase{
	{"A argo-helm#3773, prefect-helm#170, kratix#897", overriddenInit},
	{"A sandboxes: PID 1 is cat", func(t *testing.T, ns string) {
		p := programs(ns, "cat", "cat")
		p.Spec.Containers[0].Stdin = true // or it ends at once
		sandbox(t, p)
	}},
	{"A sandboxes: PID 1 is sleep", func(t *testing.T, ns string) { sandbox(t, programs(ns, "sleep", "sleep", "infinity")) }},
	{"B pulsar-helm-chart#554, olake-helm#176", goServerProbed},
	{"C datadog-agent#12997", slowLeak},
	{"E kubernetes#110070", aliveAndStuck},
	{"E longhorn#6687", hungStorage},
	{"E php-src#8282", initThatEnds},
}

// overriddenInit: the image has an init, and the pod's command leaves it out.
func overriddenInit(t *testing.T, namespace string) {
	p := perl(t, namespace, "overridden", "overridden")
	p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64)} // it makes a file of the image
	create(t, p)
	waitInPlace(t, p, "app")
	c := waitReport(t, p, 4, patience).Status.Observed.Containers[0]
	const tini = "/sbin/tini"
	if fix := c.Parents[0].Fix; c.InitInImage != tini || !strings.HasPrefix(fix, tini+" is in the image but not PID 1: run the program under it") {
		t.Errorf("the init is %q, the fix %q; want %s to be told", c.InitInImage, fix, tini)
	}
	if c.Parents[0].Cause != v1alpha1.CausePID1DoesNotReap {
		t.Errorf("the cause is %s", c.Parents[0].Cause)
	}
	shown(t, "A argo-helm#3773, prefect-helm#170, kratix#897")
}

// sandbox: PID 1 only keeps the container alive, and the orphans of what is exec'd stay with it.
func sandbox(t *testing.T, p *corev1.Pod) {
	create(t, p)
	containerID(t, p, "app")
	leaveOrphans(2)(t, p)
	program := p.Spec.Containers[0].Command[0]
	parent := waitReport(t, p, 2, patience).Status.Observed.Containers[0].Parents[0]
	if parent.Cause != v1alpha1.CausePID1DoesNotReap || parent.Command != program || pidOf(parent) != 1 ||
		!strings.HasPrefix(parent.Fix, program+" never waits for a child: make an init") {
		t.Errorf("the parent is %+v, want PID 1, %s, which never waits", parent, program)
	}
	shown(t, "A sandboxes: PID 1 is "+program)
}

// slowLeak: four a minute. One scan tells the rate, by when the zombies were born.
func slowLeak(t *testing.T, namespace string) {
	p := guarded(namespace, "slow-leak", container("app", "/leaks/start-no-wait", "start-no-wait", "-count=1", "-every=15s"))
	create(t, p)
	c := waitContainer(t, p, patience, func(c v1alpha1.ContainerObservation) string {
		if c.Zombies < 5 {
			return "want 5 zombies"
		}
		return ""
	})
	if c.Births == nil || c.Births.PeriodSeconds != 15 || c.Births.PerHour < 216 || c.Births.PerHour > 264 {
		t.Errorf("births are %+v, want 240 per hour within a tenth, every 15 s", c.Births)
	}
	if c.PIDs == nil || c.ExhaustionTime == nil || c.FullBy == "" {
		t.Errorf("the container has PIDs %+v, exhaustion %v, %q; want a forecast", c.PIDs, c.ExhaustionTime, c.FullBy)
	}
	if cause := c.Parents[0].Cause; cause != v1alpha1.CausePID1DoesNotReap || !strings.Contains(c.Parents[0].Fix, "Call Wait for every exec.Cmd") {
		t.Errorf("the parent is %+v, want a Go program that does not wait", c.Parents[0])
	}
	shown(t, "C datadog-agent#12997")
}

// aliveAndStuck: processes in S and D that nobody waits for are not dead.
func aliveAndStuck(t *testing.T, namespace string) {
	p := perl(t, namespace, "alive-and-stuck", "waiting")
	create(t, p)
	waitLogged(t, p, "ready: ")
	until := time.Now().Add(firstAge + 4*scanInterval)
	eventually(t, patience, func(ctx context.Context) string {
		if report, err := getReport(ctx, p.Namespace, p.Name, p.UID); err != nil || report != nil {
			t.Fatalf("the pod has a report %+v: %v", report, err)
		}
		if left := time.Until(until); left > 0 {
			return fmt.Sprintf("%s are left", left)
		}
		return ""
	})
	if stuck := statFields(processNamed(t, p, "umount"))[0]; stuck != "D" {
		t.Errorf("the process that should hang in D is in state %s", stuck)
	}
	shown(t, "E kubernetes#110070")
}

// initThatEnds: when the parent is ended, its zombies come to an init that does not know them, and ends. The act cures, and the
// container was restarted: what an act does is known only afterwards.
func initThatEnds(t *testing.T, namespace string) {
	p := perl(t, namespace, "php-fpm", "php_init")
	create(t, p)
	truth := waitInPlace(t, p, "app")
	waitReport(t, p, truth.zombies, patience)
	id := containerID(t, p, "app")
	enforce(t, p, send(v1alpha1.SignalTerminate))
	checkAct(t, waitActs(t, p, 1)[0], wantAct{v1alpha1.RemediationSignalParent, v1alpha1.OutcomeCured, truth.zombies, 0})
	waitRestarted(t, p, id)
	shown(t, "E php-src#8282")
}

// goServerProbed: a Go server adopts what its liveness probe leaves behind. Its pod has no PID limit: the node's is the next.
func goServerProbed(t *testing.T, namespace string) {
	p := programs(namespace, "olake", "/leaks/invoicer", "start-no-wait", "-count=1")
	p.Spec.Containers[0].LivenessProbe = timeoutProbe(10)
	create(t, p)
	waitProbeLeaks(t, p, "livenessProbe")
	c := waitContainer(t, p, time.Minute, func(c v1alpha1.ContainerObservation) string {
		if c.PIDs == nil {
			return "want its PIDs"
		}
		return ""
	})
	switch c.PIDs.LimitedBy {
	case v1alpha1.PIDLimitPIDMax, v1alpha1.PIDLimitThreadsMax, v1alpha1.PIDLimitKubepods:
	case v1alpha1.PIDLimitContainer, v1alpha1.PIDLimitPod:
		t.Errorf("PIDs are %+v, want a limit of the node", c.PIDs)
	}
	shown(t, "B pulsar-helm-chart#554, olake-helm#176")
}

// probeLeaks: a readiness probe leaves a `timeout` behind each time, and the pod stays Ready.
func probeLeaks(t *testing.T) {
	p := programs(namespace(t, "probe"), "openreplay", "sleep", "infinity")
	p.Spec.Containers[0].ReadinessProbe = timeoutProbe(5)
	create(t, p)
	report := waitProbeLeaks(t, p, "readinessProbe")
	c := report.Status.Observed.Containers[0]
	if c.Births.PeriodSeconds != 5 || c.Births.Burst != 1 || c.Births.PerHour < 648 || c.Births.PerHour > 792 {
		t.Errorf("births are %+v, want 720 per hour within a tenth, one every 5 s", c.Births)
	}
	parent := c.Parents[0]
	if parent.Command != "sleep" || len(parent.Dead) != 1 || parent.Dead[0].Command != "timeout" || parent.Dead[0].Exit != "exit 124" {
		t.Errorf("the parent is %+v, want sleep with dead timeouts", parent)
	}
	var now corev1.Pod
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(p), &now); err != nil || !podReady(now) {
		t.Errorf("the pod is not ready (%v): %+v", err, now.Status.Conditions)
	}
	keepSeen(t, report, v1alpha1.ConditionProbeLeaks)
	restartDoesNotCure(t, p)
	shown(t, "B openreplay#4824")
}

// restartDoesNotCure: a restart ends the zombies of a probe, as many come again, and the next restart has to wait.
func restartDoesNotCure(t *testing.T, p *corev1.Pod) {
	t.Helper()
	id := containerID(t, p, "app")
	enforce(t, p, restart)
	act := waitActs(t, p, 1)[0]
	if act.Status.Outcome != v1alpha1.OutcomeCleared {
		t.Errorf("the outcome is %s (%s), want Cleared", act.Status.Outcome, act.Status.Message)
	}
	waitRestarted(t, p, id)
	waitNext(t, p, remedy.ReasonCooldown)
	waitProbeLeaks(t, p, "readinessProbe")
	if acts := waitActs(t, p, 1); len(acts) != 1 {
		t.Errorf("there were %d acts, want 1", len(acts))
	}
}

// timeoutProbe is an exec probe that ends before its `timeout` does.
func timeoutProbe(period int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{
			Command: []string{"sh", "-c", "timeout 0.5 sleep 10 & exit 0"},
		}},
		PeriodSeconds: period, TimeoutSeconds: 5,
	}
}

// waitProbeLeaks waits until a report says that a probe leaks.
func waitProbeLeaks(t *testing.T, p *corev1.Pod, probe string) *v1alpha1.ZombieReport {
	t.Helper()
	report := waitFinding(t, p, v1alpha1.ConditionProbeLeaks)
	message := meta.FindStatusCondition(report.Status.Conditions, v1alpha1.ConditionProbeLeaks).Message
	for _, says := range []string{"Container app: its " + probe, v1alpha1.DocsURL(v1alpha1.ConditionProbeLeaks)} {
		if !strings.Contains(message, says) {
			t.Errorf("condition ProbeLeaks says %q, want %q in it", message, says)
		}
	}
	t.Log(message)
	return report
}
