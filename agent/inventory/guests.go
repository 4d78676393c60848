package inventory

import (
	"maps"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// noteGuests notes which containers had others in their PID namespace: once those have ended, nothing may tell what they left
// there from the container's own. Of one that was seen running it is known whether it joined, and stays noted until the container
// that it joined goes. One that came and went between two looks, or before the agent came, is still listed, as the kubelet keeps
// the last container of each name while the pod is there; it counts where it may have joined. Only one that was also removed from
// the runtime by then is missed.
func (i *Inventory) noteGuests(listed []*runtimeapi.Container) {
	joined := map[uint64]bool{}
	for _, known := range []map[string]Container{i.containers, i.dead} {
		for _, c := range known {
			joined[c.Namespace] = joined[c.Namespace] || c.Joined
		}
	}
	for id, c := range i.containers {
		c.Shared = c.Shared || joined[c.Namespace]
		i.containers[id] = c
	}
	ended := lastEnded(listed)
	for _, c := range running(listed) { // of those that a runtime which is starting does not list the last word stands
		i.endedBeside[c.GetId()] = ended[podOf(c)] > c.GetCreatedAt()
	}
	maps.DeleteFunc(i.endedBeside, func(id string, _ bool) bool { _, known := i.containers[id]; return !known })
}

// lastEnded tells of each pod when the newest of its ended containers was created that may have joined another one: an ephemeral
// container, which is what joins, is created after the one that it joins and never started again.
func lastEnded(listed []*runtimeapi.Container) map[Pod]int64 {
	type named struct {
		pod  Pod
		name string
	}
	of := func(c *runtimeapi.Container) named { return named{podOf(c), c.GetLabels()[labelContainerName]} }
	again := map[named]bool{}
	for _, c := range running(listed) {
		again[of(c)] = true
	}
	newest := map[Pod]int64{}
	for _, c := range listed {
		switch c.GetState() {
		case runtimeapi.ContainerState_CONTAINER_EXITED, runtimeapi.ContainerState_CONTAINER_UNKNOWN:
			if c.GetMetadata().GetAttempt() == 0 && !again[of(c)] {
				newest[podOf(c)] = max(newest[podOf(c)], c.GetCreatedAt())
			}
		default: // it runs, or did not begin to
		}
	}
	return newest
}

func running(listed []*runtimeapi.Container) []*runtimeapi.Container {
	var out []*runtimeapi.Container
	for _, c := range listed {
		if c.GetState() == runtimeapi.ContainerState_CONTAINER_RUNNING {
			out = append(out, c)
		}
	}
	return out
}
