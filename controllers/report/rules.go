package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Reasons for which a report is deleted; they are told in the log.
const (
	// ReasonPodGone: no pod has the reported name any more.
	ReasonPodGone = "PodGone"
	// ReasonPodReplaced: another pod has the reported name.
	ReasonPodReplaced = "PodReplaced"
	// ReasonNodeMismatch: the pod runs on another node than its report says.
	ReasonNodeMismatch = "NodeMismatch"
	// ReasonNameMismatch: the report's name is not the one that follows from its pod.
	ReasonNameMismatch = "NameMismatch"
	// ReasonHealed: the pod has had no zombies and no findings for the time a healed report is kept.
	ReasonHealed = "Healed"
	// ReasonStale: the node has had no ready agent for the time a stale report is kept.
	ReasonStale = "Stale"
)

// Reasons of the condition Verified.
const (
	// ReasonPodMatches goes with Verified=True.
	ReasonPodMatches = "PodMatches"
	// ReasonContainerNotCurrent goes with Verified=False.
	ReasonContainerNotCurrent = "ContainerNotCurrent"
)

// containerRecheck is long enough for a kubelet to publish the status of a container it just started, which takes
// it seconds, and short enough for a reader not to wait for it.
const containerRecheck = 30 * time.Second

// Annotations by which a mirror pod names the UID under which the kubelet and the runtime know its static pod.
var staticPodUIDAnnotations = []string{corev1.MirrorPodAnnotationKey, "kubernetes.io/config.hash"}

func podExists(f facts, _ Settings, _ time.Time) finding {
	if f.pod != nil {
		return finding{}
	}
	return finding{deletion: &deletion{
		reason:  ReasonPodGone,
		message: fmt.Sprintf("the API server has no pod %q in the namespace of the report", f.report.Spec.PodName),
	}}
}

func podIsTheOneReported(f facts, _ Settings, _ time.Time) finding {
	if hasUID(f.pod, f.report.Spec.PodUID) {
		return finding{}
	}
	return finding{deletion: &deletion{
		reason:  ReasonPodReplaced,
		message: fmt.Sprintf("the pod now has the UID %q, the report is about %q", f.pod.UID, f.report.Spec.PodUID),
	}}
}

// hasUID is whether a runtime knows a pod under a UID. It knows a static pod under another one than the API server.
func hasUID(pod *corev1.Pod, uid string) bool {
	if pod.UID == types.UID(uid) {
		return true
	}
	static, ok := staticPodUID(pod.Annotations)
	owner := metav1.GetControllerOf(pod)
	return ok && static == uid && owner != nil && owner.APIVersion == "v1" && owner.Kind == "Node"
}

// staticPodUID is the UID of the static pod that a pod with such annotations mirrors.
func staticPodUID(annotations map[string]string) (string, bool) {
	for _, key := range staticPodUIDAnnotations {
		if uid := annotations[key]; uid != "" {
			return uid, true
		}
	}
	return "", false
}

func podRunsOnTheNode(f facts, _ Settings, _ time.Time) finding {
	if f.pod.Spec.NodeName == f.report.Spec.NodeName {
		return finding{}
	}
	return finding{deletion: &deletion{
		reason:      ReasonNodeMismatch,
		message:     fmt.Sprintf("the pod runs on node %q, the report says %q", f.pod.Spec.NodeName, f.report.Spec.NodeName),
		disbelieved: true,
	}}
}

func nameIsDerivedFromThePod(f facts, _ Settings, _ time.Time) finding {
	want := v1alpha1.ReportName(f.report.Spec.PodName, f.report.Spec.PodUID)
	if f.report.Name == want {
		return finding{}
	}
	return finding{deletion: &deletion{
		reason:      ReasonNameMismatch,
		message:     fmt.Sprintf("a report about this pod is named %q", want),
		disbelieved: true,
	}}
}

// containersAreCurrent does not delete: the kubelet publishes a new container later than the runtime, and so the
// agent, knows it.
func containersAreCurrent(f facts, _ Settings, _ time.Time) finding {
	if f.report.Status.Observed != nil {
		current := containerIDs(f.pod)
		for _, c := range f.report.Status.Observed.Containers {
			if current[string(c.Name)] == c.ContainerID {
				continue
			}
			return finding{checkAgainAfter: containerRecheck, condition: &metav1.Condition{
				Type:   v1alpha1.ConditionVerified,
				Status: metav1.ConditionFalse,
				Reason: ReasonContainerNotCurrent,
				Message: fmt.Sprintf("The report is about container %s of %q; the Pod's status names %s. "+
					"It lags after a container started; otherwise the agent has yet to see the new container.",
					shortID(c.ContainerID), c.Name, shortID(current[string(c.Name)])),
			}}
		}
	}
	return finding{condition: &metav1.Condition{
		Type:    v1alpha1.ConditionVerified,
		Status:  metav1.ConditionTrue,
		Reason:  ReasonPodMatches,
		Message: "UID, node and container IDs are those of the Pod.",
	}}
}

// containerIDs is the ID of the present container under each name of a pod, without the runtime's prefix.
func containerIDs(pod *corev1.Pod) map[string]string {
	ids := map[string]string{}
	for _, statuses := range [][]corev1.ContainerStatus{
		pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses,
	} {
		for i := range statuses {
			if _, id, ok := strings.Cut(statuses[i].ContainerID, "://"); ok {
				ids[statuses[i].Name] = id
			}
		}
	}
	return ids
}

// shortID is a container ID as container tools print it.
func shortID(id string) string {
	const length = 13
	if id == "" {
		return "none"
	}
	return id[:min(length, len(id))]
}

// healed lets a report go some time after the last zombie or finding. One without an observation is unknown, not healed.
func healed(f facts, s Settings, now time.Time) finding {
	observed := f.report.Status.Observed
	leaking := meta.FindStatusCondition(f.report.Status.Conditions, v1alpha1.ConditionLeaking)
	if observed == nil || observed.Zombies > 0 || leaking == nil || leaking.Status != metav1.ConditionFalse || hasFinding(f.report) {
		return finding{}
	}
	since := leaking.LastTransitionTime.Time
	if wrote := agentWrote(f.report); wrote.After(since) {
		since = wrote
	}
	left := s.HealedRetention - now.Sub(since)
	if left > 0 {
		return finding{checkAgainAfter: left}
	}
	return finding{deletion: &deletion{
		reason:  ReasonHealed,
		message: "the pod has had no zombies and no findings since " + timestamp(since),
	}}
}

func hasFinding(report *v1alpha1.ZombieReport) bool {
	return slices.ContainsFunc(v1alpha1.Findings, func(kind string) bool {
		return meta.IsStatusConditionTrue(report.Status.Conditions, kind)
	})
}

// agentWrote is when the agent last wrote something else into the status than was there; zero when the API server does not tell.
//
// A finding that is over leaves no trace in the report, but to take it away was the last thing that its agent changed there, for as long
// as nothing is found: an apply that changes nothing leaves this time as it is. Being the API server's, it outlives this process.
func agentWrote(report *v1alpha1.ZombieReport) time.Time {
	for _, entry := range report.ManagedFields {
		if entry.Manager == v1alpha1.FieldManagerAgent && entry.Subresource == "status" && entry.Time != nil {
			return entry.Time.Time
		}
	}
	return time.Time{}
}

// agentIsReady marks, and later deletes, what no agent keeps up to date.
func agentIsReady(f facts, s Settings, now time.Time) finding {
	stale := f.agent.Staleness(f.report.Spec.NodeName, f.report.Status.Conditions, s.StaleAfter, s.DeleteStaleAfter, now)
	if stale.Expired != "" {
		return finding{deletion: &deletion{reason: ReasonStale, message: stale.Expired}}
	}
	return finding{checkAgainAfter: stale.CheckAgainAfter, condition: stale.Condition}
}

func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
