package api

import (
	"fmt"
	"strings"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

const goodReport = `
apiVersion: zombie-operator.io/v1alpha1
kind: ZombieReport
metadata: {name: web-7d9c-1a2b3c4d}
spec: {podName: web-7d9c, podUID: 3f0c8e52-8d0b-4b43-9d1e-0d1f5c1d2a77, nodeName: node-1}
status:
  conditions:
  - {type: Leaking, status: "True", reason: ZombiesCounted, message: Zombies, lastTransitionTime: "2026-01-31T12:00:00Z"}
  observed:
    zombies: 12
    oldestZombieTime: "2026-01-31T11:00:00Z"
    finding: PID1DoesNotReap
    containers:
    - name: app
      containerID: 4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
      image: registry.example/shop/web:1.4
      zombies: 12
      ages: [{minAgeSeconds: 30, zombies: 12}, {minAgeSeconds: 60, zombies: 10}]
      births: {perHour: 360, burst: 1, periodSeconds: 10}
      pids: {used: 80, limit: 100, limitedBy: Pod, usedPercent: 80, forksFailing: true}
      exhaustionTime: "2026-01-31T15:04:05Z"
      fullBy: 01-31 15:04Z
      initInImage: /sbin/tini
      parents:
      - pid: 1
        startTicks: 12345
        command: node
        zombies: 12
        oldestZombieTime: "2026-01-31T11:00:00Z"
        cause: PID1DoesNotReap
        message: PID 1 (node) does not wait for its dead children.
        evidence: SIGCHLD has its default disposition.
        fix: Make an init such as tini PID 1 of the container.
        cannotHelp: [SIGTERM, SIGKILL]
        dead: [{command: git, exit: exit 128, zombies: 11}]
        deadOmitted: 1
  judgement:
    container: app
    policy: {kind: ZombiePolicy, name: web, generation: 1}
    next: {action: SignalParent, mode: DryRun, reason: Planned, doing: "DryRun:SIGCHLD", message: SIGCHLD to PID 1 (node).}
    triggered: [{name: app, since: "2026-01-31T11:20:00Z"}]
    lastAct:
      remediation: web-7d9c-0123456789abcdef
      podName: web-7d9c
      action: SignalParent
      outcome: NoEffect
      time: "2026-01-31T11:30:00Z"
`

const (
	containerInReport = "status.observed.containers[0]"
	parentInReport    = containerInReport + ".parents[0]"
)

func reportSuites() []suite {
	at := func(about, at string, tries attempts) suite {
		return suite{about: about, good: goodReport, verb: updatingStatus, at: at, tries: tries}
	}
	return []suite{
		{about: "a ZombieReport", good: goodReport, tries: objectAttempts},
		{about: "the spec of a ZombieReport", good: goodReport, at: "spec", tries: reportSpecAttempts},
		{about: "a stored ZombieReport", good: goodReport, verb: updating, tries: storedReportAttempts},
		at("the status of a ZombieReport", "status", join(reportStatusAttempts, largeNumberAttempts)),
		at("the conditions of a ZombieReport", "status.conditions", join(conditionAttempts(11), boundedConditionAttempts)),
		at("the observation in a ZombieReport", "status.observed", observedAttempts),
		at("a container in a ZombieReport", containerInReport, containerAttempts),
		at("the births in a ZombieReport", containerInReport+".births", birthsAttempts),
		at("the PIDs in a ZombieReport", containerInReport+".pids", pidsAttempts),
		at("an age in a ZombieReport", containerInReport+".ages[0]", ageAttempts),
		at("a parent in a ZombieReport", parentInReport, parentAttempts),
		at("a kind of dead children in a ZombieReport", parentInReport+".dead[0]", deadAttempts),
		at("the judgement in a ZombieReport", "status.judgement", judgementAttempts),
		at("a triggered container in a ZombieReport", "status.judgement.triggered[0]", triggeredAttempts),
		at("the policy in a ZombieReport", "status.judgement.policy", policyReferenceAttempts),
		at("the next step in a ZombieReport", "status.judgement.next", nextStepAttempts),
		at("the last act in a ZombieReport", "status.judgement.lastAct", lastActAttempts),
	}
}

// Texts that are no name of an object and no ID.
var (
	notNames = []string{"Web", "web_1", "-web", "web-", "web shop", "../web"}
	notIDs   = []string{"-id", "id-", "an id", "a/b", "id\n"}
)

const (
	nameForm      = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
	idForm        = "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
	printableForm = "^[ -~]*$"
)

var unprintable = []string{"caf\u00e9", "a\nb", "\x1b[31mred", "tab\t"}

var reportSpecAttempts = join(
	needed("podName", "podUID", "nodeName"),
	text("podName", 253, false), form("podName", nameForm, notNames...),
	text("podUID", 64, false), form("podUID", idForm, notIDs...),
	text("nodeName", 253, false), form("nodeName", nameForm, notNames...),
	attempts{
		"a pod name with dots is accepted":                {patch: `{podName: web.shop-0}`},
		"the UID of a static pod is accepted":             {patch: `{podUID: 0b1f6d3c8d5c4c1f9a7e2b3c4d5e6f70}`},
		"a node that is named by its address is accepted": {patch: `{nodeName: ip-10-0-0-1.eu-central-1.compute.internal}`},
	},
)

const reportIsImmutable = "is immutable: a report is about one pod of one node"

var storedReportAttempts = attempts{
	"writing it again as it is is accepted": {patch: `{}`},
	"a new label is accepted":               {patch: `{metadata: {labels: {team: shop}}}`},
	"another pod is refused": {
		patch:   `{spec: {podName: other}}`,
		refused: map[string]string{"spec": reportIsImmutable},
	},
	"another pod UID is refused": {
		patch:   `{spec: {podUID: other}}`,
		refused: map[string]string{"spec": reportIsImmutable},
	},
	"another node is refused": {
		patch:   `{spec: {nodeName: other}}`,
		refused: map[string]string{"spec": reportIsImmutable},
	},
	"taking the spec away is refused": {
		patch:   `{spec: null}`,
		refused: map[string]string{"spec": required},
	},
}

var reportStatusAttempts = attempts{
	"a status that says nothing yet is accepted": {replace: true, patch: `{}`},
	"an observation alone is accepted":           {replace: true, patch: `{observed: {zombies: 0}}`},
	"a judgement alone is accepted":              {replace: true, patch: `{judgement: {next: {mode: DryRun, reason: Waiting, doing: Waiting}}}`},
	"no judgement at all is accepted":            {patch: `{judgement: null}`},
	"an unknown field is refused by its name": {
		patch:   `{phase: Leaking}`,
		refused: map[string]string{".phase": "unknown field"},
	},
}

var observedAttempts = join(
	needed("zombies"),
	integer("zombies", 0, 4194304),
	integer("containersOmitted", 0, 4194304),
	moment("oldestZombieTime"),
	form("finding", "^[A-Za-z][A-Za-z0-9]*$", "", "stopped parent", "1st", "Stuck-in-D"),
	items("containers", 0, 2, `{name: c%d, containerID: id, zombies: 1}`),
	attempts{
		"a finding of 24 characters is accepted": {patch: `{finding: ` + strings.Repeat("F", 24) + `}`},
		"a finding of 25 characters is refused": {
			patch:   `{finding: ` + strings.Repeat("F", 25) + `}`,
			refused: map[string]string{".finding": "may not be more than 24"},
		},
		"a pod without zombies needs nothing but the number": {replace: true, patch: `{zombies: 0}`},
		"a container that is listed twice is accepted, because its new ID may stand beside its old one": {
			patch: `{containers: [{name: app, containerID: a, zombies: 1}, {name: app, containerID: b, zombies: 1}]}`,
		},
	},
)

var containerAttempts = join(
	needed("name", "containerID", "zombies"),
	text("name", 63, false), malformed("name", notAContainerName, "App", "my_app", "-a", "a.b"),
	text("containerID", 128, false), form("containerID", idForm, append(notIDs, "containerd://4f53cda1")...),
	text("image", 256, true), form("image", printableForm, unprintable...),
	integer("zombies", 1, 4194304),
	integer("parentsOmitted", 0, 4194304),
	items("ages", 1, 7, `{minAgeSeconds: 30, zombies: 1}`),
	moment("exhaustionTime"),
	attemptsOfFullBy,
	attemptsOfInit,
	items("parents", 1, 3, `{pid: 7, startTicks: 1, command: sh, zombies: 1, oldestZombieTime: "2026-01-31T11:00:00Z", cause: ParentDoesNotWait}`),
	attempts{
		"10,000 parents are refused with the number that is allowed": {
			patch:   `{parents: ` + list(10_000, `{pid: 7, startTicks: %d, command: sh, zombies: 1, oldestZombieTime: "2026-01-31T11:00:00Z", cause: ParentDoesNotWait}`) + `}`,
			refused: map[string]string{".parents": "Too many: 10000: must have at most 3 items"},
		},
		"a container of which nothing more is known is accepted": {
			patch: `{image: null, ages: null, births: null, pids: null, exhaustionTime: null, fullBy: null, initInImage: null, parents: null}`,
		},
		"the arguments of a command have no place in a report": {
			patch:   `{parents: [{pid: 7, startTicks: 1, command: sh, args: [-c, secret], zombies: 1, oldestZombieTime: "2026-01-31T11:00:00Z", cause: ParentDoesNotWait}]}`,
			refused: map[string]string{".parents[0].args": "unknown field"},
		},
	},
)

// What a table shows of a forecast, and the path of a program: neither may be empty nor made of just any letter.
var (
	attemptsOfFullBy = join(
		form("fullBy", "^[0-9][-0-9: hZ]*$", "soon", "", "-1", "2026-01-31T15Z"),
		attempts{
			"a day is accepted":                    {patch: `{fullBy: "2026-11-30"}`},
			"an hour is accepted":                  {patch: `{fullBy: "2026-11-24 15hZ"}`},
			"a minute is accepted":                 {patch: `{fullBy: "11-22 15:04Z"}`},
			"full by in 16 characters is accepted": {patch: `{fullBy: "2026-11-24 15:0Z"}`},
			"full by in 17 characters is refused": {
				patch:   `{fullBy: "2026-11-24 15:04Z"}`,
				refused: map[string]string{".fullBy": "may not be more than 16"},
			},
			"full by as a number is refused": {
				patch:   `{fullBy: 2026}`,
				refused: map[string]string{".fullBy": `must be of type string: "integer"`},
			},
		},
	)
	attemptsOfInit = join(
		form("initInImage", "^/[-A-Za-z0-9_./]*$", "tini", "", "/sbin/my init", "/sbin/tini\n", "/caf\u00e9"),
		attempts{
			"a path of 48 characters is accepted": {patch: `{initInImage: /` + strings.Repeat("a", 47) + `}`},
			"a path of 49 characters is refused": {
				patch:   `{initInImage: /` + strings.Repeat("a", 48) + `}`,
				refused: map[string]string{".initInImage": "may not be more than 48"},
			},
		},
	)
)

var birthsAttempts = join(
	needed("perHour"),
	integer("perHour", 0, 1_000_000_000),
	integer("burst", 1, 4194304),
	integer("periodSeconds", 1, 31_622_400),
	attempts{
		"births without a period are accepted": {patch: `{burst: null, periodSeconds: null}`},
	},
)

var pidsAttempts = join(
	needed("used", "limit", "limitedBy", "usedPercent"),
	integer("usedPercent", 0, 100),
	choice("limitedBy", "Container", "Pod", "Kubepods", "PIDMax", "ThreadsMax"),
	attempts{
		"none used of the smallest limit is accepted": {patch: `{used: 0, limit: 1}`},
		"all used of the largest limit is accepted":   {patch: `{used: 2147483647, limit: 2147483647}`},
		"less than none used is refused": {
			patch:   `{used: -1}`,
			refused: map[string]string{".used": "should be greater than or equal to 0"},
		},
		"a limit of none is refused": {
			patch:   `{limit: 0}`,
			refused: map[string]string{".limit": "should be greater than or equal to 1"},
		},
		"PIDs of which it is not known whether forks fail are accepted": {patch: `{forksFailing: null}`},
		"forks that fail a number of times are refused": {
			patch:   `{forksFailing: 3}`,
			refused: map[string]string{".forksFailing": `must be of type boolean: "integer"`},
		},
	},
)

// The API server complains of a number that is too large for its type at the root of the status too.
var largeNumberAttempts = attempts{
	"more PIDs used than an int32 holds are refused":        largeNumber("used", "limit"),
	"a limit of PIDs beyond what an int32 holds is refused": largeNumber("limit", "used"),
}

func largeNumber(field, other string) attempt {
	return attempt{
		patch: fmt.Sprintf(`{observed: {containers: [{name: app, containerID: a, zombies: 1, pids: {%s: 2147483648, %s: 1, limitedBy: Pod, usedPercent: 1}}]}}`, field, other),
		refused: map[string]string{
			".observed.containers[0].pids." + field: "should be less than or equal to 2147483647",
			"":                                      "format int32",
		},
	}
}

var deadAttempts = join(
	needed("command", "zombies"),
	text("command", 16, true), form("command", printableForm, unprintable...),
	form("exit", "^(exit|killed by) [0-9]{1,3}$", "gone", "exit", "exit 1000", "killed by -9", "exit 0 "),
	integer("zombies", 1, 4194304),
	attempts{
		"an exit of 13 characters is accepted":                             {patch: `{exit: killed by 127}`},
		"children of which it may not be read how they ended are accepted": {patch: `{exit: null}`},
		"an exit of 14 characters is refused": {
			patch:   `{exit: killed by 1234}`,
			refused: map[string]string{".exit": "may not be more than 13"},
		},
	},
)

var ageAttempts = join(
	needed("minAgeSeconds", "zombies"),
	integer("zombies", 1, 4194304),
	attempts{
		"30 s is accepted":        {patch: `{minAgeSeconds: 30}`},
		"1 minute is accepted":    {patch: `{minAgeSeconds: 60}`},
		"5 minutes are accepted":  {patch: `{minAgeSeconds: 300}`},
		"15 minutes are accepted": {patch: `{minAgeSeconds: 900}`},
		"1 hour is accepted":      {patch: `{minAgeSeconds: 3600}`},
		"6 hours are accepted":    {patch: `{minAgeSeconds: 21600}`},
		"1 day is accepted":       {patch: `{minAgeSeconds: 86400}`},
		"an age between the edges is refused with the list of ages": {
			patch:   `{minAgeSeconds: 29}`,
			refused: map[string]string{".minAgeSeconds": ages},
		},
	},
)

const pidRule = "must be set, except with cause ParentOutsideContainer, where it must be absent"

var parentAttempts = join(
	needed("startTicks", "command", "zombies", "oldestZombieTime", "cause"),
	integer("pid", 1, 4194304),
	integer("startTicks", 0, 1<<53-1),
	integer("zombies", 1, 4194304),
	text("command", 16, true), form("command", printableForm, unprintable...),
	text("message", 160, true), form("message", printableForm, unprintable...),
	text("evidence", 100, true), form("evidence", printableForm, unprintable...),
	text("fix", 180, true), form("fix", printableForm, unprintable...),
	moment("oldestZombieTime"),
	items("cannotHelp", 1, 6, `SIGHUP`),
	items("dead", 1, 2, `{command: sh, zombies: 1}`),
	integer("deadOmitted", 0, 4194304),
	causesWithPID(), remediesThatCannotHelp(),
	attempts{
		"a parent outside of the container needs no PID":   {patch: `{cause: ParentOutsideContainer, pid: null}`},
		"a command name of hostile characters is accepted": {patch: `{command: "a) Z (b <&> %s \\"}`},
		"an unknown cause is refused with the list of causes": {
			patch:   `{cause: Ghost}`,
			refused: map[string]string{".cause": `supported values: "PID1DoesNotReap", "ParentDoesNotWait", "HandlerLeavesChildren"`},
		},
		"a PID of a parent outside of the container is refused": {
			patch:   `{cause: ParentOutsideContainer}`,
			refused: map[string]string{".pid": pidRule},
		},
		"a PID 1 without its PID is refused": {
			patch:   `{pid: null}`,
			refused: map[string]string{".pid": pidRule},
		},
		"a parent of the container without its PID is refused": {
			patch:   `{cause: ParentDoesNotWait, pid: null}`,
			refused: map[string]string{".pid": pidRule},
		},
	},
)

// causesWithPID wants every cause to be taken, each with a PID but that of a parent outside of the container.
func causesWithPID() attempts {
	table := attempts{}
	for _, cause := range v1alpha1.Causes {
		if cause != v1alpha1.CauseParentOutsideContainer {
			table[fmt.Sprintf("%s with a PID is accepted", cause)] = attempt{patch: fmt.Sprintf(`{cause: %s, pid: 7}`, cause)}
		}
	}
	return table
}

// remediesThatCannotHelp wants every remedy to be taken, and no other.
func remediesThatCannotHelp() attempts {
	table := attempts{
		"an unknown remedy is refused with the list of all": {
			patch:   `{cannotHelp: [SIGUSR1]}`,
			refused: map[string]string{".cannotHelp[0]": `supported values: "SIGCHLD", "SIGCONT", "SIGHUP", "SIGTERM", "SIGKILL", "RestartContainer"`},
		},
	}
	for _, remedy := range []v1alpha1.Remedy{
		v1alpha1.RemedySIGCHLD, v1alpha1.RemedySIGCONT, v1alpha1.RemedySIGHUP, v1alpha1.RemedySIGTERM, v1alpha1.RemedySIGKILL,
		v1alpha1.RemedyRestartContainer,
	} {
		table[fmt.Sprintf("that %s cannot help is accepted", remedy)] = attempt{patch: fmt.Sprintf(`{cannotHelp: [%s]}`, remedy)}
	}
	return table
}

var policyReferenceAttempts = join(
	needed("kind", "name", "generation"),
	choice("kind", "ZombiePolicy", "ClusterZombiePolicy"),
	text("name", 253, false),
	integer("generation", 1, 1<<53-1),
)

var judgementAttempts = join(
	text("container", 63, false), malformed("container", notAContainerName, "App", "my_app"),
	items("triggered", 0, 2, `{name: c%d, since: "2026-01-31T11:20:00Z"}`),
	attempts{
		"an empty judgement is accepted": {replace: true, patch: `{}`},
		"a container that is triggered twice is refused": {
			patch:   `{triggered: ` + list(2, `{name: app, since: "2026-01-31T11:20:00Z"}`) + `}`,
			refused: map[string]string{".triggered[1]": `Duplicate value: {"name":"app"}`},
		},
		"an unknown field is refused by its name": {
			patch:   `{rung: 2}`,
			refused: map[string]string{".rung": "unknown field"},
		},
	},
)

var triggeredAttempts = join(
	needed("name", "since"),
	text("name", 63, false), malformed("name", notAContainerName, "App", "my_app"),
	moment("since"),
)

var nextStepAttempts = join(
	needed("mode", "reason", "doing"),
	choice("action", "Alert", "SignalParent", "RestartContainer"),
	choice("mode", "DryRun", "Enforce", "Paused"),
	text("reason", 64, false), form("reason", "^[A-Za-z][A-Za-z0-9]*$", "cooling down", "1st", "Cool-down"),
	text("doing", 64, false), form("doing", "^[A-Za-z][A-Za-z0-9:]*$", "DryRun: SIGCHLD", ":SIGCHLD", "9", "Cool-down"),
	text("message", 256, true),
	attempts{
		"an act that is only told is accepted": {patch: `{doing: "DryRun:Restart"}`},
		"no action at all is accepted":         {patch: `{action: null, message: null}`},
	},
)

var outcomes = []string{
	"Cured", "Cleared", "Reduced", "NoEffect", "Moved", "Stale", "Refused", "Cancelled", "Expired", "Interrupted", "Failed",
}

var lastActAttempts = join(
	needed("remediation", "podName", "action", "time"),
	text("remediation", 253, false),
	text("podName", 253, false),
	choice("action", "Alert", "SignalParent", "RestartContainer"),
	choice("outcome", outcomes...),
	moment("time"),
	attempts{
		"an act under way, without an outcome, is accepted": {patch: `{outcome: null}`},
	},
)

func condition(typ, reason, message string) string {
	return fmt.Sprintf(`{type: %s, status: "True", reason: %s, message: %s, lastTransitionTime: "2026-01-31T12:00:00Z"}`, typ, reason, message)
}

// conditionAttempts hold for every status. The fields of a condition are those of metav1.Condition and are not tried.
func conditionAttempts(most int) attempts {
	return attempts{
		fmt.Sprintf("%d conditions are accepted", most): {patch: list(most, condition("T%d", "Because", "why"))},
		fmt.Sprintf("%d conditions are refused", most+1): {
			patch:   list(most+1, condition("T%d", "Because", "why")),
			refused: map[string]string{"": fmt.Sprintf("must have at most %d items", most)},
		},
		"two conditions of one type are refused": {
			patch:   list(2, condition("Leaking", "Because", "why")),
			refused: map[string]string{"[1]": `Duplicate value: {"type":"Leaking"}`},
		},
		"no condition at all is accepted": {patch: `[]`},
	}
}

const (
	shortMessages = "each message may have at most 240 characters"
	shortWords    = "each type may have at most 16 characters, each reason at most 40"
)

var boundedConditionAttempts = attempts{
	"the longest message, type and reason are accepted": {
		patch: "[" + condition(strings.Repeat("t", 16), strings.Repeat("r", 40), strings.Repeat("m", v1alpha1.MaxConditionMessage)) + "]",
	},
	"a message of one character more is refused": {
		patch:   "[" + condition("Leaking", "Because", strings.Repeat("m", v1alpha1.MaxConditionMessage+1)) + "]",
		refused: map[string]string{"": shortMessages},
	},
	"a type of 17 characters is refused": {
		patch:   "[" + condition(strings.Repeat("t", 17), "Because", "why") + "]",
		refused: map[string]string{"": shortWords},
	},
	"a reason of 41 characters is refused": {
		patch:   "[" + condition("Leaking", strings.Repeat("r", 41), "why") + "]",
		refused: map[string]string{"": shortWords},
	},
}
