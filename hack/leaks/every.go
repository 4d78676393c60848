package main

import "time"

// every is the steady leak of a PID 1 that never waits for its own children
// (cilium#5103: the scripts an agent runs): so many at every tick. It has no SIGCHLD
// handler, like a C or Python program, so that no signal can make it wait.
func every(args []string) error {
	fs := newFlags("every")
	b := batchFlags(fs, batches{count: 2, every: 10 * time.Second, child: "sh"})
	if err := parse(fs, args); err != nil {
		return err
	}
	if _, err := defaultSIGCHLD(); err != nil {
		return err
	}
	return b.leak(func(n int) (int, error) {
		pids, err := leaveDead(n, b.child)
		return len(pids), err
	})
}
