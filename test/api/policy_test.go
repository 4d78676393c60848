package api

import (
	"fmt"
	"strings"
)

const (
	goodPolicy = `
apiVersion: zombie-operator.io/v1alpha1
kind: ZombiePolicy
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  trigger: {zombies: 50}
  ladder:
  - action: Alert
  - action: SignalParent
    signalParent: {}
  - action: RestartContainer
    restartContainer: {}
`
	goodClusterPolicy = `
apiVersion: zombie-operator.io/v1alpha1
kind: ClusterZombiePolicy
metadata: {name: all}
spec:
  namespaceSelector: {match: Everything}
  selector: {match: Everything}
  trigger: {zombies: 50}
  ladder:
  - action: Alert
  - action: SignalParent
    signalParent: {}
  - action: RestartContainer
    restartContainer: {}
`
)

// notAContainerName is what the API server says to a container's name that no pod can have.
const notAContainerName = "must be a container's name: lower case letters, digits or '-', starting and ending with a letter or digit"

func policySuites() []suite {
	suites := []suite{
		{about: "a ZombiePolicy", good: goodPolicy, tries: objectAttempts},
		{about: "a ClusterZombiePolicy", good: goodClusterPolicy, tries: objectAttempts},
		{about: "a ClusterZombiePolicy's own fields", good: goodClusterPolicy, at: "spec", tries: clusterPolicyAttempts},
	}
	for kind, good := range map[string]string{"ZombiePolicy": goodPolicy, "ClusterZombiePolicy": goodClusterPolicy} {
		suites = append(suites,
			suite{about: "the spec of a " + kind, good: good, at: "spec", tries: policyAttempts},
			suite{about: "the trigger of a " + kind, good: good, at: "spec.trigger", tries: triggerAttempts},
			suite{about: "the ladder of a " + kind, good: good, at: "spec.ladder", tries: ladderAttempts},
			suite{about: "a signal rung of a " + kind, good: good, at: "spec.ladder[1]", tries: signalRungAttempts},
			suite{about: "a restart rung of a " + kind, good: good, at: "spec.ladder[2]", tries: restartRungAttempts},
		)
	}
	return suites
}

// objectAttempts hold for every kind.
var objectAttempts = attempts{
	"a good object is accepted": {
		patch: `{}`,
	},
	"an unknown field beside spec is refused": {
		patch:   `{ladder: []}`,
		refused: map[string]string{"ladder": "unknown field"},
	},
	"a missing spec is refused": {
		patch:   `{spec: null}`,
		refused: map[string]string{"spec": required},
	},
	"a name with a space is refused": {
		patch:   `{metadata: {name: web shop}}`,
		refused: map[string]string{"metadata.name": "must consist of lower case alphanumeric characters"},
	},
	"a name of 253 characters is accepted": {
		patch: fmt.Sprintf(`{metadata: {name: %s}}`, strings.Repeat("n", 253)),
	},
	"a name of 254 characters is refused": {
		patch:   fmt.Sprintf(`{metadata: {name: %s}}`, strings.Repeat("n", 254)),
		refused: map[string]string{"metadata.name": "must be no more than 253"},
	},
}

var clusterPolicyAttempts = attempts{
	"a cluster policy without a namespace selector is refused": {
		patch:   `{namespaceSelector: null}`,
		refused: map[string]string{".namespaceSelector": required},
	},
	"a cluster policy that chooses namespaces by name is accepted": {
		patch: `{namespaceSelector: {match: null, matchLabels: {kubernetes.io/metadata.name: shop}}}`,
	},
}

var policyAttempts = attempts{
	"mode DryRun is accepted":  {patch: `{mode: DryRun}`},
	"mode Enforce is accepted": {patch: `{mode: Enforce}`},
	"mode Paused is accepted":  {patch: `{mode: Paused}`},
	"an unknown mode is refused with the list of modes": {
		patch:   `{mode: Audit}`,
		refused: map[string]string{".mode": `supported values: "DryRun", "Enforce", "Paused"`},
	},
	"a mode in lower case is refused with the list of modes": {
		patch:   `{mode: enforce}`,
		refused: map[string]string{".mode": `supported values: "DryRun", "Enforce", "Paused"`},
	},
	"the highest priority is accepted": {patch: `{priority: 1000}`},
	"the lowest priority is accepted":  {patch: `{priority: -1000}`},
	"a priority above the highest is refused": {
		patch:   `{priority: 1001}`,
		refused: map[string]string{".priority": "should be less than or equal to 1000"},
	},
	"a priority below the lowest is refused": {
		patch:   `{priority: -1001}`,
		refused: map[string]string{".priority": "should be greater than or equal to -1000"},
	},
	"a priority with a fraction is refused": {
		patch:   `{priority: 1.5}`,
		refused: map[string]string{".priority": `must be of type int32: "float64"`},
	},
	"a policy without a selector is refused": {
		patch:   `{selector: null}`,
		refused: map[string]string{".selector": required},
	},
	"a policy without a trigger is refused": {
		patch:   `{trigger: null}`,
		refused: map[string]string{".trigger": required},
	},
	"a policy without a ladder is refused": {
		patch:   `{ladder: null}`,
		refused: map[string]string{".ladder": required},
	},
	"an unknown field is refused by its name": {
		patch:   `{limits: {maxPerHour: 10}}`,
		refused: map[string]string{".limits": "unknown field"},
	},
	"one container name is accepted": {patch: `{containerNames: [app]}`},
	"a container name of 63 characters is accepted": {
		patch: fmt.Sprintf(`{containerNames: [%s]}`, strings.Repeat("c", 63)),
	},
	"a container name of 64 characters is refused": {
		patch:   fmt.Sprintf(`{containerNames: [%s]}`, strings.Repeat("c", 64)),
		refused: map[string]string{".containerNames[0]": "may not be more than 63"},
	},
	"a container name of one character is accepted": {patch: `{containerNames: [a]}`},
	"an empty container name is refused": {
		patch:   `{containerNames: [""]}`,
		refused: map[string]string{".containerNames[0]": tooShort},
	},
	"a container name with an underscore is refused": {
		patch:   `{containerNames: [my_app]}`,
		refused: map[string]string{".containerNames[0]": notAContainerName},
	},
	"a list of no container names is refused": {
		patch:   `{containerNames: []}`,
		refused: map[string]string{".containerNames": "should have at least 1 items"},
	},
	"32 container names are accepted": {patch: `{containerNames: ` + list(32, `c%d`) + `}`},
	"33 container names are refused": {
		patch:   `{containerNames: ` + list(33, `c%d`) + `}`,
		refused: map[string]string{".containerNames": "must have at most 32 items"},
	},
	"a container name that is listed twice is refused": {
		patch:   `{containerNames: [app, app]}`,
		refused: map[string]string{".containerNames[1]": `Duplicate value: "app"`},
	},
}

const ages = `supported values: "30", "60", "300", "900", "3600", "21600", "86400"`

var triggerAttempts = attempts{
	"one zombie is accepted": {patch: `{zombies: 1}`},
	"as many zombies as a kernel has PIDs are accepted": {
		patch: `{zombies: 4194304}`,
	},
	"no zombie at all is refused": {
		patch:   `{zombies: 0}`,
		refused: map[string]string{".zombies": "should be greater than or equal to 1"},
	},
	"a negative number of zombies is refused": {
		patch:   `{zombies: -5}`,
		refused: map[string]string{".zombies": "should be greater than or equal to 1"},
	},
	"more zombies than a kernel has PIDs are refused": {
		patch:   `{zombies: 4194305}`,
		refused: map[string]string{".zombies": "should be less than or equal to 4194304"},
	},
	"a percentage of zombies is refused": {
		patch:   `{zombies: 80%}`,
		refused: map[string]string{".zombies": `must be of type integer: "string"`},
	},
	"a number of zombies as text is refused": {
		patch:   `{zombies: "50"}`,
		refused: map[string]string{".zombies": `must be of type integer: "string"`},
	},
	"a trigger that can never hold is refused": {
		patch:   `{zombies: null, minAgeSeconds: 60}`,
		refused: map[string]string{"": "must set at least one of zombies, pidUsagePercent and exhaustionWithinSeconds"},
	},
	"a trigger of the use of PIDs alone is accepted": {
		patch: `{zombies: null, pidUsagePercent: 80}`,
	},
	"a trigger of the forecast alone is accepted": {
		patch: `{zombies: null, exhaustionWithinSeconds: 86400}`,
	},
	"a trigger of everything is accepted": {
		patch: `{pidUsagePercent: 80, exhaustionWithinSeconds: 86400}`,
	},
	"half of the PIDs is accepted": {patch: `{pidUsagePercent: 50}`},
	"70 % of the PIDs is accepted": {patch: `{pidUsagePercent: 70}`},
	"90 % of the PIDs is accepted": {patch: `{pidUsagePercent: 90}`},
	"95 % of the PIDs is accepted": {patch: `{pidUsagePercent: 95}`},
	"a use of PIDs at which reports are not written is refused with the list of those": {
		patch:   `{pidUsagePercent: 60}`,
		refused: map[string]string{".pidUsagePercent": `supported values: "50", "70", "80", "90", "95"`},
	},
	"a use of PIDs of nothing is refused with the list": {
		patch:   `{pidUsagePercent: 0}`,
		refused: map[string]string{".pidUsagePercent": `supported values: "50", "70", "80", "90", "95"`},
	},
	"a use of PIDs with a percent sign is refused": {
		patch:   `{pidUsagePercent: 80%}`,
		refused: map[string]string{".pidUsagePercent": `must be of type integer: "string"`},
	},
	"exhaustion within 10 minutes is accepted": {patch: `{exhaustionWithinSeconds: 600}`},
	"exhaustion within an hour is accepted":    {patch: `{exhaustionWithinSeconds: 3600}`},
	"exhaustion within 6 hours is accepted":    {patch: `{exhaustionWithinSeconds: 21600}`},
	"exhaustion within a day is accepted":      {patch: `{exhaustionWithinSeconds: 86400}`},
	"exhaustion within a week is accepted":     {patch: `{exhaustionWithinSeconds: 604800}`},
	"exhaustion within half a day is refused with the list of times": {
		patch:   `{exhaustionWithinSeconds: 43200}`,
		refused: map[string]string{".exhaustionWithinSeconds": `supported values: "600", "3600", "21600", "86400", "604800"`},
	},
	"a misspelt field is refused by its name": {
		patch:   `{minAge: 300}`,
		refused: map[string]string{".minAge": "unknown field"},
	},
	"an age of 30 s is accepted":     {patch: `{minAgeSeconds: 30}`},
	"an age of 1 minute is accepted": {patch: `{minAgeSeconds: 60}`},
	"an age of 5 minutes is accepted": {
		patch: `{minAgeSeconds: 300}`,
	},
	"an age of 15 minutes is accepted": {patch: `{minAgeSeconds: 900}`},
	"an age of 1 hour is accepted":     {patch: `{minAgeSeconds: 3600}`},
	"an age of 6 hours is accepted":    {patch: `{minAgeSeconds: 21600}`},
	"an age of 1 day is accepted":      {patch: `{minAgeSeconds: 86400}`},
	"an age that reports do not count is refused with the list of ages": {
		patch:   `{minAgeSeconds: 31}`,
		refused: map[string]string{".minAgeSeconds": ages},
	},
	"an age with a unit is refused": {
		patch:   `{minAgeSeconds: 5m}`,
		refused: map[string]string{".minAgeSeconds": `must be of type integer: "string"`},
	},
	"a trigger that fires at once is accepted": {patch: `{forSeconds: 0}`},
	"a trigger that must hold for a day is accepted": {
		patch: `{forSeconds: 86400}`,
	},
	"a negative time to hold is refused": {
		patch:   `{forSeconds: -1}`,
		refused: map[string]string{".forSeconds": "should be greater than or equal to 0"},
	},
	"a time to hold of more than a day is refused": {
		patch:   `{forSeconds: 86401}`,
		refused: map[string]string{".forSeconds": "should be less than or equal to 86400"},
	},
}

const actions = `supported values: "Alert", "SignalParent", "RestartContainer"`

var ladderAttempts = attempts{
	"an empty ladder is refused": {
		patch:   `[]`,
		refused: map[string]string{"": "should have at least 1 items"},
	},
	"one rung is accepted":   {patch: `[{action: Alert}]`},
	"two rungs are accepted": {patch: `[{action: Alert}, {action: RestartContainer}]`},
	"the same rung twice is accepted, because a rung may be worth another try": {
		patch: `[{action: SignalParent}, {action: SignalParent}]`,
	},
	"eight rungs are accepted": {patch: list(8, `{action: Alert}`)},
	"nine rungs are refused": {
		patch:   list(9, `{action: Alert}`),
		refused: map[string]string{"": "must have at most 8 items"},
	},
	"an unknown action is refused with the list of actions": {
		patch:   `[{action: Alert}, {action: Reboot}]`,
		refused: map[string]string{"[1].action": actions},
	},
	"an action of the design that is not in force yet is refused": {
		patch:   `[{action: EvictPod}]`,
		refused: map[string]string{"[0].action": actions},
	},
	"a rung without an action is refused": {
		patch:   `[{}]`,
		refused: map[string]string{"[0].action": required},
	},
	"a rung that is only a word is refused": {
		patch:   `[Alert]`,
		refused: map[string]string{"[0]": `must be of type object: "string"`},
	},
	"signal settings under another action are refused": {
		patch:   `[{action: Alert, signalParent: {signal: SIGTERM}}]`,
		refused: map[string]string{"[0].signalParent": "belongs to action SignalParent: remove it, or change the action"},
	},
	"restart settings under another action are refused": {
		patch:   `[{action: SignalParent, restartContainer: {gracePeriodSeconds: 5}}]`,
		refused: map[string]string{"[0].restartContainer": "belongs to action RestartContainer: remove it, or change the action"},
	},
}

const signals = `supported values: "SIGCHLD", "SIGCONT", "SIGHUP", "SIGTERM", "SIGKILL"`

var signalRungAttempts = attempts{
	"a signal rung without settings is accepted":    {patch: `{signalParent: null}`},
	"a signal rung with empty settings is accepted": {patch: `{signalParent: {}}`},
	"SIGCHLD is accepted":                           {patch: `{signalParent: {signal: SIGCHLD}}`},
	"SIGCONT is accepted":                           {patch: `{signalParent: {signal: SIGCONT}}`},
	"SIGHUP is accepted":                            {patch: `{signalParent: {signal: SIGHUP}}`},
	"SIGTERM is accepted":                           {patch: `{signalParent: {signal: SIGTERM}}`},
	"SIGKILL is accepted":                           {patch: `{signalParent: {signal: SIGKILL}}`},
	"signal 99 as a number is refused": {
		patch:   `{signalParent: {signal: 99}}`,
		refused: map[string]string{".signalParent.signal": `must be of type string: "integer"`},
	},
	`signal "99" as text is refused with the list of signals`: {
		patch:   `{signalParent: {signal: "99"}}`,
		refused: map[string]string{".signalParent.signal": signals},
	},
	"a signal that would stop the parent is refused with the list of signals": {
		patch:   `{signalParent: {signal: SIGSTOP}}`,
		refused: map[string]string{".signalParent.signal": signals},
	},
	"a signal without its prefix is refused with the list of signals": {
		patch:   `{signalParent: {signal: CHLD}}`,
		refused: map[string]string{".signalParent.signal": signals},
	},
	"an unknown setting is refused by its name": {
		patch:   `{signalParent: {pid: 1}}`,
		refused: map[string]string{".signalParent.pid": "unknown field"},
	},
}

var restartRungAttempts = attempts{
	"a restart rung without settings is accepted": {patch: `{restartContainer: null}`},
	"a grace period of 1 s is accepted":           {patch: `{restartContainer: {gracePeriodSeconds: 1}}`},
	"a grace period of 1 hour is accepted":        {patch: `{restartContainer: {gracePeriodSeconds: 3600}}`},
	"no grace period at all is refused": {
		patch:   `{restartContainer: {gracePeriodSeconds: 0}}`,
		refused: map[string]string{".restartContainer.gracePeriodSeconds": "should be greater than or equal to 1"},
	},
	"a negative grace period is refused": {
		patch:   `{restartContainer: {gracePeriodSeconds: -1}}`,
		refused: map[string]string{".restartContainer.gracePeriodSeconds": "should be greater than or equal to 1"},
	},
	"a grace period of more than 1 hour is refused": {
		patch:   `{restartContainer: {gracePeriodSeconds: 3601}}`,
		refused: map[string]string{".restartContainer.gracePeriodSeconds": "should be less than or equal to 3600"},
	},
}
