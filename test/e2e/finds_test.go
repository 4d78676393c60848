package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// leak is a pod that leaks, and what must be reported of it.
type leak struct {
	pod   *corev1.Pod
	wants []want
	// since is when the last of its zombies was in place.
	since time.Time
	total int32
}

// leakCase makes a pod that leaks and tells what must be reported of it.
type leakCase struct {
	name string
	make func(t *testing.T, namespace string) leak
	// fix is a part of the advice for each parent.
	fix string
	// cannot are the remedies of which it is told for each parent that they cannot help.
	cannot []v1alpha1.Remedy
	// rows are those of the leaks in the field that it shows.
	rows []string
}

// Parts of the advice for Go programs, and for a parent that only keeps a container alive.
const (
	fixGoPID1  = "Make an init such as tini PID 1, or set shareProcessNamespace: true: it takes over orphans. Call Wait for every exec.Cmd"
	fixGoChild = "Call Wait for every exec.Cmd"
	fixIdle    = "sleep never waits for a child: make an init such as tini PID 1"
)

// A Go program has a handler for each signal, of which is not known before it is tried whether it waits. The end of one that is not PID 1
// helps, as its PID 1 reaps.
var (
	goPID1  = deafPID1[1:]
	goChild = deafWorker[1:]
)

var leakCases = []leakCase{
	{"PID 1 does not reap", pid1Leak, fixGoPID1, goPID1, []string{"A argo-cd#3611, argo-cd#22194"}},
	{"a middle process leaks under a PID 1 that reaps", middleLeak, fixGoChild, goChild, []string{"C longhorn#941"}},
	{"two containers of one pod leak", twoContainers, fixGoPID1, goPID1, nil},
	{"two containers leak in a shared PID namespace", sharedNamespace, fixGoChild, goChild, nil},
	{"orphans of exec'd commands pass to sleep", execdOrphans, fixIdle, deafPID1, nil},
	{"a Go program starts and does not wait", startNoWait, fixGoPID1, goPID1, nil},
	{"a handler missed its signals", missedSignals, fixGoPID1, goPID1, nil},
}

// leaksNamespace holds the leaks that last through all phases.
const leaksNamespace = "finds"

// findsLeaks makes every leak and checks its report. The parents that must not be reported run beside them.
func findsLeaks(t *testing.T) []leak {
	ns := namespace(t, leaksNamespace)
	for _, name := range []string{"sentinel", "search"} {
		create(t, fromManifest(t, ns, name))
	}
	// Each zombie of this one is seen two or three times, and none gets 30 s old, for which it must get its turn when many
	// pods start at once.
	slow := pod(ns, "slow-sentinel", container("app", "/leaks/sawtooth", "sawtooth", "-period=50s"))
	slow.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("200m")}
	create(t, slow)
	leaks := make([]leak, len(leakCases))
	for i, c := range leakCases {
		if !t.Run("making: "+c.name, func(s *testing.T) { leaks[i] = c.make(t, ns) }) {
			t.FailNow()
		}
	}
	for i, c := range leakCases {
		t.Run(c.name, func(t *testing.T) {
			l := leaks[i]
			report := waitReport(t, l.pod, l.total, time.Minute+firstAge)
			checkReport(t, report, l.pod, l.wants...)
			checkAdvice(t, report, c.fix, c.cannot)
			// Within two scans the report says all that; two seconds are for its requests and those of others.
			latest := l.since.Add(firstAge + 2*scanInterval + 2*time.Second)
			if written := lastStatusWrite(t, report); written.After(latest) {
				t.Errorf("report was right %s after the zombies were %s old, want within two scans of %s",
					written.Sub(l.since.Add(firstAge)), firstAge, scanInterval)
			}
			shown(t, c.rows...)
		})
	}
	return leaks
}

// checkAdvice wants a part of the advice for each parent of a report, and what cannot help it.
func checkAdvice(t *testing.T, report *v1alpha1.ZombieReport, fix string, cannot []v1alpha1.Remedy) {
	t.Helper()
	for _, c := range report.Status.Observed.Containers {
		for _, p := range c.Parents {
			if !strings.Contains(p.Fix, fix) {
				t.Errorf("the fix for %s is %q, want %q in it", p.Command, p.Fix, fix)
			}
			if diff := cmp.Diff(cannot, p.CannotHelp); diff != "" {
				t.Errorf("remedies that cannot help %s (-want +got):\n%s", p.Command, diff)
			}
		}
	}
}

// oneContainer makes a pod of one container and expects its zombies under the parent that it names itself.
func oneContainer(t *testing.T, p *corev1.Pod, command string, cause v1alpha1.Cause) leak {
	t.Helper()
	create(t, p)
	name := p.Spec.Containers[0].Name
	truth := waitInPlace(t, p, name)
	return leak{
		pod: p, since: truth.at, total: truth.zombies,
		wants: []want{{name, command, truth.zombies, truth.parentPID, cause}},
	}
}

func pid1Leak(t *testing.T, namespace string) leak {
	l := oneContainer(t, fromManifest(t, namespace, "repo-server"), "repo-server", v1alpha1.CausePID1DoesNotReap)
	if w := l.wants[0]; w.parentPID != 1 || w.zombies != 20 {
		t.Fatalf("the pod made %d zombies under PID %d, want 20 under 1", w.zombies, w.parentPID)
	}
	return l
}

func middleLeak(t *testing.T, namespace string) leak {
	l := oneContainer(t, fromManifest(t, namespace, "builder"), "buildd", v1alpha1.CauseParentDoesNotWait)
	if w := l.wants[0]; w.parentPID == 1 || w.zombies != 15 {
		t.Fatalf("the pod made %d zombies under PID %d, want 15 under another than 1", w.zombies, w.parentPID)
	}
	return l
}

func startNoWait(t *testing.T, namespace string) leak {
	return oneContainer(t, fromManifest(t, namespace, "invoicer"), "invoicer", v1alpha1.CausePID1DoesNotReap)
}

func missedSignals(t *testing.T, namespace string) leak {
	return oneContainer(t, fromManifest(t, namespace, "webhook"), "webhook", v1alpha1.CausePID1DoesNotReap)
}

func twoContainers(t *testing.T, namespace string) leak {
	p := pod(namespace, "two-containers",
		container("web", "/leaks/never-waits", "never-waits", "-count=7"),
		container("worker", "/leaks/start-no-wait", "start-no-wait", "-count=4"))
	return bothLeak(t, p, v1alpha1.CausePID1DoesNotReap)
}

func sharedNamespace(t *testing.T, namespace string) leak {
	p := pod(namespace, "shared",
		container("web", "/leaks/start-no-wait", "start-no-wait", "-count=6"),
		container("worker", "/leaks/start-no-wait", "start-no-wait", "-count=3"))
	p.Spec.ShareProcessNamespace = new(true)
	l := bothLeak(t, p, v1alpha1.CauseParentDoesNotWait)
	for _, w := range l.wants {
		if w.parentPID == 1 {
			t.Fatalf("container %s is PID 1: the namespace is not shared", w.container)
		}
	}
	return l
}

func bothLeak(t *testing.T, p *corev1.Pod, cause v1alpha1.Cause) leak {
	t.Helper()
	create(t, p)
	l := leak{pod: p}
	for _, c := range p.Spec.Containers {
		truth := waitInPlace(t, p, c.Name)
		l.wants = append(l.wants, want{c.Name, c.Command[1], truth.zombies, truth.parentPID, cause})
		l.total += truth.zombies
		if truth.at.After(l.since) {
			l.since = truth.at
		}
	}
	return l
}

func execdOrphans(t *testing.T, namespace string) leak {
	p := pod(namespace, "terminal", container("shell", "/leaks/sleep", "sleep"))
	create(t, p)
	waitInPlace(t, p, "shell")
	const orphans = 3
	if _, err := output(kubectl, "exec", "-n", namespace, p.Name, "--", "/leaks/orphan", "orphan", "-count=3"); err != nil {
		t.Fatal(err)
	}
	return leak{
		pod: p, since: time.Now(), total: orphans,
		wants: []want{{"shell", "sleep", orphans, 1, v1alpha1.CausePID1DoesNotReap}},
	}
}

// lastStatusWrite is when the agent wrote the status of a report that was just read.
func lastStatusWrite(t *testing.T, report *v1alpha1.ZombieReport) time.Time {
	t.Helper()
	var last time.Time
	for _, w := range auditedWrites(t, report.CreationTimestamp.Add(-time.Second)) {
		if w.name == report.Name && w.resource == "zombiereports/status" && strings.HasSuffix(w.user, "-agent") {
			last = w.at
		}
	}
	if last.IsZero() {
		t.Fatalf("the audit log shows no write of report %s by an agent", report.Name)
	}
	return last
}
