//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	clusterName = "demo"
	clusterLogs = "/var/lib/zombie-cluster/" + clusterName + "/logs"
	clusterDir  = "hack/cluster"
	logFile     = "dist/demo.log"
)

// stage is what the scenes share.
type stage struct {
	*shell
	root    string            // of the repository
	exports map[string]string // how the user reaches the cluster
	pods    map[string]pod    // those of the cast, once they run
	first   sight             // the zombies as the kernel showed them first
	before  state             // what there was before a policy was in force
}

// sight is what the kernel showed at a time.
type sight struct {
	at  time.Time
	was map[string]finding
}

// newStage opens the log, with os.O_TRUNC or os.O_APPEND.
func newStage(out io.Writer, mode int) (*stage, error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("finding the working directory: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(logFile), 0o755); err != nil {
		return nil, fmt.Errorf("making a place for the log: %w", err)
	}
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|mode, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the log: %w", err)
	}
	return &stage{shell: &shell{tell: &teller{out: out, begin: time.Now()}, log: log}, root: root}, nil
}

func (s *stage) introduce() {
	fmt.Fprintln(s.tell.out, wrap(introduction, width))
	fmt.Fprintln(s.tell.out)
	for i, scene := range scenes {
		fmt.Fprintf(s.tell.out, "  %d. %s\n", i+1, scene.title)
	}
	fmt.Fprintln(s.tell.out)
	fmt.Fprintln(s.tell.out, wrap(expectation, width))
}

// failure says what failed, shows what explains it, and what to do about it.
func (s *stage) failure(ctx context.Context, failed scene, err error) error {
	if ctx.Err() != nil {
		return err
	}
	for _, args := range failed.explain {
		if out, err := s.kubectl(ctx, args...); err == nil {
			s.tell.blank()
			s.tell.lines("$ kubectl " + strings.Join(args, " ") + "\n" + lastLines(out, lastWords))
		}
	}
	mend := failed.mend
	if mend == "" {
		mend = "look at the logs; then run make demo again, or start over: make demo-down demo"
	}
	logs := filepath.Join(s.root, logFile) + " (all commands of this demo)"
	if _, err := os.Stat(clusterLogs); err == nil {
		logs += ", " + clusterLogs + " (the cluster)"
	}
	return fmt.Errorf("it failed after %s at %q\n%w\n\nWhat to do: %s\nLogs: %s",
		s.tell.elapsed().Round(time.Second), failed.title, err, mend, logs)
}

// lastLines are the newest of a log or of sorted events.
func lastLines(text string, most int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if left := len(lines) - most; left > 0 {
		lines = append([]string{fmt.Sprintf("(%d lines left out)", left)}, lines[left:]...)
	}
	return strings.Join(lines, "\n")
}

// zclusterShown runs the program of hack/cluster and shows its progress.
func (s *stage) zclusterShown(ctx context.Context, args ...string) error {
	return s.shown(ctx, clusterDir, zcluster(args)...)
}

func zcluster(args []string) []string {
	return append([]string{"go", "run", "./cmd/zcluster"}, args...)
}
