package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Condition types of a ZombieNodeReport besides Leaking and Stale.
const (
	// ConditionPIDPressure is True while at least NodePressurePercent of the node's PIDs are used. The agent writes it.
	ConditionPIDPressure = "PIDPressure"
)

// Reasons of the condition PIDPressure.
const (
	// ReasonPIDsScarce goes with PIDPressure=True.
	ReasonPIDsScarce = "PIDsScarce"
	// ReasonPIDsSuffice goes with PIDPressure=False.
	ReasonPIDsSuffice = "PIDsSuffice"
)

// NodePressurePercent is the use of the node's PIDs in percent from which on a node gets a report though it has no zombies.
const NodePressurePercent = 50

// MaxHostParents is how many kinds of parents a node's report names, those with most zombies first.
const MaxHostParents = 10

// ZombieNodeReportSpec says which node the report is about. It never changes.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable: a report is about one node"
type ZombieNodeReportSpec struct {
	// nodeName is the node; it is the report's own name too.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	NodeName string `json:"nodeName"`
}

// HostParent is one kind of parents of the host's zombies. Nothing is ever done to them.
type HostParent struct {
	// command is the command name of the parents, with everything but printable ASCII replaced by '?'.
	// +required
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[ -~]*$`
	Command string `json:"command"`

	// zombies is the number of their zombies that are at least 30 seconds old.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4194304
	Zombies int32 `json:"zombies"`
}

// NodeObserved is what the agent saw on its node outside of pods.
//
// +structType=atomic
type NodeObserved struct {
	// hostZombies is the number of zombies at least 30 seconds old that are outside of every container.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4194304
	HostZombies int32 `json:"hostZombies"`

	// parents are whose children they are, by command name, the one with most first.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=10
	// +listType=atomic
	// +optional
	Parents []HostParent `json:"parents,omitempty"`

	// parentsOmitted is the number of zombies of further parents.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4194304
	// +optional
	ParentsOmitted int32 `json:"parentsOmitted,omitempty"`

	// unattributed is the number of zombies at least 30 seconds old of which cannot be told to what they belong.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4194304
	// +optional
	Unattributed int32 `json:"unattributed,omitempty"`

	// pids is the tighter of kernel.pid_max and kernel.threads-max.
	// +optional
	PIDs *PIDs `json:"pids,omitempty"`

	// birthsPerHour is how many zombies are born on the node in an hour, those of pods included; absent where one look
	// does not tell.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000000
	// +optional
	BirthsPerHour *int32 `json:"birthsPerHour,omitempty"`

	// exhaustionTime is when, at this rate but without what parents reap again, no PID is left on the node.
	// +optional
	ExhaustionTime *metav1.Time `json:"exhaustionTime,omitempty"`

	// fullBy is the same for tables, in UTC and as precise as the forecast is.
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9][-0-9: hZ]*$`
	// +optional
	FullBy string `json:"fullBy,omitempty"`
}

// ZombieNodeReportStatus is written by server-side apply: the agent owns observed and the conditions Leaking and PIDPressure,
// the controller the conditions Stale and Told.
type ZombieNodeReportStatus struct {
	// conditions: Leaking (zombies of the host, or unattributed ones) and PIDPressure (agent), Stale and Told (controller).
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.message.size() <= 240)",message="each message may have at most 240 characters"
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.type.size() <= 16 && c.reason.size() <= 40)",message="each type may have at most 16 characters, each reason at most 40"
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observed is what the agent saw. Without it nothing is known yet.
	// +optional
	Observed *NodeObserved `json:"observed,omitempty"`
}

// ZombieNodeReport tells of a node that has zombies outside of pods, zombies that cannot be attributed, or few PIDs left.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=znr,categories=zombies
// +kubebuilder:validation:XValidation:rule="self.metadata.name == self.spec.nodeName",fieldPath=".spec.nodeName",message="must be the name of the report, too"
// +kubebuilder:printcolumn:name="Host Zombies",type=integer,JSONPath=`.status.observed.hostZombies`
// +kubebuilder:printcolumn:name="Parent",type=string,JSONPath=`.status.observed.parents[0].command`
// +kubebuilder:printcolumn:name="Unattributed",type=integer,JSONPath=`.status.observed.unattributed`
// +kubebuilder:printcolumn:name="PIDs %",type=integer,JSONPath=`.status.observed.pids.usedPercent`
// +kubebuilder:printcolumn:name="Full By",type=string,JSONPath=`.status.observed.fullBy`
// +kubebuilder:printcolumn:name="Stale",type=string,JSONPath=`.status.conditions[?(@.type=="Stale")].status`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ZombieNodeReport struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which node the report is about.
	// +required
	Spec ZombieNodeReportSpec `json:"spec"`

	// status is what was seen.
	// +optional
	Status ZombieNodeReportStatus `json:"status,omitempty"`
}

// ZombieNodeReportList is a list of ZombieNodeReports.
//
// +kubebuilder:object:root=true
type ZombieNodeReportList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ZombieNodeReport `json:"items"`
}
