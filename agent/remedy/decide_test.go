package remedy

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// hereInTests is the node of the tests, with an agent that knows one action.
var hereInTests = place{node: "node-1", boot: "boot-1", able: map[v1alpha1.RemediationAction]bool{v1alpha1.RemediationSignalParent: true}, now: noon}

// remediation is one that nobody took up yet, with what a test changes.
func remediation(changes ...func(*v1alpha1.ZombieRemediation)) *v1alpha1.ZombieRemediation {
	r := &v1alpha1.ZombieRemediation{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1", UID: "uid-1", Generation: 1, CreationTimestamp: metav1.NewTime(noon)},
		Spec: v1alpha1.ZombieRemediationSpec{
			PodName: "web", PodUID: "pod-1", NodeName: "node-1", ContainerName: "app", ContainerID: "c1",
			Policy: v1alpha1.PolicyReference{Kind: "ZombiePolicy", Name: "web", Generation: 1}, Attempt: 1,
			Action: v1alpha1.RemediationSignalParent, SignalParent: &v1alpha1.SignalParentAct{Signal: "SIGCHLD", PID: 1},
		},
	}
	for _, change := range changes {
		change(r)
	}
	return r
}

func claimedBy(id string) func(*v1alpha1.ZombieRemediation) {
	return func(r *v1alpha1.ZombieRemediation) { setClaimed(r, id, "boot-1", "pod-a", noon) }
}

func executing(r *v1alpha1.ZombieRemediation) { setExecuting(r, 5, noon) }

func cancelled(r *v1alpha1.ZombieRemediation) {
	set(r, v1alpha1.ConditionCancelled, "PolicyPaused", "", noon)
}

func completed(r *v1alpha1.ZombieRemediation) {
	setCompleted(r, ending{outcome: v1alpha1.OutcomeExpired, message: "Nobody claimed it."}, noon)
}

func deleting(r *v1alpha1.ZombieRemediation) {
	r.DeletionTimestamp, r.Finalizers = new(metav1.NewTime(noon)), []string{"example.org/hold"}
}

func unknownAction(r *v1alpha1.ZombieRemediation) { r.Spec.Action = "Reap" }

func madeAt(at time.Time) func(*v1alpha1.ZombieRemediation) {
	return func(r *v1alpha1.ZombieRemediation) { r.CreationTimestamp = metav1.NewTime(at) }
}

func anotherBoot(r *v1alpha1.ZombieRemediation) { r.Status.BootID = "boot-0" }

func anotherNode(r *v1alpha1.ZombieRemediation) { r.Spec.NodeName = "node-2" }

func TestNext(t *testing.T) {
	t.Parallel()
	cured := ending{outcome: v1alpha1.OutcomeCured, message: "done"}
	claim, acted := attempt{uid: "uid-1", id: "a"}, attempt{uid: "uid-1", id: "a", begun: true}
	ended := attempt{uid: "uid-1", id: "a", begun: true, end: &cured}
	nobody := attempt{uid: "uid-1"}
	tests := map[string]struct {
		changes []func(*v1alpha1.ZombieRemediation)
		mine    attempt
		step    step
		outcome v1alpha1.Outcome
	}{
		"a new one is begun":                                                {nil, nobody, begin, ""},
		"one made three minutes ago is begun":                               {list(madeAt(noon.Add(-beginWithin))), nobody, begin, ""},
		"one made longer ago is ended":                                      {list(madeAt(noon.Add(-beginWithin - time.Second))), nobody, record, v1alpha1.OutcomeExpired},
		"one made long ago whose act began is settled":                      {list(madeAt(noon.Add(-time.Hour)), claimedBy("z"), executing), nobody, settle, ""},
		"one of another node is left":                                       {list(anotherNode), nobody, leave, ""},
		"one that is completed is left":                                     {list(completed), nobody, leave, ""},
		"a completed one is left even with an outcome in memory":            {list(claimedBy("a"), executing, completed), ended, leave, ""},
		"one that is cancelled is left":                                     {list(cancelled), nobody, leave, ""},
		"one that is being deleted is left":                                 {list(deleting), nobody, leave, ""},
		"a claim of an earlier agent is no hindrance":                       {list(claimedBy("z")), nobody, begin, ""},
		"the claim of this process goes on":                                 {list(claimedBy("a")), claim, begin, ""},
		"an action that is not known is ended":                              {list(unknownAction), nobody, record, v1alpha1.OutcomeFailed},
		"a cancelled one of an action that is not known is left":            {list(unknownAction, cancelled), nobody, leave, ""},
		"the stored intent of this process goes on":                         {list(claimedBy("a"), executing), claim, begin, ""},
		"the stored intent of this process is ended when it is too old":     {list(madeAt(noon.Add(-beginWithin-time.Second)), claimedBy("a"), executing), claim, record, v1alpha1.OutcomeExpired},
		"an act that was begun here is settled however old it is":           {list(madeAt(noon.Add(-time.Hour)), claimedBy("a"), executing), acted, settle, ""},
		"its stored intent is left while it is being deleted":               {list(claimedBy("a"), executing, deleting), claim, leave, ""},
		"an act that was begun here is never begun again":                   {list(claimedBy("a"), executing), acted, settle, ""},
		"nor when its intent vanished":                                      {nil, acted, leave, ""},
		"an outcome in memory is recorded":                                  {list(claimedBy("a"), executing), ended, record, v1alpha1.OutcomeCured},
		"an outcome in memory is recorded while it is being deleted":        {list(claimedBy("a"), executing, deleting), ended, record, v1alpha1.OutcomeCured},
		"the intent of an earlier agent is settled":                         {list(claimedBy("z"), executing), nobody, settle, ""},
		"the intent of another agent is settled, whatever was claimed here": {list(claimedBy("z"), executing), claim, settle, ""},
		"the intent of an earlier agent is settled while it is deleted":     {list(claimedBy("z"), executing, deleting), nobody, settle, ""},
		"an intent without a mark is not taken for one's own":               {list(claimedBy(""), executing), nobody, settle, ""},
		"an intent of an earlier boot is interrupted":                       {list(claimedBy("z"), executing, anotherBoot), nobody, record, v1alpha1.OutcomeInterrupted},
		"an intent of an action that is not known is interrupted":           {list(claimedBy("z"), executing, unknownAction), nobody, record, v1alpha1.OutcomeInterrupted},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := next(remediation(tc.changes...), tc.mine, hereInTests)
			if got.step != tc.step || got.end.outcome != tc.outcome {
				t.Errorf("next() = %v %q, want %v %q", got.step, got.end.outcome, tc.step, tc.outcome)
			}
		})
	}
}

func list(changes ...func(*v1alpha1.ZombieRemediation)) []func(*v1alpha1.ZombieRemediation) {
	return changes
}

func TestMayActOnlyOnWhatIsStored(t *testing.T) {
	t.Parallel()
	mine := attempt{uid: "uid-1", id: "a"}
	tests := map[string]struct {
		changes []func(*v1alpha1.ZombieRemediation)
		mine    attempt
		want    bool
	}{
		"the intent of this process":      {list(claimedBy("a"), executing), mine, true},
		"not without an intent":           {list(claimedBy("a")), mine, false},
		"not on the intent of another":    {list(claimedBy("z"), executing), mine, false},
		"not without a mark":              {list(claimedBy(""), executing), attempt{uid: "uid-1"}, false},
		"not on another of the same name": {list(claimedBy("a"), executing), attempt{uid: "uid-0", id: "a"}, false},
		"not when it was cancelled":       {list(claimedBy("a"), executing, cancelled), mine, false},
		"not when it was completed":       {list(claimedBy("a"), executing, completed), mine, false},
		"not while it is being deleted":   {list(claimedBy("a"), executing, deleting), mine, false},
		"not twice":                       {list(claimedBy("a"), executing), attempt{uid: "uid-1", id: "a", begun: true}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := mayAct(remediation(tc.changes...), tc.mine); got != tc.want {
				t.Errorf("mayAct() = %t, want %t", got, tc.want)
			}
		})
	}
}

func TestStatusStaysWithinTheSchema(t *testing.T) {
	t.Parallel()
	r := remediation()
	setExecuting(r, -1, noon)
	long := make([]byte, 600)
	setCompleted(r, ending{outcome: v1alpha1.OutcomeFailed, message: "a\nb" + string(long), after: new(int32(maxZombies + 1))}, noon)
	if *r.Status.ZombiesBefore != 0 || *r.Status.ZombiesAfter != maxZombies {
		t.Errorf("before = %d, after = %d, want them within the bounds", *r.Status.ZombiesBefore, *r.Status.ZombiesAfter)
	}
	if len(r.Status.Message) != maxMessage || r.Status.Message[:3] != "a?b" {
		t.Errorf("message = %q, want it cut and printable", r.Status.Message)
	}
	want := []metav1.Condition{
		{Type: "Executing", Status: "True", Reason: ReasonIntentStored, Message: "The target was found to be the one decided on; the act begins.", ObservedGeneration: 1, LastTransitionTime: metav1.NewTime(noon)},
		{Type: "Completed", Status: "True", Reason: "Failed", Message: r.Status.Message, ObservedGeneration: 1, LastTransitionTime: metav1.NewTime(noon)},
	}
	if diff := cmp.Diff(want, r.Status.Conditions); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
}
