package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/agent/observe"
	v1alpha1ac "github.com/zombie-operator/zombie-operator/api/applyconfiguration/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// The agent may read, create and apply reports, and nothing else. It may not list or watch them.
//
// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombiereports,verbs=get;create;patch
// +kubebuilder:rbac:groups=zombie-operator.io,resources=zombiereports/status,verbs=patch

// write applies the observation, and creates the report first when it is not there. That a pod has no zombies is
// worth no new report: the controller deleted the one that was.
func (p *Publisher) write(ctx context.Context, pod Pod, m memory, now time.Time) error {
	if !m.stored {
		return p.create(ctx, pod, m, now)
	}
	err := p.applyStatus(ctx, pod, m, now)
	if apierrors.IsNotFound(err) {
		if !pod.matters() {
			return nil
		}
		return p.create(ctx, pod, m, now)
	}
	return wrap(err, pod)
}

func (p *Publisher) create(ctx context.Context, pod Pod, m memory, now time.Time) error {
	if err := p.applySpec(ctx, pod); err != nil {
		return wrap(err, pod)
	}
	return wrap(p.applyStatus(ctx, pod, m, now), pod)
}

func wrap(err error, pod Pod) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("writing report of pod %s/%s: %w", pod.Namespace, pod.Name, err)
}

func (p *Publisher) applySpec(ctx context.Context, pod Pod) error {
	report := v1alpha1ac.ZombieReport(key(pod).Name, pod.Namespace).
		WithSpec(v1alpha1ac.ZombieReportSpec().
			WithPodName(pod.Name).
			WithPodUID(pod.UID).
			WithNodeName(p.node))
	return p.client.Apply(ctx, report, client.FieldOwner(v1alpha1.FieldManagerAgent), client.ForceOwnership) //nolint:wrapcheck // write wraps it
}

func (p *Publisher) applyStatus(ctx context.Context, pod Pod, m memory, now time.Time) error {
	observed, err := applied(pod.Observed)
	if err != nil {
		return err
	}
	report := v1alpha1ac.ZombieReport(key(pod).Name, pod.Namespace).
		WithStatus(v1alpha1ac.ZombieReportStatus().
			WithObserved(observed).
			WithConditions(conditions(pod, m, now)...))
	return p.client.SubResource("status").Apply(ctx, report, client.FieldOwner(v1alpha1.FieldManagerAgent), client.ForceOwnership) //nolint:wrapcheck // write wraps it
}

// applied turns an observation into its apply configuration; both are the same JSON.
func applied(observed v1alpha1.Observed) (*v1alpha1ac.ObservedApplyConfiguration, error) {
	raw, err := json.Marshal(observed)
	if err != nil {
		return nil, fmt.Errorf("encoding observation: %w", err)
	}
	var out v1alpha1ac.ObservedApplyConfiguration
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("decoding observation: %w", err)
	}
	return &out, nil
}

// reportGeneration is the metadata.generation of every report: its spec cannot change.
const reportGeneration = 1

// conditions are all that the agent owns: a finding that has ended is not among them any more, and so the API server
// takes its condition away.
func conditions(pod Pod, m memory, now time.Time) []*metav1ac.ConditionApplyConfiguration {
	all := []*metav1ac.ConditionApplyConfiguration{leaking(pod.Observed, m, now)}
	told := m.told(pod.Findings)
	for _, f := range pod.Findings {
		all = append(all, condition(f.Type, metav1.ConditionTrue, v1alpha1.ReasonObserved, f.Message, told[f.Type].Since))
	}
	return all
}

func leaking(observed v1alpha1.Observed, m memory, now time.Time) *metav1ac.ConditionApplyConfiguration {
	status, reason, message := metav1.ConditionFalse, v1alpha1.ReasonNoZombies, "No zombie counts here."
	if observed.Zombies > 0 {
		status, reason = metav1.ConditionTrue, v1alpha1.ReasonZombiesCounted
		message = fmt.Sprintf("Zombies dead for at least %d s that their parent has not waited for: %d. Why, and what to do: %s",
			v1alpha1.AgeEdgesSeconds[0], observed.Zombies, v1alpha1.DocsURL(observed.Finding))
	}
	return condition(v1alpha1.ConditionLeaking, status, reason, message, m.transition(observed, now))
}

func condition(kind string, status metav1.ConditionStatus, reason, message string, since time.Time) *metav1ac.ConditionApplyConfiguration {
	return metav1ac.Condition().
		WithType(kind).
		WithStatus(status).
		WithReason(reason).
		WithMessage(message).
		WithObservedGeneration(reportGeneration).
		WithLastTransitionTime(metav1.NewTime(since))
}

// findingsOf reads the findings that a report tells of. A report has no gists: one that was known before is that of the finding for
// as long as the message is the same.
func findingsOf(conditions []metav1.Condition, before map[string]observe.Finding) map[string]observe.Finding {
	found := map[string]observe.Finding{}
	for _, c := range conditions {
		if !slices.Contains(v1alpha1.Findings, c.Type) {
			continue
		}
		f := observe.Finding{Type: c.Type, Message: c.Message, Since: c.LastTransitionTime.Time}
		if known := before[c.Type]; known.Message == f.Message {
			f.Gist = known.Gist
		}
		found[c.Type] = f
	}
	return found
}
