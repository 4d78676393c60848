package remedy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// The guards: what is never acted on, whatever a policy says. Each reads the pod as the API server has it now.

// reportAgreesWithPod keeps to what the API server says: the pod, its node and its containers are those of the report.
func reportAgreesWithPod(s situation, _ time.Time) *finding {
	switch {
	case s.pod == nil:
		return refusal(ReasonNotVerified, "The pod of the report is gone.")
	case isMirror(s.pod):
		return nil // the UID of a static pod is another in the report; the guard for those says more
	case string(s.pod.UID) != s.report.Spec.PodUID:
		return refusal(ReasonNotVerified, "The pod was replaced: its UID is %s now.", s.pod.UID)
	case s.pod.Spec.NodeName != s.report.Spec.NodeName:
		return refusal(ReasonNotVerified, "The pod runs on node %s, the report says %s.", s.pod.Spec.NodeName, s.report.Spec.NodeName)
	}
	status := statusOf(s.pod, string(s.container.Name))
	if _, id, _ := strings.Cut(status.ContainerID, "://"); id != s.container.ContainerID {
		// This is so after every restart, until agent and kubelet have caught up.
		return &finding{urgency: waiting, reason: ReasonNotVerified, checkAgainAfter: recheck,
			message: fmt.Sprintf("Container %s was replaced; the agent has yet to look into the new one.", s.container.Name)}
	}
	return nil
}

// optedOut keeps to what the owners of the pod or of its namespace want.
func optedOut(s situation, _ time.Time) *finding {
	switch {
	case s.namespaceOptsOut:
		return refusal(ReasonOptedOut, "Namespace %s carries the annotation %s.", s.report.Namespace, v1alpha1.AnnotationOptOut)
	case s.pod != nil && optsOut(s.pod.Annotations):
		return refusal(ReasonOptedOut, "The pod carries the annotation %s.", v1alpha1.AnnotationOptOut)
	}
	return nil
}

// optsOut is whether annotations opt out. Every value does but "false".
func optsOut(annotations map[string]string) bool {
	value, ok := annotations[v1alpha1.AnnotationOptOut]
	return ok && value != "false"
}

// notOwnNamespace keeps the operator from ending itself.
func notOwnNamespace(s situation, _ time.Time) *finding {
	if s.report.Namespace != s.operatorNamespace {
		return nil
	}
	return refusal(ReasonOwnNamespace, "The pod is in %s, the namespace of the operator.", s.operatorNamespace)
}

// notStatic spares static pods, which often are the control plane.
func notStatic(s situation, _ time.Time) *finding {
	if !isMirror(s.pod) {
		return nil
	}
	return refusal(ReasonStaticPod, "The pod is a static pod of node %s.", s.pod.Spec.NodeName)
}

// isMirror is whether a pod stands for a static pod. The API server lets only a kubelet set both.
func isMirror(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOf(pod)
	_, annotated := pod.Annotations[corev1.MirrorPodAnnotationKey]
	return annotated || (owner != nil && owner.APIVersion == "v1" && owner.Kind == "Node")
}

// notHostPID spares pods in which a PID names a process of the node.
func notHostPID(s situation, _ time.Time) *finding {
	if !s.pod.Spec.HostPID {
		return nil
	}
	return refusal(ReasonHostPID, "The pod is in the PID namespace of the node (hostPID: true).")
}

// systemCriticalPriority is the priority from which on Kubernetes holds a pod for critical to the cluster or its node.
const systemCriticalPriority = 2_000_000_000

func notCritical(s situation, _ time.Time) *finding {
	if s.pod.Spec.Priority == nil || *s.pod.Spec.Priority < systemCriticalPriority {
		return nil
	}
	return refusal(ReasonCritical, "The pod has system-critical priority (%d).", *s.pod.Spec.Priority)
}

func notTerminating(s situation, _ time.Time) *finding {
	switch {
	case s.pod.DeletionTimestamp != nil:
		return refusal(ReasonTerminating, "The pod is being deleted.")
	case s.namespaceTerminates:
		return refusal(ReasonTerminating, "Namespace %s is being deleted.", s.report.Namespace)
	}
	return nil
}

func runs(s situation, _ time.Time) *finding {
	switch {
	case s.pod.Status.Phase != corev1.PodRunning:
		return forNow(refusal(ReasonNotRunning, "The pod is %s and not Running.", s.pod.Status.Phase))
	case statusOf(s.pod, string(s.container.Name)).State.Running == nil:
		return forNow(refusal(ReasonNotRunning, "Container %s does not run.", s.container.Name))
	}
	return nil
}

// isRestartedAlways wants a container that the kubelet starts again whenever it ends: each act may end it.
func isRestartedAlways(s situation, _ time.Time) *finding {
	name := string(s.container.Name)
	named := func(c corev1.Container) bool { return c.Name == name }
	if i := slices.IndexFunc(s.pod.Spec.InitContainers, named); i >= 0 {
		if policy := s.pod.Spec.InitContainers[i].RestartPolicy; policy != nil && *policy == corev1.ContainerRestartPolicyAlways {
			return nil
		}
		return refusal(ReasonRestartPolicy, "Container %s is an init container and no sidecar.", name)
	}
	i := slices.IndexFunc(s.pod.Spec.Containers, named)
	if i < 0 {
		return refusal(ReasonRestartPolicy, "Container %s is an ephemeral container, which is never restarted.", name)
	}
	c := s.pod.Spec.Containers[i]
	switch {
	case len(c.RestartPolicyRules) > 0:
		return refusal(ReasonRestartPolicy, "Container %s has rules of its own on when it is restarted.", name)
	case c.RestartPolicy != nil && *c.RestartPolicy != corev1.ContainerRestartPolicyAlways:
		return refusal(ReasonRestartPolicy, "Container %s has restartPolicy %s and not Always.", name, *c.RestartPolicy)
	case c.RestartPolicy == nil && s.pod.Spec.RestartPolicy != corev1.RestartPolicyAlways:
		return refusal(ReasonRestartPolicy, "The pod has restartPolicy %s and not Always.", s.pod.Spec.RestartPolicy)
	}
	return nil
}

// statusOf is the status of a container; empty when there is none.
func statusOf(pod *corev1.Pod, container string) corev1.ContainerStatus {
	for _, statuses := range [][]corev1.ContainerStatus{
		pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses,
	} {
		for i := range statuses {
			if statuses[i].Name == container {
				return statuses[i]
			}
		}
	}
	return corev1.ContainerStatus{}
}
