package main

import (
	"os"
	"os/signal"
	"syscall"
)

// missedSIGCHLD is the server that forks helpers while it starts and installs its
// SIGCHLD handler, a good one with a waitpid loop, only afterwards: the signals of
// the first deaths are lost and nothing calls the loop. One SIGCHLD cures all.
func missedSIGCHLD(args []string) error {
	fs := newFlags("missed-sigchld")
	count := fs.Int("count", 12, "children that die before the handler is there")
	name := fs.String("child", "openssl", "command name of the dead")
	if err := parse(fs, args); err != nil {
		return err
	}
	deaths, err := handleAfter(func() error {
		_, err := leaveDead(*count, *name)
		return err
	})
	if err != nil {
		return err
	}
	sayReady(*count)
	for range deaths {
		reapAll()
	}
	return nil
}

// handleAfter runs start with the default SIGCHLD disposition and installs the
// handler when it is through: no signal from before can still be on its way. The
// channel holds one signal, as the kernel does: more merge.
func handleAfter(start func() error) (<-chan os.Signal, error) {
	install, err := defaultSIGCHLD()
	if err != nil {
		return nil, err
	}
	if err := start(); err != nil {
		return nil, err
	}
	deaths := make(chan os.Signal, 1)
	signal.Notify(deaths, syscall.SIGCHLD)
	return deaths, install()
}
