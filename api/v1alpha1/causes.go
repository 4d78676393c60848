package v1alpha1

// Cause says why zombies stay. Each has a page of its own in docs/causes, named as the cause.
//
// +kubebuilder:validation:Enum=PID1DoesNotReap;ParentDoesNotWait;HandlerLeavesChildren;SignalBlocked;SignalIgnored;WaitsForOtherChild;ParentStopped;ParentFrozen;ParentStuckInD;ParentTraced;MovedFromOtherParent;ParentOutsideContainer
type Cause string

const (
	// CausePID1DoesNotReap: the zombies are children of the container's PID 1, which inherits every orphan of the
	// container and does not wait for them. Evidence: the parent is PID 1 of the container, and SIGCHLD has its default
	// disposition there, the program is a Go program, whose signal mask proves nothing, or nothing more could be read. Fix: an
	// init as PID 1 for orphans; for children that it started itself it must wait.
	CausePID1DoesNotReap Cause = "PID1DoesNotReap"
	// CauseParentDoesNotWait: the zombies are children of another process of the container, which does not wait for them.
	// Evidence: the same of that process. Fix: wait for every child.
	CauseParentDoesNotWait Cause = "ParentDoesNotWait"
	// CauseHandlerLeavesChildren: the parent handles SIGCHLD, or reads it from a signalfd, and yet left children dead.
	// Whether one more signal helps is not known before it is tried, unless one is pending that nobody takes. Evidence: bit
	// SIGCHLD of SigCgt, at this look or an earlier one, in a program that is not Go, or a signalfd for it. Fix: wait in a loop
	// until no dead child is left; for orphans of PID 1 an init.
	CauseHandlerLeavesChildren Cause = "HandlerLeavesChildren"
	// CauseSignalBlocked: SIGCHLD is blocked in every thread of the parent, pending, and nobody reads it. Evidence: SigBlk of
	// all threads, SigPnd and ShdPnd. Fix: unblock it, or read it.
	CauseSignalBlocked Cause = "SignalBlocked"
	// CauseSignalIgnored: the parent ignores SIGCHLD now, but its zombies died before it did; they stay. Evidence: SigIgn.
	// Fix: ignore it before the first child starts, or wait.
	CauseSignalIgnored Cause = "SignalIgnored"
	// CauseWaitsForOtherChild: a thread of the parent waits for a certain child or group and so passes over the others.
	// Evidence: it sleeps in do_wait while other children are dead. Fix: wait for any child.
	CauseWaitsForOtherChild Cause = "WaitsForOtherChild"
	// CauseParentStopped: the parent is stopped, by SIGSTOP or a terminal, and cannot wait. Evidence: state T at two looks.
	// Fix: continue it, and find out who stopped it.
	CauseParentStopped Cause = "ParentStopped"
	// CauseParentFrozen: the cgroup of the parent is frozen. Evidence: cgroup.events or freezer.state. Fix: thaw it.
	CauseParentFrozen Cause = "ParentFrozen"
	// CauseParentStuckInD: the parent sleeps without being interruptible, as on hung storage, and cannot wait. Unless
	// SIGKILL ends such a sleep, neither signals nor a restart may get through. Evidence: state D at two looks, without having run
	// in between. Fix: mend what it waits for.
	CauseParentStuckInD Cause = "ParentStuckInD"
	// CauseParentTraced: the parent is held by a tracer, such as a debugger. Evidence: state t at two looks. Fix: let it go.
	CauseParentTraced Cause = "ParentTraced"
	// CauseMovedFromOtherParent: most of the zombies were another process's, which ended; this one inherited them and
	// does not wait. Evidence: the parent's PID of the same zombies changed between looks. Fix: an init as PID 1, and let
	// the process that ended wait for its children.
	CauseMovedFromOtherParent Cause = "MovedFromOtherParent"
	// CauseParentOutsideContainer: the parent of the zombies is not a process of the container, but, say, the container
	// runtime's shim or a process that entered the container. Nothing inside the container can reap them, and a restart
	// cannot finish while they stay. Evidence: the parent is not in the container's PID namespace. Fix: on the node.
	CauseParentOutsideContainer Cause = "ParentOutsideContainer"
)

// Causes are all of them.
var Causes = []Cause{
	CausePID1DoesNotReap, CauseParentDoesNotWait, CauseHandlerLeavesChildren, CauseSignalBlocked, CauseSignalIgnored,
	CauseWaitsForOtherChild, CauseParentStopped, CauseParentFrozen, CauseParentStuckInD, CauseParentTraced,
	CauseMovedFromOtherParent, CauseParentOutsideContainer,
}

// DocsURL is where the page of a cause, or of a finding, is read: what to change for good, and the risks of it.
func DocsURL(name string) string {
	return "https://github.com/zombie-operator/zombie-operator/blob/main/docs/causes/" + name + ".md"
}

// Remedy is what a rung of a ladder does to a parent or to its container.
//
// +kubebuilder:validation:Enum=SIGCHLD;SIGCONT;SIGHUP;SIGTERM;SIGKILL;RestartContainer
type Remedy string

// The remedies: each signal, and the restart of the container.
const (
	RemedySIGCHLD          = Remedy(SignalChild)
	RemedySIGCONT          = Remedy(SignalContinue)
	RemedySIGHUP           = Remedy(SignalHangup)
	RemedySIGTERM          = Remedy(SignalTerminate)
	RemedySIGKILL          = Remedy(SignalKill)
	RemedyRestartContainer = Remedy(ActionRestartContainer)
)

// Conditions of a report that tell of what looks like zombies, or holds them, but is no leak that a wait() would end. Each is
// there only while it is True; its message says how many, in which container, and what holds them. The agent writes them.
const (
	// ConditionLeaderExited: the main thread of a process has exited while other threads live. The process is alive.
	ConditionLeaderExited = "LeaderExited"
	// ConditionHeldByTracer: zombies that a tracer has to let go first.
	ConditionHeldByTracer = "HeldByTracer"
	// ConditionOtherExitSignal: zombies that told their parent of their end by another signal than SIGCHLD, or by none: a
	// plain wait() does not see them.
	ConditionOtherExitSignal = "OtherExitSignal"
	// ConditionContainerDead: PID 1 of a container is a zombie itself, because the runtime's shim has not waited for it. The
	// container is stuck, and a restart cannot work.
	ConditionContainerDead = "ContainerDead"
	// ConditionPileBehindD: zombies pile up behind a parent in state D. A restart would hang.
	ConditionPileBehindD = "PileBehindD"
)

// Findings are these conditions.
var Findings = []string{
	ConditionLeaderExited, ConditionHeldByTracer, ConditionOtherExitSignal, ConditionContainerDead, ConditionPileBehindD,
}

// ConditionProbeLeaks is True when zombies are born in a container as often as one of its exec probes runs. It is there
// only while it is True. The controller writes it.
const ConditionProbeLeaks = "ProbeLeaks"

// ReasonObserved goes with the findings.
const ReasonObserved = "Observed"
