package e2e

import (
	"sync"
	"testing"
)

// TestOperator runs in phases: the leaks of the first stay for the next, which ask whether the operator keeps quiet.
func TestOperator(t *testing.T) {
	makeStaticPod(t)
	crowded := crowdAgent(t)
	leaks := findsLeaks(t)
	t.Run("a static pod is reported", staticPodReported)
	t.Run("an agent restart rewrites nothing", func(t *testing.T) { agentRestart(t, leaks) })
	t.Run("side by side", func(t *testing.T) {
		t.Run("life of reports", lifeOfReports)
		t.Run("cures", cures)
		t.Run("causes", causes)
	})
	t.Run("cures outlive", crashes)
	t.Run("one disruptive act was under way at a time", oneAtATime)
	t.Run("a containerd restart loses nothing", func(t *testing.T) { containerdRestart(t, leaks) })
	t.Run("a static pod keeps one report for five minutes", staticPodKeepsReport)
	t.Run("an idle minute makes no API write", idleMinute)
	t.Run("parents that reap and live leaders were never blamed", neverBlamed)
	t.Run("every row of the leaks in the field was shown", everyRow)
	t.Run("an agent without a PID to spare scans for ten minutes", crowded.survives)
	t.Run("reports go stale with their agent", staleReports)
	t.Run("kubectl apply -k config/default installs the same", kustomizeInstall)
}

func lifeOfReports(t *testing.T) {
	extraAgents.Add(1)
	gone := sync.OnceFunc(extraAgents.Done)
	t.Cleanup(gone)
	t.Parallel()
	side := func(name string, test func(*testing.T)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
	side("what an agent lacks is said", func(t *testing.T) {
		defer gone()
		agentsLack(t)
	})
	side("an agent restart loses no age", staticAgesSurvive)
	side("a deleted pod's report goes", deletedPod)
	side("a StatefulSet pod replaced under its name gets its own report", replacedPod)
	side("a healed pod's report says so and goes after a while", healedPod)
	side("a restarted container's report forgets its zombies", restartedContainer)
	side("the table fits a terminal", tableFits)
	side("a report that lies is deleted", lyingReport)
	side("a leak on another node is reported of that node", otherNode)
}
