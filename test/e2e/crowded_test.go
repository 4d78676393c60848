package e2e

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// crowdedTime is how long the agent must live without a PID to spare.
const crowdedTime = 10 * time.Minute

// crowdedAgent is the agent of the second node in a cgroup that has room for no further thread.
type crowdedAgent struct {
	agent    *corev1.Pod
	restarts int32
	since    time.Time
	cgroup   string
}

// crowdAgent fills the cgroup of the second node's agent. It has to do its work so until the test ends.
func crowdAgent(t *testing.T) crowdedAgent {
	t.Helper()
	agent := agentPod(t, secondNode, "")
	c := crowdedAgent{agent: agent, restarts: appStatus(t, agent).RestartCount, since: time.Now()}
	c.cgroup = pidsCgroup(t, processNamed(t, agent, "zombie-agent"))
	fillPIDs(t, c.cgroup, 0)
	return c
}

// survives waits until the time is over, and lets the agent find a new leak.
func (c crowdedAgent) survives(t *testing.T) {
	ns := namespace(t, "crowded")
	p := pod(ns, "crowded", container("app", "/leaks/start-no-wait", "start-no-wait", "-count=5"))
	p.Spec.NodeName = secondNode
	waitSince(t, c.since.Add(crowdedTime))
	create(t, p)
	report := waitReport(t, p, 5, 2*time.Minute)
	if cause := report.Status.Observed.Containers[0].Parents[0].Cause; cause != v1alpha1.CausePID1DoesNotReap {
		t.Errorf("the cause is %s, want %s", cause, v1alpha1.CausePID1DoesNotReap)
	}
	now := agentPod(t, secondNode, "")
	if restarts := appStatus(t, now).RestartCount; now.UID != c.agent.UID || restarts != c.restarts {
		t.Errorf("the agent was restarted %d times, its pod is %s; want %d and %s", restarts, now.UID, c.restarts, c.agent.UID)
	}
	t.Logf("after %s: %s of %s PIDs, pids.events %s", time.Since(c.since), readFile(t, c.cgroup+"/pids.current"),
		readFile(t, c.cgroup+"/pids.max"), readFile(t, c.cgroup+"/pids.events"))
}
