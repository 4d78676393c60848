package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Reasons of the condition ProbeLeaks: the probe that runs as often as zombies are born.
const (
	// ReasonLivenessProbe: it is the container's liveness probe.
	ReasonLivenessProbe = "LivenessProbe"
	// ReasonReadinessProbe: it is its readiness probe.
	ReasonReadinessProbe = "ReadinessProbe"
	// ReasonStartupProbe: it is its startup probe.
	ReasonStartupProbe = "StartupProbe"
	// ReasonSeveralProbes: several of its probes run as often.
	ReasonSeveralProbes = "SeveralProbes"
)

// probe is a probe of a container that runs a command in it.
type probe struct {
	// field is its name in the Pod.
	field, reason string
	periodSeconds int32
}

// probeLeaks tells of the first container, by zombies, in which they are born as often as an exec probe runs: such a probe leaves a
// process behind each time. Probes of other kinds start no process. It takes more than the pace: what a probe leaves is an orphan, which
// PID 1 adopts, or hangs under the runtime outside, so zombies of other parents are not the probe's.
func probeLeaks(f facts, _ Settings, _ time.Time) finding {
	if f.report.Status.Observed != nil {
		for _, c := range f.report.Status.Observed.Containers {
			if suspects := suspectsOf(f.pod, c); len(suspects) > 0 && fewHaveOtherParents(c) {
				return finding{condition: probeCondition(c, suspects)}
			}
		}
	}
	return finding{removes: v1alpha1.ConditionProbeLeaks}
}

// fewHaveOtherParents is whether most zombies of a container are children of its PID 1 or of a process outside.
func fewHaveOtherParents(c v1alpha1.ContainerObservation) bool {
	var left int64
	for _, p := range c.Parents {
		if p.PID == nil || *p.PID == 1 {
			left += int64(p.Zombies)
		}
	}
	return left*2 > int64(c.Zombies)
}

// suspectsOf are the exec probes of a container that run as often as its zombies are born.
func suspectsOf(pod *corev1.Pod, c v1alpha1.ContainerObservation) []probe {
	if c.Births == nil || c.Births.PeriodSeconds == 0 {
		return nil
	}
	probes := execProbes(pod, string(c.Name))
	return slices.DeleteFunc(probes, func(p probe) bool { return !asOften(c.Births.PeriodSeconds, p.periodSeconds) })
}

// execProbes are the probes of a container that run a command in it. Of init containers only sidecars have any. A startup probe runs
// no more once it has succeeded.
func execProbes(pod *corev1.Pod, container string) []probe {
	var probes []probe
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers {
			if containers[i].Name != container {
				continue
			}
			for _, p := range []struct {
				field, reason string
				probe         *corev1.Probe
			}{
				{"livenessProbe", ReasonLivenessProbe, containers[i].LivenessProbe},
				{"readinessProbe", ReasonReadinessProbe, containers[i].ReadinessProbe},
				{"startupProbe", ReasonStartupProbe, containers[i].StartupProbe},
			} {
				over := p.reason == ReasonStartupProbe && started(pod, container)
				if p.probe != nil && p.probe.Exec != nil && !over {
					probes = append(probes, probe{p.field, p.reason, p.probe.PeriodSeconds})
				}
			}
		}
	}
	return probes
}

// started is whether the startup probe of a container has succeeded.
func started(pod *corev1.Pod, container string) bool {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for i := range statuses {
			if statuses[i].Name == container {
				return statuses[i].Started != nil && *statuses[i].Started
			}
		}
	}
	return false
}

// asOften is whether two periods are the same but for rounding and a kubelet that is late now and then: within 5 %, or 1 s from
// 10 s on. Below that a second is no rounding but another period.
func asOften(a, b int32) bool {
	apart, of := max(a, b)-min(a, b), int64(b)
	return int64(apart)*20 <= of || (apart <= 1 && of >= 10)
}

// probeCondition names one probe or, when several run as often, all of them: which it is cannot be told by the clock. It says what
// to change for good, as the fix that goes with the cause is one of the parent that adopts what the probe leaves.
func probeCondition(c v1alpha1.ContainerObservation, suspects []probe) *metav1.Condition {
	reason, who := suspects[0].reason, fmt.Sprintf("its %s (every %d s)", suspects[0].field, suspects[0].periodSeconds)
	if len(suspects) > 1 {
		names := make([]string, 0, len(suspects))
		for _, p := range suspects {
			names = append(names, p.field)
		}
		reason, who = ReasonSeveralProbes, strings.Join(names, " or ")
	}
	tell := func(name string) string {
		return fmt.Sprintf("Container %s: %s probably leaks: zombies come as often. Use httpGet, tcpSocket or grpc; no restart cures it: %s",
			name, who, v1alpha1.DocsURL(v1alpha1.ConditionProbeLeaks))
	}
	name := string(c.Name)
	if excess := len(tell(name)) - v1alpha1.MaxConditionMessage; excess > 0 { // the address must not be cut
		const cutMark = ".."
		name = name[:max(0, len(name)-excess-len(cutMark))] + cutMark
	}
	return &metav1.Condition{Type: v1alpha1.ConditionProbeLeaks, Status: metav1.ConditionTrue, Reason: reason, Message: tell(name)}
}
