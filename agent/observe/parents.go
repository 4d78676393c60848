package observe

import (
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/agent/diagnose"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/printable"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Holder is a parent and the zombies that it holds.
type Holder struct {
	Parent *scan.Parent
	// PID is its PID in the container's PID namespace; 0 when it is outside the container.
	PID     int
	Zombies []Zombie
}

// Holders sorts zombies by their parent, the parent with most first.
func Holders(zombies []Zombie) []Holder {
	byParent := map[scan.Key]*Holder{}
	for _, z := range zombies {
		h, ok := byParent[z.Parent.Key]
		if !ok {
			h = &Holder{Parent: z.Parent, PID: z.ParentPID}
			byParent[z.Parent.Key] = h
		}
		h.Zombies = append(h.Zombies, z)
	}
	holders := make([]Holder, 0, len(byParent))
	for _, h := range byParent {
		holders = append(holders, *h)
	}
	slices.SortFunc(holders, func(a, b Holder) int {
		return cmp.Or(cmp.Compare(len(b.Zombies), len(a.Zombies)), cmp.Compare(a.Parent.StartTicks, b.Parent.StartTicks),
			comparePID(a.PID, b.PID), cmp.Compare(a.Parent.PID, b.Parent.PID))
	})
	return holders
}

// comparePID sorts those outside of the container last.
func comparePID(a, b int) int {
	return cmp.Compare(uint(a-1), uint(b-1)) // 0 becomes the largest number
}

// parentsOf tells of the parents with most zombies and counts the others. One that keeps a restart from ending does so however
// few zombies it holds, and who decides on a restart knows only what is told: where all such would be cut, the one of them with
// most takes the last place.
func parentsOf(zombies []Zombie, evidence map[scan.Key]diagnose.Evidence) (parents []v1alpha1.Parent, omitted int32) {
	holders := Holders(zombies)
	kept, omitted := cut(holders, v1alpha1.MaxParents)
	for _, h := range kept {
		parents = append(parents, parent(h, evidence))
	}
	if slices.ContainsFunc(parents, hindersRestart) {
		return parents, omitted
	}
	for _, h := range holders[len(kept):] {
		if _, read := evidence[h.Parent.Key]; !read && h.PID != 0 {
			continue // nothing is known of it, and there may be thousands
		}
		if p := parent(h, evidence); hindersRestart(p) {
			parents[len(parents)-1] = p
			break
		}
	}
	return parents, omitted
}

func hindersRestart(p v1alpha1.Parent) bool {
	return slices.Contains(p.CannotHelp, v1alpha1.RemedyRestartContainer)
}

func parent(h Holder, evidence map[scan.Key]diagnose.Evidence) v1alpha1.Parent {
	p := v1alpha1.Parent{
		StartTicks:       int64(h.Parent.StartTicks), //nolint:gosec // ticks since boot stay far below 2^63
		Command:          printable.Printable(h.Parent.Command, v1alpha1.MaxCommand),
		Zombies:          int32(len(h.Zombies)), //nolint:gosec // at most kernel.pid_max
		OldestZombieTime: metav1.NewTime(oldestOf(h.Zombies)).Rfc3339Copy(),
	}
	if h.PID != 0 {
		p.PID = new(int32(h.PID)) //nolint:gosec // at most kernel.pid_max
	}
	e, ok := evidence[h.Parent.Key]
	if !ok { // nothing but the zombies was seen
		e = diagnose.Evidence{Command: p.Command, PID: h.PID, Zombies: len(h.Zombies)}
	}
	d := diagnose.Diagnose(e)
	p.Cause, p.Message, p.Evidence, p.Fix, p.CannotHelp = d.Cause, d.Message, d.Evidence, d.Fix, d.CannotHelp
	p.Dead, p.DeadOmitted = deadOf(h.Zombies)
	return p
}

// deadOf groups the dead by what they were and how they ended, and counts those of the groups that are left out.
func deadOf(zombies []Zombie) (groups []v1alpha1.DeadGroup, omitted int32) {
	type kind struct{ command, exit string }
	counts := map[kind]int32{}
	for _, z := range zombies {
		counts[kind{printable.Printable(z.Command, v1alpha1.MaxCommand), exitOf(z.Exit)}]++
	}
	for k, count := range counts {
		groups = append(groups, v1alpha1.DeadGroup{Command: k.command, Exit: k.exit, Zombies: count})
	}
	slices.SortFunc(groups, func(a, b v1alpha1.DeadGroup) int {
		return cmp.Or(cmp.Compare(b.Zombies, a.Zombies), cmp.Compare(a.Command, b.Command), cmp.Compare(a.Exit, b.Exit))
	})
	groups, _ = cut(groups, v1alpha1.MaxDeadGroups)
	omitted = int32(len(zombies)) //nolint:gosec // at most kernel.pid_max
	for _, g := range groups {
		omitted -= g.Zombies
	}
	return groups, omitted
}

// exitOf says how a process ended; "" where the agent may not know.
func exitOf(exit kernel.Exit) string {
	status := unix.WaitStatus(exit.Status) //nolint:gosec // the kernel has 16 bits of it
	switch {
	case !exit.Readable:
		return ""
	case status.Signaled():
		return fmt.Sprintf("killed by %d", status.Signal())
	}
	return fmt.Sprintf("exit %d", uint8(exit.Status>>8)) //nolint:gosec // the one byte that holds it
}
