package kernel

// Exit is how a process ended, and how its parent is told.
type Exit struct {
	// Signal is the signal that goes to the parent at its end; 0 is none. A plain wait() sees only SIGCHLD (field 38 of stat).
	Signal int
	// Status is the wait status: the signal that killed it in bits 0 to 6, the exit code in bits 8 to 15 (field 52 of stat).
	Status int
	// Readable is false where the agent may not read Status, which the kernel then shows as 0.
	Readable bool
}
