package diagnose

// Evidence is what was read of the parent of zombies. A field that could not be read has its zero value.
type Evidence struct {
	// Command is the parent's command name, fit to print.
	Command string
	// PID is the parent's PID in the container's PID namespace; 0 when the parent is outside of the container.
	PID int
	// SameNamespace is whether the parent is known to be in the container's PID namespace. With PID 0, nothing but its cgroup
	// speaks against it then: it is of no container that is known.
	SameNamespace bool
	// Zombies is how many zombies it holds.
	Zombies int
	// Moved is how many of them were seen under another parent before, and MovedFrom that one's command name, fit to print.
	Moved     int
	MovedFrom string
	// Reaped is how many others it was seen to reap within the last hour.
	Reaped int
	// Read is whether the parent itself could be read: what follows is known only then, but for Frozen, TracerOutside, ReaperHolds
	// and InitInImage.
	Read bool
	// State is the letter of its state, such as S, D, T or t, if it was the same at the last look too; else "". It is D where a
	// thread, whichever, is in that state and has not run at all between the two looks: states of D that pass are usual.
	State string
	// StateNow is the letter at this look alone; of the leader of its threads, or of the first that lives.
	StateNow string
	// Wchan is the kernel function in which it sleeps, if it was the same at the last look too; else "". It is fit to print. Where
	// several threads are in D, it is that of one that SIGKILL may not wake, if there is one.
	Wchan string
	// OthersRun is whether State is D and it has threads that do not hang.
	OthersRun bool
	// Frozen is whether its cgroup is frozen.
	Frozen bool
	// TracerOutside is whether a tracer that is known not to end with the container traces it.
	TracerOutside bool
	// Blocked is whether SIGCHLD is blocked in every thread.
	Blocked bool
	// Pending is whether SIGCHLD is pending for the process, and was at the last look too.
	Pending bool
	// Ignored is whether SIGCHLD is ignored, Caught whether it has a handler, at this look or at an earlier one.
	Ignored, Caught bool
	// AtTimes is whether that handler is not there now. Node.js has one only while a child lives that it started.
	AtTimes bool
	// HandlesHup and HandlesTerm are whether SIGHUP and SIGTERM are caught or ignored. By default each ends the process, even out of
	// a sleep in state D that SIGKILL ends: the kernel passes it on as SIGKILL then.
	HandlesHup, HandlesTerm bool
	// SignalFD is whether a file descriptor reads SIGCHLD.
	SignalFD bool
	// FilesUnread is whether not all file descriptors could be looked at, so that one that reads SIGCHLD may have been missed.
	FilesUnread bool
	// SigWait is whether a thread sleeps in sigwait(), which reads signals; of which kind cannot be seen.
	SigWait bool
	// Waiting is whether a thread sleeps in wait() and did at the last look too, for a certain child or group as far as can be
	// seen, and WaitsFor the child it waits for, by its PID in the container; 0 when that is not known.
	Waiting  bool
	WaitsFor int
	// OneThread is whether it has one thread only: then, while that waits, nobody in it does anything else.
	OneThread bool
	// Go is whether its program is a Go program, whose runtime catches SIGCHLD always.
	Go bool
	// ProgramUnread is whether the program could not be looked at, so that it may be a Go program.
	ProgramUnread bool
	// ReaperHolds is whether PID 1 of the container holds zombies itself, so that those of a parent that ends only move there.
	ReaperHolds bool
	// InitInImage is the path of an init in the image that is not PID 1; "" when none was found.
	InitInImage string
}
