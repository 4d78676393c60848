package diagnose

import (
	"fmt"
	"strings"
)

// goFix is for children that a Go program started. It must not wait for any child: that takes the status from os/exec.
const goFix = "Call Wait for every exec.Cmd that Start started, or use Run. Do not call wait4(-1) beside os/exec: it takes the status that Wait needs."

// idle are commands that keep a container alive and never wait for a child.
var idle = map[string]bool{"sleep": true, "tail": true, "cat": true}

// initFix is for orphans that PID 1 inherits.
func initFix(e Evidence) string {
	switch {
	case e.InitInImage != "":
		return e.InitInImage + " is in the image but not PID 1: start the program through it, or drop the pod's command that replaces the image's entrypoint."
	case idle[e.Command]:
		return e.Command + " never waits for a child: make an init such as tini PID 1 of the container and run it under that, or set shareProcessNamespace: true."
	case e.threadsWait():
		return "Make an init such as tini PID 1 of the container and run the program under that, or set shareProcessNamespace: true."
	case e.Go:
		return "Make an init such as tini PID 1, or set shareProcessNamespace: true. Call Wait for every exec.Cmd that the program starts itself."
	}
	return "Make an init such as tini PID 1 of the container, or set shareProcessNamespace: true, or let PID 1 wait for all children."
}

// threadsWait says whether threads of the program wait for its children, each for one, as Java's do: a loop of waitpid(-1) would
// take what they wait for.
func (e Evidence) threadsWait() bool {
	return !e.Go && (e.Command == "java" || (e.Waiting && !e.OneThread))
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
