package main

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// sawtooth is the parent that does wait, but late (bitnami#34735: a sentinel whose
// PID 1 calls waitpid now and then): there is always a zombie and never an old one,
// so nobody may act. Every half period it makes a batch and then reaps the one
// before: each zombie lives half a period, well below the promised one.
func sawtooth(args []string) error {
	fs := newFlags("sawtooth")
	count := fs.Int("count", 6, "zombies in a batch")
	name := fs.String("child", "timeout", "command name of the dead")
	period := fs.Duration("period", 20*time.Second, "no zombie gets older than this")
	if err := parse(fs, args); err != nil {
		return err
	}
	if *period < 2 {
		return errors.New("-period must be positive")
	}
	before, err := leaveDead(*count, *name)
	if err != nil {
		return err
	}
	fmt.Printf("ready: %d zombies under pid %d, none older than %s\n", *count, os.Getpid(), *period)
	for range time.Tick(*period / 2) {
		now, err := leaveDead(*count, *name)
		if err != nil {
			return err
		}
		for _, pid := range before {
			if err := reap(pid); err != nil {
				return err
			}
		}
		before = now
	}
	return nil
}
