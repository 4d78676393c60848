package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// oneWait is the C program whose SIGCHLD handler calls wait() once, and blocking: the
// textbook handler that loses merged signals. Each SIGCHLD cures exactly one zombie.
// With -live it has a living child as well, and one SIGCHLD too many hangs its main
// thread in do_wait for as long as that child lives.
func oneWait(args []string) error {
	fs := newFlags("one-wait")
	count := fs.Int("count", 5, "children that die before the handler is there")
	name := fs.String("child", "sendmail", "command name of the children")
	live := fs.Bool("live", false, "keep a living child named sleep")
	if err := parse(fs, args); err != nil {
		return err
	}
	deaths, err := handleAfter(func() error {
		if *live {
			if _, err := spawn("sleep", dieWithParent, "child", "-parent="+strconv.Itoa(os.Getpid())); err != nil {
				return err
			}
		}
		_, err := leaveDead(*count, *name)
		return err
	})
	if err != nil {
		return err
	}
	sayReady(*count)
	for range deaths {
		_, _ = unix.Wait4(-1, nil, 0, nil) // that it is neither checked nor repeated is the bug shown
	}
	return nil
}
