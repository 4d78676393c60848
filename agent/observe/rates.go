package observe

import (
	"math"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/births"
	"github.com/zombie-operator/zombie-operator/agent/headroom"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// rates say how fast zombies come in the containers of a pod, in the pod and on its node.
type rates struct {
	// born has all that come in those containers of which one look tells, by their ID.
	born map[string]births.Estimate
	// containers and pod are those that stay, of which alone a limit is filled: what a parent reaps now and then it will reap
	// again. The pod's is empty where one look does not tell.
	containers map[string]births.Estimate
	pod        births.Estimate
	// node is how many of them come on the node in an hour.
	node float64
}

// ratesOf tells how fast zombies come, by all that were seen twice, also by those too young to count: they hold a PID as
// the others do. The pod's rate comes from the zombies of all its containers together, because several that leak one each
// tell together what none tells alone.
func ratesOf(seen Seen) rates {
	r := rates{born: map[string]births.Estimate{}, containers: map[string]births.Estimate{}, node: seen.NodeBirthsPerHour}
	var all []time.Time
	for _, c := range seen.Containers {
		if born, ok := births.Of(startsOf(c.Zombies, whichever), seen.LookBefore); ok {
			r.born[c.ID] = born
		}
		staying := startsOf(c.Zombies, stays)
		if born, ok := births.Of(staying, seen.LookBefore); ok {
			r.containers[c.ID] = born
		}
		all = append(all, staying...)
	}
	r.pod, _ = births.Of(all, seen.LookBefore)
	return r
}

func whichever(Zombie) bool { return true }

func stays(z Zombie) bool { return !z.Temporary }

// startsOf are the times at which those zombies started that are wanted.
func startsOf(zombies []Zombie, wanted func(Zombie) bool) []time.Time {
	starts := make([]time.Time, 0, len(zombies))
	for _, z := range zombies {
		if wanted(z) {
			starts = append(starts, z.StartedAt)
		}
	}
	return starts
}

// at gives the limits of a container the births of what counts against them. What others on the node bring forth fills the limits
// above the pod too, but it is told of a pod only that adds to it, and no farther ahead than the pod is known to go on: the node
// has a report of its own, and each change of its forecast would be a write for every pod.
func (r rates) at(c Container) []headroom.Limit {
	limits := make([]headroom.Limit, len(c.Limits))
	for i, limit := range c.Limits {
		born := r.pod
		switch limit.By {
		case v1alpha1.PIDLimitContainer:
			born = r.containers[c.ID]
		case v1alpha1.PIDLimitKubepods, v1alpha1.PIDLimitPIDMax, v1alpha1.PIDLimitThreadsMax:
			if born.PerHour > 0 {
				born.PerHour = r.node
			}
		case v1alpha1.PIDLimitPod:
		}
		limit.BirthsPerHour = born.PerHour
		if ahead, bounded := born.Ahead(); bounded {
			limit.Ahead = ahead
		}
		limits[i] = limit
	}
	return limits
}

// Bounds of what a report says of births.
const (
	maxPerHour = 1_000_000_000
	maxBurst   = 4_194_304
	maxPeriod  = 31_622_400
)

// PerHour is births per hour as a report tells them.
func PerHour(perHour float64) int32 {
	return int32(min(math.Round(max(perHour, 0)), maxPerHour))
}

// birthsOf is nil where less than one in two hours comes and nobody knows at what distance: that would read as none.
func birthsOf(born births.Estimate) *v1alpha1.Births {
	b := &v1alpha1.Births{PerHour: PerHour(born.PerHour)}
	// A period below a second is none that a report can tell.
	if period := math.Round(born.Period.Seconds()); born.Burst > 0 && period >= 1 {
		b.Burst, b.PeriodSeconds = int32(min(born.Burst, maxBurst)), int32(min(period, maxPeriod))
	}
	if *b == (v1alpha1.Births{}) {
		return nil
	}
	return b
}
