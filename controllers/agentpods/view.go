// Package agentpods knows whether the agent of a node is ready. The readiness of the agent's pod stands for the
// freshness of all reports of its node, so that no report needs a heartbeat of its own.
package agentpods

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Agent is how the agent of a node is doing.
type Agent struct {
	// Namespace is where agent pods run.
	Namespace string
	// PodName is the agent's pod; empty when the node has none.
	PodName string
	// Ready is whether that pod is Ready.
	Ready bool
	// NotReadySince is since when the node has had no ready agent, as far as is known; zero when it has one.
	NotReadySince time.Time
}

// View answers from a cache of agent pods. It remembers since when a node has had no ready agent, because a pod that
// is gone cannot tell, and a pod that replaced it knows only its own age. A restart of the controller forgets that.
type View struct {
	clock       clock.PassiveClock
	pods        client.Reader
	namespace   string
	forgetAfter time.Duration

	mu       sync.Mutex
	notReady map[string]spell
}

// spell is the time a node has been without a ready agent.
type spell struct {
	since     time.Time
	lastAsked time.Time
}

// NewView returns a view of the agent pods that a reader, with the index NodeNameIndex, finds in a namespace.
// A node that nobody asked about for forgetAfter is forgotten: else nodes that left the cluster would add up for ever.
func NewView(clock clock.PassiveClock, pods client.Reader, namespace string, forgetAfter time.Duration) *View {
	return &View{clock: clock, pods: pods, namespace: namespace, forgetAfter: forgetAfter, notReady: map[string]spell{}}
}

// OnNode tells how the agent of a node is doing.
func (v *View) OnNode(ctx context.Context, node string) (Agent, error) {
	var pods corev1.PodList
	err := v.pods.List(ctx, &pods, client.InNamespace(v.namespace), client.MatchingFields{NodeNameIndex: node})
	if err != nil {
		return Agent{}, fmt.Errorf("listing agent pods of node %q: %w", node, err)
	}
	now := v.clock.Now()
	agent := summarize(pods.Items, now)
	agent.Namespace = v.namespace
	v.remember(node, &agent, now)
	return agent, nil
}

// remember keeps the start of a spell without a ready agent through the pods that come and go during it.
func (v *View) remember(node string, agent *Agent, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if agent.Ready {
		delete(v.notReady, node)
		return
	}
	known, ok := v.notReady[node]
	if !ok {
		v.forget(now)
	}
	if ok && known.since.Before(agent.NotReadySince) {
		agent.NotReadySince = known.since
	}
	v.notReady[node] = spell{since: agent.NotReadySince, lastAsked: now}
}

func (v *View) forget(now time.Time) {
	for node, s := range v.notReady {
		if now.Sub(s.lastAsked) > v.forgetAfter {
			delete(v.notReady, node)
		}
	}
}

// summarize tells how an agent is doing from all its pods on one node: there are two while one replaces the other,
// and one that is ready is enough. Of several that are not, the one that was ready last counts.
func summarize(pods []corev1.Pod, now time.Time) Agent {
	agent := Agent{NotReadySince: now}
	for i := range pods {
		ready, since := readiness(&pods[i])
		if ready {
			return Agent{PodName: pods[i].Name, Ready: true}
		}
		if agent.PodName == "" || since.After(agent.NotReadySince) {
			agent.PodName, agent.NotReadySince = pods[i].Name, since
		}
	}
	return agent
}

// readiness is whether a pod is Ready and since when that has been so.
func readiness(pod *corev1.Pod) (bool, time.Time) {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue, c.LastTransitionTime.Time
		}
	}
	return false, pod.CreationTimestamp.Time // not yet seen by a kubelet
}
