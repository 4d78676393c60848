package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

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

// retryAfter is the pause before remediations are tried again. What keeps the agent from them is mostly its own pod's settings, which
// do not change as long as it runs; Run itself waits for the API server.
const retryAfter = time.Minute

// run executes remediations until the context ends. While it cannot, the agent says why; scans and reports go on.
func (r remedies) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := r.execute(ctx); err != nil && ctx.Err() == nil {
			r.tell(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
	}
}

// tell keeps whether remediations are executed, and logs when it changes.
func (r remedies) tell(err error) {
	switch changed := r.health.Set(health.PartRemediations, err); {
	case !changed:
	case err != nil:
		r.log.Error("Remediations are not executed; the rest goes on", "err", err)
	default:
		r.log.Info("Remediations are executed")
	}
}

func (r remedies) execute(ctx context.Context) error {
	if err := sameNamespace(r.options.procRoot); err != nil {
		return err
	}
	boot, err := bootID(r.options.procRoot)
	if err != nil {
		return err
	}
	finder := target.Finder{Runtime: r.socket, Proc: r.proc, Open: target.OpenPidfd}
	kinds := map[v1alpha1.RemediationAction]act.Kind{
		v1alpha1.RemediationSignalParent:     signal.New(finder),
		v1alpha1.RemediationRestartContainer: restart.New(r.socket, finder, r.options.procRoot),
	}
	self := remedy.Self{Node: r.options.nodeName, BootID: boot, PodUID: r.options.podUID}
	return remedy.Run(ctx, r.cfg, self, kinds, r.tell, r.log) //nolint:wrapcheck // it says what it was doing
}

// sameNamespace fails unless a proc mount is that of the agent's own PID namespace. Only then does a PID that was read there
// mean the same process when the agent takes hold of it.
func sameNamespace(procRoot string) error {
	self, err := os.Readlink(filepath.Join(procRoot, "self"))
	if err != nil {
		return fmt.Errorf("looking for the agent itself in the proc mount: %w", err)
	}
	if self != strconv.Itoa(os.Getpid()) {
		return fmt.Errorf("looking for the agent itself in the proc mount %q: it is process %q there and %d here: %w", procRoot, self, os.Getpid(), errOtherNamespace)
	}
	return nil
}

var errOtherNamespace = errors.New("the proc mount is of another PID namespace; the agent's pod needs hostPID: true")

// bootID reads which boot of the node this is: PIDs and start times are worth nothing in another one.
func bootID(procRoot string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(procRoot, "sys/kernel/random/boot_id"))
	if err != nil {
		return "", fmt.Errorf("reading the boot ID of the node: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}
