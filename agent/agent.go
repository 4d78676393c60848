// Package agent is the part of zombie-operator that runs on every node: it scans the kernel for zombies, says whose they
// are and why they stay, and reports. It decides nothing about policy.
package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/attribute"
	"github.com/zombie-operator/zombie-operator/agent/health"
	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/observe"
	"github.com/zombie-operator/zombie-operator/agent/publish"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/agent/sighting"
)

// Agent scans at an interval and hands what it saw to a publisher.
type Agent struct {
	Interval  time.Duration
	Proc      scan.Proc
	Inventory *inventory.Inventory
	Publisher *publish.Publisher
	Recall    *Recall
	Health    *health.Health
	Log       *slog.Logger

	scanner *scan.Scanner
	tracker *sighting.Tracker
	// firstLook is when the agent first looked.
	firstLook time.Time
	// homes are the containers of the zombies of the last look.
	homes map[scan.Key]string
	// told are the steps of the counts that were last logged.
	told elsewhere
}

// elsewhere counts the zombies that are in no report, and what looks like one.
type elsewhere struct{ host, unknown, liveLeaders, traced, unreadable int }

// steps makes counts comparable that differ only a little: they change all the time, and the log should not.
func (e elsewhere) steps() elsewhere {
	return elsewhere{
		host: observe.Step(e.host), unknown: observe.Step(e.unknown), liveLeaders: observe.Step(e.liveLeaders),
		traced: observe.Step(e.traced), unreadable: observe.Step(e.unreadable),
	}
}

// Run scans until the context ends. Scanning never waits for the API server: a slow or absent one only delays reports,
// and then the newest look is reported, not each one in between.
func (a *Agent) Run(ctx context.Context) {
	a.scanner, a.tracker = scan.New(a.Proc), sighting.NewTracker()
	a.checkRights()
	looks := make(chan publish.Look, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.publish(ctx, looks)
	}()
	ticker := time.NewTicker(a.Interval)
	defer ticker.Stop()
	for {
		if look, ok := a.look(ctx); ok {
			select {
			case <-looks: // not taken yet, and out of date now
			default:
			}
			looks <- look
		}
		select {
		case <-ctx.Done():
			<-done
			return
		case <-ticker.C:
		}
	}
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

// look takes one look at the node. It returns false when nothing can be said yet.
func (a *Agent) look(ctx context.Context) (publish.Look, bool) {
	err := a.Inventory.Refresh(ctx)
	if ctx.Err() != nil {
		return publish.Look{}, false // told to stop: nothing is wrong
	}
	a.note(health.PartRuntime, err)
	// The time of the look is that of the scan: a slow runtime must neither make zombies older than they are nor let two
	// scans back to back pass for two that are apart.
	now := time.Now()
	result, err := a.scanner.Scan(now)
	a.note(health.PartScan, err)
	if err != nil {
		return publish.Look{}, false
	}
	a.Health.Scanned()
	if a.firstLook.IsZero() {
		a.firstLook = now
	}
	zombies, unsure := a.attributed(result, a.tracker.Look(result))
	// Before a zombie can have been seen twice, that none is counted says nothing.
	if now.Sub(a.firstLook) < sighting.MinApart {
		return publish.Look{}, false
	}
	return publish.Look{At: now, Pods: a.pods(zombies, unsure, now)}, true
}

// located is a zombie of a container, with its living parent.
type located struct {
	sighting.Zombie
	parent    scan.Parent
	parentPID int
}

// attributed sorts zombies by their container and counts those that have none. A zombie that had a container at the last
// look and cannot be attributed now, because its parent is just dying, say, makes that container unsure: it must
// not be reported to have fewer.
func (a *Agent) attributed(result scan.Result, stayed []sighting.Zombie) (zombies map[string][]located, unsure map[string]bool) {
	table := attribute.NewTable(a.hostNamespace(), facts(a.Inventory.Containers()))
	counts := elsewhere{liveLeaders: result.LiveLeaders, traced: result.Traced, unreadable: result.Unreadable}
	zombies, unsure = map[string][]located{}, map[string]bool{}
	homes := make(map[scan.Key]string, len(stayed))
	for _, z := range stayed {
		var parent *scan.Parent
		if p, ok := result.Parents[z.ParentPID]; ok {
			parent = &p
		}
		verdict := table.Attribute(z.Zombie, parent)
		switch verdict.Place {
		case attribute.Host:
			counts.host++
		case attribute.Unknown:
			counts.unknown++
			if home, ok := a.homes[z.Key]; ok {
				homes[z.Key], unsure[home] = home, true
			}
		case attribute.InContainer, attribute.ParentOutside:
			homes[z.Key] = verdict.ContainerID
			zombies[verdict.ContainerID] = append(zombies[verdict.ContainerID],
				located{Zombie: z, parent: *parent, parentPID: verdict.ParentPID})
		}
	}
	a.homes = homes
	if steps := counts.steps(); steps != a.told {
		a.told = steps
		a.Log.Info("Zombies that are in no report", "ofTheHost", counts.host, "unattributed", counts.unknown,
			"traced", counts.traced, "leadersWithLiveThreads", counts.liveLeaders, "unreadable", counts.unreadable)
	}
	return zombies, unsure
}

func (a *Agent) hostNamespace() uint64 {
	namespace, err := a.Proc.PIDNamespace(os.Getpid())
	if err != nil {
		return 0
	}
	return namespace
}

func facts(containers []inventory.Container) []attribute.Container {
	out := make([]attribute.Container, 0, len(containers))
	for _, c := range containers {
		out = append(out, c.Container)
	}
	return out
}

// pods joins what was seen with the pods of the node; a pod without zombies is there too.
func (a *Agent) pods(zombies map[string][]located, unsure map[string]bool, now time.Time) []publish.Pod {
	byPod := map[inventory.Pod][]observe.Container{}
	untold, incomplete := map[inventory.Pod]bool{}, map[inventory.Pod]bool{}
	for _, c := range a.Inventory.Containers() {
		if unsure[c.ID] {
			incomplete[c.Pod] = true
		}
		held := zombies[c.ID]
		if slices.ContainsFunc(held, func(z located) bool { return z.DiedAt.IsZero() }) {
			untold[c.Pod] = true
			a.recallAges(c, held, now)
		}
		byPod[c.Pod] = append(byPod[c.Pod], observed(c, held))
	}
	var pods []publish.Pod
	for pod, complete := range a.Inventory.Pods() {
		pods = append(pods, publish.Pod{
			Namespace:  pod.Namespace,
			Name:       pod.Name,
			UID:        pod.UID,
			Observed:   observe.Pod(byPod[pod], now),
			Incomplete: !complete || incomplete[pod],
			AgesUntold: untold[pod],
		})
	}
	return pods
}

// recallAges gives zombies the ages that an earlier agent reported, once.
func (a *Agent) recallAges(c inventory.Container, held []located, now time.Time) {
	ages, oldest, ok := a.Recall.take(c.Pod.UID, c.ID)
	if !ok {
		return
	}
	zombies := make([]sighting.Zombie, len(held))
	for i, z := range held {
		zombies[i] = z.Zombie
	}
	a.tracker.Remember(zombies, ages, oldest, now)
	for i := range held {
		held[i].Zombie = zombies[i]
	}
}

func observed(c inventory.Container, held []located) observe.Container {
	zombies := make([]observe.Zombie, len(held))
	for i, z := range held {
		zombies[i] = observe.Zombie{Since: z.Since, Parent: z.parent.Key, ParentCommand: z.parent.Command, ParentPID: z.parentPID}
	}
	return observe.Container{Name: c.Name, ID: c.ID, Image: c.Image, Zombies: zombies}
}

// publish writes the newest look, again and again, until the context ends.
func (a *Agent) publish(ctx context.Context, looks <-chan publish.Look) {
	for {
		select {
		case <-ctx.Done():
			return
		case look := <-looks:
			a.note(health.PartReports, a.Publisher.Publish(ctx, look, time.Now()))
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
