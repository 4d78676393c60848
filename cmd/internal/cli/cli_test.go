package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

var errBroken = errors.New("broken")

// tool is a command for the tests.
type tool struct {
	name  string
	wait  time.Duration
	quick bool
	level slog.Level
}

func newTool(args []string, stdout io.Writer) (tool, error) {
	var o tool
	f := NewFlags("tool", "tool does things.\n", &o.level)
	f.StringVar(&o.name, "name", "", "`name` of a thing")
	f.DurationVar(&o.wait, "wait", time.Minute, "how long to wait")
	f.BoolVar(&o.quick, "quick", false, "be quick")
	return o, f.Parse(args, stdout)
}

func TestRunExits(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args           []string
		serve          error
		code           int
		stdout, stderr string
	}{
		"with 0 when it was told to end":                     {nil, nil, 0, "", ""},
		"with 1 when it failed":                              {nil, errBroken, 1, "", ""},
		"with 0 after the help that was asked for":           {[]string{"--help"}, errBroken, 0, "tool does things.", ""},
		"with 0 after the help that was asked for in short":  {[]string{"-h"}, errBroken, 0, "--name name", ""},
		"with 0 after the version":                           {[]string{"--version"}, errBroken, 0, "revision", ""},
		"with 2 and one line for a flag that does not exist": {[]string{"--nope"}, errBroken, 2, "", "tool: flag provided but not defined: -nope (see --help)\n"},
		"with 2 and one line for a bad value":                {[]string{"--wait=soon"}, errBroken, 2, "", `tool: invalid value "soon" for flag -wait: parse error (see --help)` + "\n"},
		"with 2 and one line for an argument":                {[]string{"start"}, errBroken, 2, "", `tool: unexpected argument "start": there are only flags (see --help)` + "\n"},
		"with 2 and one line for a flag without its value":   {[]string{"--name"}, errBroken, 2, "", "tool: flag needs an argument: -name (see --help)\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			parse := func(w io.Writer) (tool, error) { return newTool(tc.args, w) }
			serve := func(context.Context, tool) error { return tc.serve }
			if code := run(t.Context(), "tool", &stdout, &stderr, parse, serve); code != tc.code {
				t.Errorf("run() = %d, want %d", code, tc.code)
			}
			if !strings.Contains(stdout.String(), tc.stdout) || (tc.stdout == "" && stdout.Len() > 0) {
				t.Errorf("stdout = %q, want %q", stdout.String(), tc.stdout)
			}
			if stderr.String() != tc.stderr {
				t.Errorf("stderr = %q, want %q", stderr.String(), tc.stderr)
			}
		})
	}
}

//nolint:paralleltest // it sends a signal to the whole program
func TestMainEndsGracefullyWhenToldTo(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		parse := func(io.Writer) (string, error) { return "options", nil }
		code := Main("tool", parse, func(ctx context.Context, o string) error {
			if o != "options" {
				t.Errorf("options = %q", o)
			}
			if err := syscall.Kill(os.Getpid(), signal); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(10 * time.Second):
				return errBroken
			}
		})
		if code != exitOK {
			t.Errorf("Main() = %d after %s, want %d", code, signal, exitOK)
		}
	}
}

func TestParseReadsFlags(t *testing.T) {
	t.Parallel()
	got, err := newTool([]string{"--name=x", "-wait", "2s", "--quick", "--log-level=warn"}, io.Discard)
	if want := (tool{"x", 2 * time.Second, true, slog.LevelWarn}); got != want || err != nil {
		t.Errorf("options = %+v, %v, want %+v", got, err, want)
	}
	got, err = newTool(nil, io.Discard)
	if want := (tool{"", time.Minute, false, slog.LevelInfo}); got != want || err != nil {
		t.Errorf("defaults = %+v, %v, want %+v", got, err, want)
	}
}

func TestParsePrintsTheWholeHelp(t *testing.T) {
	t.Parallel()
	var help bytes.Buffer
	if _, err := newTool([]string{"--help"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Fatalf("error = %v, want %v", err, flag.ErrHelp)
	}
	want := `tool does things.

Flags:
  --log-level level
        lowest level to log: debug, info, warn or error (default INFO)
  --name name
        name of a thing
  --quick 
        be quick
  --version 
        print the version and exit
  --wait duration
        how long to wait (default 1m0s)
`
	if help.String() != want {
		t.Errorf("help = %s\nwant %s", help.String(), want)
	}
}

func TestParsePrintsTheVersion(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if _, err := newTool([]string{"--version"}, &out); !errors.Is(err, ErrVersion) {
		t.Fatalf("error = %v, want %v", err, ErrVersion)
	}
	if out.String() != Version()+"\n" {
		t.Errorf("version = %q, want %q", out.String(), Version())
	}
}

//nolint:paralleltest // it changes what the program says of its release
func TestVersionTellsReleaseRevisionAndPlatform(t *testing.T) {
	release = "v1.2.3"
	defer func() { release = "" }()
	want := regexp.MustCompile(`^v1\.2\.3 \(revision \w+, ` + regexp.QuoteMeta(runtime.Version()+", "+runtime.GOOS+"/"+runtime.GOARCH) + `\)$`)
	if got := Version(); !want.MatchString(got) {
		t.Errorf("version = %q, want %s", got, want)
	}
	release = ""
	if got := Version(); strings.HasPrefix(got, " ") || !strings.Contains(got, "(revision ") {
		t.Errorf("version = %q, want one of the build", got)
	}
}

//nolint:paralleltest // it changes the loggers of the whole program
func TestSetUpLoggingMakesOneJSONLoggerOfAll(t *testing.T) {
	var out bytes.Buffer
	logger := SetUpLogging(&out, slog.LevelWarn)
	t.Cleanup(func() { SetUpLogging(os.Stderr, slog.LevelInfo) })
	logger.Info("not this")
	logger.Warn("ours", "pod", "web")
	slog.Warn("slog")
	klog.ErrorS(errBroken, "klog")
	log.Log.Error(errBroken, "controller-runtime")
	klog.InfoS("not this")
	var messages []string
	for line := range strings.Lines(out.String()) {
		var entry struct {
			Level, Msg, Time string
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Time == "" {
			t.Fatalf("line %q: %v", line, err)
		}
		messages = append(messages, entry.Level+" "+entry.Msg)
	}
	if got, want := strings.Join(messages, ", "), "WARN ours, WARN slog, ERROR klog, ERROR controller-runtime"; got != want {
		t.Errorf("log = %s, want %s", got, want)
	}
}
