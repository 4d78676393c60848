package remedy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/govern"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

const (
	webUID   = "0b2d5a3e-7f1c-4a52-9d0e-6a1f5b3c2d4e"
	appID    = "aaaaaaaaaaaaaaaaaaaaaaaa"
	otherID  = "bbbbbbbbbbbbbbbbbbbbbbbb"
	appFix   = "Wait for every child, or set init: true."
	ourSpace = "zombie-system"
)

var (
	now    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	always = corev1.ContainerRestartPolicyAlways
)

// change makes something of a situation different.
type change func(*facts)

// leaking are the facts about a pod whose one container leaks, whose policy wants SIGCHLD first, and which nothing keeps from it.
func leaking(changes ...change) facts {
	f := facts{
		report: leakingReport(),
		pod:    leakingPod(),
		rulings: map[v1alpha1.ContainerName]govern.Ruling{
			"app": webRuling(),
		},
		operatorNamespace: ourSpace,
	}
	for _, c := range changes {
		c(&f)
	}
	return f
}

func leakingReport() *v1alpha1.ZombieReport {
	return &v1alpha1.ZombieReport{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: v1alpha1.ReportName("web-0", webUID), Generation: 1},
		Spec:       v1alpha1.ZombieReportSpec{PodName: "web-0", PodUID: webUID, NodeName: "n1"},
		Status: v1alpha1.ZombieReportStatus{
			Observed: &v1alpha1.Observed{Zombies: 20, Containers: []v1alpha1.ContainerObservation{leakingContainer()}},
			Judgement: &v1alpha1.Judgement{
				Container: "app",
				Policy:    &v1alpha1.PolicyReference{Kind: govern.KindNamespaced, Name: "web", Generation: 3},
				Next:      &v1alpha1.NextStep{Mode: v1alpha1.ModeEnforce, Reason: ReasonHolding, Doing: ReasonHolding},
				Triggered: []v1alpha1.TriggeredContainer{{Name: "app", Since: at(-10 * time.Minute)}},
			},
			Conditions: []metav1.Condition{
				{Type: v1alpha1.ConditionLeaking, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonZombiesCounted, LastTransitionTime: at(-time.Hour)},
				{Type: v1alpha1.ConditionStale, Status: metav1.ConditionFalse, Reason: "AgentReady", LastTransitionTime: at(-time.Hour)},
				{Type: v1alpha1.ConditionTriggered, Status: metav1.ConditionTrue, Reason: ReasonZombiesReached, LastTransitionTime: at(-10 * time.Minute)},
				{Type: v1alpha1.ConditionAlerting, Status: metav1.ConditionFalse, Reason: ReasonAlertOver, LastTransitionTime: at(-10 * time.Minute)},
			},
		},
	}
}

func leakingContainer() v1alpha1.ContainerObservation {
	return v1alpha1.ContainerObservation{
		Name: "app", ContainerID: appID, Zombies: 20,
		Ages:    []v1alpha1.AgeCount{{MinAgeSeconds: 30, Zombies: 20}, {MinAgeSeconds: 60, Zombies: 20}, {MinAgeSeconds: 300, Zombies: 12}},
		Parents: []v1alpha1.Parent{parent(7, 20)},
	}
}

// parent is a process of the container that holds zombies.
func parent(pid, zombies int32) v1alpha1.Parent {
	return v1alpha1.Parent{
		PID: &pid, StartTicks: 1000 + int64(pid), Command: "worker", Zombies: zombies, OldestZombieTime: at(-time.Hour),
		Cause: v1alpha1.CauseParentDoesNotWait, Message: "Process 7 (worker) does not wait for its children.", Fix: appFix,
	}
}

// beyond is a parent that these remedies cannot help.
func beyond(p v1alpha1.Parent, remedies ...v1alpha1.Remedy) v1alpha1.Parent {
	p.CannotHelp = remedies
	return p
}

// caused is a parent with another cause.
func caused(p v1alpha1.Parent, cause v1alpha1.Cause) v1alpha1.Parent {
	p.Cause = cause
	return p
}

// isTrue adds a condition of the agent.
func isTrue(condition string) change {
	return report(func(r *v1alpha1.ZombieReport) {
		r.Status.Conditions = append(r.Status.Conditions, metav1.Condition{
			Type: condition, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonObserved, LastTransitionTime: at(-time.Hour),
		})
	})
}

// outside is a parent that is no process of the container.
func outside(zombies int32) v1alpha1.Parent {
	p := parent(1, zombies)
	p.PID, p.Command, p.Cause = nil, "containerd-shim", v1alpha1.CauseParentOutsideContainer
	return p
}

func leakingPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", UID: webUID, Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{
			NodeName: "n1", RestartPolicy: corev1.RestartPolicyAlways, TerminationGracePeriodSeconds: new(int64(25)), Priority: new(int32(1000)),
			Containers: []corev1.Container{{Name: "app"}, {Name: "log"}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
			runningStatus("app", appID), runningStatus("log", otherID),
		}},
	}
}

func runningStatus(name, id string) corev1.ContainerStatus {
	return corev1.ContainerStatus{
		Name: name, ContainerID: "containerd://" + id, Ready: true,
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
	}
}

var (
	alert   = v1alpha1.Rung{Action: v1alpha1.ActionAlert}
	restart = v1alpha1.Rung{Action: v1alpha1.ActionRestartContainer}
)

func signal(s v1alpha1.Signal) v1alpha1.Rung {
	return v1alpha1.Rung{Action: v1alpha1.ActionSignalParent, SignalParent: &v1alpha1.SignalParent{Signal: s}}
}

func webSpec() v1alpha1.ZombiePolicySpec {
	return v1alpha1.ZombiePolicySpec{
		Mode:     v1alpha1.ModeEnforce,
		Selector: v1alpha1.Selector{MatchLabels: map[string]v1alpha1.LabelValue{"app": "web"}},
		Trigger:  v1alpha1.Trigger{Zombies: 10, MinAgeSeconds: 300, ForSeconds: new(int32(60))},
		Ladder:   []v1alpha1.Rung{alert, signal(v1alpha1.SignalChild), restart},
	}
}

func webRuling() govern.Ruling {
	policy := &v1alpha1.ZombiePolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Generation: 3}, Spec: webSpec()}
	return govern.Ruling{
		Reference: v1alpha1.PolicyReference{Kind: govern.KindNamespaced, Name: "web", Generation: 3},
		Spec:      policy.Spec, Object: policy, Mode: v1alpha1.ModeEnforce,
	}
}

const webMark = "ZombiePolicy/web@3"

var web = ledger.Target{PodUID: webUID, Container: "app"}

// at is a time as an API object keeps it.
func at(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(d)) }

func ruled1(edit func(*govern.Ruling)) change {
	return func(f *facts) {
		r := f.rulings["app"]
		r.Spec = *r.Spec.DeepCopy()
		edit(&r)
		f.rulings["app"] = r
	}
}

func mode(m v1alpha1.PolicyMode) change { return ruled1(func(r *govern.Ruling) { r.Mode = m }) }

func ladder(rungs ...v1alpha1.Rung) change {
	return ruled1(func(r *govern.Ruling) { r.Spec.Ladder = rungs })
}

func trigger(edit func(*v1alpha1.Trigger)) change {
	return ruled1(func(r *govern.Ruling) { edit(&r.Spec.Trigger) })
}

func container(edit func(*v1alpha1.ContainerObservation)) change {
	return func(f *facts) { edit(&f.report.Status.Observed.Containers[0]) }
}

func parents(all ...v1alpha1.Parent) change {
	return container(func(c *v1alpha1.ContainerObservation) { c.Parents = all })
}

func pod(edit func(*corev1.Pod)) change { return func(f *facts) { edit(f.pod) } }

func report(edit func(*v1alpha1.ZombieReport)) change { return func(f *facts) { edit(f.report) } }

// position is that of the container, of this policy and this container ID unless the edit says otherwise.
func position(edit func(*ledger.Position)) change {
	return func(f *facts) {
		p := ledger.Position{Target: web, Policy: webMark, ContainerID: appID, Attempts: 1, EndedAt: now.Add(-30 * time.Minute)}
		edit(&p)
		f.book.Positions = append(f.book.Positions, p)
	}
}

func rung(i int) change { return position(func(p *ledger.Position) { p.Rung = i }) }

func underway(units ...ledger.Unit) change {
	return func(f *facts) { f.book.Units = slices.Clone(units) }
}

// otherUnit is an act on another pod.
func otherUnit(disruptive bool) ledger.Unit {
	return ledger.Unit{
		Target: ledger.Target{PodUID: "other", Container: "db"}, Namespace: "bank", PodName: "db-0", ContainerID: "cccc",
		Disruptive: disruptive, ReservedAt: now.Add(-time.Minute), Remediations: []string{"db-0-1"},
	}
}

// second adds a container with less zombies, governed alike.
func second(f *facts) {
	c := leakingContainer()
	c.Name, c.ContainerID, c.Zombies, c.Parents = "log", otherID, 15, []v1alpha1.Parent{parent(9, 15)}
	f.report.Status.Observed.Containers = append(f.report.Status.Observed.Containers, c)
	f.report.Status.Judgement.Triggered = append(f.report.Status.Judgement.Triggered, v1alpha1.TriggeredContainer{Name: "log", Since: at(-10 * time.Minute)})
	f.rulings["log"] = webRuling()
}

func changes(all ...change) change {
	return func(f *facts) {
		for _, c := range all {
			c(f)
		}
	}
}

// afterwards are the facts with the verdict stored in the report, as the API server keeps it.
func afterwards(t *testing.T, f facts, v verdict) facts {
	t.Helper()
	f.report = f.report.DeepCopy()
	f.report.Status.Judgement = v.judgement
	for _, c := range v.conditions {
		meta.SetStatusCondition(&f.report.Status.Conditions, c)
	}
	raw, err := json.Marshal(f.report)
	if err != nil {
		t.Fatal(err)
	}
	f.report = &v1alpha1.ZombieReport{}
	if err := json.Unmarshal(raw, f.report); err != nil {
		t.Fatal(err)
	}
	return f
}

// line is an Event as one line.
func (o occurrence) line() string {
	return strings.Join([]string{o.kind, o.reason, o.action, o.note}, " ")
}

func lines(all []occurrence) []string {
	var told []string
	for _, o := range all {
		told = append(told, o.line())
	}
	return told
}

// about are the Events for which a reason is told.
func about(all []occurrence, reason string) []string {
	var told []string
	for _, o := range all {
		if o.reason == reason {
			told = append(told, o.line())
		}
	}
	return told
}
