package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// say is the preStop hook whose turn can be seen: what an exec'd process prints goes
// to the one who exec'd it, so this writes into the output of PID 1, which is the
// container's log. With -sleep it takes its time, and says so again at the end.
func say(args []string) error {
	fs := newFlags("say")
	seconds := fs.Uint("sleep", 0, "stay for so many `seconds`")
	if err := fs.Parse(args); err != nil {
		return err
	}
	text := strings.Join(fs.Args(), " ")
	if text == "" {
		return errors.New("usage: say [-sleep SECONDS] TEXT")
	}
	log, err := os.OpenFile(filepath.Join(procRoot, "1", "fd", "1"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("opening the container's log: %w", err)
	}
	defer log.Close()
	if err := logLine(log, "said: %s\n", text); err != nil || *seconds == 0 {
		return err
	}
	time.Sleep(time.Duration(*seconds) * time.Second)
	return logLine(log, "done: %s, after %d s\n", text, *seconds)
}

func logLine(log io.Writer, format string, args ...any) error {
	if _, err := fmt.Fprintf(log, format, args...); err != nil {
		return fmt.Errorf("writing to the container's log: %w", err)
	}
	return nil
}
