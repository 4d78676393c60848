package v1alpha1

import (
	"regexp"
	"strings"
	"testing"
)

func someRemediation() ZombieRemediationSpec {
	return ZombieRemediationSpec{
		PodName: "web-7d9c", PodUID: "3f0c8e52-8d0b-4b43-9d1e-0d1f5c1d2a77", NodeName: "node-1",
		ContainerName: "app", ContainerID: "4f53cda18c2b",
		Policy: PolicyReference{Kind: "ZombiePolicy", Name: "web", Generation: 1}, Attempt: 1,
		Action:       RemediationSignalParent,
		SignalParent: &SignalParentAct{Signal: SignalChild, PID: 7, StartTicks: 12345, Command: "node"},
	}
}

// The name is part of the API: a controller of another version, deciding the same act, must make the same object.
func TestTheNameOfARemediationNeverChanges(t *testing.T) {
	t.Parallel()
	if got, want := RemediationName(someRemediation()), "web-7d9c-5db2abb6b8ac0192"; got != want {
		t.Errorf("name %q, want %q", got, want)
	}
	restart := someRemediation()
	restart.Action, restart.SignalParent = RemediationRestartContainer, nil
	restart.RestartContainer = &RestartContainerAct{GracePeriodSeconds: 30}
	if got, want := RemediationName(restart), "web-7d9c-22fc697fa5220867"; got != want {
		t.Errorf("name of a restart %q, want %q", got, want)
	}
}

func TestTheNameOfARemediationTellsActsApart(t *testing.T) {
	t.Parallel()
	seen := map[string]string{RemediationName(someRemediation()): "the act itself"}
	for about, change := range map[string]func(*ZombieRemediationSpec){
		"another pod under the name":             func(s *ZombieRemediationSpec) { s.PodUID = "other" },
		"another container":                      func(s *ZombieRemediationSpec) { s.ContainerID = "5f53cda18c2b" },
		"another action":                         func(s *ZombieRemediationSpec) { s.Action = RemediationRestartContainer },
		"another parent":                         func(s *ZombieRemediationSpec) { s.SignalParent.PID = 8 },
		"a parent that got the PID of another":   func(s *ZombieRemediationSpec) { s.SignalParent.StartTicks++ },
		"another attempt":                        func(s *ZombieRemediationSpec) { s.Attempt = 2 },
		"a PID and a start that read the same":   func(s *ZombieRemediationSpec) { s.SignalParent.PID, s.SignalParent.StartTicks = 71, 2345 },
		"a UID and an ID that read the same":     func(s *ZombieRemediationSpec) { s.PodUID, s.ContainerID = s.PodUID+"4", s.ContainerID[1:] },
		"a start and an attempt that do so, too": func(s *ZombieRemediationSpec) { s.SignalParent.StartTicks, s.Attempt = 1234, 51 },
	} {
		spec := someRemediation()
		change(&spec)
		name := RemediationName(spec)
		if other, taken := seen[name]; taken {
			t.Errorf("%s and %s have one name, %s", about, other, name)
		}
		seen[name] = about
	}
}

// The same act is decided once, however the report or the policy reads when it is decided again.
func TestTheNameOfARemediationHoldsNothingThatMayChangeMeanwhile(t *testing.T) {
	t.Parallel()
	want := RemediationName(someRemediation())
	for about, change := range map[string]func(*ZombieRemediationSpec){
		"the policy was edited":           func(s *ZombieRemediationSpec) { s.Policy.Generation = 2 },
		"another policy governs":          func(s *ZombieRemediationSpec) { s.Policy.Name = "shop" },
		"the parent was renamed":          func(s *ZombieRemediationSpec) { s.SignalParent.Command = "node: worker" },
		"the node was read another way":   func(s *ZombieRemediationSpec) { s.NodeName = "node-2" },
		"the container's name is unknown": func(s *ZombieRemediationSpec) { s.ContainerName = "" },
	} {
		spec := someRemediation()
		change(&spec)
		if got := RemediationName(spec); got != want {
			t.Errorf("when %s the name is %s, want %s", about, got, want)
		}
	}
}

func TestNamesAreCutToWhatTheAPIServerTakes(t *testing.T) {
	t.Parallel()
	subdomain := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	for about, podName := range map[string]string{
		"a short name":                       "web",
		"a name with dots":                   "web.shop.example",
		"a name that just fits":              strings.Repeat("n", 236),
		"a name of one character more":       strings.Repeat("n", 237),
		"the longest name":                   strings.Repeat("n", 253),
		"a name that is cut before a dot":    strings.Repeat("n", 236) + ".shop",
		"a name that is cut behind a dot":    strings.Repeat("n", 235) + ".shop",
		"a name that is cut behind a hyphen": strings.Repeat("n", 235) + "-shop",
		"a name that is cut behind many":     strings.Repeat("n", 200) + strings.Repeat("-", 52) + "n",
	} {
		spec := someRemediation()
		spec.PodName = podName
		for kind, name := range map[string]string{"remediation": RemediationName(spec), "report": ReportName(podName, spec.PodUID)} {
			if len(name) > 253 || !subdomain.MatchString(name) {
				t.Errorf("%s makes the name %q of a %s, %d characters", about, name, kind, len(name))
			}
		}
	}
}
