//go:build linux

package main

import (
	"strings"
	"testing"
)

func TestUntouchedTellsWhateverWasTouched(t *testing.T) {
	t.Parallel()
	dead := []process{{pid: 7, started: "1"}, {pid: 8, started: "1"}}
	for name, test := range map[string]struct {
		change  func(now *state)
		reports map[string]report
		want    string
	}{
		"nothing was":                       {change: func(*state) {}},
		"acts on the pods that are cured":   {change: func(now *state) { now.acts = []remediation{anAct(endings[0].pod, "", "", "")} }},
		"events on the pod that is told of": {change: func(now *state) { now.events = someEvents(rehearsed, "ActNotDone") }},
		"an act in spite of DryRun": {change: func(now *state) { now.acts = []remediation{anAct(rehearsed, "", "", "")} },
			want: "there is an act on builder, and there must be none"},
		"an act without a policy": {change: func(now *state) { now.acts = []remediation{anAct("invoicer", "", "", "")} },
			want: "there is an act on invoicer, and there must be none"},
		"another container": {change: func(now *state) { now.pods[spared] = aPod(spared, "uid", "new", 1) },
			want: "sentinel does not run in the container in which it was"},
		"zombies that are gone": {change: func(now *state) { now.kernel.was[rehearsed] = finding{zombies: dead[:1]} },
			want: "1 of the 2 zombies of builder are left, and nobody was to touch them"},
		"an event on the sawtooth": {change: func(now *state) { now.events = someEvents(spared, "LeakFound") },
			want: "there is a report or an event of the operator on sentinel, and there is nothing to tell"},
		"a report on the sawtooth": {change: func(*state) {}, reports: map[string]report{spared: {}},
			want: "there is a report or an event of the operator on sentinel, and there is nothing to tell"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shopOf := func() state {
				s := state{pods: map[string]pod{}, kernel: sight{was: map[string]finding{rehearsed: {zombies: dead}}}}
				for _, r := range cast {
					s.pods[r.pod] = aPod(r.pod, "uid", "old", 0)
				}
				return s
			}
			now := shopOf()
			test.change(&now)
			if got := errorText(untouched(shopOf(), now, test.reports)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestLacksReturn(t *testing.T) {
	t.Parallel()
	reportOf := func(containerID, reason string) report {
		reports, err := parseReports(`{"items": [{"spec": {"podName": "repo-server"}, "status": {
		  "observed": {"zombies": 20, "containers": [{"containerID": "` + containerID + `", "parents": [{"pid": 1, "fix": "An init."}]}]},
		  "judgement": {"next": {"reason": "` + reason + `", "doing": "` + reason + `", "message": "Why."}}}}]}`)
		if err != nil {
			t.Fatal(err)
		}
		return reports[returning]
	}
	for name, test := range map[string]struct {
		report  report
		leaking int
		want    string
	}{
		"it tells of the new container and waits": {reportOf("new", "Cooldown"), 1, ""},
		"it tells of the old container":           {reportOf("old", "Cooldown"), 1, "to tell of its new container"},
		"it tells of no container":                {report{}, 1, "to tell of its new container"},
		"it does not wait":                        {reportOf("new", "Acting"), 1, `it says "Acting": Why.`},
		"its policy does not know of it yet":      {reportOf("new", "Cooldown"), 0, "for policy cure to count repo-server as leaking"},
	} {
		var under policy
		under.Metadata.Name, under.Status.Leaking = "cure", test.leaking
		if got := lacksReturn(test.report, "new", under); got != test.want && (test.want == "" || !strings.HasSuffix(got, test.want)) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
	if p, ok := reportOf("new", "Cooldown").parent(); !ok || p.Fix != "An init." {
		t.Errorf("got %+v, want the fix", p)
	}
}
