package main

import (
	"os/exec"

	"golang.org/x/sys/unix"
)

// startNoWait is the Go program that calls exec.Cmd.Start and forgets Wait
// (datadog-agent#12997: 4 a minute, the node's PIDs gone in 4.5 days). The runtime
// always catches SIGCHLD, and no SIGCHLD ever makes it wait.
func startNoWait(args []string) error {
	fs := newFlags("start-no-wait")
	b := batchFlags(fs, batches{count: 8, child: "wkhtmltopdf"})
	if err := parse(fs, args); err != nil {
		return err
	}
	return b.leak(func(n int) (int, error) {
		for i := range n {
			cmd := exec.Command("/proc/self/exe")
			cmd.Args = []string{b.child, "child"}
			if err := cmd.Start(); err != nil {
				return i, err
			}
			if err := awaitDead(unix.P_PID, cmd.Process.Pid); err != nil {
				return i, err
			}
		}
		return n, nil
	})
}
