// Package observe turns attributed zombies, and what was read of their containers, into what a report says of a pod, and
// says when a report is worth writing again.
package observe

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/agent/diagnose"
	"github.com/zombie-operator/zombie-operator/agent/headroom"
	"github.com/zombie-operator/zombie-operator/agent/printable"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/agent/sighting"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Zombie is a zombie of a container, seen twice.
type Zombie struct {
	*sighting.Zombie
	// Parent is its living parent.
	Parent *scan.Parent
	// ParentPID is its parent's PID in the container's PID namespace; 0 when the parent is outside the container.
	ParentPID int
}

// LookAlike is a process of a container in state Z that no parent could reap, seen twice.
type LookAlike struct {
	sighting.LookAlike
	// PID is its PID in the container's PID namespace; 0 when it has none there.
	PID int
}

// Container is a container and what was seen in it.
type Container struct {
	Name  string
	ID    string
	Image string
	// DeadSince is when its PID 1 died, though the runtime says that it runs; the zero time when it lives.
	DeadSince  time.Time
	Zombies    []Zombie
	LookAlikes []LookAlike
	// MoreLookAlikes says that there are more in its pod, maybe of other kinds or in another container of it: they were not looked at.
	MoreLookAlikes bool
	// Evidence is what was read of the parents of the zombies.
	Evidence map[scan.Key]diagnose.Evidence
	// Limits are the limits on processes and threads that bind it. Their births are not looked at: Pod knows them.
	Limits []headroom.Limit
	// ForksFailing is whether forks were refused at a limit of the container or of its pod since the last look.
	ForksFailing bool
	// InitInImage is the path of an init in its image that is not PID 1; "" when none was found.
	InitInImage string
}

// Seen is what was seen in a pod and is to be known of its node.
type Seen struct {
	Containers []Container
	// LookBefore is when the look before this one was. What died since was seen once, so it is not among the zombies.
	LookBefore time.Time
	// NodeBirthsPerHour is how many zombies come on the node in an hour and stay, those of the pod included.
	NodeBirthsPerHour float64
}

// Pod makes the observation and the findings of a pod at time now. Zombies younger than the first age edge do not count.
func Pod(seen Seen, now time.Time) (v1alpha1.Observed, []Finding) {
	var observed v1alpha1.Observed
	var oldest time.Time
	rates := ratesOf(seen)
	for _, c := range seen.Containers {
		zombies := Counted(c.Zombies, now)
		if len(zombies) == 0 {
			continue
		}
		observed.Zombies += int32(len(zombies)) //nolint:gosec // at most kernel.pid_max
		observed.Containers = append(observed.Containers, container(c, zombies, rates, now))
		if o := oldestOf(zombies); oldest.IsZero() || o.Before(oldest) {
			oldest = o
		}
	}
	if !oldest.IsZero() {
		observed.OldestZombieTime = new(metav1.NewTime(oldest).Rfc3339Copy())
	}
	slices.SortFunc(observed.Containers, func(a, b v1alpha1.ContainerObservation) int {
		return cmp.Or(cmp.Compare(b.Zombies, a.Zombies), cmp.Compare(a.Name, b.Name))
	})
	found := findings(seen.Containers, observed.Containers, now)
	observed.Finding = worst(observed.Containers, found)
	observed.Containers, observed.ContainersOmitted = cut(observed.Containers, v1alpha1.MaxContainers)
	return observed, found
}

// Counted leaves those zombies that are old enough at time now to be told of.
func Counted(zombies []Zombie, now time.Time) []Zombie {
	return slices.DeleteFunc(slices.Clone(zombies), func(z Zombie) bool { return now.Sub(z.Since) < edge(0) })
}

// worst is what a table says of a pod.
func worst(containers []v1alpha1.ContainerObservation, found []Finding) string {
	switch {
	case len(containers) > 0:
		return string(containers[0].Parents[0].Cause)
	case len(found) > 0:
		return found[0].Type
	}
	return ""
}

func container(c Container, zombies []Zombie, rates rates, now time.Time) v1alpha1.ContainerObservation {
	observation := v1alpha1.ContainerObservation{
		Name:        v1alpha1.ContainerName(c.Name),
		ContainerID: c.ID,
		Image:       printable.Printable(c.Image, v1alpha1.MaxImage),
		Zombies:     int32(len(zombies)), //nolint:gosec // at most kernel.pid_max
		Ages:        agesOf(zombies, now),
		InitInImage: pathOf(c.InitInImage),
	}
	observation.Parents, observation.ParentsOmitted = parentsOf(zombies, c.Evidence)
	if born, ok := rates.born[c.ID]; ok {
		observation.Births = birthsOf(born)
	}
	if verdict, ok := headroom.Tightest(rates.at(c), now); ok {
		observation.PIDs = &verdict.PIDs
		observation.PIDs.ForksFailing = c.ForksFailing
		observation.FullBy = verdict.FullBy
		if !verdict.ExhaustionTime.IsZero() {
			observation.ExhaustionTime = new(metav1.NewTime(verdict.ExhaustionTime).Rfc3339Copy())
		}
	}
	return observation
}

// maxPath is how long the path of an init may be in a report.
const maxPath = 48

// pathOf leaves a path out that the API would refuse: its last part was named by the image's author.
func pathOf(path string) string {
	strange := slices.ContainsFunc([]byte(path), func(c byte) bool {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		return !letter && c != '-' && c != '_' && c != '.' && c != '/'
	})
	if strange || len(path) > maxPath || path == "" || path[0] != '/' {
		return ""
	}
	return path
}

func agesOf(zombies []Zombie, now time.Time) []v1alpha1.AgeCount {
	var ages []v1alpha1.AgeCount
	for i, seconds := range v1alpha1.AgeEdgesSeconds {
		var count int32
		for _, z := range zombies {
			if now.Sub(z.Since) >= edge(i) {
				count++
			}
		}
		if count > 0 {
			ages = append(ages, v1alpha1.AgeCount{MinAgeSeconds: seconds, Zombies: count})
		}
	}
	return ages
}

func edge(i int) time.Duration {
	return time.Duration(v1alpha1.AgeEdgesSeconds[i]) * time.Second
}

func oldestOf(zombies []Zombie) time.Time {
	return slices.MinFunc(zombies, func(a, b Zombie) int { return a.Since.Compare(b.Since) }).Since
}

// cut keeps the first items and counts the rest.
func cut[T any](items []T, keep int) (kept []T, omitted int32) {
	if len(items) <= keep {
		return items, 0
	}
	return items[:keep], int32(len(items) - keep) //nolint:gosec // at most kernel.pid_max
}
