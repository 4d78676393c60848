package api

import (
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// The agent and the controller write one remediation, each by Update of what it read. Whoever comes second is refused:
// while it knows an older version because of that, and when it reads again because of the rules.
func TestAnActIsEitherBegunOrCalledOff(t *testing.T) {
	t.Parallel()
	for about, test := range map[string]struct {
		first, second v1alpha1.Outcome // empty: the agent begins
		refused       string
	}{
		"an act that began cannot be called off":         {"", v1alpha1.OutcomeCancelled, tooLateToCancel},
		"an act that was called off does not begin":      {v1alpha1.OutcomeCancelled, "", final},
		"an act that expired does not begin":             {v1alpha1.OutcomeExpired, "", final},
		"an act that expired is not called off any more": {v1alpha1.OutcomeExpired, v1alpha1.OutcomeCancelled, final},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			first := storedRemediation(t)
			second := first.DeepCopy()
			mustWrite(t, advance(first, test.first))

			err := server.client.Status().Update(t.Context(), advance(second, test.second))
			if !apierrors.IsConflict(err) {
				t.Errorf("the second writer, of an older version: %v, want a conflict", err)
			}
			err = server.client.Status().Update(t.Context(), advance(again(t, second), test.second))
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), test.refused) {
				t.Errorf("the second writer, which read again: %v, want: %s", err, test.refused)
			}
		})
	}
}

func TestAnActThatBeganEndsOnce(t *testing.T) {
	t.Parallel()
	remediation := storedRemediation(t)
	mustWrite(t, advance(remediation, ""))
	late := remediation.DeepCopy()
	mustWrite(t, advance(remediation, v1alpha1.OutcomeCleared))

	if err := server.client.Status().Update(t.Context(), advance(late, v1alpha1.OutcomeInterrupted)); !apierrors.IsConflict(err) {
		t.Errorf("another end of an older version: %v, want a conflict", err)
	}
	err := server.client.Status().Update(t.Context(), advance(again(t, late), v1alpha1.OutcomeInterrupted))
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), final) {
		t.Errorf("another end of what was read again: %v, want: %s", err, final)
	}
	if got := again(t, remediation).Status.Outcome; got != v1alpha1.OutcomeCleared {
		t.Errorf("outcome %q, want %q", got, v1alpha1.OutcomeCleared)
	}
}

// storedRemediation is a remediation that nobody has claimed yet.
func storedRemediation(t *testing.T) *v1alpha1.ZombieRemediation {
	t.Helper()
	spec := v1alpha1.ZombieRemediationSpec{
		PodName: "web-7d9c", PodUID: "3f0c8e52", NodeName: "node-1", ContainerName: "app", ContainerID: "4f53cda1",
		Policy: v1alpha1.PolicyReference{Kind: "ZombiePolicy", Name: "web", Generation: 1}, Attempt: 1,
		Action: v1alpha1.RemediationRestartContainer, RestartContainer: &v1alpha1.RestartContainerAct{GracePeriodSeconds: 30},
	}
	remediation := &v1alpha1.ZombieRemediation{Spec: spec, ObjectMeta: metav1.ObjectMeta{
		Namespace: newNamespace(t), Name: v1alpha1.RemediationName(spec),
	}}
	if err := server.client.Create(t.Context(), remediation); err != nil {
		t.Fatalf("creating a remediation: %v", err)
	}
	return remediation
}

// advance ends a remediation with an outcome, or without one begins its act.
func advance(r *v1alpha1.ZombieRemediation, outcome v1alpha1.Outcome) *v1alpha1.ZombieRemediation {
	types := []string{v1alpha1.ConditionClaimed, v1alpha1.ConditionExecuting}
	if outcome != "" {
		types = []string{v1alpha1.ConditionCompleted}
	}
	if outcome == v1alpha1.OutcomeCancelled {
		types = append(types, v1alpha1.ConditionCancelled)
	}
	for _, typ := range types {
		meta.SetStatusCondition(&r.Status.Conditions, metav1.Condition{
			Type: typ, Status: metav1.ConditionTrue, Reason: "Because",
			LastTransitionTime: metav1.NewTime(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)),
		})
	}
	r.Status.Outcome = outcome
	return r
}

func mustWrite(t *testing.T, r *v1alpha1.ZombieRemediation) {
	t.Helper()
	if err := server.client.Status().Update(t.Context(), r); err != nil {
		t.Fatalf("writing the status of the remediation: %v", err)
	}
}

func again(t *testing.T, r *v1alpha1.ZombieRemediation) *v1alpha1.ZombieRemediation {
	t.Helper()
	read := &v1alpha1.ZombieRemediation{}
	if err := server.client.Get(t.Context(), client.ObjectKeyFromObject(r), read); err != nil {
		t.Fatalf("reading the remediation again: %v", err)
	}
	return read
}
