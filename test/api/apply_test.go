package api

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1ac "github.com/zombie-operator/zombie-operator/api/applyconfiguration/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

const appliedReport = "web-7d9c-1a2b3c4d"

// The agent writes a report, and the controller under two names. None forces the other's fields here, so that a conflict
// would show, and what one no longer applies is taken away, so that a field of another would be missed.
func TestThreeWritersShareAReport(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	spec := v1alpha1ac.ZombieReportSpec().WithPodName("web-7d9c").WithPodUID("3f0c8e52").WithNodeName("node-1")
	report := v1alpha1ac.ZombieReport(appliedReport, namespace).WithSpec(spec)
	if err := server.client.Apply(t.Context(), report, client.FieldOwner(v1alpha1.FieldManagerAgent)); err != nil {
		t.Fatalf("creating the report by apply: %v", err)
	}

	mustApply(t, namespace, v1alpha1.FieldManagerAgent, agentStatus(12, "app", "sidecar"))
	mustApply(t, namespace, v1alpha1.FieldManagerController, controllerStatus("Verified", "Stale"))
	mustApply(t, namespace, v1alpha1.FieldManagerRemedy, remedyStatus("Alert", "Triggered", "Alerting"))
	wantReport(t, namespace, 12, []string{"app", "sidecar"}, "Alert", "Alerting", "Leaking", "Stale", "Triggered", "Verified")

	mustApply(t, namespace, v1alpha1.FieldManagerAgent, agentStatus(3, "app"))
	wantReport(t, namespace, 3, []string{"app"}, "Alert", "Alerting", "Leaking", "Stale", "Triggered", "Verified")

	mustApply(t, namespace, v1alpha1.FieldManagerController, controllerStatus("Verified"))
	wantReport(t, namespace, 3, []string{"app"}, "Alert", "Alerting", "Leaking", "Triggered", "Verified")

	mustApply(t, namespace, v1alpha1.FieldManagerRemedy, remedyStatus("SignalParent", "Triggered"))
	wantReport(t, namespace, 3, []string{"app"}, "SignalParent", "Leaking", "Triggered", "Verified")

	mustApply(t, namespace, v1alpha1.FieldManagerRemedy, remedyStatus(""))
	wantReport(t, namespace, 3, []string{"app"}, "", "Leaking", "Verified")

	mustApply(t, namespace, v1alpha1.FieldManagerAgent, agentStatus(0))
	wantReport(t, namespace, 0, nil, "", "Leaking", "Verified")
}

// What one writer owns no other can take by accident.
func TestAWriterOfAReportConflictsOnFieldsOfAnother(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	created := &v1alpha1.ZombieReport{ObjectMeta: metav1.ObjectMeta{Name: appliedReport, Namespace: namespace}}
	created.Spec = v1alpha1.ZombieReportSpec{PodName: "web-7d9c", PodUID: "3f0c8e52", NodeName: "node-1"}
	if err := server.client.Create(t.Context(), created); err != nil {
		t.Fatal(err)
	}
	mustApply(t, namespace, v1alpha1.FieldManagerAgent, agentStatus(12, "app"))
	mustApply(t, namespace, v1alpha1.FieldManagerController, controllerStatus("Verified", "Stale"))
	mustApply(t, namespace, v1alpha1.FieldManagerRemedy, remedyStatus("Alert", "Triggered", "Alerting"))

	for about, foreign := range map[string]struct {
		by, of string
		status *v1alpha1ac.ZombieReportStatusApplyConfiguration
	}{
		"the controller on the observation": {
			v1alpha1.FieldManagerController, v1alpha1.FieldManagerAgent, agentStatus(1, "app"),
		},
		"the controller on a part of the observation that the agent left out": {
			v1alpha1.FieldManagerController, v1alpha1.FieldManagerAgent, withMore(agentStatus(12, "app")),
		},
		"the judge on the observation": {
			v1alpha1.FieldManagerRemedy, v1alpha1.FieldManagerAgent, agentStatus(1, "app"),
		},
		"the judge on the condition Stale": {
			v1alpha1.FieldManagerRemedy, v1alpha1.FieldManagerController,
			v1alpha1ac.ZombieReportStatus().WithConditions(appliedCondition("Stale", "Forged")),
		},
		"the keeper of reports on the judgement": {
			v1alpha1.FieldManagerController, v1alpha1.FieldManagerRemedy, remedyStatus("RestartContainer"),
		},
		"the keeper of reports on the condition Triggered": {
			v1alpha1.FieldManagerController, v1alpha1.FieldManagerRemedy,
			v1alpha1ac.ZombieReportStatus().WithConditions(appliedCondition("Triggered", "Forged")),
		},
		"the controller on the condition Leaking": {
			v1alpha1.FieldManagerController, v1alpha1.FieldManagerAgent,
			v1alpha1ac.ZombieReportStatus().WithConditions(appliedCondition("Leaking", "Forged")),
		},
		"the agent on the judgement": {
			v1alpha1.FieldManagerAgent, v1alpha1.FieldManagerRemedy, remedyStatus("RestartContainer"),
		},
		"the agent on the condition Verified": {
			v1alpha1.FieldManagerAgent, v1alpha1.FieldManagerController,
			v1alpha1ac.ZombieReportStatus().WithConditions(appliedCondition("Verified", "Forged")),
		},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			err := applyStatus(t, namespace, foreign.by, foreign.status)
			if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), foreign.of) {
				t.Errorf("got %v, want a conflict with %s", err, foreign.of)
			}
		})
	}
}

func applyStatus(t *testing.T, namespace, manager string, status *v1alpha1ac.ZombieReportStatusApplyConfiguration) error {
	t.Helper()
	report := v1alpha1ac.ZombieReport(appliedReport, namespace).WithStatus(status)
	return server.client.Status().Apply(t.Context(), report, client.FieldOwner(manager))
}

func mustApply(t *testing.T, namespace, manager string, status *v1alpha1ac.ZombieReportStatusApplyConfiguration) {
	t.Helper()
	if err := applyStatus(t, namespace, manager, status); err != nil {
		t.Fatalf("applying as %s: %v", manager, err)
	}
}

func appliedCondition(typ, reason string) *metav1ac.ConditionApplyConfiguration {
	return metav1ac.Condition().WithType(typ).WithStatus(metav1.ConditionTrue).WithReason(reason).WithMessage("").
		WithLastTransitionTime(metav1.NewTime(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)))
}

func agentStatus(zombies int32, containers ...v1alpha1.ContainerName) *v1alpha1ac.ZombieReportStatusApplyConfiguration {
	observed := v1alpha1ac.Observed().WithZombies(zombies)
	for _, name := range containers {
		observed.WithContainers(v1alpha1ac.ContainerObservation().WithName(name).WithContainerID("4f53cda1").WithZombies(1))
	}
	return v1alpha1ac.ZombieReportStatus().WithObserved(observed).
		WithConditions(appliedCondition(v1alpha1.ConditionLeaking, v1alpha1.ReasonZombiesCounted))
}

func withMore(status *v1alpha1ac.ZombieReportStatusApplyConfiguration) *v1alpha1ac.ZombieReportStatusApplyConfiguration {
	status.Observed.WithContainersOmitted(7)
	status.Conditions = nil
	return status
}

func controllerStatus(types ...string) *v1alpha1ac.ZombieReportStatusApplyConfiguration {
	status := v1alpha1ac.ZombieReportStatus()
	for _, typ := range types {
		status.WithConditions(appliedCondition(typ, "Because"))
	}
	return status
}

// remedyStatus is the controller's where it judges by policies: without an action there is no judgement.
func remedyStatus(action v1alpha1.Action, types ...string) *v1alpha1ac.ZombieReportStatusApplyConfiguration {
	status := controllerStatus(types...)
	if action == "" {
		return status
	}
	next := v1alpha1ac.NextStep().WithAction(action).WithMode(v1alpha1.ModeEnforce).WithReason("Planned").WithDoing("Planned")
	triggered := v1alpha1ac.TriggeredContainer().WithName("app").WithSince(metav1.NewTime(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)))
	return status.WithJudgement(v1alpha1ac.Judgement().WithContainer("app").WithNext(next).WithTriggered(triggered))
}

func wantReport(t *testing.T, namespace string, zombies int32, containers []string, action v1alpha1.Action, conditions ...string) {
	t.Helper()
	report := &v1alpha1.ZombieReport{}
	if err := server.client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: appliedReport}, report); err != nil {
		t.Fatal(err)
	}
	if report.Status.Observed == nil || report.Status.Observed.Zombies != zombies {
		t.Fatalf("observed %+v, want %d zombies", report.Status.Observed, zombies)
	}
	var names []string
	for _, c := range report.Status.Observed.Containers {
		names = append(names, string(c.Name))
	}
	if diff := cmp.Diff(containers, names); diff != "" {
		t.Errorf("containers (- want, + got):\n%s", diff)
	}
	var next v1alpha1.Action
	if j := report.Status.Judgement; j != nil && j.Next != nil {
		next = j.Next.Action
	}
	if next != action {
		t.Errorf("next action is %q, want %q", next, action)
	}
	var types []string
	for _, c := range report.Status.Conditions {
		types = append(types, c.Type)
	}
	slices.Sort(types)
	if diff := cmp.Diff(conditions, types); diff != "" || !meta.IsStatusConditionTrue(report.Status.Conditions, "Leaking") {
		t.Errorf("conditions (- want, + got):\n%s", diff)
	}
}
