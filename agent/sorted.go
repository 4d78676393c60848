package agent

import (
	"os"
	"slices"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/attribute"
	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/nodereport"
	"github.com/zombie-operator/zombie-operator/agent/observe"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/agent/sighting"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// sorted is what one look saw, by where it belongs. Containers go by their ID.
type sorted struct {
	// lookBefore is when the look before this one was; the zero time at the first.
	lookBefore time.Time
	// zombies are those that were seen twice.
	zombies map[string][]observe.Zombie
	// fresh are those that were seen once. They are no leak yet, but two looks at their parent tell why they stay, and the
	// report that counts them first must know.
	fresh      map[string][]observe.Zombie
	lookAlikes map[string][]observe.LookAlike
	// crowded are the containers of whose pod there are more look-alikes than a look keeps.
	crowded map[string]bool
	// dead are the containers whose PID 1 is a zombie, and since when.
	dead map[string]time.Time
	// unsure are the containers with a zombie that had its home there at the last look and cannot be attributed now,
	// because its parent is just dying, say: they must not be reported to have fewer.
	unsure map[string]bool
	// host are the zombies outside of every container, unattributed those of which it is not known and was not at the last look.
	host         []nodereport.Zombie
	unattributed []time.Time
	// starts are the start times of all that were seen twice, wherever they are; staying are those of the ones that are not temporary.
	starts, staying []time.Time
	counts          elsewhere
}

// elsewhere counts the zombies that are in no report of a pod, and what looks like one.
type elsewhere struct {
	host, unknown, liveLeaders, traced, otherSignal, dead, unreadable int
	// beyond are look-alikes of which no more is known than that they are there, because their pod has so many.
	beyond int
}

// steps makes counts comparable that differ only a little: they change all the time, and the log should not.
func (e elsewhere) steps() elsewhere {
	return elsewhere{
		host: observe.Step(e.host), unknown: observe.Step(e.unknown), liveLeaders: observe.Step(e.liveLeaders),
		traced: observe.Step(e.traced), otherSignal: observe.Step(e.otherSignal), dead: observe.Step(e.dead),
		unreadable: observe.Step(e.unreadable), beyond: observe.Step(e.beyond),
	}
}

// kinds are the counts of what looks like a zombie, by the condition that tells of it.
func (e elsewhere) kinds() map[string]int {
	return map[string]int{
		v1alpha1.ConditionLeaderExited: e.liveLeaders, v1alpha1.ConditionHeldByTracer: e.traced,
		v1alpha1.ConditionOtherExitSignal: e.otherSignal, v1alpha1.ConditionContainerDead: e.dead,
	}
}

func (a *Agent) logElsewhere(counts elsewhere) {
	steps := counts.steps()
	if steps == a.told {
		return
	}
	a.told = steps
	a.Log.Info("Zombies that are in no report", "ofTheHost", counts.host, "unattributed", counts.unknown,
		"traced", counts.traced, "leadersWithLiveThreads", counts.liveLeaders, "otherExitSignal", counts.otherSignal,
		"deadContainers", counts.dead, "unreadable", counts.unreadable, "moreLookAlikes", counts.beyond)
}

// sorter sorts what one look saw.
type sorter struct {
	sorted

	table   attribute.Table
	parents map[int]*scan.Parent
	// beyond are the counts of look-alikes that were not kept, by their owner.
	beyond map[int]int
	// depths are how many PID namespaces there are down to that of a container.
	depths map[string]int
	// inits are the dead containers by their PID 1.
	inits map[scan.Key]string
	// before and homes are the containers of the zombies at the last look and at this one.
	before, homes map[scan.Key]string
	// unknownBefore and unknown are the zombies of which it was not known where they belong, at the last look and at this one.
	unknownBefore, unknown map[scan.Key]bool
}

// sorted takes in a look and sorts it.
func (a *Agent) sorted(result scan.Result) sorted {
	stayed, alike := a.tracker.Look(result)
	containers, dead := a.Inventory.Containers(), a.Inventory.Dead()
	s := sorter{
		sorted: sorted{
			zombies: map[string][]observe.Zombie{}, fresh: map[string][]observe.Zombie{}, lookAlikes: map[string][]observe.LookAlike{},
			lookBefore: a.lastLook, dead: map[string]time.Time{}, unsure: map[string]bool{}, crowded: map[string]bool{},
			counts: elsewhere{unreadable: result.Unreadable},
		},
		table:   attribute.NewTable(a.hostNamespace(), facts(containers)),
		parents: result.Parents, beyond: result.Beyond, depths: depthsOf(slices.Concat(containers, dead)), inits: initsOf(dead),
		before: a.homes, homes: make(map[scan.Key]string, len(stayed)),
		unknownBefore: a.unknown, unknown: map[scan.Key]bool{},
	}
	for _, z := range result.Zombies { // those that stayed are in the same order
		if len(stayed) == 0 || stayed[0].Key != z.Key {
			s.passing(z)
			continue
		}
		s.zombie(&stayed[0])
		stayed = stayed[1:]
	}
	for _, l := range alike {
		s.lookAlike(l)
	}
	for _, count := range result.Beyond {
		s.counts.beyond += count
	}
	a.homes, a.unknown, a.lastLook = s.homes, s.unknown, result.At
	return s.sorted
}

func (s *sorter) zombie(z *sighting.Zombie) {
	s.starts = append(s.starts, z.StartedAt)
	if !z.Temporary {
		s.staying = append(s.staying, z.StartedAt)
	}
	if id, ok := s.inits[z.Key]; ok {
		s.dead[id] = z.Since
		s.counts.dead++
		return
	}
	parent := s.parents[z.ParentPID]
	verdict := s.table.Attribute(*z.Zombie, parent)
	switch verdict.Place {
	case attribute.Host:
		s.counts.host++
		s.host = append(s.host, nodereport.Zombie{Since: z.Since, ParentCommand: parent.Command})
	case attribute.Unknown:
		s.lost(z)
	case attribute.InContainer, attribute.ParentOutside:
		s.homes[z.Key] = verdict.ContainerID
		s.zombies[verdict.ContainerID] = append(s.zombies[verdict.ContainerID],
			observe.Zombie{Zombie: z, Parent: parent, ParentPID: verdict.ParentPID})
	}
}

// lost takes in a zombie of which it is not known where it belongs. At a single look that only says that its parent is just
// dying, as in every container that is restarted: so it counts when it was so at the last look already.
func (s *sorter) lost(z *sighting.Zombie) {
	s.unknown[z.Key] = true
	if s.unknownBefore[z.Key] {
		s.counts.unknown++
		s.unattributed = append(s.unattributed, z.Since)
	}
	if home, ok := s.before[z.Key]; ok {
		s.homes[z.Key], s.unsure[home] = home, true
	}
}

// passing takes in a zombie that was seen once.
func (s *sorter) passing(z *scan.Zombie) {
	parent := s.parents[z.ParentPID]
	verdict := s.table.Attribute(*z, parent)
	switch {
	case verdict.Place == attribute.Unknown:
		s.unknown[z.Key] = true
	case verdict.ContainerID != "":
		s.fresh[verdict.ContainerID] = append(s.fresh[verdict.ContainerID],
			observe.Zombie{Zombie: &sighting.Zombie{Zombie: z}, Parent: parent, ParentPID: verdict.ParentPID})
	}
}

// lookAlike attributes what looks like a zombie as if it were one. The PID 1 of a dead container, which a tracer holds, say, has
// no parent in it that could be blamed: it is that container's all the same, and nothing else tells why it is stuck.
func (s *sorter) lookAlike(l sighting.LookAlike) {
	switch l.Kind {
	case scan.LeaderExited:
		s.counts.liveLeaders++
	case scan.HeldByTracer:
		s.counts.traced++
	case scan.OtherExitSignal:
		s.counts.otherSignal++
	}
	id, ok := s.inits[l.Key]
	if !ok {
		id = s.table.Attribute(scan.Zombie{Key: l.Key, Identity: l.Identity, ParentPID: l.ParentPID}, s.parents[l.ParentPID]).ContainerID
	}
	if id == "" {
		return
	}
	seen := observe.LookAlike{LookAlike: l}
	if depth := s.depths[id]; depth > 0 && depth <= len(l.NamespacePIDs) {
		seen.PID = l.NamespacePIDs[depth-1]
	}
	s.lookAlikes[id] = append(s.lookAlikes[id], seen)
	if s.beyond[l.Owner] > 0 {
		s.crowded[id] = true
	}
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

func depthsOf(containers []inventory.Container) map[string]int {
	depths := make(map[string]int, len(containers))
	for _, c := range containers {
		depths[c.ID] = c.Depth
	}
	return depths
}

func initsOf(dead []inventory.Container) map[scan.Key]string {
	inits := make(map[scan.Key]string, len(dead))
	for _, c := range dead {
		inits[initOf(c)] = c.ID
	}
	return inits
}
