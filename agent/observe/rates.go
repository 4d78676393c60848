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
	// containers has those containers of which one look tells, by their ID.
	containers map[string]births.Estimate
	// pod and node are births per hour; 0 where one look does not tell.
	pod, node float64
}

// ratesOf tells how fast zombies come, by all that were seen twice, also by those too young to count: they hold a PID as
// the others do. The pod's rate comes from the zombies of all its containers together, because several that leak one each
// tell together what none tells alone.
func ratesOf(seen Seen) rates {
	r := rates{containers: map[string]births.Estimate{}, node: seen.NodeBirthsPerHour}
	var all []time.Time
	for _, c := range seen.Containers {
		starts := startsOf(c.Zombies)
		if born, ok := births.Of(starts, seen.LookBefore); ok {
			r.containers[c.ID] = born
		}
		all = append(all, starts...)
	}
	if born, ok := births.Of(all, seen.LookBefore); ok {
		r.pod = born.PerHour
	}
	return r
}

// startsOf are the times at which zombies started.
func startsOf(zombies []Zombie) []time.Time {
	starts := make([]time.Time, len(zombies))
	for i, z := range zombies {
		starts[i] = z.StartedAt
	}
	return starts
}

// at gives the limits of a container the births of what counts against them. What others on the node bring forth fills the limits
// above the pod too, but it is told of a pod only that adds to it: the node has a report of its own, and each change of its
// forecast would be a write for every pod.
func (r rates) at(c Container) []headroom.Limit {
	limits := make([]headroom.Limit, len(c.Limits))
	for i, limit := range c.Limits {
		switch limit.By {
		case v1alpha1.PIDLimitContainer:
			limit.BirthsPerHour = r.containers[c.ID].PerHour
		case v1alpha1.PIDLimitPod:
			limit.BirthsPerHour = r.pod
		case v1alpha1.PIDLimitKubepods, v1alpha1.PIDLimitPIDMax, v1alpha1.PIDLimitThreadsMax:
			if r.pod > 0 {
				limit.BirthsPerHour = r.node
			}
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

func birthsOf(born births.Estimate) *v1alpha1.Births {
	b := &v1alpha1.Births{PerHour: PerHour(born.PerHour)}
	// A period below a second is none that a report can tell.
	if period := math.Round(born.Period.Seconds()); born.Burst > 0 && period >= 1 {
		b.Burst, b.PeriodSeconds = int32(min(born.Burst, maxBurst)), int32(min(period, maxPeriod))
	}
	return b
}
