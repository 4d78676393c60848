package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/agent/health"
	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/remedy"
	"github.com/zombie-operator/zombie-operator/agent/restart"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/agent/signal"
	"github.com/zombie-operator/zombie-operator/agent/target"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// remedies executes the remediations of the node.
type remedies struct {
	cfg     *rest.Config
	options options
	socket  *inventory.Socket
	proc    scan.Proc
	health  *health.Health
	log     *slog.Logger
}

// run executes remediations until the context ends. When it cannot, the agent is not ready and says why; scans and reports
// go on.
func (r remedies) run(ctx context.Context) {
	if err := r.execute(ctx); err != nil && ctx.Err() == nil {
		r.health.Set(health.PartRemediations, err)
		r.log.Error("Remediations are not executed; the rest goes on", "err", err)
	}
}

func (r remedies) execute(ctx context.Context) error {
	boot, err := bootID(r.options.procRoot)
	if err != nil {
		return err
	}
	finder := target.Finder{Runtime: r.socket, Proc: r.proc, Open: target.OpenPidfd}
	kinds := map[v1alpha1.RemediationAction]act.Kind{
		v1alpha1.RemediationSignalParent:     signal.New(finder),
		v1alpha1.RemediationRestartContainer: restart.New(r.socket, finder, r.options.procRoot),
	}
	tell := func(err error) { r.health.Set(health.PartRemediations, err) }
	self := remedy.Self{Node: r.options.nodeName, BootID: boot, PodUID: r.options.podUID}
	return remedy.Run(ctx, r.cfg, self, kinds, tell, r.log) //nolint:wrapcheck // it says what it was doing
}

// bootID reads which boot of the node this is: PIDs and start times are worth nothing in another one.
func bootID(procRoot string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(procRoot, "sys/kernel/random/boot_id"))
	if err != nil {
		return "", fmt.Errorf("reading the boot ID of the node: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}
