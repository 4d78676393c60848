package agent

import (
	"errors"

	"github.com/zombie-operator/zombie-operator/agent/cgroup"
	"github.com/zombie-operator/zombie-operator/agent/headroom"
	"github.com/zombie-operator/zombie-operator/agent/health"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

var errNoCgroups = errors.New("the host's cgroups are not mounted: limits on the processes of containers and pods are not known")

// readLimits finds the cgroups of the containers and reads the limits of the node. What cannot be read is left out.
func (a *Agent) readLimits() []headroom.Limit {
	missing := errNoCgroups
	if a.Cgroups != nil {
		var ids []string
		for _, c := range a.Inventory.Containers() {
			ids = append(ids, c.ID)
		}
		missing = a.Cgroups.Refresh(ids)
	}
	limits, err := a.Proc.Limits()
	a.note(health.PartCgroups, errors.Join(missing, err))
	if err != nil {
		return nil
	}
	return []headroom.Limit{
		{By: v1alpha1.PIDLimitPIDMax, Used: limits.Used, Max: limits.PIDMax},
		{By: v1alpha1.PIDLimitThreadsMax, Used: limits.Used, Max: limits.ThreadsMax},
	}
}

// levels reads the limits of the cgroups of a container. One that just ended has none.
func (a *Agent) levels(containerID string) []cgroup.Level {
	if a.Cgroups == nil {
		return nil
	}
	levels, err := a.Cgroups.Levels(containerID)
	if err != nil {
		return nil
	}
	return levels
}

// frozen is whether a process of a container, in the cgroups with these paths, is known to be frozen.
func (a *Agent) frozen(containerID string, paths []string) bool {
	if a.Cgroups == nil {
		return false
	}
	frozen, err := a.Cgroups.Frozen(containerID, paths)
	return err == nil && frozen
}

func limitsOf(levels []cgroup.Level) []headroom.Limit {
	limits := make([]headroom.Limit, 0, len(levels))
	for _, l := range levels {
		limits = append(limits, headroom.Limit{By: l.By, Used: l.Used, Max: l.Max})
	}
	return limits
}

// refusals count the forks that were ever refused at the limits of a container and of its pod. What is refused higher up
// is not the pod's doing.
type refusals map[v1alpha1.PIDLimit]uint64

func refusalsOf(levels []cgroup.Level) refusals {
	r := refusals{}
	for _, l := range levels {
		if l.By == v1alpha1.PIDLimitContainer || l.By == v1alpha1.PIDLimitPod {
			r[l.By] = l.Refused
		}
	}
	return r
}

// since says whether there were more since the look before. Where that look did not read them, it is not known.
func (r refusals) since(before refusals) bool {
	for by, count := range r {
		if earlier, ok := before[by]; ok && count > earlier {
			return true
		}
	}
	return false
}
