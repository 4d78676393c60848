// Command leaks grows the process trees that leak zombies in the field, one per
// subcommand, so that the agent can be shown real ones. It is one static binary:
// the tree is named by the first argument, or by the name it is called by.
//
//	/leaks/repo-server never-waits -count=20   # comm repo-server, tree never-waits
//	/leaks/sleep                               # comm sleep, tree sleep
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

type command struct {
	name    string
	summary string
	run     func(args []string) error
}

// trees are the commands a person runs; the image holds a link for each.
func trees() []command {
	return []command{
		{"never-waits", "PID 1 waits for its own children only: adopted orphans stay", neverWaits},
		{"missed-sigchld", "the SIGCHLD handler came after the deaths: one SIGCHLD cures all", missedSIGCHLD},
		{"middle-leaks", "a middle process leaks under a PID 1 that reaps (or not)", middleLeaks},
		{"sawtooth", "the parent waits now and then: always some zombies, never an old one", sawtooth},
		{"leader-exited", "state Z, but its threads live: no zombie", leaderExited},
		{"start-no-wait", "a Go program that calls Start and never Wait", startNoWait},
		{"every", "some more zombies at every tick", every},
		{"sleep", "PID 1 sleeps and never waits", sleepForever},
		{"orphan", "to be exec'd into a container: leaves orphans to its PID 1", orphan},
		{"one-wait", "the SIGCHLD handler waits exactly once, and blocks", oneWait},
		{"say", "to be exec'd into a container: writes a line to its log", say},
	}
}

// parts are the roles that trees give to copies of this binary, and the tool
// that prepares the image.
func parts() []command {
	return []command{
		{"child", "exit at once, or when orphaned", child},
		{"threads", "end the leader, keep the threads", threads},
		{"install", "write the image's links to DIR", install},
	}
}

// The main goroutine stays on the main thread: it is the one whose name is the
// process's comm, whose end is the leader's end, and which owns every child.
func init() { runtime.LockOSThread() }

func main() {
	endOnSIGTERM()
	cmd, args, ok := choose(os.Args)
	if !ok {
		usage()
		os.Exit(2)
	}
	err := setComm(filepath.Base(os.Args[0]))
	if err == nil {
		err = cmd.run(args)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintf(os.Stderr, "leaks %s: %v\n", cmd.name, err)
		os.Exit(1)
	}
}

// outlive is set by a tree that goes on after SIGTERM, until SIGKILL.
var outlive atomic.Bool

// endOnSIGTERM makes every copy end at once: the kernel drops a SIGTERM to a
// PID 1 that has no handler for it. The line it prints shows in the log what came
// before the signal, and whom it reached.
func endOnSIGTERM() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for sig := range stop {
			name, pid := unix.SignalName(sig.(syscall.Signal)), os.Getpid()
			if sig != syscall.SIGTERM || !outlive.Load() {
				fmt.Printf("stop: %s, pid %d ends\n", name, pid)
				os.Exit(0)
			}
			fmt.Printf("stop: %s, pid %d goes on\n", name, pid)
		}
	}()
}

// choose takes the first argument before the name the binary is called by, so
// that a tree can play under any name, even that of another tree.
func choose(argv []string) (command, []string, bool) {
	all := append(trees(), parts()...)
	for i := min(1, len(argv)-1); i >= 0; i-- {
		for _, c := range all {
			if c.name == filepath.Base(argv[i]) {
				return c, argv[i+1:], true
			}
		}
	}
	return command{}, nil, false
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: leaks TREE [flags]; leaks TREE -h lists the flags; leaks install DIR")
	for _, c := range trees() {
		fmt.Fprintf(os.Stderr, "  %-15s %s\n", c.name, c.summary)
	}
}

// setComm names this process as its caller wanted. Copies are started through
// /proc/self/exe, which would name them "exe", with or without links beside it.
func setComm(name string) error {
	p, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(p)), 0, 0, 0); err != nil {
		return fmt.Errorf("setting the command name to %q: %w", name, err)
	}
	return nil
}

func newFlags(name string) *flag.FlagSet { return flag.NewFlagSet(name, flag.ContinueOnError) }

// parse refuses what flag.Parse leaves over: a forgotten dash would pass unseen.
func parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	return nil
}
