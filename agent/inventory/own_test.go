package inventory

import (
	"os"
	"testing"

	"github.com/zombie-operator/zombie-operator/agent/scan"
)

// In a cgroup namespace of its own the agent's path is "/", which says nothing; its container must be known all the same,
// or its pod would never be reported whole.
func TestRefreshKnowsTheAgentsOwnContainer(t *testing.T) {
	t.Parallel()
	n := newNode()
	own := n.addPod("zombie-agent")
	n.add(own, "own", os.Getpid())
	n.identities[os.Getpid()] = scan.Identity{Namespace: 1, NamespacePIDs: []int{os.Getpid()}}
	i, log := newInventory(n)
	mustRefresh(t, i)
	if containers := i.Containers(); len(containers) != 1 || containers[0].Cgroup != "" {
		t.Errorf("containers = %+v, want one without a cgroup", containers)
	}
	if !i.Pods()[own] || log.Len() > 0 {
		t.Errorf("pods = %v, want all of it known; log: %s", i.Pods(), log)
	}
}
