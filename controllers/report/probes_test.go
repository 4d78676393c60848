package report

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

func execProbe(period int32) *corev1.Probe {
	return &corev1.Probe{PeriodSeconds: period, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}}}
}

func httpProbe(period int32) *corev1.Probe {
	return &corev1.Probe{PeriodSeconds: period, ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{}}}
}

// probed gives the leaking container probes.
func probed(c corev1.Container) change {
	return func(f *facts) {
		c := *c.DeepCopy()
		c.Name = "app"
		f.pod.Spec.Containers = []corev1.Container{{Name: "log", LivenessProbe: execProbe(7)}, c}
	}
}

// bornEvery has its zombies come in bursts.
func bornEvery(period, burst int32) change {
	return func(f *facts) {
		c := &f.report.Status.Observed.Containers[0]
		c.Births = &v1alpha1.Births{PerHour: 360, Burst: burst, PeriodSeconds: period}
		if c.Parents == nil {
			heldBy(v1alpha1.Parent{PID: new(int32(1)), Zombies: c.Zombies})(f)
		}
	}
}

func heldBy(parents ...v1alpha1.Parent) change {
	return func(f *facts) {
		c := &f.report.Status.Observed.Containers[0]
		c.Parents, c.Zombies = parents, 0
		for _, p := range parents {
			c.Zombies += p.Zombies
		}
	}
}

// startedIs tells whether the startup probe of the container has succeeded.
func startedIs(started bool) change {
	return func(f *facts) { f.pod.Status.ContainerStatuses[0].Started = &started }
}

// cure ends each message.
const cure = "Use httpGet, tcpSocket or grpc; no restart cures it: https://github.com/zombie-operator/zombie-operator/blob/main/docs/causes/ProbeLeaks.md"

func TestAProbeThatLeaksIsNamed(t *testing.T) {
	t.Parallel()
	ready := probed(corev1.Container{ReadinessProbe: execProbe(10)})
	const readyLeaks = "Container app: its readinessProbe (every 10 s) probably leaks: zombies come as often. " + cure
	starting := probed(corev1.Container{StartupProbe: execProbe(10)})
	startLeaks := strings.ReplaceAll(readyLeaks, "readinessProbe", "startupProbe")
	child := func(pid, zombies int32) v1alpha1.Parent { return v1alpha1.Parent{PID: &pid, Zombies: zombies} }
	sidecar := func(f *facts) {
		f.pod.Spec.InitContainers = []corev1.Container{{
			Name: "app", RestartPolicy: new(corev1.ContainerRestartPolicyAlways), StartupProbe: execProbe(10),
		}}
	}
	second := func(f *facts) {
		f.report.Status.Observed.Containers = append([]v1alpha1.ContainerObservation{{Name: "db", ContainerID: "dddd", Zombies: 9}}, f.report.Status.Observed.Containers...)
		f.pod.Status.ContainerStatuses = append(f.pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: "db", ContainerID: "containerd://dddd"})
	}
	tests := map[string]struct {
		changes         []change
		reason, message string // empty: no condition
	}{
		"a readiness probe": {[]change{ready, bornEvery(10, 1)}, ReasonReadinessProbe, readyLeaks},
		"a liveness probe": {
			[]change{probed(corev1.Container{LivenessProbe: execProbe(60), ReadinessProbe: execProbe(10)}), bornEvery(60, 3)}, ReasonLivenessProbe,
			"Container app: its livenessProbe (every 60 s) probably leaks: zombies come as often. " + cure,
		},
		"a startup probe of a sidecar": {[]change{sidecar, bornEvery(10, 0)}, ReasonStartupProbe, startLeaks},
		"all of several that run as often": {
			[]change{probed(corev1.Container{LivenessProbe: execProbe(10), ReadinessProbe: execProbe(11), StartupProbe: execProbe(60)}), bornEvery(10, 1)}, ReasonSeveralProbes,
			"Container app: livenessProbe or readinessProbe probably leaks: zombies come as often. " + cure,
		},
		"that of the second container, where the first has none":   {[]change{ready, bornEvery(10, 1), second}, ReasonReadinessProbe, readyLeaks},
		"that whose orphans hang outside, under the runtime":       {[]change{ready, bornEvery(10, 1), heldBy(v1alpha1.Parent{Zombies: 12})}, ReasonReadinessProbe, readyLeaks},
		"that whose orphans are most of the zombies":               {[]change{ready, bornEvery(10, 1), heldBy(child(7, 5), child(1, 6), v1alpha1.Parent{Zombies: 1})}, ReasonReadinessProbe, readyLeaks},
		"none where half of the zombies have other parents":        {[]change{ready, bornEvery(10, 1), heldBy(child(7, 6), child(1, 6))}, "", ""},
		"none where a process of the container holds them":         {[]change{ready, bornEvery(10, 1), heldBy(child(7, 12))}, "", ""},
		"a startup probe that has not succeeded":                   {[]change{starting, bornEvery(10, 1), startedIs(false)}, ReasonStartupProbe, startLeaks},
		"no startup probe that has succeeded":                      {[]change{starting, bornEvery(10, 1), startedIs(true)}, "", ""},
		"another probe of a container that has started":            {[]change{ready, bornEvery(10, 1), startedIs(true)}, ReasonReadinessProbe, readyLeaks},
		"none where neither has a period":                          {[]change{probed(corev1.Container{ReadinessProbe: execProbe(0)}), bornEvery(0, 0)}, "", ""},
		"none without a period of births":                          {[]change{ready, bornEvery(0, 0)}, "", ""},
		"none without births":                                      {[]change{ready}, "", ""},
		"none that runs less often":                                {[]change{ready, bornEvery(12, 1)}, "", ""},
		"none that asks by HTTP":                                   {[]change{probed(corev1.Container{ReadinessProbe: httpProbe(10)}), bornEvery(10, 1)}, "", ""},
		"the one of two that runs a command":                       {[]change{probed(corev1.Container{LivenessProbe: httpProbe(10), ReadinessProbe: execProbe(10)}), bornEvery(10, 1)}, ReasonReadinessProbe, readyLeaks},
		"none of another container":                                {[]change{ready, bornEvery(7, 1)}, "", ""},
		"none of a container without probes":                       {[]change{bornEvery(10, 1)}, "", ""},
		"none in a report without an observation":                  {[]change{ready, nothingIsObserved}, "", ""},
		"none any more when the zombies are gone, as by a restart": {[]change{ready, bornEvery(10, 1), func(f *facts) { f.report.Status.Observed = &v1alpha1.Observed{} }}, "", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := settled(tc.changes...)
			v := decide(f, settings, now)
			got := meta.FindStatusCondition(v.conditions, v1alpha1.ConditionProbeLeaks)
			if tc.reason == "" {
				if got != nil || v.conditions != nil {
					t.Errorf("writes %+v", v.conditions)
				}
				return
			}
			want := condition(v1alpha1.ConditionProbeLeaks, metav1.ConditionTrue, tc.reason, tc.message, now)
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Errorf("condition (-want +got):\n%s", diff)
			}
			f.report.Status.Conditions = append(f.report.Status.Conditions[:1], v.conditions...)
			if again := decide(f, settings, now); again.conditions != nil {
				t.Errorf("a second look writes %+v", again.conditions)
			}
		})
	}
}

// A name gives way, never the address of what to do.
func TestTheLongestMessageOfAProbeFits(t *testing.T) {
	t.Parallel()
	several := []probe{{"livenessProbe", ReasonLivenessProbe, 1}, {"readinessProbe", ReasonReadinessProbe, 1}, {"startupProbe", ReasonStartupProbe, 1}}
	for _, suspects := range [][]probe{{{"readinessProbe", ReasonReadinessProbe, 1_000_000_000}}, several[:2], several} {
		for length := 1; length <= 63; length++ {
			c := v1alpha1.ContainerObservation{Name: v1alpha1.ContainerName(strings.Repeat("n", length))}
			got := probeCondition(c, suspects).Message
			if len(got) > v1alpha1.MaxConditionMessage || !strings.HasSuffix(got, cure) {
				t.Errorf("message = %q, want it to fit and to end with %q", got, cure)
			}
		}
	}
}

func TestHowNearTwoPeriodsAre(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		births, probe int32
		want          bool
	}{
		"the same":                            {10, 10, true},
		"a second more":                       {11, 10, true},
		"a second less":                       {9, 10, true},
		"two seconds of ten":                  {12, 10, false},
		"5 % more":                            {63, 60, true},
		"5 % less":                            {57, 60, true},
		"more than 5 %":                       {64, 60, false},
		"twice as often":                      {30, 60, false},
		"every second and every other second": {2, 1, false},
		"the same second":                     {1, 1, true},
		"six and seven seconds":               {6, 7, false},
		"nine and ten seconds":                {9, 10, true},
		"five and four seconds":               {5, 4, false},
		"a probe whose period the API server left out": {1, 0, false},
		"as long as there can be":                      {31622400, 31622400, true},
	} {
		if got := asOften(tc.births, tc.probe); got != tc.want {
			t.Errorf("%s: asOften(%d, %d) = %t", name, tc.births, tc.probe, got)
		}
	}
}

func TestAProbeIsFoundWhenItsPeriodIsKnownLaterAndForgottenWhenTheLeakIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settled(conditionsAreUnset, probed(corev1.Container{ReadinessProbe: execProbe(10)}),
		heldBy(v1alpha1.Parent{PID: new(int32(1)), Zombies: 12})))
	w.mustReconcile(t)
	has := func() bool {
		return meta.IsStatusConditionTrue(w.stored(t).Status.Conditions, v1alpha1.ConditionProbeLeaks)
	}
	if has() {
		t.Fatal("a probe is blamed without births")
	}
	for _, step := range []struct {
		births *v1alpha1.Births
		want   bool
	}{{&v1alpha1.Births{PerHour: 360, Burst: 1, PeriodSeconds: 10}, true}, {nil, false}} {
		report := w.stored(t)
		report.Status.Observed.Containers[0].Births = step.births
		if err := w.api.Status().Update(t.Context(), report); err != nil {
			t.Fatal(err)
		}
		w.mustReconcile(t)
		w.mustReconcile(t)
		if has() != step.want {
			t.Errorf("births %+v: ProbeLeaks is there: %t", step.births, has())
		}
		if c := meta.FindStatusCondition(w.stored(t).Status.Conditions, v1alpha1.ConditionVerified); c == nil {
			t.Error("another condition went with it")
		}
	}
	if len(w.applies) != 3 {
		t.Errorf("%d writes, want one at each change", len(w.applies))
	}
}
