package v1alpha1

// Births says how fast zombies come, by the start times of those that are there.
type Births struct {
	// perHour is how many are born in an hour, rounded: 0 beside a period is less than one in two hours.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000000
	PerHour int32 `json:"perHour"`

	// burst is how many are born at a time, where they come in bursts of equal distance.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4194304
	// +optional
	Burst int32 `json:"burst,omitempty"`

	// periodSeconds is the distance of the bursts in seconds, rounded.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31622400
	// +optional
	PeriodSeconds int32 `json:"periodSeconds,omitempty"`
}

// PIDLimit says whose limit on processes and threads is meant.
//
// +kubebuilder:validation:Enum=Container;Pod;Kubepods;PIDMax;ThreadsMax
type PIDLimit string

const (
	// PIDLimitContainer is pids.max of the container's cgroup.
	PIDLimitContainer PIDLimit = "Container"
	// PIDLimitPod is pids.max of the pod's cgroup, the kubelet's podPidsLimit.
	PIDLimitPod PIDLimit = "Pod"
	// PIDLimitKubepods is pids.max of a cgroup above all pods.
	PIDLimitKubepods PIDLimit = "Kubepods"
	// PIDLimitPIDMax is the node's kernel.pid_max.
	PIDLimitPIDMax PIDLimit = "PIDMax"
	// PIDLimitThreadsMax is the node's kernel.threads-max.
	PIDLimitThreadsMax PIDLimit = "ThreadsMax"
)

// PIDs is a limit on processes and threads, and how far it is used.
type PIDs struct {
	// used is how many processes, threads and zombies count against the limit.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	Used int32 `json:"used"`

	// limit is how many there may be.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	Limit int32 `json:"limit"`

	// limitedBy says whose limit it is.
	// +required
	LimitedBy PIDLimit `json:"limitedBy"`

	// usedPercent is how much of the limit is used.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	UsedPercent int32 `json:"usedPercent"`

	// forksFailing is true where forks were refused at a limit since the look before.
	// +optional
	ForksFailing bool `json:"forksFailing,omitempty"`
}
