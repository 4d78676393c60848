package main

import (
	"runtime"
	"sync"

	"github.com/zombie-operator/zombie-operator/agent/peek"
	"github.com/zombie-operator/zombie-operator/agent/remedy"
	"github.com/zombie-operator/zombie-operator/cmd/internal/metrics"
)

// spareThreads is how many threads the agent keeps: some for each of what may block at once, which is the scan, reports,
// probes, the runtime's connection and Go's own; one for each act, as all may read /proc at the same
// time, though mostly they wait; one for a write into a container's file system, and one for each look at one, as they may hang;
// and one for each answer with metrics, which read /proc too. A thread that waits costs some kilobytes and a PID.
const spareThreads = 12 + remedy.Workers + 1 + peek.Places + metrics.MaxScrapes

// reserveThreads makes the Go runtime start its threads now. It starts one whenever all others are busy in system calls,
// and ends the whole process when the kernel refuses; a node without a free PID is when the agent is needed most.
func reserveThreads() {
	var all, done sync.WaitGroup
	all.Add(spareThreads)
	for range spareThreads {
		done.Go(func() {
			runtime.LockOSThread() // one thread each, which goes back to the pool when unlocked
			defer runtime.UnlockOSThread()
			all.Done()
			all.Wait()
		})
	}
	done.Wait()
}
