package policystatus

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/govern"
)

func TestReady(t *testing.T) {
	t.Parallel()
	in := func(namespaces ...string) map[string]bool {
		set := map[string]bool{}
		for _, name := range namespaces {
			set[name] = true
		}
		return set
	}
	const (
		acts = "Acts on the pods it governs."
		some = "Acts on the pods it governs, but where it is held back."
		dry  = "Tells what it would do about the pods it governs, and does nothing."
		rest = "Decides nothing and does nothing about the pods it governs."
	)
	tests := map[string]struct {
		kind    string
		mode    v1alpha1.PolicyMode
		holds   map[hold]map[string]bool
		reason  string
		message string
	}{
		"a policy that enforces":     {govern.KindNamespaced, enforce, nil, "Enforce", acts},
		"a dry run":                  {govern.KindNamespaced, dryRun, nil, "DryRun", dry},
		"no mode":                    {govern.KindNamespaced, "", nil, "DryRun", dry},
		"a pause":                    {govern.KindNamespaced, paused, nil, "Paused", rest},
		"a cluster-wide one":         {govern.KindClusterWide, enforce, nil, "Enforce", acts},
		"a dry run that is a limit":  {govern.KindClusterWide, dryRun, nil, "DryRun", dry + " Holds every ZombiePolicy that selects the same containers to DryRun at most."},
		"a pause that pauses others": {govern.KindClusterWide, paused, nil, "Paused", rest + " Pauses every other policy that selects the same containers."},
		"a policy that is held": {
			govern.KindNamespaced, enforce, map[hold]map[string]bool{{"quiet", paused}: in("shop")}, "Enforce",
			some + ` ClusterZombiePolicy "quiet" holds it to Paused for pods in namespace shop.`,
		},
		"a policy that is held in many places": {
			govern.KindClusterWide, enforce, map[hold]map[string]bool{{"quiet", paused}: in("d", "b", "e", "a", "c")}, "Enforce",
			some + ` ClusterZombiePolicy "quiet" holds it to Paused for pods in namespaces a, b, c and 2 more.`,
		},
		"a policy that is held by many": {
			govern.KindNamespaced, enforce, map[hold]map[string]bool{
				{"a", dryRun}: in("shop"), {"d", paused}: in("shop", "bank"), {"b", dryRun}: in("shop"), {"e", dryRun}: in("shop"), {"c", paused}: in("shop"),
			}, "Enforce",
			some + ` ClusterZombiePolicy "c" holds it to Paused for pods in namespace shop.` +
				` ClusterZombiePolicy "d" holds it to Paused for pods in namespaces bank, shop.` +
				` ClusterZombiePolicy "a" holds it to DryRun for pods in namespace shop.` +
				` ClusterZombiePolicies that hold it back besides: 2.`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := policy{kind: tc.kind, generation: 7, spec: &v1alpha1.ZombiePolicySpec{Mode: tc.mode}, status: &v1alpha1.ZombiePolicyStatus{}}
			status, changed := statusOf(p, &count{holds: tc.holds}, now)
			want := []metav1.Condition{{
				Type: "Ready", Status: metav1.ConditionTrue, Reason: tc.reason, Message: tc.message,
				ObservedGeneration: 7, LastTransitionTime: metav1.NewTime(now),
			}}
			if diff := cmp.Diff(want, status.Conditions); diff != "" || !changed {
				t.Errorf("changed = %t, conditions (-want +got):\n%s", changed, diff)
			}
		})
	}
}

func TestStatusChanges(t *testing.T) {
	t.Parallel()
	told := func() (policy, *count) {
		c := &count{governed: 3, leaking: 2, inFlight: 1, lastAct: &v1alpha1.LastAct{Remediation: "r1", Time: metav1.NewTime(now)}}
		p := policy{kind: govern.KindNamespaced, generation: 7, spec: &v1alpha1.ZombiePolicySpec{Mode: enforce}, status: &v1alpha1.ZombiePolicyStatus{}}
		p.status, _ = statusOf(p, c, now)
		return p, &count{governed: 3, leaking: 2, inFlight: 1, lastAct: &v1alpha1.LastAct{Remediation: "r1", Time: metav1.NewTime(now.Local())}}
	}
	tests := map[string]struct {
		change func(*policy, *count)
		want   bool
	}{
		"nothing changed":                 {func(*policy, *count) {}, false},
		"more pods are governed":          {func(_ *policy, c *count) { c.governed++ }, true},
		"fewer pods leak":                 {func(_ *policy, c *count) { c.leaking = 0 }, true},
		"an act ended":                    {func(_ *policy, c *count) { c.inFlight-- }, true},
		"the last act has an outcome":     {func(_ *policy, c *count) { c.lastAct.Outcome = v1alpha1.OutcomeCured }, true},
		"the last act is at another time": {func(_ *policy, c *count) { c.lastAct.Time = metav1.NewTime(now.Add(time.Second)) }, true},
		"the trail is gone":               {func(_ *policy, c *count) { c.lastAct = nil }, true},
		"the spec changed and no more":    {func(p *policy, _ *count) { p.generation++ }, true},
		"the mode changed":                {func(p *policy, _ *count) { p.spec.Mode = paused }, true},
		"it is held back":                 {func(_ *policy, c *count) { c.holds = map[hold]map[string]bool{{"q", paused}: {"shop": true}} }, true},
		"it was never counted":            {func(p *policy, _ *count) { p.status.Governed = nil }, true},
		"the condition is gone":           {func(p *policy, _ *count) { p.status.Conditions = nil }, true},
		"another's condition is there": {func(p *policy, _ *count) {
			p.status.Conditions = append(p.status.Conditions, metav1.Condition{Type: "Other"})
		}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, c := told()
			tc.change(&p, c)
			before := p.status.DeepCopy()
			status, changed := statusOf(p, c, now.Add(time.Hour))
			if changed != tc.want {
				t.Errorf("changed = %t, want %t: %+v", changed, tc.want, status)
			}
			if diff := cmp.Diff(before, p.status); diff != "" {
				t.Errorf("statusOf() changes what it was given:\n%s", diff)
			}
		})
	}
}

func TestReadySinceIsKept(t *testing.T) {
	t.Parallel()
	p := policy{spec: &v1alpha1.ZombiePolicySpec{Mode: enforce}, status: &v1alpha1.ZombiePolicyStatus{}}
	p.status, _ = statusOf(p, &count{}, now)
	p.spec.Mode = paused
	status, _ := statusOf(p, &count{}, now.Add(time.Hour))
	if got := status.Conditions[0]; !got.LastTransitionTime.Time.Equal(now) || got.Reason != ReasonPaused {
		t.Errorf("Ready = %+v, want it Paused, and True since %s", got, now)
	}
}
