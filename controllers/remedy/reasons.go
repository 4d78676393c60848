package remedy

// Reasons of a report's next step when something is or would be done. They stand in status.judgement.next.reason.
const (
	// ReasonActing: an act on the container is under way.
	ReasonActing = "Acting"
	// ReasonDryRun: the mode in force only tells what would be done.
	ReasonDryRun = "DryRun"
	// ReasonAlerting: people are alerted, and the ladder has no act.
	ReasonAlerting = "Alerting"
)

// Reasons of a report's next step when it is too early for one.
const (
	// ReasonNotTriggered: no part of the trigger holds in the container.
	ReasonNotTriggered = "NotTriggered"
	// ReasonHolding: the trigger holds, but not yet for its forSeconds.
	ReasonHolding = "Holding"
	// ReasonSettling: the last act helped, and the agent has yet to report what is left.
	ReasonSettling = "Settling"
)

// Reasons of a report's next step when a limit makes it wait.
const (
	// ReasonInFlight: another act is under way, in the same pod or, where both are disruptive, in the cluster.
	ReasonInFlight = "InFlight"
	// ReasonCooldown: the last disruptive act on the pod was too short a time ago.
	ReasonCooldown = "Cooldown"
)

// Reasons of a report's next step when nothing is left to be done.
const (
	// ReasonPaused: the governing policy, or a ClusterZombiePolicy above it, is Paused.
	ReasonPaused = "Paused"
	// ReasonLadderExhausted: every rung of the ladder was tried.
	ReasonLadderExhausted = "LadderExhausted"
)

// Reasons of a report's next step when a guard refuses every act on the container.
const (
	// ReasonNotVerified: the report does not agree with the Pod, or was not yet compared with it.
	ReasonNotVerified = "NotVerified"
	// ReasonStale: the agent of the node is not ready, so the report may be out of date.
	ReasonStale = "Stale"
	// ReasonOptedOut: the pod or its namespace carries the annotation that opts out.
	ReasonOptedOut = "OptedOut"
	// ReasonOwnNamespace: the pod is in the namespace of the operator.
	ReasonOwnNamespace = "OwnNamespace"
	// ReasonStaticPod: the pod is a static pod.
	ReasonStaticPod = "StaticPod"
	// ReasonHostPID: the pod is in the PID namespace of the node.
	ReasonHostPID = "HostPID"
	// ReasonCritical: the pod has system-critical priority.
	ReasonCritical = "Critical"
	// ReasonTerminating: the pod is being deleted.
	ReasonTerminating = "Terminating"
	// ReasonNotRunning: the pod or the container does not run.
	ReasonNotRunning = "NotRunning"
	// ReasonRestartPolicy: the kubelet would not start the container again whenever it ends.
	ReasonRestartPolicy = "RestartPolicy"
)

// Reasons of a report's next step when no rung that is left can be taken.
const (
	// ReasonParentOutside: the parent of zombies is not a process of the container. No signal may go there, and a
	// restart could not finish.
	ReasonParentOutside = "ParentOutside"
	// ReasonManyParents: no parent holds a tenth of the zombies, so no signal would help much.
	ReasonManyParents = "ManyParents"
	// ReasonSignalToPID1: the only parents are PID 1 of the container, which gets no SIGTERM and no SIGKILL.
	ReasonSignalToPID1 = "SignalToPID1"
	// ReasonCannotHelp: the agent says of a parent that the remedy cannot work on its zombies; the message says why.
	ReasonCannotHelp = "CannotHelp"
	// ReasonParentStuckInD: a parent is in state D. Signals may not get through, and a restart may hang.
	ReasonParentStuckInD = "ParentStuckInD"
	// ReasonParentFrozen: the cgroup of a parent is frozen. Signals wait, and no restart is done.
	ReasonParentFrozen = "ParentFrozen"
	// ReasonContainerDead: PID 1 of a container of the pod is a zombie itself, so a restart would hang.
	ReasonContainerDead = "ContainerDead"
	// ReasonHeldByTracer: zombies of the pod are held by a tracer, which may be outside of the container, so a restart could not finish.
	ReasonHeldByTracer = "HeldByTracer"
	// ReasonPreStopHook: the container's preStop hook is of a kind that the agent cannot run (httpGet, tcpSocket), or too long.
	ReasonPreStopHook = "PreStopHook"
)

// Reasons of the condition Triggered.
const (
	// ReasonZombiesReached goes with Triggered=True: as many zombies are of the trigger's age as it wants.
	ReasonZombiesReached = "ZombiesReached"
	// ReasonPIDUsageReached goes with Triggered=True: as much of the limit on processes is used as the trigger wants.
	ReasonPIDUsageReached = "PIDUsageReached"
	// ReasonExhaustionNear goes with Triggered=True: the forecast of exhaustion is as near as the trigger wants.
	ReasonExhaustionNear = "ExhaustionNear"
	// ReasonTriggerDoesNotHold goes with Triggered=False.
	ReasonTriggerDoesNotHold = "TriggerDoesNotHold"
)

// Reasons of the condition Alerting, and of the Events about it.
const (
	// ReasonAlertRaised goes with Alerting=True.
	ReasonAlertRaised = "AlertRaised"
	// ReasonAlertOver goes with Alerting=False.
	ReasonAlertOver = "AlertOver"
)

// Reasons of Events on the Pod; the policy is their related object, and they are told of it too.
const (
	// EventLeakFound: the trigger of the governing policy has held for its forSeconds.
	EventLeakFound = "LeakFound"
	// EventActPlanned: an act was decided, and its ZombieRemediation made.
	EventActPlanned = "ActPlanned"
	// EventActNotDone: mode DryRun kept an act from being done.
	EventActNotDone = "ActNotDone"
	// EventActDone: an act ended, with its proof.
	EventActDone = "ActDone"
	// EventActRefused: a guard or a limit keeps the operator from acting.
	EventActRefused = "ActRefused"
)
