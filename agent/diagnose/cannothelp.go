package diagnose

import (
	"strings"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// cannot says of each remedy when it cannot work, in the order of rising force.
var cannot = []struct {
	remedy v1alpha1.Remedy
	when   func(Evidence) bool
}{
	{v1alpha1.RemedySIGCHLD, func(e Evidence) bool { return e.held() || e.hangs() || e.State == stateStopped || e.deaf() }},
	// Only a stopped process is continued. One look is enough to see that it is not stopped.
	{v1alpha1.RemedySIGCONT, func(e Evidence) bool {
		return e.held() || e.hangs() || (e.StateNow != "" && e.StateNow != stateStopped)
	}},
	// While the parent is stopped, SIGHUP and SIGTERM stay pending. While it hangs, they can do no more than end it.
	{v1alpha1.RemedySIGHUP, func(e Evidence) bool {
		return e.held() || e.State == stateStopped || (e.hangs() && (e.HandlesHup || e.endHelpsNot()))
	}},
	{v1alpha1.RemedySIGTERM, func(e Evidence) bool {
		return e.held() || e.State == stateStopped || (e.hangs() && e.HandlesTerm) || e.endHelpsNot()
	}},
	// SIGKILL ends what is stopped, traced (its zombies pass on, though it stays one itself until its tracer waits), frozen by cgroup v2 or in a killable sleep; what cgroup v1 froze shows as D.
	{v1alpha1.RemedySIGKILL, func(e Evidence) bool { return e.PID == 0 || e.endHelpsNot() }},
	// The end of PID 1 waits for the end of every process of its namespace. A restart of what is frozen is not done: it would take what
	// the one who froze it is at work on, and on cgroup v1 it ends only if the runtime thaws it to kill it. What is traced ends when its
	// tracer waits: the tracer must be one that ends with the container.
	{v1alpha1.RemedyRestartContainer, func(e Evidence) bool {
		return (e.PID == 0 && !e.SameNamespace) || e.unkillable() || e.Frozen || e.TracerOutside
	}},
}

func cannotHelp(e Evidence) []v1alpha1.Remedy {
	var remedies []v1alpha1.Remedy
	for _, c := range cannot {
		if c.when(e) {
			remedies = append(remedies, c.remedy)
		}
	}
	return remedies
}

// held says whether the parent is out of reach, or in the hands of something that signals do not end.
func (e Evidence) held() bool {
	return e.PID == 0 || e.Frozen || e.State == stateTraced
}

// hangs says whether all of the parent hangs in state D. Where a thread does, another may still take a signal.
func (e Evidence) hangs() bool {
	return e.State == stateStuck && !e.OthersRun
}

// deaf says whether one more SIGCHLD cannot make the parent wait. Unless it has a handler it is discarded, or it must be blocked
// and somebody read it; and where it is pending all the time, one more is discarded too.
func (e Evidence) deaf() bool {
	reads := e.SignalFD || e.FilesUnread || e.SigWait || e.Blocked
	return e.Read && ((e.Blocked && e.Pending) || (!e.Caught && !reads))
}

// endHelpsNot says whether the end of the parent may not come, as long as a thread hangs in state D, or does not end its
// zombies: they move to PID 1, which holds some already, and the parent becomes one more. The end of PID 1 is the restart's.
func (e Evidence) endHelpsNot() bool {
	return e.unkillable() || e.PID == 1 || e.ReaperHolds
}

// unkillable says whether a thread hangs in state D and it is not known that SIGKILL ends that. What cgroup v1 froze shows as D
// wherever it slept, and is ended by nothing.
func (e Evidence) unkillable() bool {
	return e.State == stateStuck && (e.Frozen || !Killable(e.Wchan))
}

// Killable says whether SIGKILL is known to wake a thread that sleeps in state D in this kernel function: vfork() waits so for the
// child, and functions for such sleeps are named so. Others may be killable too.
func Killable(wchan string) bool {
	return wchan == "kernel_clone" || strings.HasSuffix(wchan, "_killable")
}
