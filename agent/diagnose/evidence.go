package diagnose

// Evidence is what was read of the parent of zombies. A field that could not be read has its zero value.
type Evidence struct {
	// Command is the parent's command name, fit to print.
	Command string
	// PID is the parent's PID in the container's PID namespace; 0 when the parent is outside of the container.
	PID int
	// Zombies is how many zombies it holds.
	Zombies int
	// Moved is how many of them were seen under another parent before, and MovedFrom that one's command name, fit to print.
	Moved     int
	MovedFrom string
	// Read is whether the parent itself could be read: what follows is known only then.
	Read bool
	// State is the letter of its state, such as S, D, T or t, if it was the same at the last look too; else "".
	State string
	// Wchan is the kernel function in which it sleeps, if it was the same at the last look too; else "".
	Wchan string
	// Frozen is whether its cgroup is frozen.
	Frozen bool
	// Blocked is whether SIGCHLD is blocked in every thread.
	Blocked bool
	// Pending is whether SIGCHLD is pending for the process.
	Pending bool
	// Ignored is whether SIGCHLD is ignored, Caught whether it has a handler; neither is the default disposition.
	Ignored, Caught bool
	// SignalFD is whether a file descriptor reads SIGCHLD.
	SignalFD bool
	// Waiting is whether a thread sleeps in wait(), and WaitsFor the child it waits for; 0 when that is not known.
	Waiting  bool
	WaitsFor int
	// Go is whether its program is a Go program, whose runtime catches SIGCHLD always.
	Go bool
	// ReaperHolds is whether PID 1 of the container holds zombies itself, so that those of a parent that ends only move there.
	ReaperHolds bool
	// InitInImage is the path of an init in the image that is not PID 1; "" when none was found.
	InitInImage string
}
