package remedy

import (
	"fmt"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Words that several rows of the table share.
const (
	discarded = "without a handler, or while one is pending, SIGCHLD is discarded there"
	toPID1    = "its zombies would pass to PID 1, which holds some already"
	ofPID1    = "it is PID 1, which only a restart may end"
)

// whys is the table of what keeps a remedy from helping. The agent says which remedies cannot help a parent (cannotHelp); this is
// why, and no more than the cause tells. The first row that fits is the answer: a row without a cause, or without a remedy, fits any.
// So there are words for every pair, not only for those that agents write.
//
// Measured: a SIGCHLD that nobody handles or reads is discarded, and so is one more while one is pending; any signal but SIGKILL to a
// stopped process waits for SIGCONT; a process may not end while a thread of it is in state D, nor a container while a process of it
// does not, nor while a zombie in it has a parent or tracer outside.
var whys = []struct {
	cause  v1alpha1.Cause
	remedy v1alpha1.Remedy
	why    string
}{
	{v1alpha1.CauseParentOutsideContainer, v1alpha1.RemedyRestartContainer, "it is outside, and the container cannot end while it does not wait for its dead children"},
	{v1alpha1.CauseParentOutsideContainer, "", "it is not a process of the container"},
	{v1alpha1.CauseParentStuckInD, v1alpha1.RemedyRestartContainer, "it hangs in state D, and a restart may hang with it"},
	{v1alpha1.CauseParentStuckInD, v1alpha1.RemedySIGCONT, "it hangs in state D and is not stopped"},
	{v1alpha1.CauseParentStuckInD, v1alpha1.RemedySIGTERM, "it hangs in state D, where SIGTERM may not end it"},
	{v1alpha1.CauseParentStuckInD, v1alpha1.RemedySIGKILL, "it hangs in state D and may not end, or its end would not free its zombies"},
	{v1alpha1.CauseParentStuckInD, "", "it hangs in state D"},
	{v1alpha1.CauseParentFrozen, v1alpha1.RemedyRestartContainer, "its cgroup is frozen, and no restart is done while it is"},
	{v1alpha1.CauseParentFrozen, v1alpha1.RemedySIGKILL, "frozen it does not end, or would pass its zombies to PID 1, which holds some already"},
	{v1alpha1.CauseParentFrozen, "", "its cgroup is frozen"},
	{v1alpha1.CauseParentTraced, v1alpha1.RemedySIGKILL, toPID1},
	{v1alpha1.CauseParentTraced, v1alpha1.RemedyRestartContainer, "a tracer outside of the container holds it, and the container could not end before that one waits for it"},
	{v1alpha1.CauseParentTraced, "", "a tracer holds it"},
	{v1alpha1.CauseParentStopped, v1alpha1.RemedySIGCONT, "it was stopped again"},
	{v1alpha1.CauseParentStopped, v1alpha1.RemedySIGKILL, toPID1},
	{v1alpha1.CauseParentStopped, "", "it is stopped, and the signal would wait until it is continued"},

	{v1alpha1.CausePID1DoesNotReap, v1alpha1.RemedySIGTERM, ofPID1},
	{v1alpha1.CausePID1DoesNotReap, v1alpha1.RemedySIGKILL, ofPID1},
	{v1alpha1.CauseHandlerLeavesChildren, v1alpha1.RemedySIGCHLD, "SIGCHLD is pending there already, and one more is discarded"},
	{v1alpha1.CauseSignalBlocked, v1alpha1.RemedySIGCHLD, "SIGCHLD is blocked in all of its threads, and nobody reads it"},
	{v1alpha1.CauseSignalIgnored, v1alpha1.RemedySIGCHLD, "it ignores SIGCHLD"},

	{"", v1alpha1.RemedySIGCHLD, discarded},
	{"", v1alpha1.RemedySIGCONT, "it is not stopped"},
	{"", v1alpha1.RemedySIGTERM, toPID1},
	{"", v1alpha1.RemedySIGKILL, toPID1},
	{"", v1alpha1.RemedyRestartContainer, "the container could not end"},
	{"", "", "it would not wait for its dead children because of it"},
}

// whyNot says why a remedy cannot help a parent of a container, in a sentence.
func whyNot(remedy v1alpha1.Remedy, p v1alpha1.Parent, container v1alpha1.ContainerName) string {
	what, who := string(remedy), "the parent ("+p.Command+")"
	if remedy == v1alpha1.RemedyRestartContainer {
		what = "A restart"
	}
	if p.PID != nil {
		who = fmt.Sprintf("process %d (%s)", *p.PID, p.Command)
	}
	return fmt.Sprintf("%s cannot help %s of container %s: %s.", what, who, container, because(p.Cause, remedy))
}

func because(cause v1alpha1.Cause, remedy v1alpha1.Remedy) string {
	for _, row := range whys {
		if (row.cause == "" || row.cause == cause) && (row.remedy == "" || row.remedy == remedy) {
			return row.why
		}
	}
	return "" // the last row fits whatever there is
}

// hindrance is the reason for which a remedy that cannot help a parent is not tried.
func hindrance(cause v1alpha1.Cause) string {
	switch cause {
	case v1alpha1.CauseParentOutsideContainer:
		return ReasonParentOutside
	case v1alpha1.CauseParentStuckInD:
		return ReasonParentStuckInD
	case v1alpha1.CauseParentFrozen:
		return ReasonParentFrozen
	default:
		return ReasonCannotHelp
	}
}
