//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// reassurance is how long a command may say nothing before a reader wonders whether it hangs.
	reassurance = 15 * time.Second
	// lastWords is how many lines are worth showing of what explains a failure.
	lastWords = 15
	// farewell is what an interrupted command gets to clean up after itself.
	farewell = 20 * time.Second
)

// shell runs commands. Whatever they say goes to the log.
type shell struct {
	tell *teller
	log  *os.File
	env  []string // on top of that of this process
}

// quietly runs a command whose words nobody needs unless it fails. While it runs, it is said that it does.
func (s *shell) quietly(ctx context.Context, dir string, args ...string) error {
	words := &tail{keep: lastWords}
	defer s.reassure(words)()
	out := io.MultiWriter(s.log, words)
	if err := s.run(s.command(ctx, dir, out, out, args...)); err != nil {
		return fmt.Errorf("%w; its last words:\n%s", err, words.text())
	}
	return nil
}

// shown runs a command that tells its progress itself, on standard error.
func (s *shell) shown(ctx context.Context, dir string, args ...string) error {
	reader, writer := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			s.tell.lines("  " + lines.Text())
		}
		_, _ = io.Copy(io.Discard, reader) // after a line too long for a scanner
	}()
	err := s.run(s.command(ctx, dir, s.log, io.MultiWriter(s.log, writer), args...))
	_ = writer.Close() // a pipe's Close does not fail
	<-done
	return err
}

// output runs a command for what it prints.
func (s *shell) output(ctx context.Context, dir string, args ...string) (string, error) {
	var stdout strings.Builder
	words := &tail{keep: lastWords}
	if err := s.run(s.command(ctx, dir, &stdout, words, args...)); err != nil {
		return "", fmt.Errorf("%w: %s", err, words.text())
	}
	return stdout.String(), nil
}

// command is in a process group of its own: Ctrl-C reaches only this process, which passes it on once to all of the group.
func (s *shell) command(ctx context.Context, dir string, stdout, stderr io.Writer, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, stdout, stderr
	cmd.Env = append(os.Environ(), s.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = farewell
	return cmd
}

func (s *shell) run(cmd *exec.Cmd) error {
	command := strings.Join(cmd.Args, " ")
	fmt.Fprintf(s.log, "\n%s$ %s\n", stamp(s.tell.elapsed()), command)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("`%s`: %w", command, err)
	}
	return nil
}

// reassure says every now and then that it goes on, until the returned function is called.
func (s *shell) reassure(words *tail) (stop func()) {
	done := make(chan struct{})
	began := time.Now()
	go func() {
		ticker := time.NewTicker(reassurance)
		defer ticker.Stop()
		said := ""
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				line := fmt.Sprintf("still at it after %.0f s", time.Since(began).Seconds())
				if now := words.last(); now != said { // the same again tells nothing, as go compiles without a word
					line, said = line+": "+now, now
				}
				s.tell.event("%s", cut(line, width-len(margin)))
			}
		}
	}()
	return func() { close(done) }
}

// tail keeps the last lines written to it.
type tail struct {
	keep  int
	mu    sync.Mutex
	lines []string
	rest  string // of a line that has not ended
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(t.rest+string(p), "\n")
	t.rest = lines[len(lines)-1]
	t.lines = append(t.lines, lines[:len(lines)-1]...)
	t.lines = t.lines[max(0, len(t.lines)-t.keep):]
	return len(p), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(strings.Join(append(slices.Clip(t.lines), t.rest), "\n"))
}

// last is the last line with anything in it.
func (t *tail) last() string {
	lines := strings.Split(t.text(), "\n")
	return lines[len(lines)-1]
}

func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return s[:limit-3] + "..."
}
