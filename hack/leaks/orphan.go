package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// orphan is the exec probe or `kubectl exec` that leaves something behind
// (openreplay#4824: sh -> timeout -> cli, 24 zombies a minute; docker-workflow#311):
// an exec'd process has its parent outside the container, but its orphans pass to
// the container's PID 1.
func orphan(args []string) error {
	fs := newFlags("orphan")
	count := fs.Int("count", 1, "orphans to leave behind")
	name := fs.String("child", "probe-child", "command name of the orphans")
	most := fs.Int("max", 1000, "leave none when as many of them are zombies already; 0: no limit")
	if err := parse(fs, args); err != nil {
		return err
	}
	if *most > 0 {
		have, err := countZombies(*name)
		if err != nil {
			return err
		}
		if have+*count > *most {
			fmt.Printf("left: none, %d zombies named %s are here\n", have, *name)
			return nil
		}
	}
	for range *count {
		if _, err := spawn(*name, syscall.SysProcAttr{}, "child", "-parent="+strconv.Itoa(os.Getpid())); err != nil {
			return err
		}
	}
	return nil
}

// child is the process that dies: at once, or when its parent has died before it.
func child(args []string) error {
	fs := newFlags("child")
	parent := fs.Int("parent", 0, "live as long as this is the parent")
	if err := parse(fs, args); err != nil {
		return err
	}
	for *parent != 0 && os.Getppid() == *parent {
		time.Sleep(time.Millisecond)
	}
	return nil
}
