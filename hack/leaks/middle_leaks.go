package main

import (
	"os"
	"os/signal"
	"syscall"
)

// middleLeaks is the container whose init is right and whose worker is not
// (longhorn#941): ending the worker cures it, because PID 1 reaps what it inherits.
//
//	tini(1) -> worker -> Z: sh
//
// With -reap=false PID 1 waits for nobody either, and ending the worker only moves
// its zombies, and adds one (puppeteer#615). PID 1 outlives the worker and does not
// start it again, so that the effect stays to be seen. The worker says "ready".
func middleLeaks(args []string) error {
	fs := newFlags("middle-leaks")
	b := batchFlags(fs, batches{count: 15, child: "sh"})
	reaps := fs.Bool("reap", true, "PID 1 reaps whatever it inherits")
	middle := fs.String("middle", "worker", "command name of the process that leaks")
	if err := parse(fs, args); err != nil {
		return err
	}
	deaths := make(chan os.Signal, 1)
	signal.Notify(deaths, syscall.SIGCHLD)
	if _, err := spawn(*middle, dieWithParent, append([]string{"start-no-wait"}, b.args()...)...); err != nil {
		return err
	}
	for range deaths {
		if *reaps {
			reapAll()
		}
	}
	return nil
}
