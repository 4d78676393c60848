package api

const statusOfPolicy = `
status:
  observedGeneration: 1
  governed: 3
  leaking: 1
  inFlight: 0
  conditions:
  - {type: Ready, status: "True", reason: InForce, message: In force, lastTransitionTime: "2026-01-31T12:00:00Z"}
  lastAct:
    remediation: web-7d9c-0123456789abcdef
    podName: web-7d9c
    action: SignalParent
    outcome: Cured
    time: "2026-01-31T11:30:00Z"
`

func policyStatusSuites() []suite {
	var suites []suite
	for kind, good := range map[string]string{"ZombiePolicy": goodPolicy, "ClusterZombiePolicy": goodClusterPolicy} {
		at := func(about, at string, tries attempts) suite {
			return suite{about: about + " of a " + kind, good: good + statusOfPolicy, verb: updatingStatus, at: at, tries: tries}
		}
		suites = append(suites,
			at("the status", "status", policyStatusAttempts),
			at("the conditions", "status.conditions", conditionAttempts(8)),
			at("the last act", "status.lastAct", lastActAttempts),
		)
	}
	return suites
}

var policyStatusAttempts = join(
	integer("observedGeneration", -1, 1<<53-1),
	integer("governed", 0, 10_000_000),
	integer("leaking", 0, 10_000_000),
	integer("inFlight", 0, 10_000_000),
	attempts{
		"an unknown field is refused by its name": {
			patch:   `{acts: 5}`,
			refused: map[string]string{".acts": "unknown field"},
		},
	},
)
