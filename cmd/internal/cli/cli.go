// Package cli is what the commands of this project have in common: help, version, logging and exit codes.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Exit codes of a command.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// ErrVersion is returned by Parse after it printed the version that was asked for.
var ErrVersion = errors.New("version printed")

// Main runs a command until it ends or is told to end by SIGTERM or an interrupt, and returns its exit code.
// O holds what its flags say. Bad flags are told in one line.
func Main[O any](name string, parse func(stdout io.Writer) (O, error), serve func(context.Context, O) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	return run(ctx, name, os.Stdout, os.Stderr, parse, serve)
}

func run[O any](ctx context.Context, name string, stdout, stderr io.Writer, parse func(io.Writer) (O, error), serve func(context.Context, O) error) int {
	o, err := parse(stdout)
	switch {
	case errors.Is(err, flag.ErrHelp), errors.Is(err, ErrVersion):
		return exitOK
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "%s: %v (see --help)\n", name, err)
		return exitUsage
	}
	if err := serve(ctx, o); err != nil {
		slog.Error("Stopping after an error", "err", err)
		return exitFailed
	}
	return exitOK
}

// Flags is a set of flags with --log-level and --version.
type Flags struct {
	*flag.FlagSet
	intro       string
	logLevel    *slog.Level
	showVersion bool
}

// NewFlags returns the flags of a command. intro says in the help what the command is for; the level is written to logLevel.
func NewFlags(name, intro string, logLevel *slog.Level) *Flags {
	f := &Flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), intro: intro, logLevel: logLevel}
	f.SetOutput(io.Discard) // errors are told in one line, by Main
	f.Usage = func() {}
	f.TextVar(logLevel, "log-level", slog.LevelInfo, "lowest `level` to log: debug, info, warn or error")
	f.BoolVar(&f.showVersion, "version", false, "print the version and exit")
	return f
}

// Parse reads the flags. It prints help or version to stdout when asked for, and then returns flag.ErrHelp or ErrVersion.
func (f *Flags) Parse(args []string, stdout io.Writer) error {
	err := f.FlagSet.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		f.printHelp(stdout)
		return flag.ErrHelp
	case err != nil:
		return err
	case f.showVersion:
		_, _ = fmt.Fprintln(stdout, Version())
		return ErrVersion
	case f.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: %w", f.Arg(0), errOnlyFlags)
	}
	return nil
}

var errOnlyFlags = errors.New("there are only flags")

func (f *Flags) printHelp(w io.Writer) {
	var b strings.Builder
	b.WriteString(f.intro + "\nFlags:\n")
	f.VisitAll(func(one *flag.Flag) {
		value, usage := flag.UnquoteUsage(one)
		fmt.Fprintf(&b, "  --%s %s\n        %s", one.Name, value, usage)
		if one.DefValue != "" && one.DefValue != "false" {
			fmt.Fprintf(&b, " (default %s)", one.DefValue)
		}
		b.WriteString("\n")
	})
	_, _ = io.WriteString(w, b.String()) // nobody to tell when stdout is gone
}

// SetUpLogging makes one JSON logger the only one: slog's, controller-runtime's and, through klog, client-go's.
func SetUpLogging(w io.Writer, level slog.Level) *slog.Logger {
	handler := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})
	bridged := logr.FromSlogHandler(handler)
	log.SetLogger(bridged)
	klog.SetLogger(bridged)
	logger := slog.New(handler)
	slog.SetDefault(logger)
	return logger
}

// release is the version that a release build was given: -ldflags "-X .../cmd/internal/cli.release=v1.2.3".
var release string

// Version says which build this is.
func Version() string {
	version, revision := Build()
	return fmt.Sprintf("%s (revision %s, %s, %s/%s)", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// Build says of which release this build is, or else of which module version, and of which commit.
func Build() (version, revision string) {
	version, revision = release, "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		if version == "" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	return version, revision
}
