package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/remedy"
)

// causeCase is a pod whose zombies stay for one cause, and what its report must say.
type causeCase struct {
	cause v1alpha1.Cause
	// name is the pod's name; empty: it is that of the tree.
	name string
	// tree is the tree that runs in the pod, unless make makes another pod.
	tree string
	make func(t *testing.T, namespace string) *corev1.Pod
	// prepare does something to the pod that runs.
	prepare func(*testing.T, *corev1.Pod)
	// command is the parent's, zombies how many it holds.
	command string
	zombies int32
	// outside is whether the parent is none of the container's processes.
	outside bool
	// message, evidence and fix are parts of what is said.
	message, evidence, fix string
	cannot                 []v1alpha1.Remedy
	dead                   []v1alpha1.DeadGroup
	// finding is the condition that must be True beside it; empty: none.
	finding string
	// refused is the reason for which neither a signal nor a restart is tried, refusal a part of what is said of it; empty: not looked at.
	refused, refusal string
	// rows are those of the leaks in the field that it shows.
	rows []string
}

// Remedies that cannot help, by the parent's state.
var (
	deafWorker = []v1alpha1.Remedy{v1alpha1.RemedySIGCHLD, v1alpha1.RemedySIGCONT}
	deafPID1   = []v1alpha1.Remedy{v1alpha1.RemedySIGCHLD, v1alpha1.RemedySIGCONT, v1alpha1.RemedySIGTERM, v1alpha1.RemedySIGKILL}
	heldParent = []v1alpha1.Remedy{v1alpha1.RemedySIGCHLD, v1alpha1.RemedySIGCONT, v1alpha1.RemedySIGHUP, v1alpha1.RemedySIGTERM}
	everything = append(slices.Clone(heldParent), v1alpha1.RemedySIGKILL, v1alpha1.RemedyRestartContainer)
)

var causeCases = []causeCase{
	{
		cause: v1alpha1.CausePID1DoesNotReap, name: "tail", command: "tail", zombies: 3,
		make:    func(_ *testing.T, ns string) *corev1.Pod { return programs(ns, "tail", "tail", "-f", "/dev/null") },
		prepare: leaveOrphans(3),
		message: "PID 1 (tail) does not wait", evidence: "SIGCHLD default", fix: "tail never waits for a child: make an init such as tini PID 1",
		cannot: deafPID1, dead: []v1alpha1.DeadGroup{{Command: "sh", Exit: "exit 3", Zombies: 3}},
		rows: []string{"A sandboxes: PID 1 is tail"},
	},
	{
		cause: v1alpha1.CauseParentDoesNotWait, tree: "worker", command: "worker", zombies: 5,
		message: "(worker) does not wait for its dead children", evidence: "SIGCHLD default", fix: "Let worker wait for every child",
		cannot: deafWorker, dead: []v1alpha1.DeadGroup{{Command: "sh", Exit: "exit 3", Zombies: 5}},
	},
	{
		cause: v1alpha1.CauseHandlerLeavesChildren, tree: "handler", command: "mailer", zombies: 4,
		message: "not known before it is tried", evidence: "SIGCHLD caught", fix: "On each SIGCHLD mailer must wait in a loop for its own",
		cannot: deafPID1[1:], dead: []v1alpha1.DeadGroup{{Command: "sendmail", Exit: "killed by 9", Zombies: 4}},
	},
	{
		cause: v1alpha1.CauseSignalBlocked, tree: "blocked", command: "broker", zombies: 3,
		message: "blocks SIGCHLD in all its threads", evidence: "blocked, pending", fix: "Unblock SIGCHLD",
		cannot: deafPID1, dead: []v1alpha1.DeadGroup{{Command: "hook", Exit: "exit 1", Zombies: 3}},
	},
	{
		cause: v1alpha1.CauseSignalIgnored, tree: "ignored", command: "gateway", zombies: 3,
		message: "died before it did", evidence: "SIGCHLD ignored", fix: "Ignore SIGCHLD before the first child starts",
		cannot: deafPID1, dead: []v1alpha1.DeadGroup{{Command: "setup", Exit: "exit 0", Zombies: 3}},
	},
	{
		cause: v1alpha1.CauseWaitsForOtherChild, name: "other-child", tree: "other_child", command: "runner", zombies: 3,
		message: "waits for its child", evidence: "waits for child", fix: "runner must wait for children that it starts itself",
		cannot: deafPID1, dead: []v1alpha1.DeadGroup{{Command: "step", Exit: "exit 2", Zombies: 3}},
	},
	{
		cause: v1alpha1.CauseParentStopped, tree: "stopped", command: "editor", zombies: 3,
		message: "(editor) is stopped", evidence: "State T", fix: "Continue it with SIGCONT",
		cannot: []v1alpha1.Remedy{v1alpha1.RemedySIGCHLD, v1alpha1.RemedySIGHUP, v1alpha1.RemedySIGTERM},
		dead:   []v1alpha1.DeadGroup{{Command: "make", Exit: "exit 2", Zombies: 3}},
	},
	{
		cause: v1alpha1.CauseParentFrozen, name: "frozen", tree: "ignored", command: "gateway", zombies: 3, prepare: freeze,
		message: "in a frozen cgroup", evidence: "Its cgroup is frozen", fix: "thaw the cgroup",
		cannot: everything, dead: []v1alpha1.DeadGroup{{Command: "setup", Exit: "exit 0", Zombies: 3}},
		refused: remedy.ReasonParentFrozen, refusal: "its cgroup is frozen",
	},
	{
		cause: v1alpha1.CauseParentStuckInD, tree: "stuck", command: "backup", zombies: 4,
		message: "hangs in state D", evidence: "State D", fix: "Mend what it waits for",
		// It hangs in vfork(), which SIGKILL ends, and so does what ends it by default.
		cannot:  deafWorker,
		dead:    []v1alpha1.DeadGroup{{Command: "mount.nfs", Exit: "exit 32", Zombies: 4}},
		finding: v1alpha1.ConditionPileBehindD,
	},
	{
		cause: v1alpha1.CauseParentTraced, tree: "traced", command: "api", zombies: 3,
		message: "held by a tracer", evidence: "State t", fix: "Let the tracer detach",
		cannot: heldParent, dead: []v1alpha1.DeadGroup{{Command: "worker", Exit: "exit 0", Zombies: 3}},
	},
	{
		cause: v1alpha1.CauseMovedFromOtherParent, tree: "moved", command: "server", zombies: 7,
		message: "inherited most of these zombies from browser, which ended", evidence: "6 of 7 zombies had another parent before",
		fix: "Make an init such as tini PID 1, or set shareProcessNamespace: true: it takes over orphans.", cannot: deafPID1,
		dead: []v1alpha1.DeadGroup{{Command: "renderer", Exit: "exit 0", Zombies: 6}, {Command: "browser", Exit: "exit 0", Zombies: 1}},
		rows: []string{"C puppeteer#615"},
	},
	{
		cause: v1alpha1.CauseParentOutsideContainer, name: "outside", command: "containerd-shim", zombies: 2, outside: true,
		make:    func(_ *testing.T, ns string) *corev1.Pod { return programs(ns, "outside", "sleep", "infinity") },
		prepare: leaveToShim(2),
		message: "a restart hangs while they stay", evidence: "not in the container's PID namespace", fix: "container runtime's shim",
		cannot: everything, dead: []v1alpha1.DeadGroup{{Command: "tail", Exit: "killed by 9", Zombies: 2}},
		refused: remedy.ReasonParentOutside, refusal: "a restart could not finish",
		rows: []string{"D containerd#7717, kubernetes#81042"},
	},
}

// causes shows a pod for each cause, one for each finding, and every other row of the leaks in the field.
func causes(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "causes")
	makeScrapers(t)
	side := func(name string, test func(*testing.T)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
	for _, c := range causeCases {
		side("cause "+string(c.cause), func(t *testing.T) { c.test(t, ns) })
	}
	for _, c := range findingCases {
		side("finding "+c.finding, func(t *testing.T) { c.test(t, ns) })
	}
	for _, c := range rowCases {
		side(c.row, func(t *testing.T) { c.test(t, ns) })
	}
	side("a probe that leaks is named", probeLeaks)
	side("a parent that waits late is left alone", lateParentLeftAlone)
	side("hostile names", hostileNames)
	side("the forecast comes true", forecast)
	side("a policy fires at a share of the PIDs", pidUsage)
	side("zombies of the node", nodeZombies)
	side("metrics are read by those who may only", metricsRefused)
}

func TestEveryCauseHasAPod(t *testing.T) {
	t.Parallel()
	var shown []v1alpha1.Cause
	for _, c := range causeCases {
		shown = append(shown, c.cause)
	}
	if diff := cmp.Diff(v1alpha1.Causes, shown); diff != "" {
		t.Errorf("causes without a pod (-) and the reverse (+):\n%s", diff)
	}
}

func (c causeCase) test(t *testing.T, namespace string) {
	name := c.name
	if name == "" {
		name = c.tree
	}
	var p *corev1.Pod
	parentPID := int32(1)
	if c.make != nil {
		p = c.make(t, namespace)
		create(t, p)
		containerID(t, p, p.Spec.Containers[0].Name)
	} else {
		p = perl(t, namespace, name, c.tree)
		create(t, p)
		parentPID = waitInPlace(t, p, "app").parentPID
	}
	if c.prepare != nil {
		c.prepare(t, p)
	}
	report := waitReport(t, p, c.zombies, patience)
	c.check(t, report, parentPID)
	keepSeen(t, report, string(c.cause))
	if c.refused != "" {
		checkNoRungHelps(t, p, c.refused, c.refusal)
	}
	shown(t, c.rows...)
}

func (c causeCase) check(t *testing.T, report *v1alpha1.ZombieReport, parentPID int32) {
	t.Helper()
	observed := report.Status.Observed
	if observed.Finding != string(c.cause) || len(observed.Containers) != 1 || len(observed.Containers[0].Parents) != 1 {
		t.Fatalf("the report says %+v, want one parent and %s", observed, c.cause)
	}
	parent := observed.Containers[0].Parents[0]
	pid := pidOf(parent)
	if c.outside {
		parentPID = 0
	}
	if parent.Cause != c.cause || parent.Command != c.command || parent.Zombies != c.zombies || pid != parentPID {
		t.Errorf("the parent is %s (PID %d) with %d zombies, cause %s; want %s (PID %d), %d, %s",
			parent.Command, pid, parent.Zombies, parent.Cause, c.command, parentPID, c.zombies, c.cause)
	}
	for what, texts := range map[string][2]string{
		"message": {parent.Message, c.message}, "evidence": {parent.Evidence, c.evidence}, "fix": {parent.Fix, c.fix},
	} {
		if !strings.Contains(texts[0], texts[1]) {
			t.Errorf("the %s is %q, want %q in it", what, texts[0], texts[1])
		}
	}
	if diff := cmp.Diff(c.cannot, parent.CannotHelp); diff != "" {
		t.Errorf("remedies that cannot help (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(c.dead, parent.Dead); diff != "" {
		t.Errorf("the dead (-want +got):\n%s", diff)
	}
	checkFindings(t, report, c.finding)
	if c.finding != "" {
		says := fmt.Sprintf("%d zombies pile up behind %s (PID %d) in state D. A restart ends such a sleep.", c.zombies, c.command, parentPID)
		if condition := meta.FindStatusCondition(report.Status.Conditions, c.finding); condition == nil || !strings.Contains(condition.Message, says) {
			t.Errorf("condition %s is %+v, want %q in it", c.finding, condition, says)
		}
	}
	leaking := meta.FindStatusCondition(report.Status.Conditions, v1alpha1.ConditionLeaking)
	if leaking == nil || !strings.Contains(leaking.Message, v1alpha1.DocsURL(string(c.cause))) {
		t.Errorf("condition Leaking is %+v, want it to link the page of the cause", leaking)
	}
}

// checkFindings wants one finding True, or none, and the others absent.
func checkFindings(t *testing.T, report *v1alpha1.ZombieReport, want string) {
	t.Helper()
	for _, finding := range v1alpha1.Findings {
		condition := meta.FindStatusCondition(report.Status.Conditions, finding)
		if (condition != nil) != (finding == want) {
			t.Errorf("condition %s is %+v; want only %q", finding, condition, want)
		}
	}
}

// leaveOrphans runs commands in a container that leave orphans to its PID 1.
func leaveOrphans(count int) func(*testing.T, *corev1.Pod) {
	return func(t *testing.T, p *corev1.Pod) {
		t.Helper()
		script := strings.Repeat("(sleep 0.3; exit 3) & ", count)
		if _, err := output(kubectl, "exec", "-n", p.Namespace, p.Name, "--", "sh", "-c", script+"exit 0"); err != nil {
			t.Fatal(err)
		}
	}
}

// freeze freezes the cgroup of a pod's container until the test ends.
func freeze(t *testing.T, p *corev1.Pod) {
	t.Helper()
	pid := hostPID(t, p)
	file, on, off := cgroupOf(t, pid, "freezer")+"/freezer.state", "FROZEN", "THAWED"
	if cgroupOf(t, pid, "freezer") == cgroupOf(t, pid, "") {
		file, on, off = cgroupOf(t, pid, "")+"/cgroup.freeze", "1", "0"
	}
	t.Cleanup(func() { writeFile(t, file, off) })
	eventually(t, time.Minute, func(context.Context) string {
		writeFile(t, file, on) // cgroup v1 gives up on what is being forked
		if state := readFile(t, file); state != on {
			return fmt.Sprintf("%s says %s", file, state)
		}
		return ""
	})
}
