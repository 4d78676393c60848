package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Field managers of a report's status: their fields are disjoint.
const (
	// FieldManagerAgent owns spec, status.observed, the condition Leaking and the findings.
	FieldManagerAgent = "zombie-agent"
	// FieldManagerController owns the conditions Verified, Stale and ProbeLeaks.
	FieldManagerController = "zombie-controller"
	// FieldManagerRemedy is the controller too, where it judges leaks by policies: it owns status.judgement and the
	// conditions Triggered and Alerting.
	FieldManagerRemedy = "zombie-controller-remedy"
)

// Condition types of a ZombieReport.
const (
	// ConditionLeaking is True while zombies are counted in the pod, False when none counts. The agent writes it.
	ConditionLeaking = "Leaking"
	// ConditionVerified is True when the report agreed with the Pod read live from the API server. The controller writes it.
	ConditionVerified = "Verified"
	// ConditionStale is True when the agent of the report's node is not ready, so that the report may be out of date. The controller writes it.
	ConditionStale = "Stale"
	// ConditionTriggered is True while the trigger of the governing policy holds in a container of the pod. The controller writes it.
	ConditionTriggered = "Triggered"
	// ConditionAlerting is True while a policy alerts people of the leak. The controller writes it.
	ConditionAlerting = "Alerting"
)

// Reasons of the condition Leaking.
const (
	// ReasonZombiesCounted goes with Leaking=True.
	ReasonZombiesCounted = "ZombiesCounted"
	// ReasonNoZombies goes with Leaking=False.
	ReasonNoZombies = "NoZombies"
)

// AgeEdgesSeconds are the ages in seconds since their death at which a report counts zombies.
// A zombie younger than the first is not counted at all: its parent may well be about to wait for it.
var AgeEdgesSeconds = [...]int32{30, 60, 300, 900, 3600, 21600, 86400}

// Bounds of a report: what exceeds them is cut and counted, so that a report filled to all of them stays below 16 kB.
// The tests in test/api weigh such a report, and hold these numbers against the CRD.
const (
	// MaxContainers is how many containers a report describes, those with most zombies first.
	MaxContainers = 2
	// MaxParents is how many parents a report names for each container, those with most zombies first.
	MaxParents = 3
	// MaxDeadGroups is how many kinds of dead children a report tells of for each parent, the most frequent first.
	MaxDeadGroups = 2
	// MaxCommand is how many characters of a command name a report shows; the kernel keeps 15 of a process.
	MaxCommand = 16
	// MaxImage is how many characters of an image's name a report shows.
	MaxImage = 256
	// MaxConditionMessage is how many characters the message of a report's condition may have.
	MaxConditionMessage = 240
)

// ZombieReportSpec says which pod the report is about. It never changes.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable: a report is about one pod of one node"
type ZombieReportSpec struct {
	// podName is the name of the pod, in the report's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	PodName string `json:"podName"`

	// podUID is the UID under which the container runtime knows the pod. It is the Pod's metadata.uid; for a
	// static pod, which the API server shows as a mirror pod, it is that Pod's annotation kubernetes.io/config.hash.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	PodUID string `json:"podUID"`

	// nodeName is the node on which the pod runs.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	NodeName string `json:"nodeName"`
}

// Observed is what the agent of the node saw in the pod.
//
// +structType=atomic
type Observed struct {
	// zombies is the number of zombies in the pod that are at least 30 seconds old.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4194304
	Zombies int32 `json:"zombies"`

	// oldestZombieTime is when the oldest of them died.
	// +optional
	OldestZombieTime *metav1.Time `json:"oldestZombieTime,omitempty"`

	// finding is for tables: the cause of the parent that holds most zombies or, where none counts, the first finding among the
	// conditions.
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9]*$`
	// +optional
	Finding string `json:"finding,omitempty"`

	// containers are the pod's containers that hold zombies, the one with most first.
	// +kubebuilder:validation:MaxItems=2
	// +listType=atomic
	// +optional
	Containers []ContainerObservation `json:"containers,omitempty"`

	// containersOmitted is the number of further containers with zombies.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4194304
	// +optional
	ContainersOmitted int32 `json:"containersOmitted,omitempty"`
}

// ContainerObservation is what the agent saw in one container.
type ContainerObservation struct {
	// name is the name of the container in the pod.
	// +required
	Name ContainerName `json:"name"`

	// containerID is the ID of the container, as in the Pod's status but without the runtime's prefix.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	ContainerID string `json:"containerID"`

	// image is the image of the container as the pod's author wrote it.
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[ -~]*$`
	// +optional
	Image string `json:"image,omitempty"`

	// zombies is the number of zombies at least 30 seconds old whose parent lives in this container, and of those in it whose
	// parent is outside of every container.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4194304
	Zombies int32 `json:"zombies"`

	// ages counts the zombies by age. Counts are cumulative: a zombie an hour old is in every line up to 3600.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=7
	// +listType=atomic
	// +optional
	Ages []AgeCount `json:"ages,omitempty"`

	// births says how fast zombies come; absent where one look does not tell, where they come no more, and where less than one in
	// two hours comes at no equal distances.
	// +optional
	Births *Births `json:"births,omitempty"`

	// pids is the limit on processes and threads that the container will meet first; absent where it could not be read.
	// +optional
	PIDs *PIDs `json:"pids,omitempty"`

	// exhaustionTime is when the limit is reached if zombies go on to come as they do: those of the container for its own limit, those
	// of the pod for the pod's, and those of the whole node for a limit above the pod. Absent where the container and the pod have no
	// births, where their parents reap about as many, and where it is more than a year away, or more than ten times as far ahead as
	// births at no equal distances have come for.
	// +optional
	ExhaustionTime *metav1.Time `json:"exhaustionTime,omitempty"`

	// fullBy is the same for tables, in UTC and as precise as the forecast is.
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9][-0-9: hZ]*$`
	// +optional
	FullBy string `json:"fullBy,omitempty"`

	// initInImage is the path of a program in the image of the container that is an init, such as tini, and is not PID 1.
	// +kubebuilder:validation:MaxLength=48
	// +kubebuilder:validation:Pattern=`^/[-A-Za-z0-9_./]*$`
	// +optional
	InitInImage string `json:"initInImage,omitempty"`

	// parents are the processes that hold the zombies because they do not wait for them, the one with most first.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=3
	// +listType=atomic
	// +optional
	Parents []Parent `json:"parents,omitempty"`

	// parentsOmitted is the number of further parents with zombies.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4194304
	// +optional
	ParentsOmitted int32 `json:"parentsOmitted,omitempty"`
}

// DeadGroup is one kind of dead children.
type DeadGroup struct {
	// command is their command name, with everything but printable ASCII replaced by '?'.
	// +required
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[ -~]*$`
	Command string `json:"command"`

	// exit is how they ended: "exit 1" or "killed by 9"; absent where the agent may not read it.
	// +kubebuilder:validation:MaxLength=13
	// +kubebuilder:validation:Pattern=`^(exit|killed by) [0-9]{1,3}$`
	// +optional
	Exit string `json:"exit,omitempty"`

	// zombies is how many of them there are.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4194304
	Zombies int32 `json:"zombies"`
}

// AgeCount is one line of the histogram of ages.
type AgeCount struct {
	// minAgeSeconds is the age in seconds since death.
	// +required
	// +kubebuilder:validation:Enum=30;60;300;900;3600;21600;86400
	MinAgeSeconds int32 `json:"minAgeSeconds"`

	// zombies is the number of zombies at least that old.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4194304
	Zombies int32 `json:"zombies"`
}

// Parent is a process that holds zombies.
//
// +kubebuilder:validation:XValidation:rule="has(self.pid) == (self.cause != 'ParentOutsideContainer')",fieldPath=".pid",message="must be set, except with cause ParentOutsideContainer, where it must be absent"
type Parent struct {
	// pid is the PID of the parent in the PID namespace of the container; absent when the parent is outside of it.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4194304
	// +optional
	PID *int32 `json:"pid,omitempty"`

	// startTicks is when the parent started, in clock ticks since boot (field 22 of /proc/PID/stat).
	// Together with the PID it tells the parent from a later process that got the same PID.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740991
	StartTicks int64 `json:"startTicks"`

	// command is the parent's command name (/proc/PID/comm), with everything but printable ASCII replaced by '?'.
	// +required
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[ -~]*$`
	Command string `json:"command"`

	// zombies is the number of zombies at least 30 seconds old of this parent.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4194304
	Zombies int32 `json:"zombies"`

	// oldestZombieTime is when the oldest of them died or, where the kernel does not tell, was first seen dead.
	// +required
	OldestZombieTime metav1.Time `json:"oldestZombieTime"`

	// cause says why they stay.
	// +required
	Cause Cause `json:"cause"`

	// message is the cause in a sentence.
	// +kubebuilder:validation:MaxLength=160
	// +kubebuilder:validation:Pattern=`^[ -~]*$`
	// +optional
	Message string `json:"message,omitempty"`

	// evidence is what was read of the parent.
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:Pattern=`^[ -~]*$`
	// +optional
	Evidence string `json:"evidence,omitempty"`

	// fix is what ends the leak for good.
	// +kubebuilder:validation:MaxLength=180
	// +kubebuilder:validation:Pattern=`^[ -~]*$`
	// +optional
	Fix string `json:"fix,omitempty"`

	// cannotHelp are the remedies that cannot work on these zombies; whether another works is known when it was tried.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=6
	// +listType=atomic
	// +optional
	CannotHelp []Remedy `json:"cannotHelp,omitempty"`

	// dead are the kinds of dead children, the most frequent first.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	// +listType=atomic
	// +optional
	Dead []DeadGroup `json:"dead,omitempty"`

	// deadOmitted is the number of zombies that are of further kinds.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4194304
	// +optional
	DeadOmitted int32 `json:"deadOmitted,omitempty"`
}

// Judgement is what the controller makes of the observation.
type Judgement struct {
	// container is the container that policy and next are about: the one with most zombies of those in which something
	// is done or would be done, else the one with most zombies that a policy governs.
	// +optional
	Container ContainerName `json:"container,omitempty"`

	// policy is the policy that governs this container; absent when none does.
	// +optional
	Policy *PolicyReference `json:"policy,omitempty"`

	// next is what will be done, or why nothing will; absent when no policy governs a container of the pod.
	// +optional
	Next *NextStep `json:"next,omitempty"`

	// triggered are the containers in which the trigger of the governing policy holds.
	// +kubebuilder:validation:MaxItems=2
	// +listType=map
	// +listMapKey=name
	// +optional
	Triggered []TriggeredContainer `json:"triggered,omitempty"`

	// lastAct is the newest act on the pod.
	// +optional
	LastAct *LastAct `json:"lastAct,omitempty"`
}

// TriggeredContainer is a container in which the trigger of the governing policy holds.
type TriggeredContainer struct {
	// name is the name of the container in the pod.
	// +required
	Name ContainerName `json:"name"`

	// since is when the trigger began to hold; it has held without a break.
	// +required
	Since metav1.Time `json:"since"`
}

// NextStep is what will be done about a leak, or why nothing will.
type NextStep struct {
	// action is the rung of the ladder that is on; absent when none is left or the trigger does not hold.
	// +optional
	Action Action `json:"action,omitempty"`

	// mode is the mode in force: in DryRun the action is only told.
	// +required
	Mode PolicyMode `json:"mode"`

	// reason is why, in one CamelCase word.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9]*$`
	Reason string `json:"reason"`

	// doing is for tables: the signal or Restart or Alert while such an act is on, with DryRun: before it when it is only
	// told, else the reason.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9:]*$`
	Doing string `json:"doing"`

	// message is the plan or the reason in a sentence. In DryRun it is the sentence that Enforce would write.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Message string `json:"message,omitempty"`
}

// ZombieReportStatus is written by server-side apply: the agent owns observed, the condition Leaking and the findings, the controller the rest.
type ZombieReportStatus struct {
	// conditions: Leaking, LeaderExited, HeldByTracer, OtherExitSignal, ContainerDead and PileBehindD (agent), Verified, Stale,
	// ProbeLeaks, Triggered and Alerting (controller).
	// +kubebuilder:validation:MaxItems=11
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.message.size() <= 240)",message="each message may have at most 240 characters"
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.type.size() <= 16 && c.reason.size() <= 40)",message="each type may have at most 16 characters, each reason at most 40"
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observed is what the agent saw. Without it nothing is known yet, which is not the same as no zombies.
	// +optional
	Observed *Observed `json:"observed,omitempty"`

	// judgement is what the controller makes of it.
	// +optional
	Judgement *Judgement `json:"judgement,omitempty"`
}

// ZombieReport tells of the zombies of one pod that has, or just had, some.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=zr,categories=zombies
// +kubebuilder:selectablefield:JSONPath=`.spec.podName`
// +kubebuilder:selectablefield:JSONPath=`.spec.podUID`
// +kubebuilder:selectablefield:JSONPath=`.spec.nodeName`
// +kubebuilder:printcolumn:name="Zombies",type=integer,JSONPath=`.status.observed.zombies`
// +kubebuilder:printcolumn:name="Parent",type=string,JSONPath=`.status.observed.containers[0].parents[0].command`
// +kubebuilder:printcolumn:name="Cause",type=string,JSONPath=`.status.observed.finding`
// +kubebuilder:printcolumn:name="PIDs %",type=integer,JSONPath=`.status.observed.containers[0].pids.usedPercent`
// +kubebuilder:printcolumn:name="Full By",type=string,JSONPath=`.status.observed.containers[0].fullBy`
// +kubebuilder:printcolumn:name="Doing",type=string,JSONPath=`.status.judgement.next.doing`
// +kubebuilder:printcolumn:name="Since",type=date,JSONPath=`.status.conditions[?(@.type=="Leaking")].lastTransitionTime`
// +kubebuilder:printcolumn:name="Pod",type=string,JSONPath=`.spec.podName`,priority=1
// +kubebuilder:printcolumn:name="Container",type=string,JSONPath=`.status.observed.containers[0].name`,priority=1
// +kubebuilder:printcolumn:name="PID",type=integer,JSONPath=`.status.observed.containers[0].parents[0].pid`,priority=1
// +kubebuilder:printcolumn:name="Oldest",type=date,JSONPath=`.status.observed.oldestZombieTime`,priority=1
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.spec.nodeName`,priority=1
// +kubebuilder:printcolumn:name="Policy",type=string,JSONPath=`.status.judgement.policy.name`,priority=1
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.status.judgement.next.mode`,priority=1
// +kubebuilder:printcolumn:name="Last Outcome",type=string,JSONPath=`.status.judgement.lastAct.outcome`,priority=1
// +kubebuilder:printcolumn:name="Leaking",type=string,JSONPath=`.status.conditions[?(@.type=="Leaking")].status`,priority=1
// +kubebuilder:printcolumn:name="Stale",type=string,JSONPath=`.status.conditions[?(@.type=="Stale")].status`,priority=1
type ZombieReport struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which pod the report is about.
	// +required
	Spec ZombieReportSpec `json:"spec"`

	// status is what was seen in the pod and what is made of it.
	// +optional
	Status ZombieReportStatus `json:"status,omitempty"`
}

// ZombieReportList is a list of ZombieReports.
//
// +kubebuilder:object:root=true
type ZombieReportList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ZombieReport `json:"items"`
}
