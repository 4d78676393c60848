// Package publish keeps the ZombieReports of the node's pods true, with as few calls to the API server as possible.
package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/agent/observe"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Look is what one scan saw in the pods of the node.
type Look struct {
	// At is when the scan began.
	At   time.Time
	Pods []Pod
}

// Pod is a pod of the node and what was seen in it.
type Pod struct {
	Namespace string
	Name      string
	UID       string
	Observed  v1alpha1.Observed
	// Findings are what looks like zombies in it, or holds them.
	Findings []observe.Finding
	// Incomplete says that not all of the pod could be looked into: Observed must not be reported.
	Incomplete bool
	// AgesUntold says that the kernel does not tell when some of the pod's zombies died.
	AgesUntold bool
}

// matters says whether there is anything to tell of the pod.
func (p Pod) matters() bool { return p.Observed.Zombies > 0 || len(p.Findings) > 0 }

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

// Publish makes the reports say what a look saw. What fails is tried again at the next call. One pod that cannot be
// reported, say because its namespace is being deleted, is logged and does not keep the others from it. The error is
// one that would hit every pod.
func (p *Publisher) Publish(ctx context.Context, look Look, now time.Time) error {
	pods := append(slices.Clone(look.Pods), p.leftBehind(look.Pods)...)
	spare := p.longestUncompared(pods)
	var failed error
	worked := false
	for _, pod := range worstFirst(pods) {
		called, err := p.one(ctx, pod, look.At, now, key(pod) == spare)
		if ctx.Err() != nil {
			break // told to stop: whatever failed, nothing is wrong
		}
		switch {
		case err == nil:
			worked = worked || called
		case isUnreachable(err):
			return err // the others would wait as long, and be reported from a look that is old by then
		case concernsOnePod(err):
			p.log.Warn("One pod cannot be reported", "namespace", pod.Namespace, "pod", pod.Name, "err", err)
		default:
			failed = errors.Join(failed, err)
		}
	}
	if worked && failed != nil {
		p.log.Warn("Some pods cannot be reported", "err", failed)
		return nil
	}
	return failed
}

// isUnreachable says that the API server did not answer.
func isUnreachable(err error) bool {
	var status apierrors.APIStatus
	return !errors.As(err, &status)
}

// concernsOnePod says that the API server refused something about this pod's report only.
func concernsOnePod(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsRequestEntityTooLargeError(err) || apierrors.IsConflict(err) ||
		apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

func worstFirst(pods []Pod) []Pod {
	return slices.SortedStableFunc(slices.Values(pods), func(a, b Pod) int {
		return cmp.Compare(b.Observed.Zombies, a.Observed.Zombies)
	})
}

// longestUncompared chooses the one pod of a round whose report is read although nothing urges. One read a round keeps
// the API server from noticing, and each pod gets its turn.
func (p *Publisher) longestUncompared(pods []Pod) types.NamespacedName {
	var chosen types.NamespacedName
	var longest time.Time
	for _, pod := range pods {
		m := p.states[key(pod)]
		quiet, compared := !pod.matters() && !pod.AgesUntold, !m.comparedAt.IsZero()
		// A quiet pod needs it once; one that leaks is compared without it the first time.
		if !pod.Incomplete && quiet != compared && (chosen.Name == "" || m.comparedAt.Before(longest)) {
			chosen, longest = key(pod), m.comparedAt
		}
	}
	return chosen
}

// leftBehind drops the memory of pods that are gone. Those of which zombies or findings were reported are returned once
// more, without any: the Pod object may stay, as that of a finished Job does, and its report must not tell of zombies for ever.
func (p *Publisher) leftBehind(pods []Pod) []Pod {
	here := map[types.NamespacedName]bool{}
	for _, pod := range pods {
		here[key(pod)] = true
	}
	var left []Pod
	for k, m := range p.states {
		switch {
		case here[k]:
		case m.reported != nil && (m.reported.Zombies > 0 || len(m.findings) > 0):
			left = append(left, Pod{Namespace: m.pod.Namespace, Name: m.pod.Name, UID: m.pod.UID})
		default:
			delete(p.states, k)
		}
	}
	return left
}

// one brings the report of one pod up to date. It tells whether it called the API server.
func (p *Publisher) one(ctx context.Context, pod Pod, lookedAt, now time.Time, spare bool) (called bool, err error) {
	m := p.states[key(pod)]
	m.pod = pod
	next := plan(m, pod, now, spare)
	if next == compare {
		called = true
		if m, err = p.compare(ctx, pod, m, now); err != nil {
			return called, err
		}
		next = plan(m, pod, now, false)
	}
	if pod.AgesUntold && !lookedAt.After(m.comparedAt) {
		next = nothing // a look after the comparison knows the ages that were read in it
	}
	if next == write {
		called = true
		if err := p.write(ctx, pod, m, now); err != nil {
			m.comparedAt = time.Time{} // it is not known what is stored now
			p.states[key(pod)] = m
			return called, err
		}
		m.first = pod.Observed.Zombies > 0 && (m.reported == nil || m.reported.Zombies == 0)
		m.leakingChangedAt = m.transition(pod.Observed, now)
		m.findings = m.told(pod.Findings)
		m.stored, m.reported, m.writtenAt = true, &pod.Observed, now
		p.log.Info("Reported", "namespace", pod.Namespace, "pod", pod.Name, "zombies", pod.Observed.Zombies)
	}
	p.states[key(pod)] = m
	return called, nil
}

// compare reads the stored report.
func (p *Publisher) compare(ctx context.Context, pod Pod, m memory, now time.Time) (memory, error) {
	var report v1alpha1.ZombieReport
	err := p.client.Get(ctx, key(pod), &report)
	if err != nil && !apierrors.IsNotFound(err) {
		return m, fmt.Errorf("reading report of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	first := m.comparedAt.IsZero()
	m.comparedAt, m.stored, m.reported = now, err == nil, report.Status.Observed
	m.findings = findingsOf(report.Status.Conditions, m.findings)
	if c := meta.FindStatusCondition(report.Status.Conditions, v1alpha1.ConditionLeaking); c != nil {
		m.leakingChangedAt = c.LastTransitionTime.Time
	}
	// Only an earlier agent's report knows more than this agent.
	if first && m.reported != nil && pod.AgesUntold {
		p.memory.Remember(pod.UID, *m.reported)
	}
	return m, nil
}

func key(pod Pod) types.NamespacedName {
	return types.NamespacedName{Namespace: pod.Namespace, Name: v1alpha1.ReportName(pod.Name, pod.UID)}
}
