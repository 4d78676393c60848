// Package report keeps ZombieReports true: it checks each against the live Pod, marks those that no agent keeps up
// to date, and deletes those that are wrong, healed or out of date. No one else deletes reports.
package report

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	applyv1alpha1 "github.com/zombie-operator/zombie-operator/api/applyconfiguration/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/agentpods"
)

// AgentPods tells how the agent of a node is doing.
type AgentPods interface {
	OnNode(ctx context.Context, node string) (agentpods.Agent, error)
}

// Reconciler reconciles ZombieReports.
type Reconciler struct {
	clock    clock.PassiveClock
	client   client.Client
	livePods client.Reader
	agents   AgentPods
	settings Settings
}

// New returns a reconciler. livePods reads pods from the API server and not from a cache: a report is believed only
// when it agrees with the pod as it is now.
func New(clock clock.PassiveClock, c client.Client, livePods client.Reader, agents AgentPods, settings Settings) *Reconciler {
	return &Reconciler{clock: clock, client: c, livePods: livePods, agents: agents, settings: settings}
}

// Reconcile judges one report and does what the verdict says.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var report v1alpha1.ZombieReport
	if err := r.client.Get(ctx, req.NamespacedName, &report); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if report.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	f, err := r.gather(ctx, &report)
	if err != nil {
		return reconcile.Result{}, err
	}
	v := decide(f, r.settings, r.clock.Now())
	switch {
	case v.deletion != nil:
		err = r.delete(ctx, &report, v.deletion)
	case v.conditions != nil:
		err = r.write(ctx, &report, v.conditions)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: v.checkAgainAfter}, nil
}

func (r *Reconciler) gather(ctx context.Context, report *v1alpha1.ZombieReport) (facts, error) {
	f := facts{report: report}
	var pod corev1.Pod
	key := client.ObjectKey{Namespace: report.Namespace, Name: report.Spec.PodName}
	switch err := r.livePods.Get(ctx, key, &pod); {
	case err == nil:
		f.pod = &pod
	case !apierrors.IsNotFound(err):
		return facts{}, fmt.Errorf("getting pod %q: %w", report.Spec.PodName, err)
	}
	agent, err := r.agents.OnNode(ctx, report.Spec.NodeName)
	if err != nil {
		return facts{}, fmt.Errorf("asking for the agent of node %q: %w", report.Spec.NodeName, err)
	}
	f.agent = agent
	return f, nil
}

// delete deletes the very report that was judged: not one that was written, or made anew, since.
func (r *Reconciler) delete(ctx context.Context, report *v1alpha1.ZombieReport, why *deletion) error {
	err := r.client.Delete(ctx, report, client.Preconditions{UID: &report.UID, ResourceVersion: &report.ResourceVersion})
	if err != nil {
		if overtaken(err) {
			return nil
		}
		return fmt.Errorf("deleting report: %w", err)
	}
	logger, level := slogFrom(ctx), slog.LevelInfo
	if why.disbelieved {
		level = slog.LevelWarn
	}
	logger.Log(ctx, level, "Deleted report", "reason", why.reason, "message", why.message,
		"pod", report.Spec.PodName, "node", report.Spec.NodeName)
	return nil
}

// write applies the controller's conditions to the very report that was judged: Verified speaks of the observation
// that was compared with the Pod, and not of one that the agent wrote meanwhile.
func (r *Reconciler) write(ctx context.Context, report *v1alpha1.ZombieReport, conditions []metav1.Condition) error {
	status := applyv1alpha1.ZombieReportStatus()
	told := make([]string, 0, len(conditions))
	for _, c := range conditions {
		status.WithConditions(applymetav1.Condition().
			WithType(c.Type).WithStatus(c.Status).WithReason(c.Reason).WithMessage(c.Message).
			WithObservedGeneration(c.ObservedGeneration).WithLastTransitionTime(c.LastTransitionTime))
		told = append(told, fmt.Sprintf("%s=%s (%s)", c.Type, c.Status, c.Reason))
	}
	apply := applyv1alpha1.ZombieReport(report.Name, report.Namespace).
		WithResourceVersion(report.ResourceVersion).WithStatus(status)
	err := r.client.Status().Apply(ctx, apply, client.FieldOwner(v1alpha1.FieldManagerController), client.ForceOwnership)
	if err != nil {
		if overtaken(err) {
			return nil
		}
		return fmt.Errorf("applying conditions of report: %w", err)
	}
	slogFrom(ctx).InfoContext(ctx, "Changed conditions of report", "conditions", strings.Join(told, ", "),
		"pod", report.Spec.PodName, "node", report.Spec.NodeName)
	return nil
}

// overtaken is whether a write failed because the report is not the one that was judged any more. That is no error:
// the change that overtook it comes as an event, and the report is judged anew.
func overtaken(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsConflict(err)
}

// slogFrom is the logger of a reconcile for levels that logr does not have.
func slogFrom(ctx context.Context) *slog.Logger {
	return slog.New(logr.ToSlogHandler(log.FromContext(ctx)))
}
