package diagnose

import (
	"cmp"
	"fmt"
)

// Letters of states, as in /proc/PID/stat.
const (
	stateStopped = "T"
	stateStuck   = "D"
	stateTraced  = "t"
)

func outside(e Evidence) (Diagnosis, bool) {
	message := fmt.Sprintf("The parent (%s) is outside this container: nothing in it can reap the dead children, and a restart hangs while they stay.", e.Command)
	if e.SameNamespace {
		message = fmt.Sprintf("The parent (%s) belongs to no container known here. While it lives, nobody else can reap its dead children.", e.Command)
	}
	return Diagnosis{
		Message: message,
		Fix:     "Look at that process on the node, often the container runtime's shim: only its wait() or its end releases them.",
	}, e.PID == 0
}

func traced(e Evidence) (Diagnosis, bool) {
	return Diagnosis{
		Message: e.who() + " is held by a tracer, such as a debugger, and cannot wait for its dead children.",
		Fix:     "Let the tracer detach, or end the tracer. TracerPid in /proc/PID/status on the node says which process it is.",
	}, e.State == stateTraced
}

func frozen(e Evidence) (Diagnosis, bool) {
	return Diagnosis{
		Message: e.who() + " is in a frozen cgroup: it does not run and cannot wait for its dead children.",
		Fix:     "Find out who froze it, such as a paused container or a checkpoint, and thaw the cgroup. Whether it waits for its children shows only then.",
	}, e.Frozen
}

func stopped(e Evidence) (Diagnosis, bool) {
	return Diagnosis{
		Message: e.who() + " is stopped and cannot wait for its dead children. Other signals than SIGCONT and SIGKILL wait too.",
		Fix:     "Continue it with SIGCONT, and find out who stopped it: SIGSTOP, or job control of a terminal. Whether it waits for its children shows only then.",
	}, e.State == stateStopped
}

func stuck(e Evidence) (Diagnosis, bool) {
	message, outlook := e.who()+" hangs in state D and cannot wait for its dead children.", " Signals and a restart may not get through."
	if e.OthersRun {
		message, outlook = e.who()+" has a thread that hangs in state D, which may keep it from waiting for its children.", " A restart may hang with it."
	}
	if !e.unkillable() {
		outlook = " SIGKILL ends such a sleep."
	}
	return Diagnosis{
		Message: message + outlook,
		Fix:     "Mend what it waits for, often storage that does not answer: /proc/PID/stack on the node says where it hangs. Then it goes on, or ends.",
	}, e.State == stateStuck
}

// blocked is not claimed of a parent in wait(): system() of the C library blocks SIGCHLD while it waits for its one child.
func blocked(e Evidence) (Diagnosis, bool) {
	return Diagnosis{
		Message: e.who() + " blocks SIGCHLD in all its threads and nobody reads it: it stays pending, and the dead children stay.",
		Fix: "Unblock SIGCHLD, or read it with sigwait() or a signalfd, and then wait in a loop. A child inherits the mask: who started " +
			"the program may have blocked it.",
	}, e.Blocked && e.Pending && !e.SignalFD && !e.FilesUnread && !e.SigWait && !e.Waiting
}

func ignored(e Evidence) (Diagnosis, bool) {
	return Diagnosis{
		Message: e.who() + " ignores SIGCHLD, but these children died before it did: they stay until it waits for them.",
		Fix:     "Ignore SIGCHLD before the first child starts, or wait for every child. To end these, call waitpid(-1, NULL, WNOHANG) in a loop.",
	}, e.Ignored
}

func moved(e Evidence) (Diagnosis, bool) {
	fix := fmt.Sprintf("Let %s wait for every child that it inherits as child subreaper, and %s for its children before it ends.",
		e.Command, cmp.Or(e.MovedFrom, "that process"))
	if e.PID == 1 {
		fix = initFix(e)
	}
	return Diagnosis{
		Message: fmt.Sprintf("%s inherited most of these zombies from %s, which ended, and does not wait for them.",
			e.who(), cmp.Or(e.MovedFrom, "another process")),
		Fix: fix,
	}, e.mostMoved()
}

// mostMoved says whether more than half of the zombies were another parent's before.
func (e Evidence) mostMoved() bool {
	return e.Moved > e.Zombies/2
}

// waiting is claimed of programs with one thread only. In others, as in Go and Java programs, a thread waits for each child all the
// time, and another may wait for the rest: there it is evidence, but not the cause.
func waiting(e Evidence) (Diagnosis, bool) {
	message := e.who() + " sleeps in wait() while children of it are dead: it seems to wait for certain others."
	if e.WaitsFor != 0 {
		message = fmt.Sprintf("%s waits for its child %d only and passes over others that are dead.", e.who(), e.WaitsFor)
	}
	fix := "Wait for any child with waitpid(-1) in a loop, and look which one it was. Code that starts a child must wait for it, too."
	switch {
	case e.PID == 1:
		fix = initFix(e)
	case e.othersWait():
		fix = "Do not wait for one child alone: " + byPID
	}
	return Diagnosis{Message: message, Fix: fix}, e.Waiting && e.OneThread && !e.Go
}

// goProgram knows no more than that the parent does not wait: the runtime catches every signal, so that its mask proves nothing.
func goProgram(e Evidence) (Diagnosis, bool) {
	d := Diagnosis{
		Message: e.unlessSeldom(" does not wait for its dead children. It is a Go program: the runtime waits for no child by itself."),
		Fix:     goFix,
	}
	if e.PID == 1 {
		d = Diagnosis{
			Message: e.unlessSeldom(" does not wait for its dead children or for orphans that it inherits. The Go runtime waits for no child by itself."),
			Fix:     initFix(e),
		}
	}
	return d, e.Go && e.Caught
}

func handler(e Evidence) (Diagnosis, bool) {
	does, outlook := " handles SIGCHLD", "Whether one more signal helps is not known before it is tried."
	switch {
	case e.SignalFD:
		does = " has a signalfd for SIGCHLD"
	case e.AtTimes:
		does = " handles SIGCHLD at times"
	}
	if e.deaf() {
		outlook = "One more does not help: one is pending already and nobody takes it."
	}
	fix := "On each SIGCHLD call waitpid(-1, &status, WNOHANG) until it finds none: signals merge. Do so once when the handler is set, too."
	switch {
	case e.PID == 1:
		fix = initFix(e)
	case e.othersWait():
		fix = "On each SIGCHLD " + byPID
	}
	return Diagnosis{Message: e.who() + does + " and yet left children dead. " + outlook, Fix: fix}, e.handles()
}

// doesNotWait claims nothing of the parent's signal: it may even read it with sigwait(), as tini does, which cannot be seen. Of PID 1 it does not say whether the dead were orphans or its own children:
// the kernel does not keep that.
func doesNotWait(e Evidence) (Diagnosis, bool) {
	if e.PID == 1 {
		return Diagnosis{
			Message: e.unlessSeldom(" does not wait for its dead children; as PID 1 it also inherits every orphan of the container."),
			Fix:     initFix(e),
		}, true
	}
	return Diagnosis{
		Message: e.unlessSeldom(" does not wait for its dead children. While it lives, nobody else can reap them."),
		Fix:     fmt.Sprintf("Let %s wait for every child it starts. An init as PID 1 does not help while that process lives.", e.Command),
	}, true
}

// unlessSeldom says what the parent does not do, or what was seen of one that does so, but late.
func (e Evidence) unlessSeldom(doesNot string) string {
	if e.Reaped == 0 {
		return e.who() + doesNot
	}
	return fmt.Sprintf("%s waits for its dead children only now and then: it reaped %d within the last hour.", e.who(), e.Reaped)
}
