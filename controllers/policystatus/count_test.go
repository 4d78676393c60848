package policystatus

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	dryRun  = v1alpha1.ModeDryRun
	enforce = v1alpha1.ModeEnforce
	paused  = v1alpha1.ModePaused
)

// change adds something to the facts.
type change func(*facts)

func given(changes ...change) facts {
	var f facts
	for _, c := range changes {
		c(&f)
	}
	return f
}

// namespace is one whose label team is its own name.
func namespace(name string) change {
	return func(f *facts) {
		f.namespaces = append(f.namespaces, metav1.PartialObjectMetadata{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": name}},
		})
	}
}

func pod(namespace, name, app string) change {
	return func(f *facts) {
		f.pods = append(f.pods, metav1.PartialObjectMetadata{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": app}},
		})
	}
}

func labelled(key, value string) v1alpha1.Selector {
	if value == "" {
		return v1alpha1.Selector{Match: v1alpha1.MatchEverything}
	}
	return v1alpha1.Selector{MatchLabels: map[string]v1alpha1.LabelValue{key: v1alpha1.LabelValue(value)}}
}

// spec is that of a policy for the pods of an app, or of all, and for some containers, or for all.
func spec(mode v1alpha1.PolicyMode, app string, containers ...v1alpha1.ContainerName) v1alpha1.ZombiePolicySpec {
	return v1alpha1.ZombiePolicySpec{Mode: mode, Selector: labelled("app", app), ContainerNames: containers}
}

func zp(namespace, name string, s v1alpha1.ZombiePolicySpec) change {
	return func(f *facts) {
		f.zps = append(f.zps, v1alpha1.ZombiePolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Generation: 1}, Spec: s,
		})
	}
}

// czp is for the namespaces of a team, or for all.
func czp(name, team string, s v1alpha1.ZombiePolicySpec) change {
	return func(f *facts) {
		f.czps = append(f.czps, v1alpha1.ClusterZombiePolicy{
			ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1},
			Spec:       v1alpha1.ClusterZombiePolicySpec{NamespaceSelector: labelled("team", team), ZombiePolicySpec: s},
		})
	}
}

// leak is the report of a pod of shop in which triggers hold.
func leak(podName string, containers ...v1alpha1.ContainerName) change {
	return func(f *facts) {
		judgement := &v1alpha1.Judgement{}
		for _, name := range containers {
			judgement.Triggered = append(judgement.Triggered, v1alpha1.TriggeredContainer{Name: name, Since: metav1.NewTime(now)})
		}
		f.reports = append(f.reports, v1alpha1.ZombieReport{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("%s-%d", podName, len(f.reports))},
			Spec:       v1alpha1.ZombieReportSpec{PodName: podName},
			Status:     v1alpha1.ZombieReportStatus{Judgement: judgement},
		})
	}
}

type remediationChange func(*v1alpha1.ZombieRemediation)

// act is a remediation under a policy, made now.
func act(kind, policyName, namespace, name string, changes ...remediationChange) change {
	return func(f *facts) {
		r := v1alpha1.ZombieRemediation{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, CreationTimestamp: metav1.NewTime(now)},
			Spec: v1alpha1.ZombieRemediationSpec{
				PodName: "web-0", Action: v1alpha1.RemediationSignalParent,
				Policy: v1alpha1.PolicyReference{Kind: kind, Name: policyName, Generation: 1},
			},
		}
		for _, c := range changes {
			c(&r)
		}
		f.remediations = append(f.remediations, r)
	}
}

func madeAfter(d time.Duration) remediationChange {
	return func(r *v1alpha1.ZombieRemediation) { r.CreationTimestamp = metav1.NewTime(now.Add(d)) }
}

func begunAfter(d time.Duration) remediationChange {
	return func(r *v1alpha1.ZombieRemediation) { r.Status.StartTime = new(metav1.NewTime(now.Add(d))) }
}

func endedAfter(d time.Duration) remediationChange {
	return func(r *v1alpha1.ZombieRemediation) {
		r.Status.CompletionTime, r.Status.Outcome = new(metav1.NewTime(now.Add(d))), v1alpha1.OutcomeCured
		r.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionCompleted, Status: metav1.ConditionTrue}}
	}
}

// inShort is one line for each policy with something to count: governed/leaking/inFlight, the last act, who holds it.
func inShort(all counts) []string {
	var lines []string
	for key, c := range all {
		line := fmt.Sprintf("%s/%s %d/%d/%d", key.namespace, key.name, c.governed, c.leaking, c.inFlight)
		if c.lastAct != nil {
			line += " " + c.lastAct.Remediation
		}
		lines = append(lines, strings.Join(append([]string{line}, heldBack(c.holds)...), " "))
	}
	slices.Sort(lines)
	return lines
}

// tallied is what is to be counted of some more facts than the pods of shop and bank.
type tallied struct {
	changes []change
	want    []string
}

func wantTally(t *testing.T, tests map[string]tallied) {
	t.Helper()
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := given(append([]change{
				namespace("shop"), pod("shop", "web-0", "web"), pod("shop", "web-1", "web"), pod("shop", "db-0", "db"),
				namespace("bank"), pod("bank", "web-0", "web"),
			}, tc.changes...)...)
			for range 2 { // lists of a cache come in any order
				if diff := cmp.Diff(tc.want, inShort(tally(f))); diff != "" {
					t.Errorf("tally() (-want +got):\n%s", diff)
				}
				slices.Reverse(f.zps)
				slices.Reverse(f.czps)
				slices.Reverse(f.remediations)
			}
		})
	}
}

func TestTallyOfPods(t *testing.T) {
	t.Parallel()
	wantTally(t, map[string]tallied{
		"without policies there is nothing to count": {nil, nil},
		"a policy governs the pods of its namespace that it selects": {
			[]change{zp("shop", "web", spec(enforce, "web"))}, []string{"shop/web 2/0/0"},
		},
		"a cluster-wide policy governs what is left to it": {
			[]change{zp("shop", "web", spec(enforce, "web")), czp("all", "", spec(enforce, ""))},
			[]string{"/all 2/0/0", "shop/web 2/0/0"},
		},
		"a cluster-wide policy governs the namespaces it selects": {
			[]change{czp("bank", "bank", spec(enforce, ""))}, []string{"/bank 1/0/0"},
		},
		"policies of one name in two namespaces are two": {
			[]change{zp("shop", "all", spec(enforce, "")), zp("bank", "all", spec(enforce, "")), czp("all", "", spec(enforce, ""))},
			[]string{"bank/all 1/0/0", "shop/all 3/0/0"},
		},
		"a policy for some containers governs every pod that could have them": {
			[]change{zp("shop", "web", spec(enforce, "web", "app", "log"))}, []string{"shop/web 2/0/0"},
		},
		"a pod counts for each policy that governs a container of it": {
			[]change{zp("shop", "a", spec(enforce, "web", "app")), zp("shop", "b", spec(enforce, "web", "log"))},
			[]string{"shop/a 2/0/0", "shop/b 2/0/0"},
		},
		"a policy that another covers wholly governs nothing": {
			[]change{zp("shop", "a", spec(enforce, "")), zp("shop", "b", spec(enforce, "web", "app"))}, []string{"shop/a 3/0/0"},
		},
		"a pod whose namespace is not known counts for none": {
			[]change{pod("new", "web-0", "web"), czp("all", "", spec(enforce, "db")), zp("new", "a", spec(enforce, ""))}, []string{"/all 1/0/0"},
		},
		"a policy that is held back says by whom and where": {
			[]change{zp("shop", "a", spec(enforce, "")), czp("quiet", "", spec(paused, "web"))},
			[]string{`/quiet 1/0/0`, `shop/a 3/0/0 ClusterZombiePolicy "quiet" holds it to Paused for pods in namespace shop.`},
		},
		"a policy of which one container is held back says so": {
			[]change{czp("all", "", spec(enforce, "")), czp("quiet", "shop", spec(paused, "web", "log"))},
			[]string{`/all 4/0/0 ClusterZombiePolicy "quiet" holds it to Paused for pods in namespace shop.`},
		},
	})
}

func TestTallyOfLeaks(t *testing.T) {
	t.Parallel()
	wantTally(t, map[string]tallied{
		"a pod leaks under the policy that governs the container": {
			[]change{
				leak("web-0", "log"),
				zp("shop", "a", spec(enforce, "web", "app")), zp("shop", "b", spec(enforce, "web", "log")),
			},
			[]string{"shop/a 2/0/0", "shop/b 2/1/0"},
		},
		"a pod of which two containers leak counts once": {
			[]change{leak("web-0", "app", "log"), leak("web-1", "app"), zp("shop", "a", spec(enforce, ""))},
			[]string{"shop/a 3/2/0"},
		},
		"a pod with the report of the one before it counts once": {
			[]change{leak("web-0", "app"), leak("web-0", "app"), zp("shop", "a", spec(enforce, ""))},
			[]string{"shop/a 3/1/0"},
		},
		"a pod with the report of the one before it leaks by both": {
			[]change{
				leak("web-0", "app"), leak("web-0", "log"),
				zp("shop", "a", spec(enforce, "web", "app")), zp("shop", "b", spec(enforce, "web", "log")),
			},
			[]string{"shop/a 2/1/0", "shop/b 2/1/0"},
		},
		"a report in which no trigger holds is no leak": {
			[]change{leak("web-0"), zp("shop", "a", spec(enforce, ""))}, []string{"shop/a 3/0/0"},
		},
		"a report that was not judged is no leak": {
			[]change{leak("web-0"), func(f *facts) { f.reports[0].Status.Judgement = nil }, zp("shop", "a", spec(enforce, ""))},
			[]string{"shop/a 3/0/0"},
		},
		"a report whose pod is gone is no leak": {
			[]change{leak("gone", "app"), zp("shop", "a", spec(enforce, "")), czp("all", "", spec(enforce, ""))},
			[]string{"/all 1/0/0", "shop/a 3/0/0"},
		},
		"a leak that no policy governs counts for none": {
			[]change{leak("web-0", "app"), zp("shop", "a", spec(enforce, "web", "log"))}, []string{"shop/a 2/0/0"},
		},
	})
}

func TestTallyOfActs(t *testing.T) {
	t.Parallel()
	wantTally(t, map[string]tallied{
		"acts count under the policy they name": {
			[]change{
				act("ZombiePolicy", "a", "shop", "r1"), act("ZombiePolicy", "a", "bank", "r2"),
				act("ClusterZombiePolicy", "a", "shop", "r3"), act("ClusterZombiePolicy", "a", "bank", "r4"),
			},
			[]string{"/a 0/0/2 r4", "bank/a 0/0/1 r2", "shop/a 0/0/1 r1"},
		},
		"an act that ended is not in flight": {
			[]change{act("ZombiePolicy", "a", "shop", "r1", endedAfter(0)), act("ZombiePolicy", "a", "shop", "r2", begunAfter(1))},
			[]string{"shop/a 0/0/1 r2"},
		},
		"the last act is the one that ended last": {
			[]change{
				act("ZombiePolicy", "a", "shop", "r1", madeAfter(1), endedAfter(5)), act("ZombiePolicy", "a", "shop", "r2", madeAfter(2), endedAfter(4)),
			},
			[]string{"shop/a 0/0/0 r1"},
		},
		"one under way counts from when it began": {
			[]change{
				act("ZombiePolicy", "a", "shop", "r1", madeAfter(1), begunAfter(5)), act("ZombiePolicy", "a", "shop", "r2", madeAfter(2), endedAfter(4)),
			},
			[]string{"shop/a 0/0/1 r1"},
		},
		"one that waits counts from when it was made": {
			[]change{
				act("ZombiePolicy", "a", "shop", "r2", madeAfter(1), begunAfter(2), endedAfter(4)), act("ZombiePolicy", "a", "shop", "r1", madeAfter(5)),
			},
			[]string{"shop/a 0/0/1 r1"},
		},
		"of acts at one time the last by name is named": {
			[]change{act("ZombiePolicy", "a", "shop", "r2"), act("ZombiePolicy", "a", "shop", "r3"), act("ZombiePolicy", "a", "shop", "r1")},
			[]string{"shop/a 0/0/3 r3"},
		},
	})
}

func TestActOf(t *testing.T) {
	t.Parallel()
	f := given(act("ZombiePolicy", "a", "shop", "r1", endedAfter(time.Minute)), act("ZombiePolicy", "a", "shop", "r2"))
	want := v1alpha1.LastAct{
		Remediation: "r1", PodName: "web-0", Action: v1alpha1.ActionSignalParent, Outcome: v1alpha1.OutcomeCured,
		Time: metav1.NewTime(now.Add(time.Minute)),
	}
	if diff := cmp.Diff(want, actOf(&f.remediations[0])); diff != "" {
		t.Errorf("an act that ended (-want +got):\n%s", diff)
	}
	want = v1alpha1.LastAct{Remediation: "r2", PodName: "web-0", Action: v1alpha1.ActionSignalParent, Time: metav1.NewTime(now)}
	if diff := cmp.Diff(want, actOf(&f.remediations[1])); diff != "" {
		t.Errorf("an act under way (-want +got):\n%s", diff)
	}
}
