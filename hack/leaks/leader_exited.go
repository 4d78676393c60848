package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// leaderExited is the look-alike (moby#35910, s6-overlay#135): the main thread of a
// process has ended, its other threads work on. The kernel shows state Z, nobody can
// reap it, and it is no zombie: Threads is above 1.
func leaderExited(args []string) error {
	fs := newFlags("leader-exited")
	count := fs.Int("count", 1, "such processes to start")
	name := fs.String("child", "java", "command name of them")
	if err := parse(fs, args); err != nil {
		return err
	}
	for range *count {
		pid, err := spawn(*name, dieWithParent, "threads")
		if err != nil {
			return err
		}
		if err := awaitLeaderExit(pid); err != nil {
			return err
		}
	}
	fmt.Printf("ready: %d live processes without a leader under pid %d\n", *count, os.Getpid())
	select {}
}

// awaitLeaderExit looks at /proc: waitid reports a process only when all of it is dead.
func awaitLeaderExit(pid int) error {
	for {
		s, err := readStat(strconv.Itoa(pid))
		if err != nil {
			return err
		}
		if s.state == "Z" {
			if s.threads < 2 {
				return fmt.Errorf("process %d is dead, threads and all", pid)
			}
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}

// threads ends the main thread alone; the runtime's other threads, and with them the
// SIGTERM handler, live on. unix.Syscall and not RawSyscall: the scheduler must be
// free to take over what the thread held, or the next garbage collection would wait
// for it forever.
func threads(args []string) error {
	if err := parse(newFlags("threads"), args); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
	return fmt.Errorf("ending the main thread: %w", errno)
}
