package api

import (
	"fmt"
	"strings"
)

const goodSignal = `
apiVersion: zombie-operator.io/v1alpha1
kind: ZombieRemediation
metadata: {name: web-7d9c-0123456789abcdef}
spec:
  podName: web-7d9c
  podUID: 3f0c8e52-8d0b-4b43-9d1e-0d1f5c1d2a77
  nodeName: node-1
  containerName: app
  containerID: 4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
  policy: {kind: ZombiePolicy, name: web, generation: 1}
  attempt: 1
  action: SignalParent
  signalParent: {signal: SIGCHLD, pid: 7, startTicks: 12345, command: node}
status:
  conditions:
  - {type: Claimed, status: "True", reason: Claimed, message: Claimed, lastTransitionTime: "2026-01-31T12:00:00Z"}
  attemptID: 6a3c
  bootID: 9d2b
  agentPodUID: 1f3e
  startTime: "2026-01-31T12:00:00Z"
  zombiesBefore: 12
`

const (
	goodRestart = `
apiVersion: zombie-operator.io/v1alpha1
kind: ZombieRemediation
metadata: {name: web-7d9c-fedcba9876543210}
spec:
  podName: web-7d9c
  podUID: 3f0c8e52-8d0b-4b43-9d1e-0d1f5c1d2a77
  nodeName: node-1
  containerName: app
  containerID: 4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
  policy: {kind: ClusterZombiePolicy, name: all, generation: 3}
  attempt: 1
  action: RestartContainer
  restartContainer: {gracePeriodSeconds: 30}
`
	completed = `
status:
  conditions:
  - {type: Claimed, status: "True", reason: Claimed, message: Claimed, lastTransitionTime: "2026-01-31T12:00:00Z"}
  - {type: Completed, status: "True", reason: Cleared, message: Done, lastTransitionTime: "2026-01-31T12:01:00Z"}
  zombiesBefore: 12
  zombiesAfter: 0
  outcome: Cleared
  message: The container was restarted.
`
)

func remediationSuites() []suite {
	return []suite{
		{about: "a ZombieRemediation", good: goodSignal, tries: objectAttempts},
		{about: "the spec of a ZombieRemediation that signals", good: goodSignal, at: "spec", tries: join(actAttempts, signalActAttempts)},
		{about: "the signal of a ZombieRemediation", good: goodSignal, at: "spec.signalParent", tries: signalAttempts},
		{about: "the spec of a ZombieRemediation that restarts", good: goodRestart, at: "spec", tries: restartActAttempts},
		{about: "the restart of a ZombieRemediation", good: goodRestart, at: "spec.restartContainer", tries: restartAttempts},
		{about: "the policy of a ZombieRemediation", good: goodSignal, at: "spec.policy", tries: policyReferenceAttempts},
		{about: "a stored ZombieRemediation", good: goodSignal, verb: updating, tries: storedRemediationAttempts},
		{about: "the status of a ZombieRemediation", good: goodSignal, verb: updatingStatus, at: "status", tries: remediationStatusAttempts},
		{about: "the conditions of a ZombieRemediation", good: goodSignal, verb: updatingStatus, at: "status.conditions", tries: conditionAttempts(8)},
		{about: "calling off a ZombieRemediation", good: goodSignal, verb: updatingStatus, at: "status", tries: cancellingAttempts},
		{about: "a ZombieRemediation under way", good: goodRestart + executing, verb: updatingStatus, at: "status", tries: executingAttempts},
		{about: "a completed ZombieRemediation", good: goodRestart + completed, verb: updatingStatus, tries: completedAttempts},
		{about: "a completed ZombieRemediation, beside its status", good: goodRestart + completed, verb: updating, tries: completedObjectAttempts},
	}
}

var actAttempts = join(
	needed("podName", "podUID", "nodeName", "containerName", "containerID", "policy", "attempt", "action"),
	text("podName", 253, false),
	text("podUID", 64, false),
	text("nodeName", 253, false),
	text("containerName", 63, false), malformed("containerName", notAContainerName, "App", "my_app"),
	text("containerID", 128, false), malformed("containerID", notABareID, "containerd://4f53cda1", "cri-o://4f53cda1"),
	integer("attempt", 1, 1_000_000),
	attempts{
		"an unknown field is refused by its name": {
			patch:   `{dryRun: true}`,
			refused: map[string]string{".dryRun": "unknown field"},
		},
	},
)

const (
	notABareID         = "must be the ID alone, without the runtime's prefix such as containerd://"
	remediationActions = `supported values: "SignalParent", "RestartContainer"`
	signalExactly      = "is set exactly when action is SignalParent"
	restartExactly     = "is set exactly when action is RestartContainer"
)

var signalActAttempts = attempts{
	"a signal is accepted": {patch: `{}`},
	"an alert is refused, because no agent executes it": {
		patch:   `{action: Alert, signalParent: null}`,
		refused: map[string]string{".action": remediationActions},
	},
	"a signal without its target is refused": {
		patch:   `{signalParent: null}`,
		refused: map[string]string{".signalParent": signalExactly},
	},
	"a signal with restart settings is refused": {
		patch:   `{restartContainer: {gracePeriodSeconds: 30}}`,
		refused: map[string]string{".restartContainer": restartExactly},
	},
}

var restartActAttempts = attempts{
	"a restart is accepted": {patch: `{}`},
	"a restart without its grace period is refused": {
		patch:   `{restartContainer: null}`,
		refused: map[string]string{".restartContainer": restartExactly},
	},
	"a restart with a signal's target is refused": {
		patch:   `{signalParent: {signal: SIGTERM, pid: 7, startTicks: 1}}`,
		refused: map[string]string{".signalParent": signalExactly},
	},
}

var signalAttempts = join(
	needed("signal", "pid", "startTicks"),
	choice("signal", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGTERM", "SIGKILL"),
	integer("pid", 1, 4194304),
	integer("startTicks", 0, 1<<53-1),
	text("command", 32, true), form("command", printableForm, unprintable...),
	attempts{
		"a target without a command name is accepted": {patch: `{command: null}`},
		"the arguments of the target have no place in a remediation": {
			patch:   `{args: [-c, secret]}`,
			refused: map[string]string{".args": "unknown field"},
		},
		`signal "99" is refused with the list of signals`: {
			patch:   `{signal: "99"}`,
			refused: map[string]string{".signal": signals},
		},
		"signal 99 is refused": {
			patch:   `{signal: 99}`,
			refused: map[string]string{".signal": `must be of type string: "integer"`},
		},
	},
)

var restartAttempts = join(
	needed("gracePeriodSeconds"),
	integer("gracePeriodSeconds", 1, 3600),
	integer("preStopSleepSeconds", 1, 3600),
	items("preStopExec", 1, 64, "arg%d"),
	attempts{
		"a hook's command of 4096 characters is accepted": {
			patch: fmt.Sprintf(`{preStopExec: [%s]}`, strings.Repeat("a", 4096)),
		},
		"a hook's command of 4097 characters is refused": {
			patch:   fmt.Sprintf(`{preStopExec: [%s]}`, strings.Repeat("a", 4097)),
			refused: map[string]string{".preStopExec[0]": "may not be more than 4096"},
		},
		"two hooks are refused": {
			patch:   `{preStopExec: [sync], preStopSleepSeconds: 5}`,
			refused: map[string]string{".preStopExec": "a container has one preStop hook: set preStopExec or preStopSleepSeconds"},
		},
	},
)

const remediationIsImmutable = "is immutable: an act is decided once"

var storedRemediationAttempts = attempts{
	"writing it again as it is is accepted": {patch: `{}`},
	"a new label is accepted":               {patch: `{metadata: {labels: {team: shop}}}`},
	"another target is refused": {
		patch:   `{spec: {signalParent: {pid: 8}}}`,
		refused: map[string]string{"spec": remediationIsImmutable},
	},
	"another signal is refused": {
		patch:   `{spec: {signalParent: {signal: SIGKILL}}}`,
		refused: map[string]string{"spec": remediationIsImmutable},
	},
	"another node is refused": {
		patch:   `{spec: {nodeName: node-2}}`,
		refused: map[string]string{"spec": remediationIsImmutable},
	},
	"taking the spec away is refused": {
		patch:   `{spec: null}`,
		refused: map[string]string{"spec": required},
	},
}

var remediationStatusAttempts = join(
	text("attemptID", 64, true),
	text("bootID", 64, true),
	text("agentPodUID", 64, true),
	text("message", 512, true), form("message", printableForm, unprintable...),
	moment("startTime"),
	moment("completionTime"),
	integer("zombiesBefore", 0, 4194304),
	integer("zombiesAfter", 0, 4194304),
	choice("outcome", outcomes...),
	attempts{
		"an unknown field is refused by its name": {
			patch:   `{phase: Done}`,
			refused: map[string]string{".phase": "unknown field"},
		},
		"completion with an outcome is accepted": {
			patch: `{outcome: NoEffect, conditions: [` + condition("Completed", "Done", "Done") + `]}`,
		},
		"completion without an outcome is refused": {
			patch:   `{conditions: [` + condition("Completed", "Done", "Done") + `]}`,
			refused: map[string]string{".outcome": "is required when the remediation is completed"},
		},
		"a condition Completed that is False needs no outcome": {
			patch: `{conditions: [` + untrue(condition("Completed", "Open", "Open")) + `]}`,
		},
	},
)

// executing is the status of an act whose intent the agent stored.
const executing = `
status:
  conditions:
  - {type: Claimed, status: "True", reason: Claimed, message: Claimed, lastTransitionTime: "2026-01-31T12:00:00Z"}
  - {type: Executing, status: "True", reason: Executing, message: Executing, lastTransitionTime: "2026-01-31T12:00:00Z"}
  zombiesBefore: 12
`

const tooLateToCancel = "an act whose execution began cannot be cancelled"

var executingAttempts = attempts{
	"calling it off is refused": {
		patch:   `{conditions: ` + conditions("Claimed", "Executing", "Cancelled") + `}`,
		refused: map[string]string{".conditions": tooLateToCancel},
	},
	"calling it off and ending it in one write is refused": {
		patch:   `{outcome: Cancelled, conditions: ` + conditions("Claimed", "Executing", "Cancelled", "Completed") + `}`,
		refused: map[string]string{".conditions": tooLateToCancel},
	},
	"a condition Cancelled that is False is accepted": {
		patch: `{conditions: [` + untrue(condition("Cancelled", "Kept", "Kept")) + `, ` + condition("Executing", "Executing", "Executing") + `]}`,
	},
	"its end is accepted": {
		patch: `{outcome: Cleared, conditions: ` + conditions("Claimed", "Executing", "Completed") + `}`,
	},
	"calling it off by forgetting that it began is refused": {
		patch:   `{outcome: Cancelled, conditions: ` + conditions("Claimed", "Cancelled", "Completed") + `}`,
		refused: map[string]string{"": "an execution that began stays begun"},
	},
	"taking all of its status away is refused": {
		patch:   `{conditions: null, zombiesBefore: null}`,
		refused: map[string]string{"": "an execution that began stays begun"},
	},
}

var cancellingAttempts = attempts{
	"calling off an act that nobody claimed is accepted": {
		patch: `{outcome: Cancelled, conditions: ` + conditions("Cancelled", "Completed") + `}`,
	},
	"calling off an act that is claimed is accepted": {
		patch: `{conditions: ` + conditions("Claimed", "Cancelled") + `}`,
	},
	"beginning an act that was called off is refused": {
		patch:   `{conditions: ` + conditions("Cancelled", "Executing") + `}`,
		refused: map[string]string{".conditions": tooLateToCancel},
	},
	"an act whose execution is said not to have begun may be called off": {
		patch: `{conditions: [` + condition("Cancelled", "Paused", "Paused") + `, ` + untrue(condition("Executing", "Waiting", "Waiting")) + `]}`,
	},
}

// conditions is YAML of conditions of these types, all True.
func conditions(types ...string) string {
	all := make([]string, len(types))
	for i, typ := range types {
		all[i] = condition(typ, typ, typ)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// untrue is the same condition with status False.
func untrue(condition string) string {
	return strings.Replace(condition, `"True"`, `"False"`, 1)
}

const final = "is final: the remediation is completed"

var completedAttempts = attempts{
	"writing it again as it is is accepted": {patch: `{}`},
	"another outcome is refused": {
		patch:   `{status: {outcome: Cured}}`,
		refused: map[string]string{"status": final},
	},
	"another number of zombies is refused": {
		patch:   `{status: {zombiesAfter: 1}}`,
		refused: map[string]string{"status": final},
	},
	"a late field is refused": {
		patch:   `{status: {attemptID: late}}`,
		refused: map[string]string{"status": final},
	},
	"a late condition is refused": {
		patch:   `{status: {conditions: [` + condition("Completed", "Done", "Done") + `, ` + condition("Cancelled", "Late", "Late") + `]}}`,
		refused: map[string]string{"status": final},
	},
	"opening it again is refused": {
		patch:   `{status: {outcome: null, conditions: []}}`,
		refused: map[string]string{"status": final},
	},
	"an empty status is refused": {
		patch:   `{status: {conditions: null, zombiesBefore: null, zombiesAfter: null, outcome: null, message: null}}`,
		refused: map[string]string{"status": final},
	},
	"taking the status away is refused": {
		patch:   `{status: null}`,
		refused: map[string]string{"status": final},
	},
}

var completedObjectAttempts = attempts{
	"a new label is accepted": {patch: `{metadata: {labels: {team: shop}}}`},
	"a status that goes with an update of the object is not looked at": {patch: `{status: {outcome: Failed}}`},
}
