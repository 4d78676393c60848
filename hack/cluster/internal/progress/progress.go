// Package progress tells a person what happens and that it still happens.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// quiet is how long a step may say nothing before a reader wonders whether it hangs.
const quiet = 15 * time.Second

// Log prints steps with the seconds since the command began.
type Log struct {
	out   io.Writer
	begin time.Time
	mu    sync.Mutex
}

// New starts the clock.
func New(out io.Writer) *Log { return &Log{out: out, begin: time.Now()} }

// Say prints one line.
func (l *Log) Say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, "%6.1fs  %s\n", time.Since(l.begin).Seconds(), fmt.Sprintf(format, args...))
}

// Step announces what f does, and while f runs repeats every 15 seconds that it does; detail may add how far it got.
func (l *Log) Step(what string, detail func() string, f func() error) error {
	l.Say("%s", what)
	done := make(chan struct{})
	defer close(done)
	go l.reassure(what, detail, done)
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (l *Log) reassure(what string, detail func() string, done <-chan struct{}) {
	ticker := time.NewTicker(quiet)
	defer ticker.Stop()
	for began := time.Now(); ; {
		select {
		case <-done:
			return
		case <-ticker.C:
			note := ""
			if detail != nil {
				note = ", " + detail()
			}
			l.Say("  still %s: %.0f s%s", what, time.Since(began).Seconds(), note)
		}
	}
}
