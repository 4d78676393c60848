package remedy

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

func TestTheLadderChooses(t *testing.T) {
	t.Parallel()
	child, term := signal(v1alpha1.SignalChild), signal(v1alpha1.SignalTerminate)
	tests := map[string]struct {
		change change
		// doing is the rung that is on, and alerts whether people are alerted.
		doing  string
		alerts bool
	}{
		"the first rung that does something, past an Alert":                   {ladder(alert, child, restart), "SIGCHLD", true},
		"no alert before the ladder has come to it":                           {ladder(child, alert, restart), "SIGCHLD", false},
		"an alert once the ladder has come past it":                           {changes(ladder(child, alert, restart), rung(1)), "Restart", true},
		"an alert that is the last rung once the others were tried":           {changes(ladder(child, alert), rung(1)), ReasonLadderExhausted, true},
		"only to alert where the ladder has nothing else":                     {ladder(alert, alert), "Alert", true},
		"the rung that was reached":                                           {changes(ladder(child, term, restart), rung(2)), "Restart", false},
		"the rung after one that cannot help":                                 {changes(ladder(child, signal(v1alpha1.SignalHangup), restart), parents(beyond(parent(7, 20), v1alpha1.RemedySIGCHLD))), "SIGHUP", false},
		"the rung after two that cannot help":                                 {changes(ladder(alert, child, term, restart), parents(beyond(parent(7, 20), v1alpha1.RemedySIGCHLD, v1alpha1.RemedySIGTERM))), "Restart", true},
		"the rung that helps one of two parents":                              {changes(ladder(child, restart), parents(beyond(parent(7, 18), v1alpha1.RemedySIGCHLD), parent(8, 2))), "SIGCHLD", false},
		"the rung after one that helps only a parent that does not matter":    {changes(ladder(child, restart), parents(beyond(parent(7, 19), v1alpha1.RemedySIGCHLD), parent(8, 1))), "Restart", false},
		"a rung that another remedy's hopelessness says nothing of":           {changes(ladder(child, restart), parents(beyond(parent(7, 20), v1alpha1.RemedySIGCONT, v1alpha1.RemedyRestartContainer))), "SIGCHLD", false},
		"the rung after a restart that would hang":                            {changes(ladder(restart, child), isTrue(v1alpha1.ConditionContainerDead)), "SIGCHLD", false},
		"a restart where zombies pile up in a sleep that SIGKILL ends":        {changes(ladder(restart, child), parents(caused(parent(7, 20), v1alpha1.CauseParentStuckInD)), isTrue(v1alpha1.ConditionPileBehindD)), "Restart", false},
		"the rung after a restart that may hang behind such a pile":           {changes(ladder(restart, child), parents(parent(1, 19), caused(beyond(parent(7, 1), v1alpha1.RemedyRestartContainer), v1alpha1.CauseParentStuckInD)), isTrue(v1alpha1.ConditionPileBehindD)), "SIGCHLD", false},
		"the rung after a restart that a tracer outside may hold up":          {changes(ladder(restart, child), isTrue(v1alpha1.ConditionHeldByTracer)), "SIGCHLD", false},
		"a restart past findings that do not keep it from ending":             {changes(ladder(restart), isTrue(v1alpha1.ConditionLeaderExited), isTrue(v1alpha1.ConditionOtherExitSignal)), "Restart", false},
		"the rung after one that cannot be taken":                             {changes(ladder(term, restart), parents(parent(1, 20))), "Restart", false},
		"to alert on the way past a rung that cannot be taken":                {changes(ladder(term, alert, restart), parents(parent(1, 20))), "Restart", true},
		"SIGCHLD where a signal is not named":                                 {ladder(v1alpha1.Rung{Action: v1alpha1.ActionSignalParent}), "SIGCHLD", false},
		"SIGCHLD where the settings are empty":                                {ladder(v1alpha1.Rung{Action: v1alpha1.ActionSignalParent, SignalParent: &v1alpha1.SignalParent{}}), "SIGCHLD", false},
		"SIGHUP for PID 1, which may take it for a wish to reload":            {changes(ladder(signal(v1alpha1.SignalHangup)), parents(parent(1, 20))), "SIGHUP", false},
		"SIGTERM for the others where PID 1 is one of the parents":            {changes(ladder(term), parents(parent(1, 18), parent(7, 2))), "SIGTERM", false},
		"nothing after the last rung, and to tell how the leak ends for good": {changes(ladder(child), rung(1)), ReasonLadderExhausted, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := decide(leaking(tc.change), now)
			if got := v.judgement.Next.Doing; got != tc.doing {
				t.Errorf("doing %s, want %s", got, tc.doing)
			}
			if v.focus.step.alerts != tc.alerts {
				t.Errorf("alerts: %t, want %t", v.focus.step.alerts, tc.alerts)
			}
		})
	}
}

func TestWhatIsDisruptive(t *testing.T) {
	t.Parallel()
	for doing, tc := range map[string]struct {
		rung v1alpha1.Rung
		want bool
	}{
		"SIGCHLD": {signal(v1alpha1.SignalChild), false},
		"SIGCONT": {signal(v1alpha1.SignalContinue), false},
		"SIGHUP":  {signal(v1alpha1.SignalHangup), true},
		"SIGTERM": {signal(v1alpha1.SignalTerminate), true},
		"SIGKILL": {signal(v1alpha1.SignalKill), true},
		"Restart": {restart, true},
	} {
		v := decide(leaking(ladder(tc.rung)), now)
		if v.act == nil || v.act.unit.Word != doing || v.act.unit.Disruptive != tc.want || v.act.unit.Restart != (doing == "Restart") {
			t.Errorf("%s: unit %+v", doing, v.act)
		}
	}
	if disruptive(&alert) {
		t.Error("an Alert is disruptive")
	}
}

func TestSignalsGoToTheParentsThatMatter(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		signal  v1alpha1.Signal
		parents []v1alpha1.Parent
		want    []int32
	}{
		"those with a tenth of the zombies or more": {v1alpha1.SignalChild, []v1alpha1.Parent{parent(7, 17), parent(8, 2), parent(9, 1)}, []int32{7, 8}},
		"those that are processes of the container": {v1alpha1.SignalChild, []v1alpha1.Parent{outside(10), parent(8, 10)}, []int32{8}},
		"those that are not PID 1, for SIGTERM":     {v1alpha1.SignalTerminate, []v1alpha1.Parent{parent(1, 10), parent(8, 10)}, []int32{8}},
		"those that are not PID 1, for SIGKILL":     {v1alpha1.SignalKill, []v1alpha1.Parent{parent(1, 10), parent(8, 10)}, []int32{8}},
		"PID 1 too, for SIGCHLD":                    {v1alpha1.SignalChild, []v1alpha1.Parent{parent(1, 10), parent(8, 10)}, []int32{1, 8}},
		"all that a report names":                   {v1alpha1.SignalChild, []v1alpha1.Parent{parent(2, 4), parent(3, 4), parent(4, 3)}, []int32{2, 3, 4}},
		"those that the signal can help":            {v1alpha1.SignalChild, []v1alpha1.Parent{beyond(parent(2, 9), v1alpha1.RemedySIGCHLD), beyond(parent(3, 5), v1alpha1.RemedySIGCONT), parent(4, 4)}, []int32{3, 4}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := decide(leaking(ladder(signal(tc.signal)), parents(tc.parents...)), now)
			if v.act == nil {
				t.Fatalf("does not act: %+v", v.judgement.Next)
			}
			var got []int32
			names := map[string]bool{}
			for i, spec := range v.act.remediations {
				got = append(got, spec.SignalParent.PID)
				names[v.act.unit.Remediations[i]] = true
				if spec.Attempt != 1 || spec.SignalParent.Signal != tc.signal || spec.SignalParent.StartTicks != 1000+int64(spec.SignalParent.PID) {
					t.Errorf("remediation %+v", spec)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("PIDs (-want +got):\n%s", diff)
			}
			if len(names) != len(tc.want) {
				t.Errorf("%d names for %d remediations", len(names), len(tc.want))
			}
		})
	}
}

func TestThePlanNamesTheProcesses(t *testing.T) {
	t.Parallel()
	v := decide(leaking(ladder(signal(v1alpha1.SignalHangup)), parents(parent(7, 8), parent(8, 6), parent(9, 6))), now)
	if want, got := "Send SIGHUP to processes 7 (worker), 8 (worker), 9 of container app (20 zombies).", v.judgement.Next.Message; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	v = decide(leaking(ladder(restart)), now)
	if want, got := "Restart container app, with 25 s of grace, to end its 20 zombies.", v.judgement.Next.Message; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
}

func TestHowAContainerIsRestarted(t *testing.T) {
	t.Parallel()
	graceful := func(seconds int32) change {
		return ladder(v1alpha1.Rung{Action: v1alpha1.ActionRestartContainer, RestartContainer: &v1alpha1.RestartContainer{GracePeriodSeconds: &seconds}})
	}
	podGrace := func(seconds *int64) change {
		return pod(func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = seconds })
	}
	exec := func(command ...string) change {
		return preStop(corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: command}})
	}
	sleep := func(seconds int64) change {
		return preStop(corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: seconds}})
	}
	words := make([]string, maxHookWords+1)
	tests := map[string]struct {
		change change
		// want is nil where it cannot be restarted, because of the hook.
		want *v1alpha1.RestartContainerAct
	}{
		"with the pod's own grace":                         {podGrace(new(int64(25))), &v1alpha1.RestartContainerAct{GracePeriodSeconds: 25}},
		"with the rung's grace before the pod's":           {graceful(7), &v1alpha1.RestartContainerAct{GracePeriodSeconds: 7}},
		"with the rung's settings left empty":              {ladder(v1alpha1.Rung{Action: v1alpha1.ActionRestartContainer, RestartContainer: &v1alpha1.RestartContainer{}}), &v1alpha1.RestartContainerAct{GracePeriodSeconds: 25}},
		"with the default of Kubernetes where none is set": {podGrace(nil), &v1alpha1.RestartContainerAct{GracePeriodSeconds: 30}},
		"with a second at least":                           {podGrace(new(int64(0))), &v1alpha1.RestartContainerAct{GracePeriodSeconds: 1}},
		"with an hour at most":                             {podGrace(new(int64(1 << 40))), &v1alpha1.RestartContainerAct{GracePeriodSeconds: 3600}},
		"with its hook of kind exec":                       {exec("/bin/drain", "now"), &v1alpha1.RestartContainerAct{GracePeriodSeconds: 25, PreStopExec: []string{"/bin/drain", "now"}}},
		"with its hook of kind sleep":                      {sleep(5), &v1alpha1.RestartContainerAct{GracePeriodSeconds: 25, PreStopSleepSeconds: new(int32(5))}},
		"with a sleep of an hour at most":                  {sleep(9999), &v1alpha1.RestartContainerAct{GracePeriodSeconds: 25, PreStopSleepSeconds: new(int32(3600))}},
		"without a sleep of no time":                       {sleep(0), &v1alpha1.RestartContainerAct{GracePeriodSeconds: 25}},
		"without the hook of another container": {pod(func(p *corev1.Pod) {
			p.Spec.Containers[1].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{}}}
		}), &v1alpha1.RestartContainerAct{GracePeriodSeconds: 25}},
		"with its hook where it is a sidecar": {changes(exec("/bin/drain"), pod(func(p *corev1.Pod) {
			p.Spec.Containers[0].RestartPolicy = &always
			p.Spec.InitContainers, p.Spec.Containers = p.Spec.Containers[:1], p.Spec.Containers[1:]
		})), &v1alpha1.RestartContainerAct{GracePeriodSeconds: 25, PreStopExec: []string{"/bin/drain"}}},
		"with as many words as fit":                {exec(words[:maxHookWords]...), &v1alpha1.RestartContainerAct{GracePeriodSeconds: 25, PreStopExec: words[:maxHookWords]}},
		"not at all with too many words":           {exec(words...), nil},
		"not at all with too long a word":          {exec(string(make([]byte, maxHookWord+1))), nil},
		"not at all with no words":                 {exec(), nil},
		"not at all with a hook of kind httpGet":   {preStop(corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(80)}}), nil},
		"not at all with a hook of kind tcpSocket": {preStop(corev1.LifecycleHandler{TCPSocket: &corev1.TCPSocketAction{}}), nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := decide(leaking(ladder(restart), tc.change), now)
			if tc.want == nil {
				if v.act != nil || v.judgement.Next.Reason != ReasonPreStopHook {
					t.Errorf("next %+v, want %s", v.judgement.Next, ReasonPreStopHook)
				}
				return
			}
			if v.act == nil {
				t.Fatalf("does not act: %+v", v.judgement.Next)
			}
			if diff := cmp.Diff(tc.want, v.act.remediations[0].RestartContainer); diff != "" {
				t.Errorf("restart (-want +got):\n%s", diff)
			}
		})
	}
}

// What is seen while an act is under way would often lead to another one: a SIGTERM moves zombies to PID 1, which may not get it.
func TestAnActUnderWayIsToldAsItWasPlanned(t *testing.T) {
	t.Parallel()
	before := leaking(ladder(signal(v1alpha1.SignalTerminate), alert, restart))
	planned := decide(before, now)
	f := afterwards(t, before, planned)
	f.book = f.book.Reserve(planned.act.unit, planned.act.position)
	for name, c := range map[string]change{
		"when its zombies have moved to PID 1":      parents(parent(1, 20)),
		"when its zombies are nearly all gone":      container(func(c *v1alpha1.ContainerObservation) { c.Zombies, c.Ages = 1, nil }),
		"when the policy is paused":                 mode(v1alpha1.ModePaused),
		"when the policy was changed":               changes(ladder(restart), webGeneration(4)),
		"when nothing was stored in the report":     func(f *facts) { f.report.Status.Judgement.Next = nil },
		"when another act was stored in the report": func(f *facts) { f.report.Status.Judgement.Next.Message = "Send SIGCHLD." },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := withBook(leaking(ladder(signal(v1alpha1.SignalTerminate), alert, restart)), f.book)
			g.report.Status.Judgement = f.report.Status.Judgement.DeepCopy()
			c(&g)
			v := decide(g, now)
			want, got := *planned.judgement.Next, *v.judgement.Next
			got.Mode = want.Mode
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("next (-planned +told):\n%s", diff)
			}
			if v.focus.step.alerts {
				t.Error("alerts, though the ladder has not come to it")
			}
		})
	}
}

func TestAnAlertStaysWhileTheRungAboveItIsTaken(t *testing.T) {
	t.Parallel()
	f := leaking(rung(1), underway(ledger.Unit{Target: web, Action: "SignalParent", Word: "SIGCHLD", Message: "Send it."}))
	if v := decide(f, now); !v.focus.step.alerts {
		t.Error("does not alert")
	}
}
