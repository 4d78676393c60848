package observe

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/printable"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Finding is what looks like zombies in a pod, or holds them, but is no leak that a wait() would end.
type Finding struct {
	// Type is the type of its condition, one of v1alpha1.Findings.
	Type string
	// Message tells of it, at most v1alpha1.MaxConditionMessage characters of printable ASCII.
	Message string
	// Since is when it began to be true, as far as it is known.
	Since time.Time
}

// findings are the findings in a pod that last as long as a zombie must to count, in the order of v1alpha1.Findings.
func findings(containers []Container, observed []v1alpha1.ContainerObservation, now time.Time) []Finding {
	var found []Finding
	for _, kind := range v1alpha1.Findings {
		var cases []instance
		switch kind {
		case v1alpha1.ConditionLeaderExited:
			cases = alike(containers, scan.LeaderExited, now)
		case v1alpha1.ConditionHeldByTracer:
			cases = alike(containers, scan.HeldByTracer, now)
		case v1alpha1.ConditionOtherExitSignal:
			cases = alike(containers, scan.OtherExitSignal, now)
		case v1alpha1.ConditionContainerDead:
			cases = dead(containers, now)
		case v1alpha1.ConditionPileBehindD:
			cases = piles(observed)
		}
		if len(cases) > 0 {
			found = append(found, finding(kind, cases))
		}
	}
	return found
}

// instance is what makes a finding true in one container.
type instance struct {
	container string
	count     int
	// more says that there may be more than count.
	more  bool
	since time.Time
	// says is the sentence after the container's name, given the count of all containers in words.
	says func(count string) string
}

// finding tells of the container with most and counts what is in all.
func finding(kind string, cases []instance) Finding {
	slices.SortFunc(cases, func(a, b instance) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.container, b.container))
	})
	count, atLeast, since := 0, "", cases[0].since
	for _, i := range cases {
		count += i.count
		if i.more {
			atLeast = "at least "
		}
		if i.since.Before(since) {
			since = i.since
		}
	}
	more := ""
	if len(cases) > 1 {
		more = fmt.Sprintf(" and %d more", len(cases)-1)
	}
	tell := func(name string) string {
		return fmt.Sprintf("Container %s%s: %s See %s", name, more, cases[0].says(fmt.Sprint(atLeast, count)), v1alpha1.DocsURL(kind))
	}
	name := cases[0].container
	if excess := len(tell(name)) - v1alpha1.MaxConditionMessage; excess > 0 {
		const cutMark = ".."
		name = name[:max(0, len(name)-excess-len(cutMark))] + cutMark
	}
	return Finding{Type: kind, Message: printable.Printable(tell(name), v1alpha1.MaxConditionMessage), Since: since}
}

// alike are the containers with look-alikes of a kind.
func alike(containers []Container, kind scan.LookAlikeKind, now time.Time) []instance {
	var cases []instance
	for _, c := range containers {
		alike := slices.DeleteFunc(slices.Clone(c.LookAlikes), func(l LookAlike) bool {
			return l.Kind != kind || now.Sub(l.Since) < edge(0)
		})
		if len(alike) == 0 {
			continue
		}
		first := slices.MinFunc(alike, func(a, b LookAlike) int {
			return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Key.PID, b.Key.PID))
		})
		cases = append(cases, instance{
			c.Name, len(alike), c.MoreLookAlikes, first.Since, func(count string) string { return saysOf(first, count) },
		})
	}
	return cases
}

// saysOf tells of look-alikes by the example of one.
func saysOf(l LookAlike, count string) string {
	example := named(l.Command, l.PID)
	switch l.Kind {
	case scan.HeldByTracer:
		return fmt.Sprintf("%s dead and held by a tracer, such as %s by process %d of the node.", count, example, l.TracerPID)
	case scan.OtherExitSignal:
		return fmt.Sprintf("%s dead that a plain wait() passes over, such as %s with exit signal %d.", count, example, l.Exit.Signal)
	case scan.LeaderExited:
	}
	return fmt.Sprintf("%s alive, though their main thread has exited, such as %s. No zombies.", count, example)
}

// named names a process of a container.
func named(command string, pid int) string {
	command = printable.Printable(command, v1alpha1.MaxCommand)
	if pid == 0 {
		return command
	}
	return fmt.Sprintf("%s (PID %d)", command, pid)
}

// dead are the containers whose PID 1 is a zombie.
func dead(containers []Container, now time.Time) []instance {
	var cases []instance
	for _, c := range containers {
		if c.DeadSince.IsZero() || now.Sub(c.DeadSince) < edge(0) {
			continue
		}
		cases = append(cases, instance{c.Name, 1, false, c.DeadSince, func(string) string {
			return "its PID 1 is a zombie that the container runtime has not waited for. It is stuck; a restart cannot work."
		}})
	}
	return cases
}

// piles are the containers in which a parent stuck in D holds zombies. Among the parents that a report names is the one
// with most.
func piles(observed []v1alpha1.ContainerObservation) []instance {
	var cases []instance
	for _, c := range observed {
		for _, p := range c.Parents {
			if p.Cause != v1alpha1.CauseParentStuckInD {
				continue
			}
			cases = append(cases, instance{string(c.Name), int(p.Zombies), false, p.OldestZombieTime.Time, func(count string) string {
				return fmt.Sprintf("%s zombies pile up behind %s in state D. A restart may hang.", count, named(p.Command, int(*p.PID)))
			}})
		}
	}
	return cases
}
