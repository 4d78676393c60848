// Package publish keeps the ZombieReports of the node's pods true, with as few calls to the API server as possible.
package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Pod is a pod of the node and what was seen in it.
type Pod struct {
	Namespace string
	Name      string
	UID       string
	Observed  v1alpha1.Observed
	// Incomplete says that not all containers of the pod could be looked into: Observed must not be reported.
	Incomplete bool
	// AgesUntold says that the kernel does not tell when some of the pod's zombies died.
	AgesUntold bool
}

// Memory lets an earlier agent's knowledge in: it is told the observation of a report that was read.
type Memory interface {
	Remember(podUID string, reported v1alpha1.Observed)
}

// Publisher writes the reports of the pods of one node. It is not safe for concurrent use.
type Publisher struct {
	client client.Client
	node   string
	memory Memory
	log    *slog.Logger
	states map[types.NamespacedName]memory
}

// New returns a Publisher for the pods of a node.
func New(c client.Client, node string, m Memory, log *slog.Logger) *Publisher {
	return &Publisher{client: c, node: node, memory: m, log: log, states: map[types.NamespacedName]memory{}}
}

// Forget drops all knowledge of stored reports: they are read again before anything is written.
func (p *Publisher) Forget() { clear(p.states) }

// Publish makes the reports say what was seen. One pod's failure does not keep the others from being reported;
// what failed is tried again at the next call.
func (p *Publisher) Publish(ctx context.Context, pods []Pod, now time.Time) error {
	p.dropGone(pods)
	spare := 1 // reads for pods that are not urgent; one a round keeps them unnoticeable
	var failed []error
	for _, pod := range worstFirst(pods) {
		used, err := p.one(ctx, pod, now, spare > 0)
		if used {
			spare--
		}
		if err != nil {
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

func worstFirst(pods []Pod) []Pod {
	return slices.SortedStableFunc(slices.Values(pods), func(a, b Pod) int {
		return cmp.Compare(b.Observed.Zombies, a.Observed.Zombies)
	})
}

func (p *Publisher) dropGone(pods []Pod) {
	here := map[types.NamespacedName]bool{}
	for _, pod := range pods {
		here[key(pod)] = true
	}
	maps.DeleteFunc(p.states, func(k types.NamespacedName, _ memory) bool { return !here[k] })
}

// one brings the report of one pod up to date. It tells whether it used the spare read.
func (p *Publisher) one(ctx context.Context, pod Pod, now time.Time, spare bool) (usedSpare bool, err error) {
	m := p.states[key(pod)]
	next := plan(m, pod, now, spare)
	if next == compare {
		usedSpare = plan(m, pod, now, false) != compare
		if m, err = p.compare(ctx, pod, m, now); err != nil {
			return usedSpare, err
		}
		next = plan(m, pod, now, false)
		if pod.AgesUntold {
			next = nothing // the next look knows the ages that were just read
		}
	}
	if next == write {
		if err := p.write(ctx, pod, m, now); err != nil {
			return usedSpare, err
		}
		m.leakingChangedAt = m.transition(pod.Observed, now)
		m.stored, m.reported, m.writtenAt = true, &pod.Observed, now
		p.log.Info("Reported", "namespace", pod.Namespace, "pod", pod.Name, "zombies", pod.Observed.Zombies)
	}
	p.states[key(pod)] = m
	return usedSpare, nil
}

// compare reads the stored report.
func (p *Publisher) compare(ctx context.Context, pod Pod, m memory, now time.Time) (memory, error) {
	var report v1alpha1.ZombieReport
	err := p.client.Get(ctx, key(pod), &report)
	if err != nil && !apierrors.IsNotFound(err) {
		return m, fmt.Errorf("reading report of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	m.comparedAt, m.stored, m.reported = now, err == nil, report.Status.Observed
	if c := meta.FindStatusCondition(report.Status.Conditions, v1alpha1.ConditionLeaking); c != nil {
		m.leakingChangedAt = c.LastTransitionTime.Time
	}
	if m.reported != nil && pod.AgesUntold {
		p.memory.Remember(pod.UID, *m.reported)
	}
	return m, nil
}

func key(pod Pod) types.NamespacedName {
	return types.NamespacedName{Namespace: pod.Namespace, Name: v1alpha1.ReportName(pod.Name, pod.UID)}
}
