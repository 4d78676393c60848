package agent

import (
	"context"
	"slices"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/health"
	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/metrics"
	"github.com/zombie-operator/zombie-operator/agent/nodereport"
	"github.com/zombie-operator/zombie-operator/agent/observe"
	"github.com/zombie-operator/zombie-operator/agent/publish"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/agent/sighting"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// look takes one look at the node. It returns false when nothing can be said yet.
func (a *Agent) look(ctx context.Context) (look, bool) {
	err := a.Inventory.Refresh(ctx)
	if ctx.Err() != nil {
		return look{}, false // told to stop: nothing is wrong
	}
	a.note(health.PartRuntime, err)
	// The time of the look is that of the scan: a slow runtime must neither make zombies older than they are nor let two
	// scans back to back pass for two that are apart.
	now := time.Now()
	result, err := a.scanner.Scan(now)
	a.note(health.PartScan, err)
	if err != nil {
		return look{}, false
	}
	took := time.Since(now)
	a.Health.Scanned()
	if a.firstLook.IsZero() {
		a.firstLook = now
	}
	s := a.sorted(result)
	a.logElsewhere(s.counts)
	a.recallAges(s, now)
	a.note(health.PartFiles, a.Peek.Hung())
	n := a.node(s)
	containers := a.containers(s, n, now)
	// Before a zombie can have been seen twice, that none is counted says nothing.
	if now.Sub(a.firstLook) < sighting.MinApart {
		return look{}, false
	}
	seen := look{
		pods: publish.Look{At: now, Pods: a.pods(containers, s, n, now)},
		node: nodereport.Observed(n.look(s, now), now),
	}
	a.Metrics.Set(metrics.Look{
		Zombies: counted(seen.pods.Pods), LookAlikes: s.counts.kinds(), Node: seen.node, ScanSeconds: took.Seconds(),
	})
	return seen, true
}

func counted(pods []publish.Pod) int {
	count := 0
	for _, pod := range pods {
		count += int(pod.Observed.Zombies)
	}
	return count
}

// recallAges gives zombies the ages that an earlier agent reported, once.
func (a *Agent) recallAges(s sorted, now time.Time) {
	for _, c := range a.Inventory.Containers() {
		held := s.zombies[c.ID]
		if !slices.ContainsFunc(held, ageUntold) {
			continue
		}
		ages, oldest, ok := a.Recall.take(c.Pod.UID, c.ID)
		if !ok {
			continue
		}
		zombies := make([]*sighting.Zombie, len(held))
		for i, z := range held {
			zombies[i] = z.Zombie
		}
		a.tracker.Remember(zombies, ages, oldest, now)
	}
}

// ageUntold says that the kernel does not tell when a zombie died.
func ageUntold(z observe.Zombie) bool { return z.DiedAt.IsZero() }

// containers reads what there is to know of the containers of the node, dead ones included.
func (a *Agent) containers(s sorted, n nodeFacts, now time.Time) map[inventory.Pod][]observe.Container {
	evidence := a.parents(s, now)
	refused := map[string]refusals{}
	byPod := map[inventory.Pod][]observe.Container{}
	for _, c := range a.Inventory.Containers() {
		seen := observe.Container{
			Name: c.Name, ID: c.ID, Image: c.Image, Zombies: s.zombies[c.ID], LookAlikes: s.lookAlikes[c.ID], MoreLookAlikes: s.crowded[c.ID],
		}
		dead := len(seen.Zombies) + len(s.fresh[c.ID])
		if dead+len(seen.LookAlikes) > 0 {
			levels := a.levels(c.ID)
			refused[c.ID] = refusalsOf(levels)
			seen.ForksFailing = refused[c.ID].since(a.refused[c.ID])
			seen.Limits = slices.Concat(limitsOf(levels), n.limits)
		}
		if dead > 0 {
			seen.Evidence, seen.InitInImage = evidence, a.Peek.InitInImage(initOf(c))
		}
		byPod[c.Pod] = append(byPod[c.Pod], seen)
	}
	a.refused = refused
	for _, c := range a.Inventory.Dead() {
		byPod[c.Pod] = append(byPod[c.Pod], observe.Container{
			Name: c.Name, ID: c.ID, DeadSince: s.dead[c.ID], LookAlikes: s.lookAlikes[c.ID], MoreLookAlikes: s.crowded[c.ID],
		})
	}
	return byPod
}

func initOf(c inventory.Container) scan.Key {
	return scan.Key{PID: c.InitPID, StartTicks: c.InitTicks}
}

// pods joins what was seen with the pods of the node; a pod without zombies is there too.
func (a *Agent) pods(containers map[inventory.Pod][]observe.Container, s sorted, n nodeFacts, now time.Time) []publish.Pod {
	var pods []publish.Pod
	for pod, complete := range a.Inventory.Pods() {
		seen := containers[pod]
		observed, found := observe.Pod(observe.Seen{Containers: seen, LookBefore: s.lookBefore, NodeBirthsPerHour: n.staying}, now)
		pods = append(pods, publish.Pod{
			Namespace:  pod.Namespace,
			Name:       pod.Name,
			UID:        pod.UID,
			Observed:   observed,
			Findings:   found,
			Incomplete: !complete || slices.ContainsFunc(seen, func(c observe.Container) bool { return s.unsure[c.ID] || a.tooEarly(c, now) }),
			AgesUntold: slices.ContainsFunc(seen, func(c observe.Container) bool { return slices.ContainsFunc(c.Zombies, ageUntold) }),
		})
	}
	return pods
}

// tooEarly says that what looks like a zombie in a container was there at the first look and may or may not be old enough to
// tell of: an earlier agent may have told of it.
func (a *Agent) tooEarly(c observe.Container, now time.Time) bool {
	early := func(since time.Time) bool {
		return since.Equal(a.firstLook) && now.Sub(since) < time.Duration(v1alpha1.AgeEdgesSeconds[0])*time.Second
	}
	return early(c.DeadSince) || slices.ContainsFunc(c.LookAlikes, func(l observe.LookAlike) bool { return early(l.Since) })
}
