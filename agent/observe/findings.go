package observe

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/headroom"
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
	// Gist is what it says, with counts as their steps: while it stays the same, the finding is worth no other write. It is ""
	// where the message alone is known, as that of an earlier agent.
	Gist string
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
	// gist is what is said of it besides the count.
	gist string
	// says are the sentences after the container's name, given what is in all containers.
	says func(amount) string
}

// amount is a count that may be one of many.
type amount struct {
	count   int
	atLeast bool
}

func (a amount) String() string {
	if a.atLeast {
		return fmt.Sprint("at least ", a.count)
	}
	return fmt.Sprint(a.count)
}

// finding tells of the container with most and counts what is in all.
func finding(kind string, cases []instance) Finding {
	slices.SortFunc(cases, func(a, b instance) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.container, b.container))
	})
	all, since := amount{}, cases[0].since
	for _, i := range cases {
		all.count, all.atLeast = all.count+i.count, all.atLeast || i.more
		if i.since.Before(since) {
			since = i.since
		}
	}
	more := ""
	if len(cases) > 1 {
		more = fmt.Sprintf(" and %d more", len(cases)-1)
	}
	tell := func(name string) string {
		return fmt.Sprintf("Container %s%s: %s See %s", name, more, cases[0].says(all), v1alpha1.DocsURL(kind))
	}
	name := cases[0].container
	if excess := len(tell(name)) - v1alpha1.MaxConditionMessage; excess > 0 {
		const cutMark = ".."
		name = name[:max(0, len(name)-excess-len(cutMark))] + cutMark
	}
	return Finding{
		Type:    kind,
		Message: printable.Printable(tell(name), v1alpha1.MaxConditionMessage),
		Gist:    fmt.Sprint(cases[0].container, " ", Step(len(cases)), " ", amount{Step(all.count), all.atLeast}, " ", cases[0].gist),
		Since:   since,
	}
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
		example := exampleOf(first)
		scarce, step := "", 0
		if kind != scan.LeaderExited { // what lives holds its PIDs by right
			scarce, step = scarcity(c, now)
		}
		cases = append(cases, instance{
			c.Name, len(alike), c.MoreLookAlikes, first.Since, fmt.Sprint(example, " ", step),
			func(all amount) string { return saysOf(kind, all, example, scarce) },
		})
	}
	return cases
}

// exampleOf names a look-alike, and what holds or hides it.
func exampleOf(l LookAlike) string {
	name := named(l.Command, l.PID)
	switch {
	case l.Kind == scan.HeldByTracer:
		return fmt.Sprintf("%s, by node PID %d", name, l.TracerPID)
	case l.Kind == scan.OtherExitSignal && l.Exit.Signal == 0:
		return name + ", no signal"
	case l.Kind == scan.OtherExitSignal:
		return fmt.Sprintf("%s, signal %d", name, l.Exit.Signal)
	}
	return name
}

// saysOf tells of look-alikes by the example of one. Where PIDs are scarce, that takes the place of what the page tells anyway.
func saysOf(kind scan.LookAlikeKind, all amount, example, scarce string) string {
	processes, are, them := "processes", "are", "them"
	if all == (amount{count: 1}) {
		processes, are, them = "process", "is", "it"
	}
	switch kind {
	case scan.HeldByTracer:
		return fmt.Sprintf("%s dead %s %s held by a tracer; example: %s.%s", all, processes, are, example, scarce)
	case scan.OtherExitSignal:
		effect := ", so plain wait() misses " + them
		if scarce != "" {
			effect = ""
		}
		return fmt.Sprintf("%s dead %s sent no SIGCHLD%s; example: %s.%s", all, processes, effect, example, scarce)
	case scan.LeaderExited:
	}
	return fmt.Sprintf("%s alive, though their main thread has exited, such as %s. No zombies.", all, example)
}

// scarcity says how scarce the PIDs of a container are, and gives a number for it. The dead that do not count as zombies hold PIDs
// as zombies do, and where there are no zombies the report tells of PIDs nowhere else. It is silent below the first mark, as a
// message is short.
func scarcity(c Container, now time.Time) (says string, step int) {
	if c.ForksFailing {
		return " Forks fail.", -1
	}
	verdict, ok := headroom.Tightest(c.Limits, now)
	step = headroom.Step(verdict.PIDs.UsedPercent)
	if !ok || step == 0 {
		return "", 0
	}
	return fmt.Sprintf(" PIDs: %d %% used.", verdict.PIDs.UsedPercent), step
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
		cases = append(cases, instance{c.Name, 1, false, c.DeadSince, "", func(amount) string {
			return "its PID 1 is a zombie that the container runtime has not waited for. It is stuck; a restart cannot work."
		}})
	}
	return cases
}

// piles are the containers in which parents stuck in D hold zombies.
func piles(observed []v1alpha1.ContainerObservation) []instance {
	var cases []instance
	outlook := outlookOf(observed)
	for _, c := range observed {
		stuck := slices.DeleteFunc(slices.Clone(c.Parents), func(p v1alpha1.Parent) bool { return !isStuck(p) })
		if len(stuck) > 0 {
			cases = append(cases, pile(string(c.Name), stuck, outlook))
		}
	}
	return cases
}

func isStuck(p v1alpha1.Parent) bool { return p.Cause == v1alpha1.CauseParentStuckInD }

// outlookOf says what ends the sleep of those that are stuck. The worst of them decides.
func outlookOf(observed []v1alpha1.ContainerObservation) string {
	for _, c := range observed {
		if slices.ContainsFunc(c.Parents, func(p v1alpha1.Parent) bool { return isStuck(p) && hindersRestart(p) }) {
			return "A restart may hang."
		}
	}
	return "A restart ends such a sleep."
}

// pile tells of the parents of one container that are stuck, by the example of the one with most.
func pile(container string, stuck []v1alpha1.Parent, outlook string) instance {
	own, example := int(stuck[0].Zombies), named(stuck[0].Command, int(*stuck[0].PID))
	i := instance{container: container, since: stuck[0].OldestZombieTime.Time, gist: fmt.Sprint(example, " ", Step(own), " ", outlook)}
	for _, p := range stuck {
		if i.count += int(p.Zombies); p.OldestZombieTime.Time.Before(i.since) {
			i.since = p.OldestZombieTime.Time
		}
	}
	i.says = func(all amount) string {
		if all.count == own {
			return fmt.Sprintf("%s zombies pile up behind %s in state D. %s", all, example, outlook)
		}
		return fmt.Sprintf("%s zombies pile up behind processes in state D, %d behind %s. %s", all, own, example, outlook)
	}
	return i
}
