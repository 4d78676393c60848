package main

import (
	"os"
	"testing"
)

func TestReserveThreadsLeavesThreadsBehind(t *testing.T) { //nolint:paralleltest // counts the threads of the process
	reserveThreads()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	if len(threads) < spareThreads {
		t.Errorf("the process has %d threads, want %d or more", len(threads), spareThreads)
	}
}
