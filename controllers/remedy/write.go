package remedy

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	applyv1alpha1 "github.com/zombie-operator/zombie-operator/api/applyconfiguration/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// write applies the judgement to the very report that was judged. What the verdict leaves out is removed from it.
func (r *Reconciler) write(ctx context.Context, report *v1alpha1.ZombieReport, v verdict) error {
	status := applyv1alpha1.ZombieReportStatus()
	if v.judgement != nil {
		judgement, err := applied(*v.judgement)
		if err != nil {
			return err
		}
		status.WithJudgement(judgement)
	}
	for _, c := range v.conditions {
		status.WithConditions(applymetav1.Condition().
			WithType(c.Type).WithStatus(c.Status).WithReason(c.Reason).WithMessage(c.Message).
			WithObservedGeneration(c.ObservedGeneration).WithLastTransitionTime(c.LastTransitionTime))
	}
	apply := applyv1alpha1.ZombieReport(report.Name, report.Namespace).
		WithResourceVersion(report.ResourceVersion).WithStatus(status)
	err := r.client.Status().Apply(ctx, apply, client.FieldOwner(v1alpha1.FieldManagerRemedy), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("applying the judgement of report %s: %w", report.Name, err)
	}
	return nil
}

// applied turns a judgement into its apply configuration; both are the same JSON.
func applied(judgement v1alpha1.Judgement) (*applyv1alpha1.JudgementApplyConfiguration, error) {
	raw, err := json.Marshal(judgement)
	if err != nil {
		return nil, fmt.Errorf("encoding judgement: %w", err)
	}
	var out applyv1alpha1.JudgementApplyConfiguration
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("decoding judgement: %w", err)
	}
	return &out, nil
}

// callOff ends a remediation that no agent executes yet.
func callOff(remediation *v1alpha1.ZombieRemediation, now time.Time) {
	const reason, message = "NotWantedAnyMore", "Its policy changed or may not act any more, people opted out, or the leak is over."
	for _, kind := range []string{v1alpha1.ConditionCancelled, v1alpha1.ConditionCompleted} {
		meta.SetStatusCondition(&remediation.Status.Conditions, metav1.Condition{
			Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: message,
			ObservedGeneration: remediation.Generation, LastTransitionTime: metav1.NewTime(now),
		})
	}
	ended := metav1.NewTime(now)
	remediation.Status.CompletionTime = &ended
	remediation.Status.Outcome, remediation.Status.Message = v1alpha1.OutcomeCancelled, message
}

// overtaken is whether a write failed because what it rested on is not the stored one any more.
func overtaken(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
}

func podUID(uid string) types.UID { return types.UID(uid) }

// logFrom is the logger of a reconcile.
func logFrom(ctx context.Context) *slog.Logger {
	return slog.New(logr.ToSlogHandler(log.FromContext(ctx)))
}
