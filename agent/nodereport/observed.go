// Package nodereport keeps the ZombieNodeReport of the agent's node true: what is wrong outside of the node's pods.
package nodereport

import (
	"cmp"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/agent/printable"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Zombie is a zombie of the host: one that is in no container.
type Zombie struct {
	// Since is when it died or, where the kernel does not tell, when it was first seen.
	Since time.Time
	// ParentCommand is its parent's command name, as the parent set it: foreign bytes.
	ParentCommand string
}

// Look is what one scan saw outside of the pods of the node.
type Look struct {
	// Host are the zombies that are outside of every container.
	Host []Zombie
	// Unattributed is, for each zombie of which cannot be told to what it belongs, since when it is one.
	Unattributed []time.Time
	// PIDs is the limit on processes that the node meets first; nil where it could not be read.
	PIDs *v1alpha1.PIDs
	// BirthsPerHour is how many zombies are born on the node in an hour, those of pods included; nil where one look does not
	// tell.
	BirthsPerHour *int32
	// ExhaustionTime is when no PID is left; the zero time where that is not in sight.
	ExhaustionTime time.Time
	// FullBy is the same for tables.
	FullBy string
}

// Observed makes the observation of a look at time now. Zombies younger than the first age edge do not count.
func Observed(look Look, now time.Time) v1alpha1.NodeObserved {
	counts := map[string]int32{}
	observed := v1alpha1.NodeObserved{PIDs: look.PIDs, BirthsPerHour: look.BirthsPerHour, FullBy: look.FullBy}
	for _, z := range look.Host {
		if counted(z.Since, now) {
			counts[printable.Printable(z.ParentCommand, v1alpha1.MaxCommand)]++
			observed.HostZombies++
		}
	}
	for _, since := range look.Unattributed {
		if counted(since, now) {
			observed.Unattributed++
		}
	}
	observed.Parents, observed.ParentsOmitted = parentsOf(counts)
	if !look.ExhaustionTime.IsZero() {
		observed.ExhaustionTime = new(metav1.NewTime(look.ExhaustionTime).Rfc3339Copy())
	}
	return observed
}

// counted says whether a zombie is old enough.
func counted(since, now time.Time) bool {
	return now.Sub(since) >= time.Duration(v1alpha1.AgeEdgesSeconds[0])*time.Second
}

// parentsOf lists the parents with most zombies, and counts the zombies of the others.
func parentsOf(counts map[string]int32) (parents []v1alpha1.HostParent, omitted int32) {
	commands := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for i, command := range commands {
		if i >= v1alpha1.MaxHostParents {
			omitted += counts[command]
			continue
		}
		parents = append(parents, v1alpha1.HostParent{Command: command, Zombies: counts[command]})
	}
	return parents, omitted
}
