package diagnose

import (
	"fmt"
	"strings"
)

// goFix is for children that a Go program started. It must not wait for any child: that takes the status from os/exec.
const goFix = "Call Wait for every exec.Cmd that Start started, or use Run. Do not call wait4(-1) beside os/exec: it takes the status that Wait needs."

// byPID is for a program in which other code may wait for its children.
const byPID = "wait for each child that it started, by its PID and with WNOHANG: signals merge. waitpid(-1) would take what other code waits for."

// idle are commands that keep a container alive and never wait for a child.
var idle = map[string]bool{"sleep": true, "tail": true, "cat": true}

// initFix is for the zombies of PID 1. It is not known whether they were orphans, and an init takes over no others: under it, the
// children that the program started stay the program's.
func initFix(e Evidence) string {
	const initAsPID1 = "an init such as tini PID 1, or set shareProcessNamespace: true"
	switch {
	case e.InitInImage != "":
		return e.InitInImage + " is in the image but not PID 1: run the program under it (drop the pod's command if the entrypoint does). It reaps orphans only."
	case idle[e.Command]:
		return fmt.Sprintf("%s never waits for a child: make %s. A shell that execs %s must wait for its own children first.", e.Command, initAsPID1, e.Command)
	case e.Go:
		return "Make " + initAsPID1 + ": it takes over orphans. Call Wait for every exec.Cmd that the program starts itself."
	case e.handles() && !e.othersWait():
		return fmt.Sprintf("Make %s: it takes over orphans. On each SIGCHLD %s must wait in a loop for its own: signals merge.", initAsPID1, e.Command)
	}
	return fmt.Sprintf("Make %s: it takes over orphans. %s must wait for children that it starts itself.", initAsPID1, e.Command)
}

// handles says whether the program does something of its own on SIGCHLD, as far as that is known: the Go runtime always catches it.
func (e Evidence) handles() bool {
	return e.SignalFD || (e.Caught && !e.Go && !e.ProgramUnread)
}

// othersWait says whether other code of the program may wait for its children, each by its PID, so that a loop of waitpid(-1) would
// take what that waits for: other threads, as in Java, the event loop of Node.js, or os/exec in what may be a Go program.
func (e Evidence) othersWait() bool {
	return !e.OneThread || (e.Caught && e.ProgramUnread)
}

// maxSentence is how many characters the API has for evidence.
const maxSentence = 100

// sentence says what was read, such as "State S in do_epoll_wait; SIGCHLD default". What carries most comes first; what does
// not fit is left out.
func sentence(e Evidence) string {
	said := ""
	for _, part := range []string{e.whence(), e.sleep(), e.reads(), e.signal()} {
		switch {
		case part == "" || len(said)+len("; ")+len(part)+len(".") > maxSentence:
		case said == "":
			said = strings.ToUpper(part[:1]) + part[1:]
		default:
			said += "; " + part
		}
	}
	if said == "" {
		return ""
	}
	return said + "."
}

// whence says where the parent or its zombies are or come from.
func (e Evidence) whence() string {
	switch {
	case e.PID == 0 && e.SameNamespace:
		return "the parent is in the container's PID namespace, but in no known container"
	case e.PID == 0:
		return "the parent is not in the container's PID namespace"
	case e.Frozen:
		return "its cgroup is frozen"
	case e.mostMoved():
		return fmt.Sprintf("%d of %d zombies had another parent before", e.Moved, e.Zombies)
	case !e.Read:
		return "the parent could not be read"
	}
	return ""
}

// sleep says what the parent does.
func (e Evidence) sleep() string {
	if e.State == "" {
		return ""
	}
	said := "state " + e.State
	if e.State == stateStuck && e.OthersRun {
		said = "a thread in " + said
	}
	if e.Wchan != "" {
		said += " in " + e.Wchan
	}
	return said
}

// reads says who waits for a child or reads a signal.
func (e Evidence) reads() string {
	switch {
	case e.PID == 0: // its numbers are not those of the container
		return ""
	case e.Waiting && e.WaitsFor != 0 && !e.OneThread:
		return fmt.Sprintf("a thread waits for child %d", e.WaitsFor)
	case e.Waiting && e.WaitsFor != 0:
		return fmt.Sprintf("waits for child %d", e.WaitsFor)
	case e.Waiting:
		return "a thread in wait()"
	case e.SignalFD:
		return "signalfd"
	case e.SigWait:
		return "a thread in sigwait()"
	}
	return ""
}

// signal says what the parent does with SIGCHLD.
func (e Evidence) signal() string {
	if !e.Read || e.PID == 0 {
		return ""
	}
	said := "SIGCHLD default"
	switch {
	case e.Ignored:
		said = "SIGCHLD ignored"
	case e.Caught && e.Go:
		said = "SIGCHLD caught, which proves nothing in Go"
	case e.Caught && e.AtTimes:
		said = "SIGCHLD caught at times"
	case e.Caught:
		said = "SIGCHLD caught"
	}
	if e.Blocked {
		said += ", blocked"
	}
	if e.Pending {
		said += ", pending"
	}
	return said
}
