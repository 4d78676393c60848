// Package nodereport keeps ZombieNodeReports true: it marks those that no agent keeps up to date, deletes those that are healed,
// out of date or about a node that is gone, and tells on the Node what its report says. No one else deletes them.
package nodereport

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	applyv1alpha1 "github.com/zombie-operator/zombie-operator/api/applyconfiguration/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/report"
)

// Reconciler reconciles ZombieNodeReports.
type Reconciler struct {
	clock     clock.PassiveClock
	client    client.Client
	liveNodes client.Reader
	agents    report.AgentPods
	recorder  events.EventRecorder
	settings  report.Settings
}

// New returns a reconciler. liveNodes reads the metadata of nodes from the API server: a cache of all nodes, whose status changes
// every few seconds, would cost more than a read for each of the few that have a report. The settings are those of the
// reports of pods.
func New(clock clock.PassiveClock, c client.Client, liveNodes client.Reader, agents report.AgentPods, recorder events.EventRecorder, settings report.Settings) *Reconciler {
	return &Reconciler{clock: clock, client: c, liveNodes: liveNodes, agents: agents, recorder: recorder, settings: settings}
}

// Reconcile judges one report and does what the verdict says.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	var stored v1alpha1.ZombieNodeReport
	if err := r.client.Get(ctx, req.NamespacedName, &stored); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if stored.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	f, err := r.gather(ctx, &stored)
	if err != nil {
		return reconcile.Result{}, err
	}
	v := decide(f, r.settings, r.clock.Now())
	switch {
	case v.deletion != nil:
		err = r.delete(ctx, &stored, v.deletion)
	case v.conditions != nil:
		err = r.write(ctx, f, v)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: v.checkAgainAfter}, nil
}

func (r *Reconciler) gather(ctx context.Context, stored *v1alpha1.ZombieNodeReport) (facts, error) {
	f := facts{report: stored}
	node := &metav1.PartialObjectMetadata{}
	node.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Node"))
	switch err := r.liveNodes.Get(ctx, client.ObjectKey{Name: stored.Spec.NodeName}, node); {
	case err == nil:
		f.node = node
	case !apierrors.IsNotFound(err):
		return facts{}, fmt.Errorf("getting node %q: %w", stored.Spec.NodeName, err)
	}
	agent, err := r.agents.OnNode(ctx, stored.Spec.NodeName)
	if err != nil {
		return facts{}, fmt.Errorf("asking for the agent of node %q: %w", stored.Spec.NodeName, err)
	}
	f.agent = agent
	return f, nil
}

// delete deletes the very report that was judged: not one that was written, or made anew, since.
func (r *Reconciler) delete(ctx context.Context, stored *v1alpha1.ZombieNodeReport, why *deletion) error {
	err := r.client.Delete(ctx, stored, client.Preconditions{UID: &stored.UID, ResourceVersion: &stored.ResourceVersion})
	switch {
	case overtaken(err):
		return nil
	case err != nil:
		return fmt.Errorf("deleting report of a node: %w", err)
	}
	log.FromContext(ctx).Info("Deleted report of a node", "reason", why.reason, "message", why.message, "node", stored.Spec.NodeName)
	return nil
}

// write applies the controller's conditions to the very report that was judged, and then tells what is new: what is not written
// down would be told again.
func (r *Reconciler) write(ctx context.Context, f facts, v verdict) error {
	status := applyv1alpha1.ZombieNodeReportStatus()
	changed := make([]string, 0, len(v.conditions))
	for _, c := range v.conditions {
		status.WithConditions(applymetav1.Condition().
			WithType(c.Type).WithStatus(c.Status).WithReason(c.Reason).WithMessage(c.Message).
			WithObservedGeneration(c.ObservedGeneration).WithLastTransitionTime(c.LastTransitionTime))
		changed = append(changed, fmt.Sprintf("%s=%s (%s)", c.Type, c.Status, c.Reason))
	}
	apply := applyv1alpha1.ZombieNodeReport(f.report.Name).WithResourceVersion(f.report.ResourceVersion).WithStatus(status)
	err := r.client.Status().Apply(ctx, apply, client.FieldOwner(v1alpha1.FieldManagerController), client.ForceOwnership)
	switch {
	case overtaken(err):
		return nil
	case err != nil:
		return fmt.Errorf("applying conditions of the report of a node: %w", err)
	}
	log.FromContext(ctx).Info("Changed conditions of the report of a node",
		"conditions", strings.Join(changed, ", "), "node", f.report.Spec.NodeName)
	for _, o := range v.news {
		// A Node has no namespace, so the Event is in default; kubectl describe node looks for it in all, by the UID of the Node.
		r.recorder.Eventf(f.node, nil, o.kind, o.reason, "Report", "%s", o.note)
	}
	return nil
}

// overtaken is whether a write failed because the report is not the one that was judged any more. That is no error:
// the change that overtook it comes as an event, and the report is judged anew.
func overtaken(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsConflict(err)
}
