// Package agent is the part of zombie-operator that runs on every node: it scans the kernel for zombies, says whose they
// are and why they stay, and reports. It decides nothing about policy.
package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/cgroup"
	"github.com/zombie-operator/zombie-operator/agent/evidence"
	"github.com/zombie-operator/zombie-operator/agent/health"
	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/metrics"
	"github.com/zombie-operator/zombie-operator/agent/nodereport"
	"github.com/zombie-operator/zombie-operator/agent/peek"
	"github.com/zombie-operator/zombie-operator/agent/publish"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/agent/sighting"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Agent scans at an interval and hands what it saw to its publishers.
type Agent struct {
	Interval  time.Duration
	Proc      scan.Proc
	Inventory *inventory.Inventory
	// Cgroups is nil where the host's cgroup mount is missing: then nothing is told of the limits of containers and pods.
	Cgroups       *cgroup.FS
	Peek          *peek.Worker
	Evidence      *evidence.Gatherer
	Publisher     *publish.Publisher
	NodePublisher *nodereport.Publisher
	Metrics       *metrics.Metrics
	Recall        *Recall
	Health        *health.Health
	Log           *slog.Logger

	scanner *scan.Scanner
	tracker *sighting.Tracker
	// firstLook and lastLook are when the agent first and last looked.
	firstLook, lastLook time.Time
	// homes are the containers of the zombies of the last look.
	homes map[scan.Key]string
	// unknown are the zombies of the last look of which it was not known where they belong.
	unknown map[scan.Key]bool
	// refused are the forks refused at the limits of the containers of the last look.
	refused map[string]refusals
	// told are the steps of the counts that were last logged.
	told elsewhere
}

// look is what one scan saw on the node, as it is reported.
type look struct {
	pods publish.Look
	node v1alpha1.NodeObserved
}

// Run scans until the context ends. Scanning never waits for the API server: a slow or absent one only delays reports,
// and then the newest look is reported, not each one in between.
func (a *Agent) Run(ctx context.Context) {
	a.begin()
	looks := make(chan look, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.publish(ctx, looks)
	}()
	ticker := time.NewTicker(a.Interval)
	defer ticker.Stop()
	for {
		if seen, ok := a.look(ctx); ok {
			select {
			case <-looks: // not taken yet, and out of date now
			default:
			}
			looks <- seen
		}
		select {
		case <-ctx.Done():
			<-done
			return
		case <-ticker.C:
		}
	}
}

// begin is what comes before the first look.
func (a *Agent) begin() {
	a.scanner, a.tracker = scan.New(a.Proc), sighting.NewTracker()
	a.checkRights()
}

var (
	errNotHostPID = errors.New("the agent is not in the host's PID namespace and sees no process but its own: set hostPID: true in its pod")
	errNoPtrace   = errors.New("PID namespaces cannot be read: give the agent the capability SYS_PTRACE; until then a zombie is attributed by its parent's cgroup alone")
)

// checkRights finds out once what the agent may see. In a PID namespace of its own it is PID 1.
func (a *Agent) checkRights() {
	var hidden error
	if os.Getpid() == 1 {
		hidden = errNotHostPID
	}
	a.note(health.PartHostPID, hidden)
	if !mayTrace() {
		a.Log.Warn("Scanning goes on with what is left", "err", errNoPtrace)
	}
}

// mayTrace says whether the agent has CAP_SYS_PTRACE. To try it on a process would not do: some refuse even then.
func mayTrace() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return true // not known; nothing to warn of
	}
	return sets[0].Effective&(1<<unix.CAP_SYS_PTRACE) != 0
}

// publish writes the newest look, again and again, until the context ends. The node's report comes first: it is three calls at most,
// where many leaking pods take minutes, and it is the one that matters when the node itself runs out of PIDs.
func (a *Agent) publish(ctx context.Context, looks <-chan look) {
	for {
		select {
		case <-ctx.Done():
			return
		case seen := <-looks:
			a.note(health.PartNodeReport, a.NodePublisher.Publish(ctx, seen.node, time.Now()))
			a.note(health.PartReports, a.Publisher.Publish(ctx, seen.pods, time.Now()))
		}
	}
}

// note keeps the health of a part and logs when it changes.
func (a *Agent) note(part string, err error) {
	switch changed := a.Health.Set(part, err); {
	case !changed:
	case err != nil:
		a.Log.Error("Part of the agent fails; the rest goes on", "part", part, "err", err)
	default:
		a.Log.Info("Part of the agent works", "part", part)
	}
}
