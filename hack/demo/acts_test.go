//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// readPolicy refuses fields that the API does not know.
func readPolicy(t *testing.T, name string) v1alpha1.ZombiePolicy {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("policies", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var p v1alpha1.ZombiePolicy
	if err := yaml.UnmarshalStrict(text, &p); err != nil {
		t.Fatal(err)
	}
	if p.Kind != "ZombiePolicy" || p.Name != name || p.Namespace != shop {
		t.Errorf("got %s %s/%s, want ZombiePolicy %s/%s", p.Kind, p.Namespace, p.Name, shop, name)
	}
	for line := range strings.Lines(string(text)) {
		if len(strings.TrimRight(line, "\n")) > width {
			t.Errorf("more than %d characters: %s", width, line)
		}
	}
	return p
}

func TestPolicyThatActsGovernsThosePodsWhoseEndsAreToldAndTheSawtooth(t *testing.T) {
	t.Parallel()
	p := readPolicy(t, "cure")
	if p.Spec.Mode != v1alpha1.ModeEnforce || len(p.Spec.Selector.MatchExpressions) != 1 {
		t.Fatalf("got mode %s, %d expressions, want Enforce and one", p.Spec.Mode, len(p.Spec.Selector.MatchExpressions))
	}
	want := []v1alpha1.LabelValue{}
	for _, e := range endings {
		want = append(want, v1alpha1.LabelValue(e.pod))
		if r := roleOf(t, e.pod); r.zombies < int(p.Spec.Trigger.Zombies) {
			t.Errorf("%s has %d zombies, its trigger wants %d", e.pod, r.zombies, p.Spec.Trigger.Zombies)
		}
	}
	want = append(want, spared)
	if e := p.Spec.Selector.MatchExpressions[0]; e.Key != "app.kubernetes.io/name" || e.Operator != v1alpha1.SelectorOpIn || !slices.Equal(e.Values, want) {
		t.Errorf("got %+v, want the pods %v", e, want)
	}
	// Only its age keeps the sawtooth out.
	if r := roleOf(t, spared); r.leaks || r.zombies < int(p.Spec.Trigger.Zombies) || p.Spec.Trigger.MinAgeSeconds != 30 {
		t.Errorf("got role %+v and trigger %+v", r, p.Spec.Trigger)
	}
	var actions []string
	for _, rung := range p.Spec.Ladder {
		actions = append(actions, string(rung.Action))
	}
	if !slices.Equal(actions, []string{"Alert", endings[0].action, endings[1].action}) {
		t.Errorf("got the ladder %v", actions)
	}
}

func TestPolicyThatOnlyTellsGovernsOnePod(t *testing.T) {
	t.Parallel()
	p := readPolicy(t, "rehearse")
	if p.Spec.Mode != v1alpha1.ModeDryRun || p.Spec.Selector.MatchLabels["app.kubernetes.io/name"] != rehearsed {
		t.Errorf("got mode %s and labels %v", p.Spec.Mode, p.Spec.Selector.MatchLabels)
	}
	if signal := p.Spec.Ladder[1].SignalParent.Signal; "DryRun:"+string(signal) != "DryRun:SIGTERM" {
		t.Errorf("got %s as first act, the story waits for SIGTERM", signal)
	}
	if got, want := ungoverned(), []string{"cron-runner", "terminal", "invoicer"}; !slices.Equal(got, want) {
		t.Errorf("got %v under no policy, want %v", got, want)
	}
}

func roleOf(t *testing.T, pod string) role {
	t.Helper()
	i := slices.IndexFunc(cast, func(r role) bool { return r.pod == pod })
	if i < 0 {
		t.Fatalf("%s is not in the cast", pod)
	}
	text, err := os.ReadFile(filepath.Join("..", "..", manifests, pod+".yaml"))
	if err != nil || !strings.Contains(string(text), "app.kubernetes.io/name: "+pod+"\n") {
		t.Fatalf("%s does not carry its name as label: %v", pod, err)
	}
	return cast[i]
}

// aPod runs and is ready.
func aPod(name, uid, containerID string, restarts int) pod {
	var p pod
	p.Metadata.Name, p.Metadata.UID, p.Status.Phase = name, uid, "Running"
	p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, containerStatus{ContainerID: "containerd://" + containerID, Ready: true, Restarts: restarts})
	return p
}

func anAct(pod, action, outcome, message string) remediation {
	var r remediation
	r.Spec.PodName, r.Spec.PodUID, r.Spec.Action, r.Status.Outcome, r.Status.Message = pod, "uid", action, outcome, message
	return r
}

func someEvents(pod string, reasons ...string) []event {
	var events []event
	for _, reason := range reasons {
		e := event{Reason: reason}
		e.About.Name, e.About.UID = pod, "uid"
		events = append(events, e)
	}
	return events
}

// serverState is of a pod whose container was restarted; before the change all is as it must be.
func serverState(change func(now *state)) (before, now state) {
	dead := []process{{pid: 7, started: "1"}, {pid: 8, started: "1"}}
	before = state{pods: map[string]pod{"server": aPod("server", "uid", "old", 0)}, kernel: sight{was: map[string]finding{"server": {zombies: dead}}}}
	now = state{
		pods:   map[string]pod{"server": aPod("server", "uid", "new", 1)},
		acts:   []remediation{anAct("other", "Restart", "Cleared", ""), anAct("server", "Signal", "NoEffect", ""), anAct("server", "Restart", "Cleared", "")},
		events: someEvents("server", "LeakFound", "ActPlanned", "ActDone"),
		kernel: sight{was: map[string]finding{"server": {zombies: []process{{pid: 7, started: "2"}}}}}, // a later one
	}
	change(&now)
	return before, now
}

func TestEndingLacksWhateverHasNotCome(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(now *state)
		want   string
	}{
		"nothing is missing":                  {func(*state) {}, ""},
		"there is no act":                     {func(now *state) { now.acts = now.acts[:2] }, "for Restart on server to end Cleared: there is no such act yet"},
		"the act is under way":                {func(now *state) { now.acts[2].Status.Outcome = "" }, "for Restart on server to end Cleared: it is under way"},
		"the act failed and said why":         {func(now *state) { now.acts[2] = anAct("server", "Restart", "Failed", "No.") }, "for Restart on server to end Cleared: it ended Failed: No."},
		"the new container is not ready":      {func(now *state) { now.pods["server"].Status.ContainerStatuses[0].Ready = false }, "for server to be ready with 1 restarts, not 1"},
		"it was restarted too often":          {func(now *state) { now.pods["server"] = aPod("server", "uid", "new", 2) }, "for server to be ready with 1 restarts, not 2"},
		"it is another pod":                   {func(now *state) { now.pods["server"] = aPod("server", "uid2", "new", 1) }, "for pod server to be the one that it was: its UID was uid and is uid2"},
		"it is still the old container":       {func(now *state) { now.pods["server"] = aPod("server", "uid", "old", 1) }, "for server to run in the right container: it was old and is old"},
		"the kernel still shows a zombie":     {func(now *state) { now.kernel.was["server"].zombies[0].started = "1" }, "for the kernel to forget 1 of the zombies of server"},
		"the pod was not told of the leak":    {func(now *state) { now.events = now.events[1:] }, "for an event LeakFound on server"},
		"the pod was not told of the outcome": {func(now *state) { now.events = now.events[:2] }, "for an event ActDone on server"},
		"another pod was told of the outcome": {func(now *state) { now.events[2].About.Name = "other" }, "for an event ActDone on server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, now := serverState(test.change)
			if got := (ending{pod: "server", action: "Restart", outcome: "Cleared", restarts: 1}).lacks(before, now); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestEndingWithoutARestartWantsTheOldContainer(t *testing.T) {
	t.Parallel()
	before, now := serverState(func(now *state) { now.pods["server"] = aPod("server", "uid", "new", 0) })
	e := ending{pod: "server", action: "Signal", outcome: "NoEffect"}
	if got, want := e.lacks(before, now), "for server to run in the right container: it was old and is new"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	now.pods["server"] = aPod("server", "uid", "old", 0)
	if got := e.lacks(before, now); got != "" {
		t.Errorf("got %q, want nothing missing", got)
	}
}

func TestStateIsOfThePodsOfToday(t *testing.T) {
	t.Parallel()
	now := state{pods: map[string]pod{"server": aPod("server", "uid", "new", 0)}}
	acts := map[string]remediation{"b": anAct("server", "Signal", "", ""), "a": anAct("server", "Restart", "", ""), "old": anAct("server", "Signal", "", "")}
	old := acts["old"]
	old.Spec.PodUID = "earlier"
	acts["old"] = old
	events := map[string]event{}
	for i, e := range append(someEvents("server", "second", "first", "earlier"), someEvents("gone", "gone")...) {
		e.Time = []string{"2026-11-21T18:59:41.2Z", "2026-11-21T18:59:41.1Z", "2026-11-21T18:00:00.0Z", "2026-11-21T19:00:00.0Z"}[i]
		if e.Reason == "earlier" {
			e.About.UID = "earlier"
		}
		events[e.Reason] = e
	}
	now.ofThese(acts, events)
	if len(now.acts) != 2 {
		t.Errorf("got %d acts, want 2", len(now.acts))
	}
	var reasons []string
	for _, e := range now.events {
		reasons = append(reasons, e.Reason)
	}
	if !slices.Equal(reasons, []string{"first", "second"}) {
		t.Errorf("got the events %v, want those of this pod in the order of time", reasons)
	}
}

func TestEventsAreToldOnce(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	s := &stage{shell: &shell{tell: &teller{out: &out, begin: time.Now()}}}
	told := map[string]bool{}
	now := state{events: someEvents("server", "LeakFound", "ActDone")}
	for i, name := range []string{"a", "b"} {
		now.events[i].Metadata.Name, now.events[i].Message = name, "A sentence."
	}
	s.tellEvents(state{events: now.events[:1]}, told)
	s.tellEvents(now, told)
	want := "  0:00  server       LeakFound: A sentence.\n  0:00  server       ActDone: A sentence.\n"
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
