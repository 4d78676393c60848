package nodereport

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Publisher writes the report of one node. It is not safe for concurrent use.
type Publisher struct {
	client client.Client
	node   string
	log    *slog.Logger
	memory memory
}

// New returns a Publisher for a node.
func New(c client.Client, node string, log *slog.Logger) *Publisher {
	return &Publisher{client: c, node: node, log: log}
}

// Publish makes the report say what was observed, with as few calls to the API server as possible. What fails is tried
// again at the next call.
func (p *Publisher) Publish(ctx context.Context, observed v1alpha1.NodeObserved, now time.Time) error {
	next := plan(p.memory, observed, now)
	if next == compare {
		if err := p.compare(ctx, now); err != nil {
			return p.failed(ctx, "reading", err)
		}
		next = plan(p.memory, observed, now)
	}
	if next != write {
		return nil
	}
	m := p.memory
	m.leaking = m.leaking.turned(isLeaking(observed), now)
	m.pressure = m.pressure.turned(isPressed(observed, m.pressure.on), now)
	if observed.PIDs == nil {
		m.pressure = state{}
	}
	stored, err := p.write(ctx, observed, m)
	if err != nil {
		p.memory.comparedAt = time.Time{} // it is not known what is stored now
		return p.failed(ctx, "writing", err)
	}
	if !stored {
		p.memory = memory{comparedAt: m.comparedAt}
		return nil
	}
	m.stored, m.reported, m.writtenAt = true, &observed, now
	p.memory = m
	p.log.Info("Reported the node", "hostZombies", observed.HostZombies, "unattributed", observed.Unattributed)
	return nil
}

// failed wraps an error, unless the agent was told to stop: then nothing is wrong.
func (p *Publisher) failed(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // told to stop: that the call failed is no failure
	}
	return fmt.Errorf("%s report of node %s: %w", doing, p.node, err)
}

// compare reads the stored report.
func (p *Publisher) compare(ctx context.Context, now time.Time) error {
	var report v1alpha1.ZombieNodeReport
	err := p.client.Get(ctx, client.ObjectKey{Name: p.node}, &report)
	if err != nil && !apierrors.IsNotFound(err) {
		return err //nolint:wrapcheck // Publish wraps it
	}
	p.memory = memory{
		comparedAt: now,
		stored:     err == nil,
		reported:   report.Status.Observed,
		leaking:    stateOf(report.Status.Conditions, v1alpha1.ConditionLeaking),
		pressure:   stateOf(report.Status.Conditions, v1alpha1.ConditionPIDPressure),
		writtenAt:  p.memory.writtenAt,
	}
	return nil
}

func stateOf(conditions []metav1.Condition, kind string) state {
	c := meta.FindStatusCondition(conditions, kind)
	if c == nil {
		return state{}
	}
	return state{on: c.Status == metav1.ConditionTrue, since: c.LastTransitionTime.Time}
}
