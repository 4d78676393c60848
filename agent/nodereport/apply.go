package nodereport

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1ac "github.com/zombie-operator/zombie-operator/api/applyconfiguration/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// The agent may read, create and apply the reports of nodes, and nothing else. It may not list or watch them.
//
// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombienodereports,verbs=get;create;patch
// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombienodereports/status,verbs=patch

// write applies the observation, and creates the report first when it is not there. It tells whether the report is there
// afterwards: that nothing is wrong is worth no new one, as the controller deleted the one that was.
func (p *Publisher) write(ctx context.Context, observed v1alpha1.NodeObserved, m memory) (stored bool, err error) {
	if m.stored {
		err = p.applyStatus(ctx, observed, m)
		if !apierrors.IsNotFound(err) {
			return true, err
		}
		if !isWorthAReport(observed) {
			return false, nil
		}
	}
	if err = p.applySpec(ctx); err != nil {
		return false, err
	}
	return true, p.applyStatus(ctx, observed, m)
}

func (p *Publisher) applySpec(ctx context.Context) error {
	report := v1alpha1ac.ZombieNodeReport(p.node).WithSpec(v1alpha1ac.ZombieNodeReportSpec().WithNodeName(p.node))
	return p.client.Apply(ctx, report, client.FieldOwner(v1alpha1.FieldManagerAgent), client.ForceOwnership) //nolint:wrapcheck // Publish wraps it
}

func (p *Publisher) applyStatus(ctx context.Context, observed v1alpha1.NodeObserved, m memory) error {
	fields, err := applied(observed)
	if err != nil {
		return err
	}
	status := v1alpha1ac.ZombieNodeReportStatus().WithObserved(fields).WithConditions(leaking(observed, m.leaking))
	if observed.PIDs != nil {
		status.WithConditions(pressure(*observed.PIDs, m.pressure))
	}
	report := v1alpha1ac.ZombieNodeReport(p.node).WithStatus(status)
	return p.client.SubResource("status").Apply(ctx, report, client.FieldOwner(v1alpha1.FieldManagerAgent), client.ForceOwnership) //nolint:wrapcheck // Publish wraps it
}

// applied turns an observation into its apply configuration; both are the same JSON.
func applied(observed v1alpha1.NodeObserved) (*v1alpha1ac.NodeObservedApplyConfiguration, error) {
	raw, err := json.Marshal(observed)
	if err != nil {
		return nil, fmt.Errorf("encoding observation: %w", err)
	}
	var out v1alpha1ac.NodeObservedApplyConfiguration
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("decoding observation: %w", err)
	}
	return &out, nil
}

func leaking(observed v1alpha1.NodeObserved, s state) *metav1ac.ConditionApplyConfiguration {
	if !s.on {
		return condition(v1alpha1.ConditionLeaking, s, v1alpha1.ReasonNoZombies, "No zombie is left outside of the containers.")
	}
	return condition(v1alpha1.ConditionLeaking, s, v1alpha1.ReasonZombiesCounted, fmt.Sprintf(
		"Dead for at least %d s and not waited for: %d zombies outside of every container, %d that cannot be attributed.",
		v1alpha1.AgeEdgesSeconds[0], observed.HostZombies, observed.Unattributed))
}

// limitNames are the sysctls that limit the PIDs of a node.
var limitNames = map[v1alpha1.PIDLimit]string{
	v1alpha1.PIDLimitPIDMax:     "kernel.pid_max",
	v1alpha1.PIDLimitThreadsMax: "kernel.threads-max",
}

func pressure(pids v1alpha1.PIDs, s state) *metav1ac.ConditionApplyConfiguration {
	reason := v1alpha1.ReasonPIDsSuffice
	message := fmt.Sprintf("Of the %d PIDs that %s allows %d %% are in use.", pids.Limit, limitNames[pids.LimitedBy], pids.UsedPercent)
	if s.on {
		reason = v1alpha1.ReasonPIDsScarce
		message += fmt.Sprintf(" This is true from %d %% on, until it is less than %d %%.",
			v1alpha1.NodePressurePercent, v1alpha1.NodePressurePercent-slack)
	}
	return condition(v1alpha1.ConditionPIDPressure, s, reason, message)
}

// reportGeneration is the metadata.generation of every report: its spec cannot change.
const reportGeneration = 1

func condition(kind string, s state, reason, message string) *metav1ac.ConditionApplyConfiguration {
	status := metav1.ConditionFalse
	if s.on {
		status = metav1.ConditionTrue
	}
	return metav1ac.Condition().
		WithType(kind).
		WithStatus(status).
		WithReason(reason).
		WithMessage(message).
		WithObservedGeneration(reportGeneration).
		WithLastTransitionTime(metav1.NewTime(s.since))
}
