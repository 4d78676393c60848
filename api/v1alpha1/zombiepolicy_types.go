package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PolicyMode says how far a policy may go.
//
// +kubebuilder:validation:Enum=DryRun;Enforce;Paused
type PolicyMode string

const (
	// ModeDryRun decides and tells, and does nothing.
	ModeDryRun PolicyMode = "DryRun"
	// ModeEnforce decides, tells and acts.
	ModeEnforce PolicyMode = "Enforce"
	// ModePaused decides nothing.
	ModePaused PolicyMode = "Paused"
)

// ZombiePolicySpec is what a team wants done about the leaks of its pods.
type ZombiePolicySpec struct {
	// mode is DryRun (tell what would be done), Enforce (do it) or Paused (neither).
	// +kubebuilder:default=DryRun
	// +optional
	Mode PolicyMode `json:"mode,omitempty"`

	// priority decides between policies of one kind that select the same pod: the higher one governs,
	// then the older one, then the first by name.
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=-1000
	// +kubebuilder:validation:Maximum=1000
	// +optional
	Priority int32 `json:"priority"`

	// selector chooses pods by their labels.
	// +required
	Selector Selector `json:"selector"`

	// containerNames limits the policy to these containers of the pods; without it all containers are meant.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +listType=set
	// +optional
	ContainerNames []ContainerName `json:"containerNames,omitempty"`

	// trigger says from when on a container counts as leaking.
	// +required
	Trigger Trigger `json:"trigger"`

	// ladder is tried in order: the next rung only when the proof says that the last one did not cure.
	// +required
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +listType=atomic
	Ladder []Rung `json:"ladder"`
}

// ContainerName is the name of a container of a pod.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="must be a container's name: lower case letters, digits or '-', starting and ending with a letter or digit"
type ContainerName string

// Trigger says from when on a container counts as leaking: when any of zombies, pidUsagePercent and exhaustionWithinSeconds is
// set and holds for forSeconds.
//
// +kubebuilder:validation:XValidation:rule="has(self.zombies) || has(self.pidUsagePercent) || has(self.exhaustionWithinSeconds)",message="must set at least one of zombies, pidUsagePercent and exhaustionWithinSeconds"
type Trigger struct {
	// zombies is the number of zombies at least minAgeSeconds old from which on the container leaks. Without it, their number alone is none.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4194304
	// +optional
	Zombies int32 `json:"zombies,omitempty"`

	// pidUsagePercent is how much of the tightest limit on processes is used from which on the container leaks, if zombies are at
	// least a tenth of that use: one of 50, 70, 80, 90, 95, the steps at which reports are written. Without it, no use is a leak.
	// +kubebuilder:validation:Enum=50;70;80;90;95
	// +optional
	PIDUsagePercent int32 `json:"pidUsagePercent,omitempty"`

	// exhaustionWithinSeconds is how near in seconds the forecast of exhaustion must be for the container to leak, if its own births
	// are at least a tenth of what fills the limit: one of 600, 3600, 21600, 86400, 604800, the steps at which reports are written.
	// Without it, no forecast is a leak.
	// +kubebuilder:validation:Enum=600;3600;21600;86400;604800
	// +optional
	ExhaustionWithinSeconds int32 `json:"exhaustionWithinSeconds,omitempty"`

	// minAgeSeconds is the age in seconds since its death from which on a zombie counts: one of 30, 60, 300, 900, 3600, 21600, 86400,
	// the ages that reports count. pidUsagePercent and exhaustionWithinSeconds hold only while a tenth of the container's zombies is so
	// old. A parent that reaps now and then never lets a zombie get old, so it never fires.
	// +kubebuilder:default=300
	// +kubebuilder:validation:Enum=30;60;300;900;3600;21600;86400
	// +optional
	MinAgeSeconds int32 `json:"minAgeSeconds,omitempty"`

	// forSeconds is how long in seconds the trigger must hold without a break.
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	// +optional
	ForSeconds *int32 `json:"forSeconds,omitempty"`
}

// ConditionReady is True when a policy is in force; its reason is the policy's mode. The controller writes it.
const ConditionReady = "Ready"

// ZombiePolicyStatus is what the controller sees of a policy.
type ZombiePolicyStatus struct {
	// conditions: Ready says whether the policy is in force.
	// +kubebuilder:validation:MaxItems=8
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the metadata.generation that the controller last acted on; -1 before it saw the policy.
	// +kubebuilder:validation:Minimum=-1
	// +kubebuilder:validation:Maximum=9007199254740991
	// +optional
	ObservedGeneration int64 `json:"observedGeneration"`

	// governed is the number of pods that this policy governs; absent before they were counted.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000000
	// +optional
	Governed *int32 `json:"governed,omitempty"`

	// leaking is the number of governed pods in which the trigger holds; absent before they were counted.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000000
	// +optional
	Leaking *int32 `json:"leaking,omitempty"`

	// inFlight is the number of acts under way; absent before they were counted.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000000
	// +optional
	InFlight *int32 `json:"inFlight,omitempty"`

	// lastAct is the newest act under this policy.
	// +optional
	LastAct *LastAct `json:"lastAct,omitempty"`
}

// ZombiePolicy is a team's rules for the pods of its own namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=zp,categories=zombies
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Governed",type=integer,JSONPath=`.status.governed`
// +kubebuilder:printcolumn:name="Leaking",type=integer,JSONPath=`.status.leaking`
// +kubebuilder:printcolumn:name="Last Outcome",type=string,JSONPath=`.status.lastAct.outcome`
// +kubebuilder:printcolumn:name="Priority",type=integer,JSONPath=`.spec.priority`,priority=1
// +kubebuilder:printcolumn:name="Zombies",type=integer,JSONPath=`.spec.trigger.zombies`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ZombiePolicy struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the team wants done.
	// +required
	Spec ZombiePolicySpec `json:"spec"`

	// status is what the controller sees.
	// +kubebuilder:default={"observedGeneration":-1}
	// +optional
	Status ZombiePolicyStatus `json:"status,omitempty"`
}

// ZombiePolicyList is a list of ZombiePolicies.
//
// +kubebuilder:object:root=true
type ZombiePolicyList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ZombiePolicy `json:"items"`
}

// ClusterZombiePolicySpec is what the cluster's owners want done about the leaks of the pods of chosen namespaces.
type ClusterZombiePolicySpec struct {
	// namespaceSelector chooses namespaces by their labels.
	// +required
	NamespaceSelector Selector `json:"namespaceSelector"`

	ZombiePolicySpec `json:",inline"`
}

// ClusterZombiePolicy is the cluster owners' rules for the pods of chosen namespaces. A ZombiePolicy that selects the same
// container governs it instead, but goes no further than this one: Paused pauses it, DryRun lets it only tell.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=czp,categories=zombies
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Governed",type=integer,JSONPath=`.status.governed`
// +kubebuilder:printcolumn:name="Leaking",type=integer,JSONPath=`.status.leaking`
// +kubebuilder:printcolumn:name="Last Outcome",type=string,JSONPath=`.status.lastAct.outcome`
// +kubebuilder:printcolumn:name="Priority",type=integer,JSONPath=`.spec.priority`,priority=1
// +kubebuilder:printcolumn:name="Zombies",type=integer,JSONPath=`.spec.trigger.zombies`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClusterZombiePolicy struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the owners want done.
	// +required
	Spec ClusterZombiePolicySpec `json:"spec"`

	// status is what the controller sees.
	// +kubebuilder:default={"observedGeneration":-1}
	// +optional
	Status ZombiePolicyStatus `json:"status,omitempty"`
}

// ClusterZombiePolicyList is a list of ClusterZombiePolicies.
//
// +kubebuilder:object:root=true
type ClusterZombiePolicyList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterZombiePolicy `json:"items"`
}
