package main

import (
	"bytes"
	"errors"
	"flag"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zombie-operator/zombie-operator/controllers/report"
)

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestParseFlagsDefaults(t *testing.T) {
	t.Parallel()
	o, err := parseFlags(nil, environment(map[string]string{"POD_NAMESPACE": "zombies"}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := o.agentSelector.String(), "app.kubernetes.io/component=agent,app.kubernetes.io/name=zombie-operator"; got != want {
		t.Errorf("selector = %s, want %s", got, want)
	}
	o.agentSelector = nil
	want := options{
		agentNamespace: "zombies",
		reports: report.Settings{
			HealedRetention: time.Hour, StaleAfter: 5 * time.Minute, DeleteStaleAfter: 15 * time.Minute,
		},
		leaderElect: true, leaderElectionNamespace: "zombies",
		healthAddr: ":8081", logLevel: slog.LevelInfo,
	}
	if diff := cmp.Diff(want, o, cmp.AllowUnexported(options{})); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

func TestParseFlagsTakesEveryFlag(t *testing.T) {
	t.Parallel()
	o, err := parseFlags([]string{
		"--agent-namespace=a", "--agent-selector=app=x", "--healed-retention=2h", "--stale-after=1m",
		"--delete-stale-after=2m", "--leader-elect=false", "--leader-election-namespace=l", "--health-addr=:1",
		"--metrics-addr=:8443", "--log-level=debug",
	}, environment(map[string]string{"POD_NAMESPACE": "zombies"}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := o.agentSelector.String(); got != "app=x" {
		t.Errorf("selector = %s", got)
	}
	o.agentSelector = nil
	want := options{
		agentNamespace:          "a",
		reports:                 report.Settings{HealedRetention: 2 * time.Hour, StaleAfter: time.Minute, DeleteStaleAfter: 2 * time.Minute},
		leaderElectionNamespace: "l", healthAddr: ":1", metricsAddr: ":8443", logLevel: slog.LevelDebug,
	}
	if diff := cmp.Diff(want, o, cmp.AllowUnexported(options{})); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

func TestParseFlagsRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want string
	}{
		"a selector that does not parse":         {[]string{"--agent-selector=a=b=c"}, "--agent-selector"},
		"a selector that selects everything":     {[]string{"--agent-selector="}, "--agent-selector is empty"},
		"no retention of healed reports":         {[]string{"--healed-retention=0s"}, "--healed-retention is 0s"},
		"a negative time before stale":           {[]string{"--stale-after=-1m"}, "--stale-after is -1m0s"},
		"deleting stale reports before marking":  {[]string{"--stale-after=20m"}, "--delete-stale-after is 15m0s: it must be longer than --stale-after, which is 20m0s"},
		"deleting stale reports as they are so":  {[]string{"--stale-after=15m"}, "must be longer"},
		"a duration without a unit":              {[]string{"--stale-after=5"}, "stale-after"},
		"a level that does not exist":            {[]string{"--log-level=loud"}, "log-level"},
		"a flag that does not exist":             {[]string{"--metrics"}, "metrics"},
		"metrics on no address":                  {[]string{"--metrics-addr=8443"}, `--metrics-addr is "8443"`},
		"an argument that is not a flag":         {[]string{"start"}, `"start"`},
		"an agent namespace that is not told":    {[]string{"--agent-namespace="}, "--agent-namespace is missing"},
		"a boolean given as an argument of ours": {[]string{"--leader-elect", "false"}, `"false"`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseFlags(tc.args, environment(map[string]string{"POD_NAMESPACE": "zombies"}), nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("parseFlags() = %v, want an error that names %q", err, tc.want)
			}
		})
	}
}

func TestHelpNamesEveryFlagWithTwoDashes(t *testing.T) {
	t.Parallel()
	var help bytes.Buffer
	_, err := parseFlags([]string{"--help"}, environment(nil), &help)
	if !errors.Is(err, flag.ErrHelp) {
		t.Fatalf("parseFlags() = %v, want %v", err, flag.ErrHelp)
	}
	for _, want := range []string{
		"--agent-namespace namespace", "--agent-selector selector", "--healed-retention duration", "--stale-after duration",
		"--delete-stale-after duration", "--leader-elect", "--leader-election-namespace namespace", "--health-addr address",
		"--metrics-addr address", "over HTTPS", "--log-level level", "--version", "(default 1h0m0s)", "(default INFO)", "$POD_NAMESPACE",
	} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("help does not contain %q:\n%s", want, help.String())
		}
	}
}
