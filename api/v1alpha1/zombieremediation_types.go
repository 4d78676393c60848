package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Condition types of a ZombieRemediation.
const (
	// ConditionClaimed is True once the agent of the node took the remediation up. The agent writes it.
	ConditionClaimed = "Claimed"
	// ConditionExecuting is True once the agent stored its intent to act. The agent writes it.
	ConditionExecuting = "Executing"
	// ConditionCancelled is True when the controller called the act off before Executing. The controller writes it.
	ConditionCancelled = "Cancelled"
	// ConditionCompleted is True when the remediation ended; nothing in its status changes afterwards.
	ConditionCompleted = "Completed"
)

// Outcome is how a remediation ended.
//
// +kubebuilder:validation:Enum=Cured;Cleared;Reduced;NoEffect;Moved;Stale;Refused;Cancelled;Expired;Interrupted;Failed
type Outcome string

const (
	// OutcomeCured: the zombies are gone.
	OutcomeCured Outcome = "Cured"
	// OutcomeCleared: the container was restarted and its zombies are gone; the leak may come back.
	OutcomeCleared Outcome = "Cleared"
	// OutcomeReduced: some of the zombies are gone.
	OutcomeReduced Outcome = "Reduced"
	// OutcomeNoEffect: all zombies are still there.
	OutcomeNoEffect Outcome = "NoEffect"
	// OutcomeMoved: the zombies passed to another parent that does not reap them either.
	OutcomeMoved Outcome = "Moved"
	// OutcomeStale: the target changed before the act, so nothing was done.
	OutcomeStale Outcome = "Stale"
	// OutcomeRefused: a guard of the agent forbade the act.
	OutcomeRefused Outcome = "Refused"
	// OutcomeCancelled: the controller called the act off.
	OutcomeCancelled Outcome = "Cancelled"
	// OutcomeExpired: no agent claimed the remediation in time.
	OutcomeExpired Outcome = "Expired"
	// OutcomeInterrupted: the agent was interrupted and what was done cannot be known.
	OutcomeInterrupted Outcome = "Interrupted"
	// OutcomeFailed: the act was tried and an error came back.
	OutcomeFailed Outcome = "Failed"
)

// PolicyReference names the policy behind a decision.
type PolicyReference struct {
	// kind is ZombiePolicy or ClusterZombiePolicy.
	// +required
	// +kubebuilder:validation:Enum=ZombiePolicy;ClusterZombiePolicy
	Kind string `json:"kind"`

	// name is the name of the policy; a ZombiePolicy is in the namespace of the pod.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// generation is the metadata.generation of the policy that was read.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9007199254740991
	Generation int64 `json:"generation"`
}

// LastAct sums up the newest act on a pod or under a policy.
type LastAct struct {
	// remediation is the name of the ZombieRemediation, in the namespace of the pod.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Remediation string `json:"remediation"`

	// podName is the pod that was acted on.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PodName string `json:"podName"`

	// action is what was done.
	// +required
	Action Action `json:"action"`

	// outcome is how it ended; absent while it is under way.
	// +optional
	Outcome Outcome `json:"outcome,omitempty"`

	// time is when it ended or, while it is under way, began.
	// +required
	Time metav1.Time `json:"time"`
}

// RemediationAction is an action that a node's agent executes; Alert is none.
//
// +kubebuilder:validation:Enum=SignalParent;RestartContainer
type RemediationAction string

const (
	// RemediationSignalParent sends a signal to one process.
	RemediationSignalParent = RemediationAction(ActionSignalParent)
	// RemediationRestartContainer stops one container, which the kubelet then starts again.
	RemediationRestartContainer = RemediationAction(ActionRestartContainer)
)

// ZombieRemediationSpec is the act as the controller decided it. It never changes.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable: an act is decided once"
// +kubebuilder:validation:XValidation:rule="(self.action == 'SignalParent') == has(self.signalParent)",fieldPath=".signalParent",message="is set exactly when action is SignalParent"
// +kubebuilder:validation:XValidation:rule="(self.action == 'RestartContainer') == has(self.restartContainer)",fieldPath=".restartContainer",message="is set exactly when action is RestartContainer"
type ZombieRemediationSpec struct {
	// podName is the name of the pod, in the remediation's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	PodName string `json:"podName"`

	// podUID is the metadata.uid of the pod.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	PodUID string `json:"podUID"`

	// nodeName is the node of the pod, as the Pod says, not the report. Its agent executes the act.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	NodeName string `json:"nodeName"`

	// containerName is the name of the container in the pod.
	// +required
	ContainerName ContainerName `json:"containerName"`

	// containerID is the ID of the container without the runtime's prefix. A container with another ID is not touched.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="!self.contains('://')",message="must be the ID alone, without the runtime's prefix such as containerd://"
	ContainerID string `json:"containerID"`

	// policy is the policy under which the act was decided.
	// +required
	Policy PolicyReference `json:"policy"`

	// attempt counts the acts on the container, from 1, whatever they were.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Attempt int32 `json:"attempt"`

	// action is SignalParent or RestartContainer.
	// +required
	Action RemediationAction `json:"action"`

	// signalParent is the signal and its exact target, for action SignalParent.
	// +optional
	SignalParent *SignalParentAct `json:"signalParent,omitempty"`

	// restartContainer is the grace and the hook, for action RestartContainer.
	// +optional
	RestartContainer *RestartContainerAct `json:"restartContainer,omitempty"`
}

// SignalParentAct is a signal and its exact target.
type SignalParentAct struct {
	// signal is what is sent.
	// +required
	Signal Signal `json:"signal"`

	// pid is the PID of the parent in the PID namespace of the container.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4194304
	PID int32 `json:"pid"`

	// startTicks is when the parent started, in clock ticks since boot; a process that started at another time is not touched.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740991
	StartTicks int64 `json:"startTicks"`

	// command is the parent's command name as it was reported, to be read by people.
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^[ -~]*$`
	// +optional
	Command string `json:"command,omitempty"`
}

// RestartContainerAct is how a container is stopped.
//
// +kubebuilder:validation:XValidation:rule="!has(self.preStopExec) || !has(self.preStopSleepSeconds)",fieldPath=".preStopExec",message="a container has one preStop hook: set preStopExec or preStopSleepSeconds"
type RestartContainerAct struct {
	// gracePeriodSeconds is the time in seconds between the container's stop signal and SIGKILL; the hook's time is taken from it.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	GracePeriodSeconds int32 `json:"gracePeriodSeconds"`

	// preStopExec is the command of the container's preStop hook of kind exec.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=4096
	// +listType=atomic
	// +optional
	PreStopExec []string `json:"preStopExec,omitempty"`

	// preStopSleepSeconds is the time in seconds of the container's preStop hook of kind sleep.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	// +optional
	PreStopSleepSeconds *int32 `json:"preStopSleepSeconds,omitempty"`
}

// ZombieRemediationStatus is the execution and the proof.
//
// +kubebuilder:validation:XValidation:rule="!has(self.conditions) || !self.conditions.exists(c, c.type == 'Completed' && c.status == 'True') || has(self.outcome)",fieldPath=".outcome",reason="FieldValueRequired",message="is required when the remediation is completed"
// +kubebuilder:validation:XValidation:rule="!has(self.conditions) || !self.conditions.exists(c, c.type == 'Cancelled' && c.status == 'True') || !self.conditions.exists(c, c.type == 'Executing' && c.status == 'True')",fieldPath=".conditions",message="an act whose execution began cannot be cancelled"
type ZombieRemediationStatus struct {
	// conditions: Claimed and Executing (agent), Cancelled (controller), Completed (whoever ends it).
	// +kubebuilder:validation:MaxItems=8
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// attemptID is the random mark of the agent's claim.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	AttemptID string `json:"attemptID,omitempty"`

	// bootID is the boot of the node during which the act was claimed (/proc/sys/kernel/random/boot_id).
	// +kubebuilder:validation:MaxLength=64
	// +optional
	BootID string `json:"bootID,omitempty"`

	// agentPodUID is the UID of the agent's pod that claimed the act.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	AgentPodUID string `json:"agentPodUID,omitempty"`

	// startTime is when the act began.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// completionTime is when the remediation ended.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`

	// zombiesBefore is the number of zombies at the last look before the act.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4194304
	// +optional
	ZombiesBefore *int32 `json:"zombiesBefore,omitempty"`

	// zombiesAfter is the number of zombies at the proof.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4194304
	// +optional
	ZombiesAfter *int32 `json:"zombiesAfter,omitempty"`

	// outcome is how the remediation ended.
	// +optional
	Outcome Outcome `json:"outcome,omitempty"`

	// message is the outcome in a sentence.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^[ -~]*$`
	// +optional
	Message string `json:"message,omitempty"`
}

// The rule that a completed status is final stands at the object and not at the status: there, taking the status away
// as a whole would leave nothing to check.

// ZombieRemediation is one act on one container: intent, execution and proof. All of them together are the audit trail.
// The controller creates it, the agent of its node executes it; made by hand it is executed all the same.
//
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.conditions) || !oldSelf.status.conditions.exists(c, c.type == 'Completed' && c.status == 'True') || (has(self.status) && self.status == oldSelf.status)",fieldPath=".status",message="is final: the remediation is completed"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.conditions) || !oldSelf.status.conditions.exists(c, c.type == 'Executing' && c.status == 'True') || (has(self.status) && has(self.status.conditions) && self.status.conditions.exists(c, c.type == 'Executing' && c.status == 'True'))",fieldPath=".status",message="an execution that began stays begun"
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=zrem,categories=zombies
// +kubebuilder:selectablefield:JSONPath=`.spec.podName`
// +kubebuilder:selectablefield:JSONPath=`.spec.podUID`
// +kubebuilder:selectablefield:JSONPath=`.spec.nodeName`
// +kubebuilder:printcolumn:name="Pod",type=string,JSONPath=`.spec.podName`
// +kubebuilder:printcolumn:name="Action",type=string,JSONPath=`.spec.action`
// +kubebuilder:printcolumn:name="Signal",type=string,JSONPath=`.spec.signalParent.signal`
// +kubebuilder:printcolumn:name="Outcome",type=string,JSONPath=`.status.outcome`
// +kubebuilder:printcolumn:name="Before",type=integer,JSONPath=`.status.zombiesBefore`
// +kubebuilder:printcolumn:name="After",type=integer,JSONPath=`.status.zombiesAfter`
// +kubebuilder:printcolumn:name="Container",type=string,JSONPath=`.spec.containerName`,priority=1
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.spec.nodeName`,priority=1
// +kubebuilder:printcolumn:name="Policy",type=string,JSONPath=`.spec.policy.name`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ZombieRemediation struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the act as it was decided.
	// +required
	Spec ZombieRemediationSpec `json:"spec"`

	// status is the execution and the proof.
	// +optional
	Status ZombieRemediationStatus `json:"status,omitempty"`
}

// ZombieRemediationList is a list of ZombieRemediations.
//
// +kubebuilder:object:root=true
type ZombieRemediationList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ZombieRemediation `json:"items"`
}
