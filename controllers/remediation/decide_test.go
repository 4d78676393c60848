package remediation

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

var (
	now      = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	settings = Defaults()
)

// change makes something of a remediation that was just made different.
type change func(*v1alpha1.ZombieRemediation)

func justMade(changes ...change) *v1alpha1.ZombieRemediation {
	r := &v1alpha1.ZombieRemediation{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "web-0-0123456789abcdef", UID: "remediation-uid", Generation: 1,
			CreationTimestamp: metav1.NewTime(now),
		},
		Spec: v1alpha1.ZombieRemediationSpec{
			PodName: "web-0", PodUID: "pod-uid", NodeName: "n1", ContainerName: "app", ContainerID: "aaaa",
			Policy:  v1alpha1.PolicyReference{Kind: "ZombiePolicy", Name: "web", Generation: 1},
			Attempt: 1, Action: v1alpha1.RemediationSignalParent,
			SignalParent: &v1alpha1.SignalParentAct{Signal: v1alpha1.SignalChild, PID: 7, StartTicks: 1},
		},
	}
	for _, c := range changes {
		c(r)
	}
	return r
}

func made(ago time.Duration) change {
	return func(r *v1alpha1.ZombieRemediation) { r.CreationTimestamp = metav1.NewTime(now.Add(-ago)) }
}

func condition(kind string, status metav1.ConditionStatus, ago time.Duration) change {
	return func(r *v1alpha1.ZombieRemediation) {
		r.Status.Conditions = append(r.Status.Conditions, metav1.Condition{
			Type: kind, Status: status, Reason: "Told", LastTransitionTime: metav1.NewTime(now.Add(-ago)),
		})
	}
}

func claimed(r *v1alpha1.ZombieRemediation) {
	condition(v1alpha1.ConditionClaimed, metav1.ConditionTrue, 0)(r)
}

func cancelled(r *v1alpha1.ZombieRemediation) {
	condition(v1alpha1.ConditionCancelled, metav1.ConditionTrue, 0)(r)
}

// executing has begun some time ago, and says so where the agent says it.
func executing(ago time.Duration) change {
	return func(r *v1alpha1.ZombieRemediation) {
		claimed(r)
		condition(v1alpha1.ConditionExecuting, metav1.ConditionTrue, 0)(r)
		r.Status.StartTime = new(metav1.NewTime(now.Add(-ago)))
	}
}

// executingSilently has only the time of the condition.
func executingSilently(ago time.Duration) change {
	return func(r *v1alpha1.ZombieRemediation) {
		claimed(r)
		condition(v1alpha1.ConditionExecuting, metav1.ConditionTrue, ago)(r)
	}
}

func ended(ago time.Duration) change {
	return func(r *v1alpha1.ZombieRemediation) {
		condition(v1alpha1.ConditionCompleted, metav1.ConditionTrue, 0)(r)
		r.Status.Outcome = v1alpha1.OutcomeCured
		r.Status.CompletionTime = new(metav1.NewTime(now.Add(-ago)))
		if r.CreationTimestamp.Time.After(now.Add(-ago)) {
			r.CreationTimestamp = *r.Status.CompletionTime
		}
	}
}

// endedByAWrongClock ended now by the clock of the API server, and a day ago by that of its node.
func endedByAWrongClock(r *v1alpha1.ZombieRemediation) {
	ended(0)(r)
	r.Status.CompletionTime = new(metav1.NewTime(now.Add(-25 * time.Hour)))
}

// endedSilently has only the time of the condition.
func endedSilently(ago time.Duration) change {
	return condition(v1alpha1.ConditionCompleted, metav1.ConditionTrue, ago)
}

func restartWithGrace(seconds int32) change {
	return func(r *v1alpha1.ZombieRemediation) {
		r.Spec.Action, r.Spec.SignalParent = v1alpha1.RemediationRestartContainer, nil
		r.Spec.RestartContainer = &v1alpha1.RestartContainerAct{GracePeriodSeconds: seconds}
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	const restart = 7*time.Minute + 30*time.Second
	tests := map[string]struct {
		changes []change
		want    string // an outcome, deleted, or for how long to wait
	}{
		"a new one waits for an agent":                               {nil, "1m0s"},
		"one unclaimed for a second less than a minute waits on":     {[]change{made(59 * time.Second)}, "1s"},
		"one unclaimed for a minute expires":                         {[]change{made(time.Minute)}, "Expired"},
		"one whose claim was taken back counts as unclaimed":         {[]change{made(time.Minute), condition(v1alpha1.ConditionClaimed, metav1.ConditionFalse, 0)}, "Expired"},
		"one claimed gets another minute to begin":                   {[]change{made(time.Minute), claimed}, "1m0s"},
		"one claimed that does not begin waits until the end":        {[]change{made(2*time.Minute - time.Second), claimed}, "1s"},
		"one claimed that does not begin expires":                    {[]change{made(2 * time.Minute), claimed}, "Expired"},
		"one called off ends at once":                                {[]change{cancelled}, "Cancelled"},
		"one called off late is not called expired":                  {[]change{made(time.Hour), claimed, cancelled}, "Cancelled"},
		"one called off too late goes on":                            {[]change{executing(0), cancelled}, "5m0s"},
		"a signal has five minutes":                                  {[]change{made(time.Hour), executing(5*time.Minute - time.Second)}, "1s"},
		"a signal without an end is interrupted":                     {[]change{made(time.Hour), executing(5 * time.Minute)}, "Interrupted"},
		"what was begun does not expire":                             {[]change{made(4 * time.Minute), executing(4 * time.Minute)}, "1m0s"},
		"a restart has its grace besides":                            {[]change{made(time.Hour), restartWithGrace(20), executing(restart + 19*time.Second)}, "1s"},
		"a restart without an end is interrupted":                    {[]change{made(time.Hour), restartWithGrace(20), executing(restart + 20*time.Second)}, "Interrupted"},
		"a long grace counts in full":                                {[]change{made(2 * time.Hour), restartWithGrace(3600), executing(restart + time.Hour - time.Second)}, "1s"},
		"a start that was not told is when Executing came":           {[]change{made(time.Hour), executingSilently(4 * time.Minute)}, "1m0s"},
		"a start that was not told and is long ago is interrupted":   {[]change{made(time.Hour), executingSilently(5 * time.Minute)}, "Interrupted"},
		"a start before its making is a clock that is late":          {[]change{made(time.Minute), executing(time.Hour)}, "4m0s"},
		"a start in the future is a clock that is early":             {[]change{made(time.Minute), executing(-time.Hour)}, "4m0s"},
		"a start in the future does not last for ever":               {[]change{made(5 * time.Minute), executing(-24 * time.Hour)}, "Interrupted"},
		"one completed is kept for a day":                            {[]change{made(25 * time.Hour), ended(24*time.Hour - time.Second)}, "1s"},
		"one completed by a clock a day behind is kept for a day":    {[]change{endedByAWrongClock}, "24h0m0s"},
		"one completed a day ago is deleted":                         {[]change{made(25 * time.Hour), ended(24 * time.Hour)}, "deleted"},
		"what is completed is final, however it came":                {[]change{made(25 * time.Hour), executing(time.Hour), cancelled, ended(time.Hour)}, "23h0m0s"},
		"a completion that was not told is when Completed came":      {[]change{made(25 * time.Hour), endedSilently(23 * time.Hour)}, "1h0m0s"},
		"a completion that was not told and is a day ago is deleted": {[]change{made(25 * time.Hour), endedSilently(24 * time.Hour)}, "deleted"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := decide(justMade(tc.changes...), settings, now)
			got := v.checkAgainAfter.String()
			switch {
			case v.ending != nil:
				got = string(v.ending.outcome)
			case v.delete:
				got = "deleted"
			}
			if got != tc.want {
				t.Errorf("decide() = %s, want %s", got, tc.want)
			}
			if (v.ending != nil || v.delete) && v.checkAgainAfter != 0 {
				t.Errorf("decide() = %+v, which ends it and waits", v)
			}
		})
	}
}

func TestEndingsSayWhatIsKnown(t *testing.T) {
	t.Parallel()
	longNode := func(r *v1alpha1.ZombieRemediation) { r.Spec.NodeName = strings.Repeat("n", 253) }
	for name, tc := range map[string]struct {
		change change
		want   string
	}{
		"unclaimed":  {func(*v1alpha1.ZombieRemediation) {}, `No agent of node "n1" claimed it within 1m0s. Nothing was done.`},
		"claimed":    {claimed, `The agent of node "n1" claimed it and did not begin within 2m0s. Nothing was done.`},
		"called off": {cancelled, "It was called off before the act began. Nothing was done."},
		"begun": {executing(time.Hour), `The act began and its end was not told within 5m0s: node "n1" or its agent is gone or cannot reach the ` +
			"API server. What was done cannot be known."},
	} {
		v := decide(justMade(made(time.Hour), tc.change), settings, now)
		if v.ending == nil || v.ending.message != tc.want {
			t.Errorf("%s: ending = %+v, want %q", name, v.ending, tc.want)
		}
		v = decide(justMade(made(time.Hour), tc.change, longNode), settings, now)
		if v.ending == nil || len(v.ending.message) > 512 {
			t.Errorf("%s: a message that the API server refuses: %+v", name, v.ending)
		}
	}
}

func TestSurplus(t *testing.T) {
	t.Parallel()
	named := func(name string, changes ...change) v1alpha1.ZombieRemediation {
		r := justMade(changes...)
		r.Name = name
		return *r
	}
	elsewhere := func(r *v1alpha1.ZombieRemediation) { r.Namespace = "bank" }
	going := func(r *v1alpha1.ZombieRemediation) { r.DeletionTimestamp = new(metav1.NewTime(now)) }
	tests := map[string]struct {
		all  []v1alpha1.ZombieRemediation
		want []string
	}{
		"as many as allowed are no surplus": {
			[]v1alpha1.ZombieRemediation{named("a", ended(1)), named("b", ended(2))}, nil,
		},
		"the oldest by completion go first, though they are young": {
			[]v1alpha1.ZombieRemediation{named("a", ended(3)), named("b", ended(1)), named("c", ended(4)), named("d", made(time.Hour), ended(2))},
			[]string{"shop/c", "shop/a"},
		},
		"what is not completed neither counts nor goes": {
			[]v1alpha1.ZombieRemediation{named("a", made(time.Hour)), named("b", executing(time.Hour)), named("c", ended(1)), named("d", ended(2))}, nil,
		},
		"what is being deleted neither counts nor goes": {
			[]v1alpha1.ZombieRemediation{named("a", ended(9), going), named("c", ended(1)), named("d", ended(2))}, nil,
		},
		"of one time the first by namespace and name goes": {
			[]v1alpha1.ZombieRemediation{named("b", ended(1)), named("a", ended(1)), named("c", ended(1), elsewhere), named("d", ended(1))},
			[]string{"bank/c", "shop/a"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, r := range surplus(tc.all, 2) {
				got = append(got, r.Namespace+"/"+r.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("surplus() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDefaultsFitTogether(t *testing.T) {
	t.Parallel()
	if settings.BeginTimeout <= settings.ClaimTimeout {
		t.Error("what is claimed expires before what is not")
	}
	if settings.Retention < 24*time.Hour || settings.MaxCompleted < 1 {
		t.Errorf("the trail is kept for %s and up to %d", settings.Retention, settings.MaxCompleted)
	}
}
