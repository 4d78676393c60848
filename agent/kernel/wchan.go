package kernel

import (
	"fmt"
	"os"
	"strings"
)

// Kernel functions in which threads sleep that matter for zombies, as Wchan names them.
const (
	// WchanWait is where a thread sleeps that waits for a child.
	WchanWait = "do_wait"
	// WchanSigwait is where a thread sleeps that reads signals by sigwait(), sigwaitinfo() or sigtimedwait().
	WchanSigwait = "do_sigtimedwait"
)

// wchan reads the kernel function in which a thread sleeps; "" when it does not sleep or the kernel does not show it.
func (f FS) wchan(pid, tid int) (string, error) {
	raw, err := os.ReadFile(f.taskPath(pid, tid, "wchan"))
	if err != nil {
		return "", fmt.Errorf("reading wchan of thread %d: %w", tid, err)
	}
	return parseWchan(raw), nil
}

// parseWchan returns a function's name without what the compiler appended to it, as in do_sigtimedwait.isra.0, and "" for what
// is no name. The kernel writes 0 for none.
func parseWchan(raw []byte) string {
	name, _, _ := strings.Cut(string(raw), ".")
	for i, r := range name {
		letter := r == '_' || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z')
		if !letter && (i == 0 || r < '0' || r > '9') {
			return ""
		}
	}
	return name
}
