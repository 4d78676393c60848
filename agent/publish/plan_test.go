package publish

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/agent/observe"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// observed is an observation of a number of zombies, the oldest dead since an hour before noon.
func observed(zombies int32) v1alpha1.Observed {
	if zombies == 0 {
		return v1alpha1.Observed{}
	}
	oldest := metav1.NewTime(noon.Add(-time.Hour))
	return v1alpha1.Observed{
		Zombies:          zombies,
		OldestZombieTime: &oldest,
		Finding:          string(v1alpha1.CausePID1DoesNotReap),
		Containers: []v1alpha1.ContainerObservation{{
			Name: "app", ContainerID: "aaaa", Zombies: zombies,
			Ages: []v1alpha1.AgeCount{{MinAgeSeconds: 30, Zombies: zombies}},
			Parents: []v1alpha1.Parent{{
				PID: new(int32(1)), StartTicks: 7, Command: "app", Zombies: zombies, OldestZombieTime: oldest,
				Cause: v1alpha1.CausePID1DoesNotReap,
			}},
		}},
	}
}

func reported(zombies int32) *v1alpha1.Observed { return new(observed(zombies)) }

// blaming is a report of five zombies that blames a command.
func blaming(command string) *v1alpha1.Observed {
	o := observed(5)
	o.Containers[0].Parents[0].Command = command
	return &o
}

// finding is a pod's findings: one, in these words.
func finding(message string) []observe.Finding {
	return []observe.Finding{{Type: v1alpha1.ConditionLeaderExited, Message: message, Since: noon.Add(-time.Minute)}}
}

// tells is the memory of a report of a pod without zombies that tells of a finding: two that are alive.
func tells(writtenAt time.Time) memory {
	return memory{
		comparedAt: noon, stored: true, reported: reported(0), writtenAt: writtenAt,
		findings: map[string]observe.Finding{v1alpha1.ConditionLeaderExited: finding("2 alive")[0]},
	}
}

// withGist gives findings a gist.
func withGist(findings []observe.Finding, gist string) []observe.Finding {
	for i := range findings {
		findings[i].Gist = gist
	}
	return findings
}

// knows is a memory of a report whose finding has this gist.
func knows(m memory, gist string) memory {
	m.findings[v1alpha1.ConditionLeaderExited] = withGist([]observe.Finding{m.findings[v1alpha1.ConditionLeaderExited]}, gist)[0]
	return m
}

// full is a report of five zombies and of PIDs that are gone in as long as told.
func full(in time.Duration) *v1alpha1.Observed {
	o := observed(5)
	o.Containers[0].ExhaustionTime = new(metav1.NewTime(noon.Add(in)))
	return &o
}

var plans = map[string]struct {
	memory memory
	pod    Pod
	spare  bool
	want   step
}{
	"a leaking pod that was never compared is compared at once": {
		pod: Pod{Observed: observed(5)}, want: compare,
	},
	"a pod whose report knows ages that the kernel does not tell is compared at once": {
		pod: Pod{AgesUntold: true}, want: compare,
	},
	"a quiet pod that was never compared waits": {
		want: nothing,
	},
	"a quiet pod that was never compared takes the spare read": {
		spare: true, want: compare,
	},
	"a quiet pod that was compared and has no report needs none": {
		memory: memory{comparedAt: noon}, spare: true, want: nothing,
	},
	"a leaking pod without a report gets one": {
		memory: memory{comparedAt: noon}, pod: Pod{Observed: observed(5)}, want: write,
	},
	"a report that says nothing yet is completed even when the pod healed": {
		memory: memory{comparedAt: noon, stored: true}, want: write,
	},
	"a report that says what was seen is left alone": {
		memory: memory{comparedAt: noon, reported: reported(5)}, pod: Pod{Observed: observed(6)}, spare: true, want: nothing,
	},
	"a report that says something else is written": {
		memory: memory{comparedAt: noon, reported: reported(5)}, pod: Pod{Observed: observed(10)}, want: write,
	},
	"a report of a pod that healed is written": {
		memory: memory{comparedAt: noon, reported: reported(5)}, want: write,
	},
	"a report of a pod that stays healed is left alone, however old": {
		memory: memory{comparedAt: noon.Add(-24 * time.Hour), reported: reported(0)}, spare: true, want: nothing,
	},
	"a report of a healed pod that leaks again is written": {
		memory: memory{comparedAt: noon, reported: reported(0)}, pod: Pod{Observed: observed(1)}, want: write,
	},
	"a report is not written twice within the interval": {
		memory: memory{comparedAt: noon, reported: reported(5), writtenAt: noon.Add(1 - RewriteInterval)},
		pod:    Pod{Observed: observed(10)}, want: nothing,
	},
	"a report that only blames somebody else waits longer": {
		memory: memory{comparedAt: noon, reported: blaming("other"), writtenAt: noon.Add(1 - ReblameInterval)},
		pod:    Pod{Observed: observed(5)}, want: nothing,
	},
	"a report that only blames somebody else is written after that": {
		memory: memory{comparedAt: noon, reported: blaming("other"), writtenAt: noon.Add(-ReblameInterval)},
		pod:    Pod{Observed: observed(5)}, want: write,
	},
	"a report that blames somebody else for more does not wait": {
		memory: memory{comparedAt: noon, reported: blaming("other"), writtenAt: noon.Add(-RewriteInterval)},
		pod:    Pod{Observed: observed(10)}, want: write,
	},
	"a report is written again after the interval": {
		memory: memory{comparedAt: noon, reported: reported(5), writtenAt: noon.Add(-RewriteInterval)},
		pod:    Pod{Observed: observed(10)}, want: write,
	},
	"the report of a leaking pod is compared again with a spare read": {
		memory: memory{comparedAt: noon.Add(-CompareInterval), reported: reported(5)},
		pod:    Pod{Observed: observed(5)}, spare: true, want: compare,
	},
	"the report of a leaking pod is not compared again too soon": {
		memory: memory{comparedAt: noon.Add(1 - CompareInterval), reported: reported(5)},
		pod:    Pod{Observed: observed(5)}, spare: true, want: nothing,
	},
	"the report of a leaking pod is not compared again without a spare read": {
		memory: memory{comparedAt: noon.Add(-CompareInterval), reported: reported(5)},
		pod:    Pod{Observed: observed(5)}, want: nothing,
	},
	"a change does not wait for a spare read": {
		memory: memory{comparedAt: noon.Add(-CompareInterval), reported: reported(5)},
		pod:    Pod{Observed: observed(10)}, want: write,
	},
	"a finding is compared at once, as a leak is": {
		pod: Pod{Findings: finding("2 alive")}, want: compare,
	},
	"a finding without a report gets one": {
		memory: memory{comparedAt: noon}, pod: Pod{Findings: finding("2 alive")}, want: write,
	},
	"a finding that is reported is left alone": {
		memory: tells(noon), pod: Pod{Findings: finding("2 alive")}, spare: true, want: nothing,
	},
	"a new finding is written": {
		memory: memory{comparedAt: noon, reported: reported(5), writtenAt: noon.Add(-RewriteInterval)},
		pod:    Pod{Observed: observed(5), Findings: finding("2 alive")}, want: write,
	},
	"a finding that ended is written": {
		memory: tells(noon.Add(-RewriteInterval)), want: write,
	},
	"a finding in other words waits": {
		memory: tells(noon.Add(1 - ReblameInterval)), pod: Pod{Findings: finding("3 alive")}, want: nothing,
	},
	"a finding in other words is written after that": {
		memory: tells(noon.Add(-ReblameInterval)), pod: Pod{Findings: finding("3 alive")}, want: write,
	},
	"a finding of another count and the same gist is left alone": {
		memory: knows(tells(noon.Add(-24*time.Hour)), "few"), pod: Pod{Findings: withGist(finding("3 alive"), "few")}, want: nothing,
	},
	"a finding of another gist waits": {
		memory: knows(tells(noon.Add(1-ReblameInterval)), "few"), pod: Pod{Findings: withGist(finding("5 alive"), "many")}, want: nothing,
	},
	"a finding of another gist is written after that": {
		memory: knows(tells(noon.Add(-ReblameInterval)), "few"), pod: Pod{Findings: withGist(finding("5 alive"), "many")}, want: write,
	},
	"a finding of an earlier agent in the same words is left alone": {
		memory: tells(noon.Add(-ReblameInterval)), pod: Pod{Findings: withGist(finding("2 alive"), "few")}, want: nothing,
	},
	"another finding in the place of one is written": {
		memory: tells(noon.Add(-RewriteInterval)),
		pod:    Pod{Findings: []observe.Finding{{Type: v1alpha1.ConditionPileBehindD, Message: "2 alive"}}}, want: write,
	},
	"the report of a finding is compared again with a spare read": {
		memory: func() memory { m := tells(noon); m.comparedAt = noon.Add(-CompareInterval); return m }(),
		pod:    Pod{Findings: finding("2 alive")}, spare: true, want: compare,
	},
	"a forecast that comes near is seen from now": {
		memory: memory{comparedAt: noon, reported: full(48 * time.Hour), writtenAt: noon.Add(-RewriteInterval)},
		pod:    Pod{Observed: *full(4 * time.Hour)}, want: write,
	},
	"a pod that could not be looked into whole is left alone": {
		memory: memory{comparedAt: noon, reported: reported(5)}, pod: Pod{Incomplete: true}, spare: true, want: nothing,
	},
	"a pod that could not be looked into whole is not even compared": {
		pod: Pod{Incomplete: true, Observed: observed(5), AgesUntold: true}, spare: true, want: nothing,
	},
}

func TestPlan(t *testing.T) {
	t.Parallel()
	for name, tc := range plans {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := plan(tc.memory, tc.pod, noon, tc.spare); got != tc.want {
				t.Errorf("plan() = %d, want %d", got, tc.want)
			}
		})
	}
}

// every calls back with every combination of what a plan depends on.
func every(try func(m memory, pod Pod, spare bool)) {
	comparedAt := []time.Time{{}, noon.Add(-CompareInterval), noon}
	reports := []*v1alpha1.Observed{nil, reported(0), reported(5), reported(50)}
	writtenAt := []time.Time{{}, noon.Add(-RewriteInterval), noon.Add(-time.Second)}
	seen := []int32{0, 5, 6, 50}
	for n := range len(comparedAt) * len(reports) * len(writtenAt) * len(seen) * 16 {
		pick := func(choices int) int {
			choice := n % choices
			n /= choices
			return choice
		}
		yes := func() bool { return pick(2) == 1 }
		m := memory{comparedAt: comparedAt[pick(len(comparedAt))], reported: reports[pick(len(reports))], writtenAt: writtenAt[pick(len(writtenAt))]}
		m.stored = yes() || m.reported != nil
		pod := Pod{Observed: observed(seen[pick(len(seen))]), AgesUntold: yes(), Incomplete: yes()}
		try(m, pod, yes())
	}
}

func TestPlanKeepsItsPromisesInEveryCase(t *testing.T) {
	t.Parallel()
	seen := map[step]int{}
	every(func(m memory, pod Pod, spare bool) {
		next, leaking := plan(m, pod, noon, spare), pod.Observed.Zombies > 0
		seen[next]++
		steps := map[int32]int{0: 0, 5: 1, 6: 1, 50: 2}
		known, elapsed := !m.comparedAt.IsZero(), noon.Sub(m.writtenAt) >= RewriteInterval
		says := m.reported != nil && steps[m.reported.Zombies] == steps[pod.Observed.Zombies]
		for promise, kept := range map[string]bool{
			"nothing is read or written of what was not looked into whole": !pod.Incomplete || next == nothing,
			"nothing is written before the stored report is known":         next != write || known,
			"nothing is written within the interval":                       next != write || elapsed,
			"nothing is written that the report says":                      next != write || !says,
			"no report is made for a pod without zombies":                  next != write || m.stored || leaking,
			"what differs is written": next == write || pod.Incomplete || !known || !elapsed ||
				says || (!m.stored && !leaking) || (next == compare && spare),
			"a known report is read again only with a spare read": next != compare || !known || spare,
			"a report that matters is read at once":               known || pod.Incomplete || !(leaking || pod.AgesUntold) || next == compare,
		} {
			if !kept && !t.Failed() { // one case is enough to see
				t.Errorf("%s, but plan(%+v, %+v, spare %t) = %d", promise, m, pod, spare, next)
			}
		}
	})
	if len(seen) != 3 {
		t.Errorf("steps seen = %v, want all three", seen)
	}
}

func TestTransition(t *testing.T) {
	t.Parallel()
	since, oldest := noon.Add(-10*time.Hour), noon.Add(-time.Hour)
	tests := map[string]struct {
		memory memory
		seen   int32
		want   time.Time
	}{
		"a leak began when the oldest of its zombies died":           {memory{}, 5, oldest},
		"a leak that goes on keeps when it began":                    {memory{reported: reported(5), leakingChangedAt: since}, 50, since},
		"a leak that ended did so now":                               {memory{reported: reported(5), leakingChangedAt: since}, 0, noon},
		"a pod that stays healed keeps when it healed":               {memory{reported: reported(0), leakingChangedAt: since}, 0, since},
		"a leak that came back began anew":                           {memory{reported: reported(0), leakingChangedAt: since}, 5, oldest},
		"a report that was deleted tells nothing of the leak":        {memory{leakingChangedAt: since}, 5, oldest},
		"a report without the condition tells nothing of the leak":   {memory{reported: reported(5)}, 5, oldest},
		"a pod without zombies and without a condition is so by now": {memory{reported: reported(0)}, 0, noon},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tc.memory.transition(observed(tc.seen), noon); !got.Equal(tc.want) {
				t.Errorf("transition() = %s, want %s", got, tc.want)
			}
		})
	}
}
