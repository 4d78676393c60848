package e2e

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// queueTime is long enough for an act to get its turn and to end: one disruptive act is under way in the cluster at a time, and
// all the others of these tests may come first.
const queueTime = 15 * time.Minute

// actsOn lists the remediations of a pod, the oldest first.
func actsOn(ctx context.Context, p *corev1.Pod) ([]v1alpha1.ZombieRemediation, error) {
	var list v1alpha1.ZombieRemediationList
	if err := api.List(ctx, &list, client.InNamespace(p.Namespace), client.MatchingFields{"spec.podName": p.Name}); err != nil {
		return nil, fmt.Errorf("listing remediations of pod %s: %w", p.Name, err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.ZombieRemediation) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Spec.Attempt, b.Spec.Attempt))
	})
	return list.Items, nil
}

func hasCondition(act v1alpha1.ZombieRemediation, condition string) bool {
	return meta.IsStatusConditionTrue(act.Status.Conditions, condition)
}

// waitActs waits until so many acts on a pod have ended. There must not be more.
func waitActs(t *testing.T, p *corev1.Pod, count int) []v1alpha1.ZombieRemediation {
	t.Helper()
	var acts []v1alpha1.ZombieRemediation
	eventually(t, queueTime, func(ctx context.Context) string {
		var err error
		if acts, err = actsOn(ctx, p); err != nil {
			return err.Error()
		}
		ended := 0
		for _, act := range acts {
			if hasCondition(act, v1alpha1.ConditionCompleted) {
				ended++
			}
		}
		if len(acts) > count {
			t.Fatalf("there were %d acts on pod %s, want %d:\n%s", len(acts), p.Name, count, describeActs(acts))
		}
		if ended < count {
			return fmt.Sprintf("%d of %d acts on pod %s ended:\n%s%s", ended, count, p.Name, describeActs(acts), sayNext(ctx, p))
		}
		return ""
	})
	t.Logf("acts on pod %s:\n%s", p.Name, describeActs(acts))
	disruptiveActs.add(acts)
	return acts
}

// waitBegun waits until an act on a pod was begun: its intent is stored.
func waitBegun(t *testing.T, p *corev1.Pod) v1alpha1.ZombieRemediation {
	t.Helper()
	var begun v1alpha1.ZombieRemediation
	eventually(t, queueTime, func(ctx context.Context) string {
		acts, err := actsOn(ctx, p)
		if err != nil {
			return err.Error()
		}
		for _, act := range acts {
			if hasCondition(act, v1alpha1.ConditionCompleted) {
				t.Fatalf("the act ended before it was seen to begin: %s", describeActs(acts))
			}
			if hasCondition(act, v1alpha1.ConditionExecuting) {
				begun = act
				return ""
			}
		}
		return fmt.Sprintf("no act on pod %s was begun:\n%s%s", p.Name, describeActs(acts), sayNext(ctx, p))
	})
	return begun
}

func describeActs(acts []v1alpha1.ZombieRemediation) string {
	var all strings.Builder
	for _, act := range acts {
		var conditions []string
		for _, c := range act.Status.Conditions {
			conditions = append(conditions, fmt.Sprintf("%s=%s", c.Type, c.Status))
		}
		fmt.Fprintf(&all, "  %s %s attempt %d: %s %q, made %s, conditions %v\n", act.Name, act.Spec.Action, act.Spec.Attempt,
			act.Status.Outcome, act.Status.Message, act.CreationTimestamp.UTC().Format(time.TimeOnly), conditions)
	}
	return all.String()
}

// wantAct is what a remediation must say.
type wantAct struct {
	action        v1alpha1.RemediationAction
	outcome       v1alpha1.Outcome
	before, after int32
}

func checkAct(t *testing.T, act v1alpha1.ZombieRemediation, want wantAct) {
	t.Helper()
	s := act.Status
	if s.ZombiesBefore == nil || s.ZombiesAfter == nil {
		t.Errorf("remediation %s does not count zombies before and after: %+v", act.Name, s)
		return
	}
	got := wantAct{act.Spec.Action, s.Outcome, *s.ZombiesBefore, *s.ZombiesAfter}
	if got != want {
		t.Errorf("remediation %s says %+v (%s), want %+v", act.Name, got, s.Message, want)
	}
	if s.Message == "" || s.StartTime == nil || s.CompletionTime == nil || s.AttemptID == "" {
		t.Errorf("remediation %s lacks message, times or attempt: %+v", act.Name, s)
	}
}

// checkNoActs looks for a while that nothing is done about a pod: longer than the agent and the controller need to do
// something.
func checkNoActs(t *testing.T, p *corev1.Pod) {
	t.Helper()
	until := time.Now().Add(3*scanInterval + 5*time.Second)
	eventually(t, time.Minute, func(ctx context.Context) string {
		acts, err := actsOn(ctx, p)
		if err != nil {
			return err.Error()
		}
		if len(acts) > 0 {
			t.Fatalf("there were acts on pod %s:\n%s", p.Name, describeActs(acts))
		}
		if left := time.Until(until); left > 0 {
			return fmt.Sprintf("%s are left", left)
		}
		return ""
	})
}

// waitRefused waits until the report of a pod says for which reason nothing is done about it. An act fails the test at once.
func waitRefused(t *testing.T, p *corev1.Pod, reason string) v1alpha1.NextStep {
	t.Helper()
	eventually(t, queueTime, func(ctx context.Context) string {
		acts, err := actsOn(ctx, p)
		if err != nil {
			return err.Error()
		}
		if len(acts) > 0 {
			t.Fatalf("there were acts on pod %s, want it refused for %s:\n%s", p.Name, reason, describeActs(acts))
		}
		judgement, err := judgementOf(ctx, p)
		if err != nil || judgement == nil || judgement.Next == nil || judgement.Next.Reason != reason {
			return fmt.Sprintf("want reason %s: %s", reason, sayNext(ctx, p))
		}
		return ""
	})
	return waitNext(t, p, reason)
}

// waitNext waits until the report of a pod gives a reason for its next step.
func waitNext(t *testing.T, p *corev1.Pod, reason string) v1alpha1.NextStep {
	t.Helper()
	var next v1alpha1.NextStep
	eventually(t, queueTime, func(ctx context.Context) string {
		judgement, err := judgementOf(ctx, p)
		switch {
		case err != nil:
			return err.Error()
		case judgement == nil || judgement.Next == nil || judgement.Next.Reason != reason:
			return fmt.Sprintf("want reason %s: %s", reason, sayNext(ctx, p))
		}
		next = *judgement.Next
		return ""
	})
	return next
}

// judgementOf reads what the controller makes of a pod; nil when nothing.
func judgementOf(ctx context.Context, p *corev1.Pod) (*v1alpha1.Judgement, error) {
	var list v1alpha1.ZombieReportList
	if err := api.List(ctx, &list, client.InNamespace(p.Namespace), client.MatchingFields{"spec.podName": p.Name}); err != nil {
		return nil, fmt.Errorf("listing reports of pod %s: %w", p.Name, err)
	}
	if len(list.Items) == 0 {
		return nil, nil
	}
	return list.Items[0].Status.Judgement, nil
}

// sayNext tells for a failure what the controller makes of a pod.
func sayNext(ctx context.Context, p *corev1.Pod) string {
	judgement, err := judgementOf(ctx, p)
	switch {
	case err != nil:
		return err.Error()
	case judgement == nil || judgement.Next == nil:
		return fmt.Sprintf("the report of pod %s has no next step, or there is none", p.Name)
	}
	return fmt.Sprintf("the report of pod %s says %+v", p.Name, *judgement.Next)
}

// disruptiveActs are all of the controller that these tests have seen end.
var disruptiveActs actList

type actList struct {
	mu   sync.Mutex
	acts map[string]v1alpha1.ZombieRemediation
}

func (l *actList) add(acts []v1alpha1.ZombieRemediation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.acts == nil {
		l.acts = map[string]v1alpha1.ZombieRemediation{}
	}
	for _, act := range acts {
		s := act.Spec.SignalParent
		if act.Spec.Policy.Name == byHand {
			continue
		}
		if s == nil || (s.Signal != v1alpha1.SignalChild && s.Signal != v1alpha1.SignalContinue) {
			l.acts[act.Namespace+"/"+act.Name] = act
		}
	}
}

// oneAtATime looks back: no disruptive act was decided while another was under way.
func oneAtATime(t *testing.T) {
	var acts []v1alpha1.ZombieRemediation
	for _, act := range disruptiveActs.acts {
		acts = append(acts, act)
	}
	slices.SortFunc(acts, func(a, b v1alpha1.ZombieRemediation) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	if len(acts) < 2 {
		t.Errorf("only %d disruptive acts were seen", len(acts))
	}
	for i := 1; i < len(acts); i++ {
		earlier, later := acts[i-1], acts[i]
		if later.CreationTimestamp.Before(earlier.Status.CompletionTime) {
			t.Errorf("two disruptive acts were under way at once:\n%s", describeActs(acts[i-1:i+1]))
		}
		t.Logf("%s %s of %s, %s", earlier.CreationTimestamp.UTC().Format(time.TimeOnly), earlier.Spec.Action,
			earlier.Spec.PodName, earlier.Status.CompletionTime.Sub(earlier.CreationTimestamp.Time))
	}
}
