//go:build linux

// Command zcluster brings a real Kubernetes cluster up on one Linux machine and takes it down without a trace.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// command is one subcommand. Its flags are defined by setup, which returns what to run with the remaining arguments.
type command struct {
	name, args, summary, example string
	setup                        func(*flag.FlagSet) func(ctx context.Context, args []string) error
}

func commands() []command {
	return []command{
		{"up", "", "bring a cluster up, or repair it", "zcluster up --name demo --nodes 2", up},
		{"down", "", "take a cluster down and leave nothing behind", "zcluster down --name demo", down},
		{"status", "", "show the components of one cluster, or of all", "zcluster status --name demo", status},
		{"load", "ARCHIVE...", "give image archives to every node", "zcluster load --name demo operator.tar", load},
		{"env", "", "print exports: KUBECONFIG, KUBECACHEDIR, KUBEBUILDER_ASSETS, PATH", `eval "$(zcluster env --name demo)"`, env},
		{"build", "", "only build and download into the cache", "zcluster build", build},
		{"image-build", "", "build an image archive from a Dockerfile, offline",
			"zcluster image-build --context . --tag localhost/zombie-operator:dev --build-arg BASE=scratch --output operator.tar", imageBuild},
		{"emulator", "", "download qemu and a kernel, and say where they are, as JSON", "zcluster emulator", emulator},
		{"restart-containerd", "", "kill containerd on a node and start it again; pods go on", "zcluster restart-containerd --node node-1", restartContainerd},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "zcluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		usage()
		return errors.New("name a command")
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage()
		return nil
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, args[1:])
		}
	}
	return fmt.Errorf("there is no command %q; see: zcluster help", args[0])
}

func (c command) run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "zcluster %s: %s\n\nUsage:\n  zcluster %s [flags] %s\n\nExample:\n  %s\n\nFlags:\n", c.name, c.summary, c.name, c.args, c.example)
		flags.PrintDefaults()
	}
	do := c.setup(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if c.args == "" && flags.NArg() > 0 {
		return fmt.Errorf("%s takes flags only, not %q; see: zcluster %s --help", c.name, flags.Arg(0), c.name)
	}
	return do(ctx, flags.Args())
}

func usage() {
	fmt.Println("zcluster runs a real Kubernetes cluster on one Linux machine, without Docker and without installing anything.\nIn hack/cluster: go run ./cmd/zcluster COMMAND. At the top of the repository: make cluster-up, make cluster-down.\n\nCommands:")
	for _, c := range commands() {
		fmt.Printf("  %-20s %s\n", c.name, c.summary)
	}
	fmt.Println("\nExamples:")
	for _, c := range commands() {
		fmt.Println("  " + c.example)
	}
	fmt.Println("\nFlags of a command: zcluster COMMAND --help")
}
