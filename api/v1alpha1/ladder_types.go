package v1alpha1

// Action is what a rung of a ladder does.
//
// +kubebuilder:validation:Enum=Alert;SignalParent;RestartContainer
type Action string

const (
	// ActionAlert tells people and touches nothing.
	ActionAlert Action = "Alert"
	// ActionSignalParent sends a signal to the processes that do not wait for their dead children.
	ActionSignalParent Action = "SignalParent"
	// ActionRestartContainer stops the container; the kubelet starts it again and the kernel reaps all its zombies.
	ActionRestartContainer Action = "RestartContainer"
)

// Signal is a signal that may be sent to a parent.
//
// +kubebuilder:validation:Enum=SIGCHLD;SIGCONT;SIGHUP;SIGTERM;SIGKILL
type Signal string

const (
	// SignalChild asks a parent with a handler to wait again.
	SignalChild Signal = "SIGCHLD"
	// SignalContinue wakes a stopped parent.
	SignalContinue Signal = "SIGCONT"
	// SignalHangup is read by many daemons as "reload".
	SignalHangup Signal = "SIGHUP"
	// SignalTerminate asks the parent to end, so that its zombies pass to the next reaper.
	SignalTerminate Signal = "SIGTERM"
	// SignalKill ends the parent, so that its zombies pass to the next reaper.
	SignalKill Signal = "SIGKILL"
)

// Rung is one step of a ladder: an action and its settings.
//
// +kubebuilder:validation:XValidation:rule="!has(self.signalParent) || self.action == 'SignalParent'",fieldPath=".signalParent",message="belongs to action SignalParent: remove it, or change the action"
// +kubebuilder:validation:XValidation:rule="!has(self.restartContainer) || self.action == 'RestartContainer'",fieldPath=".restartContainer",message="belongs to action RestartContainer: remove it, or change the action"
type Rung struct {
	// action is Alert, SignalParent or RestartContainer.
	// +required
	Action Action `json:"action"`

	// signalParent holds the settings of action SignalParent; without it SIGCHLD is sent.
	// +optional
	SignalParent *SignalParent `json:"signalParent,omitempty"`

	// restartContainer holds the settings of action RestartContainer; without it the pod's own grace period holds.
	// +optional
	RestartContainer *RestartContainer `json:"restartContainer,omitempty"`
}

// SignalParent holds the settings of action SignalParent.
type SignalParent struct {
	// signal is SIGCHLD, SIGCONT, SIGHUP, SIGTERM or SIGKILL. It is sent to those of the parents in the report that hold at least a tenth of the container's zombies.
	// SIGCHLD and SIGCONT disturb nobody; the others are disruptive. SIGTERM and SIGKILL never go to PID 1 of a container.
	// +kubebuilder:default=SIGCHLD
	// +optional
	Signal Signal `json:"signal,omitempty"`
}

// RestartContainer holds the settings of action RestartContainer.
type RestartContainer struct {
	// gracePeriodSeconds is the time in seconds between the container's stop signal and SIGKILL. Default: the pod's own.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	// +optional
	GracePeriodSeconds *int32 `json:"gracePeriodSeconds,omitempty"`
}
