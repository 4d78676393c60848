package e2e

import "testing"

// TestOperator runs in phases: the leaks of the first stay for the next, which ask whether the operator keeps quiet.
func TestOperator(t *testing.T) {
	makeStaticPod(t)
	leaks := findsLeaks(t)
	t.Run("life of reports", func(t *testing.T) {
		side := func(name string, test func(*testing.T)) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t)
			})
		}
		side("a deleted pod's report goes", deletedPod)
		side("a StatefulSet pod replaced under its name gets its own report", replacedPod)
		side("a healed pod's report says so and goes after a while", healedPod)
		side("a restarted container's report forgets its zombies", restartedContainer)
		side("the table fits a terminal", tableFits)
		side("a report that lies is deleted", lyingReport)
		side("a leak on another node is reported of that node", otherNode)
		side("what an agent lacks is said", lackingAgents)
	})
	t.Run("an agent restart loses no age and rewrites nothing", func(t *testing.T) { agentRestart(t, leaks) })
	t.Run("a containerd restart loses nothing", func(t *testing.T) { containerdRestart(t, leaks) })
	t.Run("a static pod keeps one report for five minutes", staticPodKeepsReport)
	t.Run("an idle minute makes no API write", idleMinute)
	t.Run("parents that reap and live leaders were never reported", neverReported)
	t.Run("reports go stale with their agent", staleReports)
	t.Run("kubectl apply -k config/default installs the same", kustomizeInstall)
}
