package agent

import (
	"slices"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/births"
	"github.com/zombie-operator/zombie-operator/agent/headroom"
	"github.com/zombie-operator/zombie-operator/agent/nodereport"
	"github.com/zombie-operator/zombie-operator/agent/observe"
)

// nodeFacts are what is known of the node as a whole.
type nodeFacts struct {
	// limits are its limits on processes and threads; none where they could not be read.
	limits []headroom.Limit
	// perHour is how many zombies are born on it in an hour; nil where one look does not tell.
	perHour *float64
	// staying is how many of them stay, by what is known of their parents.
	staying float64
}

// node tells how fast zombies come on the node, by all that were seen twice, and reads its limits.
func (a *Agent) node(s sorted) nodeFacts {
	n := ratesOf(s)
	n.limits = a.readLimits()
	return n
}

// ratesOf tells how fast zombies come and stay on the node.
func ratesOf(s sorted) nodeFacts {
	var n nodeFacts
	if born, ok := births.Of(s.starts, s.lookBefore); ok {
		n.perHour = &born.PerHour
	}
	staying, _ := births.Of(s.staying, s.lookBefore)
	n.staying = staying.PerHour
	return n
}

// look joins what one look saw outside of the pods with what is known of the node.
func (n nodeFacts) look(s sorted, now time.Time) nodereport.Look {
	look := nodereport.Look{Host: s.host, Unattributed: s.unattributed}
	if n.perHour != nil {
		look.BirthsPerHour = new(observe.PerHour(*n.perHour))
	}
	limits := slices.Clone(n.limits)
	for i := range limits {
		limits[i].BirthsPerHour = n.staying
	}
	if verdict, ok := headroom.Tightest(limits, now); ok {
		look.PIDs, look.ExhaustionTime, look.FullBy = &verdict.PIDs, verdict.ExhaustionTime, verdict.FullBy
	}
	return look
}
