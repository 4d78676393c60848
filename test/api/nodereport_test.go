package api

import (
	"fmt"
	"strings"
)

const goodNodeReport = `
apiVersion: zombie-operator.io/v1alpha1
kind: ZombieNodeReport
metadata: {name: node-1}
spec: {nodeName: node-1}
status:
  conditions:
  - {type: Leaking, status: "True", reason: ZombiesCounted, message: Zombies, lastTransitionTime: "2026-01-31T12:00:00Z"}
  observed:
    hostZombies: 30
    parents: [{command: kubelet, zombies: 28}]
    parentsOmitted: 2
    unattributed: 1
    pids: {used: 80, limit: 32768, limitedBy: PIDMax, usedPercent: 0}
    birthsPerHour: 240
    exhaustionTime: "2026-01-31T15:04:05Z"
    fullBy: 01-31 15:04Z
`

func nodeReportSuites() []suite {
	at := func(about, at string, tries attempts) suite {
		return suite{about: about, good: goodNodeReport, verb: updatingStatus, at: at, tries: tries}
	}
	return []suite{
		{about: "a ZombieNodeReport", good: goodNodeReport, tries: nodeObjectAttempts},
		{about: "the spec of a ZombieNodeReport", good: goodNodeReport, at: "spec", tries: nodeSpecAttempts},
		{about: "a stored ZombieNodeReport", good: goodNodeReport, verb: updating, tries: storedNodeReportAttempts},
		at("the status of a ZombieNodeReport", "status", join(nodeStatusAttempts, largeNodeNumberAttempts)),
		at("the conditions of a ZombieNodeReport", "status.conditions", join(conditionAttempts(4), boundedConditionAttempts)),
		at("the observation in a ZombieNodeReport", "status.observed", nodeObservedAttempts),
		at("the PIDs in a ZombieNodeReport", "status.observed.pids", pidsAttempts),
		at("a parent in a ZombieNodeReport", "status.observed.parents[0]", hostParentAttempts),
	}
}

const nodeNameRule = "must be the name of the report, too"

var nodeObjectAttempts = attempts{
	"a node of 253 characters is accepted": {patch: namedNode(253)},
	"a node of one character is accepted":  {patch: namedNode(1)},
	"an unknown field beside spec is refused": {
		patch:   `{ladder: []}`,
		refused: map[string]string{"ladder": "unknown field"},
	},
	"a missing spec is refused": {
		patch:   `{spec: null}`,
		refused: map[string]string{"spec": required},
	},
	"a node of 254 characters is refused": {
		patch:   `{spec: {nodeName: ` + strings.Repeat("a", 254) + `}}`,
		refused: map[string]string{"spec.nodeName": "may not be more than 253"},
	},
	"a node without a name is refused": {
		patch:   `{spec: {nodeName: ""}}`,
		refused: map[string]string{"spec.nodeName": tooShort},
	},
	"another name than that of its node is refused": {
		patch:   `{spec: {nodeName: node-2}}`,
		refused: map[string]string{"spec.nodeName": nodeNameRule},
	},
	"a text that is no name is refused": {
		patch:   `{spec: {nodeName: "../node"}}`,
		refused: map[string]string{"spec.nodeName": "should match '" + nameForm + "'"},
	},
}

func namedNode(length int) string {
	name := strings.Repeat("a", length)
	return fmt.Sprintf(`{metadata: {name: %s}, spec: {nodeName: %s}}`, name, name)
}

var nodeSpecAttempts = needed("nodeName")

var storedNodeReportAttempts = attempts{
	"writing it again as it is is accepted": {patch: `{}`},
	"another node is refused": {
		patch:   `{spec: {nodeName: other}}`,
		refused: map[string]string{"spec": "is immutable: a report is about one node", "spec.nodeName": nodeNameRule},
	},
}

var nodeStatusAttempts = attempts{
	"a status that says nothing yet is accepted": {replace: true, patch: `{}`},
	"an observation alone is accepted":           {replace: true, patch: `{observed: {hostZombies: 0}}`},
}

var nodeObservedAttempts = join(
	needed("hostZombies"),
	integer("hostZombies", 0, 4194304),
	integer("parentsOmitted", 0, 4194304),
	integer("unattributed", 0, 4194304),
	integer("birthsPerHour", 0, 1_000_000_000),
	items("parents", 1, 10, `{command: sh, zombies: 1}`),
	moment("exhaustionTime"),
	attemptsOfFullBy,
)

var hostParentAttempts = join(
	needed("command", "zombies"),
	integer("zombies", 1, 4194304),
	text("command", 16, true), form("command", printableForm, unprintable...),
)

// The API server complains of a number that is too large for its type at the root of the status too.
var largeNodeNumberAttempts = attempts{
	"more PIDs used than an int32 holds are refused":        largeNodeNumber("used", "limit"),
	"a limit of PIDs beyond what an int32 holds is refused": largeNodeNumber("limit", "used"),
}

func largeNodeNumber(field, other string) attempt {
	a := largeNumber(field, other)
	a.patch = `{observed: {pids: {` + field + `: 2147483648, ` + other + `: 1, limitedBy: PIDMax, usedPercent: 1}}}`
	a.refused[".observed.pids."+field] = a.refused[".observed.containers[0].pids."+field]
	delete(a.refused, ".observed.containers[0].pids."+field)
	return a
}
