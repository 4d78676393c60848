package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/zombie-operator/zombie-operator/cmd/internal/cli"
	"github.com/zombie-operator/zombie-operator/cmd/internal/metrics"
	"github.com/zombie-operator/zombie-operator/controllers/report"
)

const intro = `zombie-controller keeps ZombieReports true: it checks each against the live Pod, marks those that no agent
keeps up to date, and deletes those whose pod is gone or healed. It applies ZombiePolicies to them: it chooses the
remedy, keeps to guards and limits, has the agent of the node act, and goes on from the proof. It runs in a pod of
its cluster or, elsewhere, with the cluster of $KUBECONFIG.
`

// options are what the flags say.
type options struct {
	agentNamespace string
	agentSelector  labels.Selector
	reports        report.Settings

	leaderElect             bool
	leaderElectionNamespace string

	healthAddr  string
	metricsAddr string
	logLevel    slog.Level
}

func parseFlags(args []string, getenv func(string) string, stdout io.Writer) (options, error) {
	var o options
	var selector string
	flags := cli.NewFlags("zombie-controller", intro, &o.logLevel)
	flags.StringVar(&o.agentNamespace, "agent-namespace", getenv("POD_NAMESPACE"),
		"`namespace` in which the operator runs, agents and ledger; the default is $POD_NAMESPACE")
	flags.StringVar(&selector, "agent-selector", "app.kubernetes.io/name=zombie-operator,app.kubernetes.io/component=agent",
		"label `selector` of the agents' pods")
	flags.DurationVar(&o.reports.HealedRetention, "healed-retention", time.Hour,
		"how long to keep the report of a pod that has no zombies any more, so that it can be read")
	flags.DurationVar(&o.reports.StaleAfter, "stale-after", 5*time.Minute,
		"how long a node may be without a ready agent before its reports are marked Stale")
	flags.DurationVar(&o.reports.DeleteStaleAfter, "delete-stale-after", 15*time.Minute,
		"how long it may be before they are deleted; longer than --stale-after")
	flags.BoolVar(&o.leaderElect, "leader-elect", true,
		"do nothing unless elected; --leader-elect=false only where no second controller can run")
	flags.StringVar(&o.leaderElectionNamespace, "leader-election-namespace", "",
		"`namespace` of the lease "+leaseName+"; the default is that of the agents")
	flags.StringVar(&o.healthAddr, "health-addr", ":8081",
		"`address` that serves /healthz and /readyz")
	flags.StringVar(&o.metricsAddr, "metrics-addr", "",
		"`address` that serves /metrics over HTTPS, to those who may get that path; without it there are no metrics")
	if err := flags.Parse(args, stdout); err != nil {
		return options{}, err //nolint:wrapcheck // it is told to the user as it is
	}
	return o.complete(selector)
}

// complete checks what one flag alone cannot tell.
func (o options) complete(selector string) (options, error) {
	if o.agentNamespace == "" {
		return options{}, errors.New("--agent-namespace is missing: name the namespace of the agents, or set POD_NAMESPACE")
	}
	if o.leaderElectionNamespace == "" {
		o.leaderElectionNamespace = o.agentNamespace
	}
	parsed, err := labels.Parse(selector)
	if err != nil {
		return options{}, fmt.Errorf("parsing --agent-selector: %w", err)
	}
	if parsed.Empty() {
		return options{}, errors.New("--agent-selector is empty: it would take every pod of the namespace for an agent")
	}
	o.agentSelector = parsed
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{
		{"--healed-retention", o.reports.HealedRetention},
		{"--stale-after", o.reports.StaleAfter},
	} {
		if d.value <= 0 {
			return options{}, fmt.Errorf("%s is %s: it must be above zero", d.flag, d.value)
		}
	}
	if o.reports.DeleteStaleAfter <= o.reports.StaleAfter {
		return options{}, fmt.Errorf("--delete-stale-after is %s: it must be longer than --stale-after, which is %s",
			o.reports.DeleteStaleAfter, o.reports.StaleAfter)
	}
	return o, metrics.CheckAddress(o.metricsAddr) //nolint:wrapcheck // it is told to the user as it is
}
