//go:build linux

// Command demo shows the operator at work: a real cluster, pods that leak real zombies, the reports about them, and their cure.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `demo shows zombie-operator at work on this machine, from nothing to the cure of real leaks.

Usage:
  go run ./hack/demo          bring everything up and tell the story; run it again to hear it again
  go run ./hack/demo down     take everything down
  go run ./hack/demo --help   say this

Run it as root from the top of the repository, or use make demo and make demo-down, which are the same.
It makes a cluster of its own, named "` + clusterName + `", and touches no other.
`

// interrupted is the exit code of a shell for a program that Ctrl-C ended.
const interrupted = 130

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	play := demo
	switch {
	case len(args) == 1 && (args[0] == "help" || args[0] == "-h" || args[0] == "-help" || args[0] == "--help"):
		fmt.Fprint(stdout, usage)
		return 0
	case len(args) == 1 && args[0] == "down":
		play = takeDown
	case len(args) > 0:
		fmt.Fprintf(stderr, "demo: %q is not understood\n\n%s", args, usage)
		return 2
	}
	err := checkMachine()
	if err == nil {
		err = play(ctx, stdout)
	}
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintf(stderr, "\ndemo: interrupted. What is up stays up: make demo goes on from there, make demo-down takes it down.\n")
		return interrupted
	default:
		fmt.Fprintf(stderr, "\ndemo: %v\n", err)
		return 1
	}
}

// demo plays all scenes.
func demo(ctx context.Context, out io.Writer) error {
	s, err := newStage(out, os.O_TRUNC)
	if err != nil {
		return err
	}
	defer s.log.Close()
	s.introduce()
	for i, scene := range scenes {
		s.tell.heading(i+1, len(scenes), scene.title)
		if err := scene.play(ctx, s); err != nil {
			return s.failure(ctx, scene, err)
		}
	}
	return nil
}

// takeDown leaves nothing of the cluster, however far it came.
func takeDown(ctx context.Context, out io.Writer) error {
	s, err := newStage(out, os.O_APPEND) // behind what may have to be looked at still
	if err != nil {
		return err
	}
	defer s.log.Close()
	if err := s.zclusterShown(ctx, "down", "--name", clusterName); err != nil {
		return fmt.Errorf("taking the cluster down: %w\n\nWhat to do: try again: make demo-down", err)
	}
	s.tell.blank()
	s.tell.text("What stays is what makes the next demo quick: dist/, which make clean removes, and the caches of Go and of hack/cluster.")
	return nil
}
