// Package observe turns attributed zombies into what a report says of a pod, and says when a report is worth writing again.
package observe

import (
	"cmp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/agent/diagnose"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Zombie is a zombie of a container.
type Zombie struct {
	// Since is when it died.
	Since time.Time
	// Parent is its parent's identity on the host.
	Parent scan.Key
	// ParentCommand is its parent's command name, as the parent set it: foreign bytes.
	ParentCommand string
	// ParentPID is its parent's PID in the container's PID namespace; 0 when the parent is outside the container.
	ParentPID int
}

// Container is a container and its zombies.
type Container struct {
	Name    string
	ID      string
	Image   string
	Zombies []Zombie
}

// Pod makes the observation of a pod at time now. Zombies younger than the first age edge do not count.
func Pod(containers []Container, now time.Time) v1alpha1.Observed {
	var observed v1alpha1.Observed
	var oldest time.Time
	for _, c := range containers {
		zombies := slices.DeleteFunc(slices.Clone(c.Zombies), func(z Zombie) bool {
			return now.Sub(z.Since) < edge(0)
		})
		if len(zombies) == 0 {
			continue
		}
		observed.Zombies += int32(len(zombies)) //nolint:gosec // at most kernel.pid_max
		observed.Containers = append(observed.Containers, container(c, zombies, now))
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
	observed.Containers, observed.ContainersOmitted = cut(observed.Containers, v1alpha1.MaxContainers)
	return observed
}

func container(c Container, zombies []Zombie, now time.Time) v1alpha1.ContainerObservation {
	parents, omitted := cut(parentsOf(zombies), v1alpha1.MaxParents)
	return v1alpha1.ContainerObservation{
		Name:           v1alpha1.ContainerName(c.Name),
		ContainerID:    c.ID,
		Image:          Printable(c.Image, v1alpha1.MaxImage),
		Zombies:        int32(len(zombies)), //nolint:gosec // at most kernel.pid_max
		Ages:           agesOf(zombies, now),
		Parents:        parents,
		ParentsOmitted: omitted,
	}
}

func parentsOf(zombies []Zombie) []v1alpha1.Parent {
	byParent := map[scan.Key][]Zombie{}
	for _, z := range zombies {
		byParent[z.Parent] = append(byParent[z.Parent], z)
	}
	parents := make([]v1alpha1.Parent, 0, len(byParent))
	for key, held := range byParent {
		parents = append(parents, parent(key, held))
	}
	slices.SortFunc(parents, func(a, b v1alpha1.Parent) int {
		return cmp.Or(cmp.Compare(b.Zombies, a.Zombies), cmp.Compare(a.StartTicks, b.StartTicks), comparePID(a.PID, b.PID))
	})
	return parents
}

func comparePID(a, b *int32) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return cmp.Compare(*a, *b)
}

func parent(key scan.Key, zombies []Zombie) v1alpha1.Parent {
	command := Printable(zombies[0].ParentCommand, v1alpha1.MaxCommand)
	p := v1alpha1.Parent{
		StartTicks:       int64(key.StartTicks), //nolint:gosec // ticks since boot stay far below 2^63
		Command:          command,
		Zombies:          int32(len(zombies)), //nolint:gosec // at most kernel.pid_max
		OldestZombieTime: metav1.NewTime(oldestOf(zombies)).Rfc3339Copy(),
	}
	diagnosis := diagnose.Outside(command)
	if pid := zombies[0].ParentPID; pid != 0 {
		p.PID = new(int32(pid)) //nolint:gosec // at most kernel.pid_max
		diagnosis = diagnose.Inside(pid, command)
	}
	p.Cause, p.Message, p.Fix = diagnosis.Cause, diagnosis.Message, diagnosis.Fix
	return p
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

// Printable makes foreign text fit to be shown: bytes other than printable ASCII become '?', the rest is cut at most bytes.
func Printable(s string, most int) string {
	s = s[:min(len(s), most)]
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
