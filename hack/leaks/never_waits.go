package main

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// neverWaits is the Argo CD repo-server (argo-cd#3611, #22194: 10,485 zombies):
//
//	repo-server(1) -> git -> git-remote-http
//
// PID 1 runs git and waits for it, by its number, as exec.Cmd does. git ends before
// its helper; the helper passes to PID 1, dies, and nobody has its number. So each
// git leaves exactly one zombie, the helper, and none of its own. With -ignore-term
// it is also the server that has to be killed when its grace is over.
func neverWaits(args []string) error {
	fs := newFlags("never-waits")
	b := batchFlags(fs, batches{count: 20, child: "git-remote-http"})
	middle := fs.String("middle", "git", "command name of the process that leaves the orphan")
	ignore := fs.Bool("ignore-term", false, "go on at SIGTERM: only SIGKILL ends it")
	if err := parse(fs, args); err != nil {
		return err
	}
	outlive.Store(*ignore)
	return b.leak(func(n int) (int, error) { return adopt(n, *middle, b.child) })
}

// adopt counts the orphans that came here and died. They go elsewhere when this
// process is no PID 1, for example with shareProcessNamespace.
func adopt(n int, middle, name string) (int, error) {
	adopted := 0
	for range n {
		// Its own process group is how the orphan can be told from all others.
		group, err := spawn(middle, syscall.SysProcAttr{Setpgid: true}, "orphan", "-count=1", "-max=0", "-child="+name)
		if err != nil {
			return adopted, err
		}
		if err := reap(group); err != nil {
			return adopted, err
		}
		switch err := awaitDead(unix.P_PGID, group); {
		case err == nil:
			adopted++
		case !errors.Is(err, unix.ECHILD):
			return adopted, err
		}
	}
	return adopted, nil
}
