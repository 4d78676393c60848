package agent

import (
	"slices"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/attribute"
	"github.com/zombie-operator/zombie-operator/agent/diagnose"
	"github.com/zombie-operator/zombie-operator/agent/evidence"
	"github.com/zombie-operator/zombie-operator/agent/observe"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// maxHolders is how many parents of the zombies of a container are read, and as many again whose zombies do not count yet. It
// bounds the work, because a tenant may make as many parents as it has PIDs; few real pods have ten. It is far more than a
// report names: one in state D keeps a restart from ending however few zombies it holds. Of those that are not among the most
// only the threads are read, at some 15 microseconds each: 1 ms for 64 of one thread, and 0.12 s for 64 with as many threads
// as are looked at.
const maxHolders = 64

// parents reads those parents of zombies that a report may name, and those that it may name next: a look at a parent is
// compared with the one before, so the first report that names it needs two.
func (a *Agent) parents(s sorted, now time.Time) map[scan.Key]diagnose.Evidence {
	var subjects []evidence.Subject
	for _, c := range a.Inventory.Containers() {
		counted := observe.Holders(observe.Counted(s.zombies[c.ID], now))
		reaperHolds := slices.ContainsFunc(counted, func(h observe.Holder) bool { return h.PID == 1 })
		for _, subject := range worst(counted, slices.Concat(s.zombies[c.ID], s.fresh[c.ID])) {
			subject.ReaperHolds, subject.ContainerInit, subject.ContainerNamespace = reaperHolds, initOf(c), c.Namespace
			subject.Frozen = a.frozen(c.ID, subject.Parent.Cgroups)
			subject.TracerOutside = a.tracerOutside(c.Container, subject.Parent)
			subjects = append(subjects, subject)
		}
	}
	return a.Evidence.Look(subjects)
}

// tracerOutside is whether a parent is known to be traced by one that does not end with its container.
func (a *Agent) tracerOutside(c attribute.Container, parent scan.Parent) bool {
	if parent.TracerPID == 0 || c.Namespace == 0 {
		return false
	}
	tracer, err := a.Proc.Identity(parent.TracerPID)
	return err == nil && tracer.Namespace != 0 && c.IsHeldUp(parent.PID, tracer)
}

// worst are the holders with most zombies: of those whose zombies count, and of the others.
func worst(counted []observe.Holder, all []observe.Zombie) []evidence.Subject {
	counts := make(map[scan.Key]bool, len(counted))
	for _, h := range counted {
		counts[h.Parent.Key] = true
	}
	others := slices.DeleteFunc(observe.Holders(all), func(h observe.Holder) bool { return counts[h.Parent.Key] })
	return slices.Concat(first(counted), first(others))
}

// first are the first holders; of those that a report names only when they hang, no more than their threads is to be read.
func first(holders []observe.Holder) []evidence.Subject {
	holders = holders[:min(len(holders), maxHolders)]
	subjects := make([]evidence.Subject, len(holders))
	for i, h := range holders {
		subjects[i] = subjectOf(h)
		subjects[i].ThreadsOnly = i >= v1alpha1.MaxParents
	}
	return subjects
}

// subjectOf counts what a parent holds and has reaped, and from whom most of those came that it did not always hold.
func subjectOf(h observe.Holder) evidence.Subject {
	subject := evidence.Subject{Parent: *h.Parent, PID: h.PID, Zombies: len(h.Zombies)}
	from := map[string]int{}
	for _, z := range h.Zombies {
		subject.Reaped = max(subject.Reaped, z.Reaped) // the same of all that were seen twice
		if z.MovedFrom == "" {
			continue
		}
		subject.Moved++
		from[z.MovedFrom]++
	}
	for command, count := range from {
		most := from[subject.MovedFrom]
		if count > most || count == most && command < subject.MovedFrom {
			subject.MovedFrom = command
		}
	}
	return subject
}
