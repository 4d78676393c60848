package diagnose

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// with is evidence of a living process 7 of one thread with default disposition, changed.
func with(change func(*Evidence)) Evidence {
	e := Evidence{Command: "app", PID: 7, Zombies: 9, Read: true, State: "S", StateNow: "S", Wchan: "do_epoll_wait", OneThread: true}
	if change != nil {
		change(&e)
	}
	return e
}

// pid1 is the same of PID 1.
func pid1(change func(*Evidence)) Evidence {
	return with(func(e *Evidence) {
		e.PID = 1
		if change != nil {
			change(e)
		}
	})
}

// Sentences that several diagnoses share.
const (
	anInit   = "Make an init such as tini PID 1, or set shareProcessNamespace: true: it takes over orphans. "
	makeInit = anInit + "app must wait for children that it starts itself."
	selfWait = "Let app wait for every child it starts. An init as PID 1 does not help while that process lives."
	loop     = "On each SIGCHLD call waitpid(-1, &status, WNOHANG) until it finds none: signals merge. Do so once when the handler is set, too."
	loopInit = anInit + "On each SIGCHLD app must wait in a loop for its own: signals merge."
	byItsPID = "On each SIGCHLD wait for each child that it started, by its PID and with WNOHANG: signals merge. waitpid(-1) would take what other code waits for."
	later    = " and yet left children dead. Whether one more signal helps is not known before it is tried."
	noMore   = " and yet left children dead. One more does not help: one is pending already and nobody takes it."
	inImage  = " is in the image but not PID 1: run the program under it (drop the pod's command if the entrypoint does). It reaps orphans only."
)

var diagnoses = map[string]struct {
	evidence Evidence
	want     Diagnosis // without CannotHelp
}{
	"a parent outside of the container is the shim's matter": {
		with(func(e *Evidence) { e.PID, e.Command = 0, "containerd-shim" }),
		Diagnosis{
			Cause:    v1alpha1.CauseParentOutsideContainer,
			Message:  "The parent (containerd-shim) is outside this container: nothing in it can reap the dead children, and a restart hangs while they stay.",
			Evidence: "The parent is not in the container's PID namespace; state S in do_epoll_wait.",
			Fix:      "Look at that process on the node, often the container runtime's shim: only its wait() or its end releases them.",
		},
	},
	"of a parent in the container's PID namespace nothing is known but its cgroup": {
		Evidence{Command: "systemd", SameNamespace: true},
		Diagnosis{
			Cause:    v1alpha1.CauseParentOutsideContainer,
			Message:  "The parent (systemd) belongs to no container known here. While it lives, nobody else can reap its dead children.",
			Evidence: "The parent is in the container's PID namespace, but in no known container.",
			Fix:      "Look at that process on the node, often the container runtime's shim: only its wait() or its end releases them.",
		},
	},
	"a traced parent is the tracer's matter": {
		with(func(e *Evidence) { e.State, e.StateNow, e.Wchan = "t", "t", "ptrace_stop" }),
		Diagnosis{
			Cause:    v1alpha1.CauseParentTraced,
			Message:  "Process 7 (app) is held by a tracer, such as a debugger, and cannot wait for its dead children.",
			Evidence: "State t in ptrace_stop; SIGCHLD default.",
			Fix:      "Let the tracer detach, or end the tracer. TracerPid in /proc/PID/status on the node says which process it is.",
		},
	},
	"a frozen parent must be thawed": {
		pid1(func(e *Evidence) { e.Frozen, e.Wchan = true, "get_signal" }),
		Diagnosis{
			Cause:    v1alpha1.CauseParentFrozen,
			Message:  "PID 1 (app) is in a frozen cgroup: it does not run and cannot wait for its dead children.",
			Evidence: "Its cgroup is frozen; state S in get_signal; SIGCHLD default.",
			Fix:      "Find out who froze it, such as a paused container or a checkpoint, and thaw the cgroup. Whether it waits for its children shows only then.",
		},
	},
	"a stopped parent must be continued": {
		with(func(e *Evidence) { e.State, e.StateNow, e.Wchan, e.Caught = "T", "T", "do_signal_stop", true }),
		Diagnosis{
			Cause:    v1alpha1.CauseParentStopped,
			Message:  "Process 7 (app) is stopped and cannot wait for its dead children. Other signals than SIGCONT and SIGKILL wait too.",
			Evidence: "State T in do_signal_stop; SIGCHLD caught.",
			Fix:      "Continue it with SIGCONT, and find out who stopped it: SIGSTOP, or job control of a terminal. Whether it waits for its children shows only then.",
		},
	},
	"a parent that hangs in D waits for what must be mended": {
		with(func(e *Evidence) { e.State, e.StateNow, e.Wchan = "D", "D", "io_schedule" }),
		Diagnosis{
			Cause:    v1alpha1.CauseParentStuckInD,
			Message:  "Process 7 (app) hangs in state D and cannot wait for its dead children. Signals and a restart may not get through.",
			Evidence: "State D in io_schedule; SIGCHLD default.",
			Fix:      "Mend what it waits for, often storage that does not answer: /proc/PID/stack on the node says where it hangs. Then it goes on, or ends.",
		},
	},
	"a sleep in D that SIGKILL ends is told": {
		with(func(e *Evidence) { e.State, e.StateNow, e.Wchan = "D", "D", "rpc_wait_bit_killable" }),
		Diagnosis{
			Cause:    v1alpha1.CauseParentStuckInD,
			Message:  "Process 7 (app) hangs in state D and cannot wait for its dead children. SIGKILL ends such a sleep.",
			Evidence: "State D in rpc_wait_bit_killable; SIGCHLD default.",
			Fix:      "Mend what it waits for, often storage that does not answer: /proc/PID/stack on the node says where it hangs. Then it goes on, or ends.",
		},
	},
	"of a parent with one thread in D it is not said that it cannot wait": {
		with(func(e *Evidence) { e.State, e.Wchan, e.OthersRun = "D", "io_schedule", true }),
		Diagnosis{
			Cause:    v1alpha1.CauseParentStuckInD,
			Message:  "Process 7 (app) has a thread that hangs in state D, which may keep it from waiting for its children. A restart may hang with it.",
			Evidence: "A thread in state D in io_schedule; SIGCHLD default.",
			Fix:      "Mend what it waits for, often storage that does not answer: /proc/PID/stack on the node says where it hangs. Then it goes on, or ends.",
		},
	},
	"a signal that is blocked and pending is read by nobody": {
		with(func(e *Evidence) { e.Blocked, e.Pending = true, true }),
		Diagnosis{
			Cause:    v1alpha1.CauseSignalBlocked,
			Message:  "Process 7 (app) blocks SIGCHLD in all its threads and nobody reads it: it stays pending, and the dead children stay.",
			Evidence: "State S in do_epoll_wait; SIGCHLD default, blocked, pending.",
			Fix:      "Unblock SIGCHLD, or read it with sigwait() or a signalfd, and then wait in a loop. A child inherits the mask: who started the program may have blocked it.",
		},
	},
	"a signal that is blocked but not pending was read, or came before": {
		with(func(e *Evidence) { e.Blocked = true }),
		Diagnosis{
			Cause:    v1alpha1.CauseParentDoesNotWait,
			Message:  "Process 7 (app) does not wait for its dead children. While it lives, nobody else can reap them.",
			Evidence: "State S in do_epoll_wait; SIGCHLD default, blocked.",
			Fix:      selfWait,
		},
	},
	"where file descriptors are hidden, one of them may read the blocked signal": {
		with(func(e *Evidence) { e.Blocked, e.Pending, e.FilesUnread = true, true, true }),
		Diagnosis{
			Cause:    v1alpha1.CauseParentDoesNotWait,
			Message:  "Process 7 (app) does not wait for its dead children. While it lives, nobody else can reap them.",
			Evidence: "State S in do_epoll_wait; SIGCHLD default, blocked, pending.",
			Fix:      selfWait,
		},
	},
	"a signal that is ignored now was not when the children died": {
		with(func(e *Evidence) { e.Ignored = true }),
		Diagnosis{
			Cause:    v1alpha1.CauseSignalIgnored,
			Message:  "Process 7 (app) ignores SIGCHLD, but these children died before it did: they stay until it waits for them.",
			Evidence: "State S in do_epoll_wait; SIGCHLD ignored.",
			Fix:      "Ignore SIGCHLD before the first child starts, or wait for every child. To end these, call waitpid(-1, NULL, WNOHANG) in a loop.",
		},
	},
	"zombies whose own parent ended came to PID 1": {
		pid1(func(e *Evidence) { e.Moved, e.MovedFrom, e.Go, e.Caught = 5, "chrome", true, true }),
		Diagnosis{
			Cause:    v1alpha1.CauseMovedFromOtherParent,
			Message:  "PID 1 (app) inherited most of these zombies from chrome, which ended, and does not wait for them.",
			Evidence: "5 of 9 zombies had another parent before; state S in do_epoll_wait.",
			Fix:      anInit + "Call Wait for every exec.Cmd that the program starts itself.",
		},
	},
	"zombies whose own parent ended came to a child subreaper": {
		with(func(e *Evidence) { e.Moved = 9 }),
		Diagnosis{
			Cause:    v1alpha1.CauseMovedFromOtherParent,
			Message:  "Process 7 (app) inherited most of these zombies from another process, which ended, and does not wait for them.",
			Evidence: "9 of 9 zombies had another parent before; state S in do_epoll_wait; SIGCHLD default.",
			Fix:      "Let app wait for every child that it inherits as child subreaper, and that process for its children before it ends.",
		},
	},
	"the process whose zombies came to a child subreaper is named": {
		with(func(e *Evidence) { e.Moved, e.MovedFrom = 9, "chrome" }),
		Diagnosis{
			Cause:    v1alpha1.CauseMovedFromOtherParent,
			Message:  "Process 7 (app) inherited most of these zombies from chrome, which ended, and does not wait for them.",
			Evidence: "9 of 9 zombies had another parent before; state S in do_epoll_wait; SIGCHLD default.",
			Fix:      "Let app wait for every child that it inherits as child subreaper, and chrome for its children before it ends.",
		},
	},
	"half of the zombies are not most of them": {
		with(func(e *Evidence) { e.Zombies, e.Moved = 8, 4 }),
		Diagnosis{
			Cause:    v1alpha1.CauseParentDoesNotWait,
			Message:  "Process 7 (app) does not wait for its dead children. While it lives, nobody else can reap them.",
			Evidence: "State S in do_epoll_wait; SIGCHLD default.",
			Fix:      selfWait,
		},
	},
	"a parent that waits for one child passes over the others": {
		with(func(e *Evidence) {
			e.Wchan, e.Waiting, e.WaitsFor, e.Caught = "do_wait", true, 12, true
		}),
		Diagnosis{
			Cause:    v1alpha1.CauseWaitsForOtherChild,
			Message:  "Process 7 (app) waits for its child 12 only and passes over others that are dead.",
			Evidence: "State S in do_wait; waits for child 12; SIGCHLD caught.",
			Fix:      "Wait for any child with waitpid(-1) in a loop, and look which one it was. Code that starts a child must wait for it, too.",
		},
	},
	"a PID 1 that waits for one child needs an init": {
		pid1(func(e *Evidence) { e.Wchan, e.Waiting = "do_wait", true }),
		Diagnosis{
			Cause:    v1alpha1.CauseWaitsForOtherChild,
			Message:  "PID 1 (app) sleeps in wait() while children of it are dead: it seems to wait for certain others.",
			Evidence: "State S in do_wait; a thread in wait(); SIGCHLD default.",
			Fix:      makeInit,
		},
	},
	"that a thread of a Go program waits for one child is usual": {
		with(func(e *Evidence) { e.OneThread, e.Waiting, e.Go, e.Caught = false, true, true, true }),
		Diagnosis{
			Cause:    v1alpha1.CauseParentDoesNotWait,
			Message:  "Process 7 (app) does not wait for its dead children. It is a Go program: the runtime waits for no child by itself.",
			Evidence: "State S in do_epoll_wait; a thread in wait(); SIGCHLD caught, which proves nothing in Go.",
			Fix:      goFix,
		},
	},
	"that a thread of PID 1 waits for one child is no reason to wait for any": {
		pid1(func(e *Evidence) { e.OneThread, e.Waiting, e.WaitsFor, e.Command = false, true, 12, "java" }),
		Diagnosis{
			Cause:    v1alpha1.CausePID1DoesNotReap,
			Message:  "PID 1 (java) does not wait for its dead children; as PID 1 it also inherits every orphan of the container.",
			Evidence: "State S in do_epoll_wait; a thread waits for child 12; SIGCHLD default.",
			Fix:      anInit + "java must wait for children that it starts itself.",
		},
	},
	"a handler beside threads that wait must not wait for any child": {
		with(func(e *Evidence) { e.OneThread, e.Waiting, e.Caught = false, true, true }),
		Diagnosis{v1alpha1.CauseHandlerLeavesChildren, "Process 7 (app) handles SIGCHLD" + later, "State S in do_epoll_wait; a thread in wait(); SIGCHLD caught.", byItsPID, nil},
	},
	"a handler in a program of several threads must not either, whatever they do now": {
		with(func(e *Evidence) { e.OneThread, e.Caught = false, true }),
		Diagnosis{v1alpha1.CauseHandlerLeavesChildren, "Process 7 (app) handles SIGCHLD" + later, "State S in do_epoll_wait; SIGCHLD caught.", byItsPID, nil},
	},
	"a handler of a PID 1 of several threads, such as node, knows no orphans": {
		pid1(func(e *Evidence) { e.OneThread, e.Caught, e.Command = false, true, "node" }),
		Diagnosis{
			v1alpha1.CauseHandlerLeavesChildren, "PID 1 (node) handles SIGCHLD" + later, "State S in do_epoll_wait; SIGCHLD caught.",
			anInit + "node must wait for children that it starts itself.", nil,
		},
	},
	"a handler that comes and goes is one": {
		pid1(func(e *Evidence) { e.OneThread, e.Caught, e.AtTimes, e.Command = false, true, true, "node" }),
		Diagnosis{
			v1alpha1.CauseHandlerLeavesChildren, "PID 1 (node) handles SIGCHLD at times" + later, "State S in do_epoll_wait; SIGCHLD caught at times.",
			anInit + "node must wait for children that it starts itself.", nil,
		},
	},
	"an init in the image is named beside a handler": {
		pid1(func(e *Evidence) { e.Caught, e.InitInImage = true, "/sbin/tini" }),
		Diagnosis{v1alpha1.CauseHandlerLeavesChildren, "PID 1 (app) handles SIGCHLD" + later, "State S in do_epoll_wait; SIGCHLD caught.", "/sbin/tini" + inImage, nil},
	},
	"an init in the image does not wait for what a Go program starts": {
		pid1(func(e *Evidence) { e.Caught, e.Go, e.InitInImage = true, true, "/sbin/tini" }),
		Diagnosis{
			v1alpha1.CausePID1DoesNotReap, "PID 1 (app) does not wait for its dead children or for orphans that it inherits. The Go runtime waits for no child by itself.",
			"State S in do_epoll_wait; SIGCHLD caught, which proves nothing in Go.", "/sbin/tini" + inImage, nil,
		},
	},
	"what may be a Go program is not told to wait for any child": {
		with(func(e *Evidence) { e.Waiting, e.WaitsFor, e.Caught, e.ProgramUnread = true, 12, true, true }),
		Diagnosis{
			v1alpha1.CauseWaitsForOtherChild, "Process 7 (app) waits for its child 12 only and passes over others that are dead.", "State S in do_epoll_wait; waits for child 12; SIGCHLD caught.",
			"Do not wait for one child alone: wait for each child that it started, by its PID and with WNOHANG: signals merge. waitpid(-1) would take what other code waits for.", nil,
		},
	},
	"nor is it when it has a signalfd": {
		with(func(e *Evidence) { e.SignalFD, e.Caught, e.ProgramUnread = true, true, true }),
		Diagnosis{v1alpha1.CauseHandlerLeavesChildren, "Process 7 (app) has a signalfd for SIGCHLD" + later, "State S in do_epoll_wait; signalfd; SIGCHLD caught.", byItsPID, nil},
	},
	"nor is it as PID 1": {
		pid1(func(e *Evidence) { e.Caught, e.ProgramUnread = true, true }),
		Diagnosis{v1alpha1.CausePID1DoesNotReap, "PID 1 (app) does not wait for its dead children; as PID 1 it also inherits every orphan of the container.", "State S in do_epoll_wait; SIGCHLD caught.", makeInit, nil},
	},
	"system() blocks the signal while it waits for its child": {
		with(func(e *Evidence) {
			e.Waiting, e.WaitsFor, e.Blocked, e.Pending = true, 12, true, true
		}),
		Diagnosis{
			Cause: v1alpha1.CauseWaitsForOtherChild, Message: "Process 7 (app) waits for its child 12 only and passes over others that are dead.",
			Evidence: "State S in do_epoll_wait; waits for child 12; SIGCHLD default, blocked, pending.",
			Fix:      "Wait for any child with waitpid(-1) in a loop, and look which one it was. Code that starts a child must wait for it, too.",
		},
	},
	"the mask of a Go program proves no handler": {
		with(func(e *Evidence) { e.Go, e.Caught = true, true }),
		Diagnosis{
			Cause:    v1alpha1.CauseParentDoesNotWait,
			Message:  "Process 7 (app) does not wait for its dead children. It is a Go program: the runtime waits for no child by itself.",
			Evidence: "State S in do_epoll_wait; SIGCHLD caught, which proves nothing in Go.",
			Fix:      goFix,
		},
	},
	"a Go program as PID 1 inherits orphans": {
		pid1(func(e *Evidence) { e.Go, e.Caught = true, true }),
		Diagnosis{
			Cause:    v1alpha1.CausePID1DoesNotReap,
			Message:  "PID 1 (app) does not wait for its dead children or for orphans that it inherits. The Go runtime waits for no child by itself.",
			Evidence: "State S in do_epoll_wait; SIGCHLD caught, which proves nothing in Go.",
			Fix:      anInit + "Call Wait for every exec.Cmd that the program starts itself.",
		},
	},
	"a handler left children": {
		with(func(e *Evidence) { e.Caught = true }),
		Diagnosis{v1alpha1.CauseHandlerLeavesChildren, "Process 7 (app) handles SIGCHLD" + later, "State S in do_epoll_wait; SIGCHLD caught.", loop, nil},
	},
	"a handler of PID 1 left children": {
		pid1(func(e *Evidence) { e.Caught = true }),
		Diagnosis{v1alpha1.CauseHandlerLeavesChildren, "PID 1 (app) handles SIGCHLD" + later, "State S in do_epoll_wait; SIGCHLD caught.", loopInit, nil},
	},
	"the reader of a signalfd left children": {
		with(func(e *Evidence) { e.SignalFD, e.Blocked = true, true }),
		Diagnosis{v1alpha1.CauseHandlerLeavesChildren, "Process 7 (app) has a signalfd for SIGCHLD" + later, "State S in do_epoll_wait; signalfd; SIGCHLD default, blocked.", loop, nil},
	},
	"a signalfd that nobody reads is a reader that left children": {
		with(func(e *Evidence) { e.SignalFD, e.Blocked, e.Pending = true, true, true }),
		Diagnosis{v1alpha1.CauseHandlerLeavesChildren, "Process 7 (app) has a signalfd for SIGCHLD" + noMore, "State S in do_epoll_wait; signalfd; SIGCHLD default, blocked, pending.", loop, nil},
	},
	"a handler whose signal is blocked and pending is not asked once more": {
		with(func(e *Evidence) { e.Caught, e.Blocked, e.Pending, e.SigWait = true, true, true, true }),
		Diagnosis{v1alpha1.CauseHandlerLeavesChildren, "Process 7 (app) handles SIGCHLD" + noMore, "State S in do_epoll_wait; a thread in sigwait(); SIGCHLD caught, blocked, pending.", loop, nil},
	},
	"a thread in sigwait may read another signal than SIGCHLD": {
		with(func(e *Evidence) { e.SigWait, e.Wchan = true, "do_sigtimedwait" }),
		Diagnosis{v1alpha1.CauseParentDoesNotWait, "Process 7 (app) does not wait for its dead children. While it lives, nobody else can reap them.", "State S in do_sigtimedwait; a thread in sigwait(); SIGCHLD default.", selfWait, nil},
	},
	"a thread in sigwait may read the blocked signal": {
		with(func(e *Evidence) { e.SigWait, e.Blocked, e.Pending = true, true, true }),
		Diagnosis{v1alpha1.CauseParentDoesNotWait, "Process 7 (app) does not wait for its dead children. While it lives, nobody else can reap them.", "State S in do_epoll_wait; a thread in sigwait(); SIGCHLD default, blocked, pending.", selfWait, nil},
	},
	"a signal caught by a program that could not be looked at proves no handler": {
		with(func(e *Evidence) { e.Caught, e.ProgramUnread = true, true }),
		Diagnosis{v1alpha1.CauseParentDoesNotWait, "Process 7 (app) does not wait for its dead children. While it lives, nobody else can reap them.", "State S in do_epoll_wait; SIGCHLD caught.", selfWait, nil},
	},
	"a Go program that took back its disposition is like any other": {
		with(func(e *Evidence) { e.Go = true }),
		Diagnosis{v1alpha1.CauseParentDoesNotWait, "Process 7 (app) does not wait for its dead children. While it lives, nobody else can reap them.", "State S in do_epoll_wait; SIGCHLD default.", selfWait, nil},
	},
	"PID 1 also inherits orphans, so an init helps": {
		pid1(nil),
		Diagnosis{v1alpha1.CausePID1DoesNotReap, "PID 1 (app) does not wait for its dead children; as PID 1 it also inherits every orphan of the container.", "State S in do_epoll_wait; SIGCHLD default.", makeInit, nil},
	},
	"an init in the image that is not PID 1 is the first thing to say": {
		pid1(func(e *Evidence) { e.InitInImage = "/usr/bin/tini" }),
		Diagnosis{
			v1alpha1.CausePID1DoesNotReap, "PID 1 (app) does not wait for its dead children; as PID 1 it also inherits every orphan of the container.", "State S in do_epoll_wait; SIGCHLD default.",
			"/usr/bin/tini" + inImage, nil,
		},
	},
	"a path that the report cannot show whole is not shown": {
		pid1(func(e *Evidence) { e.InitInImage = "/" + strings.Repeat("x", 48) }),
		Diagnosis{v1alpha1.CausePID1DoesNotReap, "PID 1 (app) does not wait for its dead children; as PID 1 it also inherits every orphan of the container.", "State S in do_epoll_wait; SIGCHLD default.", makeInit, nil},
	},
	"a command that only keeps the container alive never waits": {
		pid1(func(e *Evidence) { e.Command = "tail" }),
		Diagnosis{
			v1alpha1.CausePID1DoesNotReap, "PID 1 (tail) does not wait for its dead children; as PID 1 it also inherits every orphan of the container.", "State S in do_epoll_wait; SIGCHLD default.",
			"tail never waits for a child: make an init such as tini PID 1, or set shareProcessNamespace: true. A shell that execs tail must wait for its own children first.", nil,
		},
	},
	"of a parent that could not be read no disposition is claimed": {
		Evidence{Command: "app", PID: 7, State: "T", StateNow: "S", Wchan: "do_wait", Caught: true, Go: true, Blocked: true, Pending: true, Ignored: true, Waiting: true, SignalFD: true},
		Diagnosis{v1alpha1.CauseParentDoesNotWait, "Process 7 (app) does not wait for its dead children. While it lives, nobody else can reap them.", "The parent could not be read.", selfWait, nil},
	},
	"that a cgroup is frozen is known without the parent": {
		Evidence{Command: "app", PID: 7, Frozen: true},
		Diagnosis{
			v1alpha1.CauseParentFrozen, "Process 7 (app) is in a frozen cgroup: it does not run and cannot wait for its dead children.", "Its cgroup is frozen.",
			"Find out who froze it, such as a paused container or a checkpoint, and thaw the cgroup. Whether it waits for its children shows only then.", nil,
		},
	},
	"PID 1 that reaps now and then is not said to do nothing": {
		pid1(func(e *Evidence) { e.Command, e.Reaped = "redis-server", 120 }),
		Diagnosis{
			v1alpha1.CausePID1DoesNotReap, "PID 1 (redis-server) waits for its dead children only now and then: it reaped 120 within the last hour.",
			"State S in do_epoll_wait; SIGCHLD default.", strings.Replace(makeInit, "app", "redis-server", 1), nil,
		},
	},
	"nor is another process, though it could not be read": {
		Evidence{Command: "app", PID: 7, Zombies: 9, Reaped: 1},
		Diagnosis{
			v1alpha1.CauseParentDoesNotWait, "Process 7 (app) waits for its dead children only now and then: it reaped 1 within the last hour.",
			"The parent could not be read.", selfWait, nil,
		},
	},
	"nor is a Go program": {
		with(func(e *Evidence) { e.Go, e.Caught, e.Reaped = true, true, 3 }),
		Diagnosis{
			v1alpha1.CauseParentDoesNotWait, "Process 7 (app) waits for its dead children only now and then: it reaped 3 within the last hour.",
			"State S in do_epoll_wait; SIGCHLD caught, which proves nothing in Go.", goFix, nil,
		},
	},
	"nor is a Go program as PID 1": {
		pid1(func(e *Evidence) { e.Go, e.Caught, e.Reaped = true, true, 3 }),
		Diagnosis{
			v1alpha1.CausePID1DoesNotReap, "PID 1 (app) waits for its dead children only now and then: it reaped 3 within the last hour.",
			"State S in do_epoll_wait; SIGCHLD caught, which proves nothing in Go.",
			anInit + "Call Wait for every exec.Cmd that the program starts itself.", nil,
		},
	},
	"a hostile name is shown as what it is": {
		with(func(e *Evidence) { e.Command = "\x1b[31m\n) Z" }),
		Diagnosis{v1alpha1.CauseParentDoesNotWait, "Process 7 (?[31m?) Z) does not wait for its dead children. While it lives, nobody else can reap them.", "State S in do_epoll_wait; SIGCHLD default.", strings.Replace(selfWait, "app", "?[31m?) Z", 1), nil},
	},
}

func TestDiagnoses(t *testing.T) {
	t.Parallel()
	for name, tc := range diagnoses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := Diagnose(tc.evidence)
			got.CannotHelp = nil
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("diagnosis (-want +got):\n%s", diff)
			}
		})
	}
}

// What keeps a parent from running comes before what it would do if it ran, and what is certain before what is likely.
func TestTheFirstRuleThatHoldsIsTheCause(t *testing.T) {
	t.Parallel()
	steps := []struct {
		cause v1alpha1.Cause
		take  func(*Evidence) // takes away the evidence of this cause
	}{
		{v1alpha1.CauseParentOutsideContainer, func(e *Evidence) { e.PID = 7 }},
		{v1alpha1.CauseParentTraced, func(e *Evidence) { e.State = "D" }},
		{v1alpha1.CauseParentFrozen, func(e *Evidence) { e.Frozen = false }},
		{v1alpha1.CauseParentStuckInD, func(e *Evidence) { e.State = "T" }},
		{v1alpha1.CauseParentStopped, func(e *Evidence) { e.State = "S" }},
		{v1alpha1.CauseSignalBlocked, func(e *Evidence) { e.Pending = false }},
		{v1alpha1.CauseSignalIgnored, func(e *Evidence) { e.Ignored = false }},
		{v1alpha1.CauseMovedFromOtherParent, func(e *Evidence) { e.Moved, e.Waiting, e.OneThread = 0, true, true }},
		{v1alpha1.CauseWaitsForOtherChild, func(e *Evidence) { e.Waiting = false }},
		{v1alpha1.CauseHandlerLeavesChildren, func(e *Evidence) { e.Go = true }},
		{v1alpha1.CauseParentDoesNotWait, nil},
	}
	e := Evidence{Zombies: 1, Moved: 1, Read: true, State: "t", Frozen: true, Blocked: true, Pending: true, Ignored: true, Caught: true}
	for _, step := range steps {
		if got := Diagnose(e).Cause; got != step.cause {
			t.Errorf("cause of %+v = %s, want %s", e, got, step.cause)
		}
		if step.take != nil {
			step.take(&e)
		}
	}
}
