package inventory

import (
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
)

// newDebugged is a node with container w1 of pod web, which is process 10, and debug, which is process 20 in the PID namespace of
// the other, as `kubectl debug --target` makes it.
func newDebugged() (n *node, web Pod) {
	n = newNode()
	web = n.addPod("web")
	n.add(web, "w1", 10)
	n.add(web, "debug", 20)
	n.identities[20] = scan.Identity{Namespace: 10, NamespacePIDs: []int{20, 7}, Cgroups: []string{"/kubepods/debug"}}
	return n, web
}

// exit lets process 20, the first one of container debug in the tests, end. The runtime still lists the container.
func (n *node) exit() {
	delete(n.processes, 20)
	delete(n.identities, 20)
	n.containers["debug"].State = runtimeapi.ContainerState_CONTAINER_EXITED
}

// wantShared says whether others were at home in the PID namespace of a container.
func wantShared(t *testing.T, i *Inventory, id string, want bool) {
	t.Helper()
	for _, c := range i.Containers() {
		if c.ID == id && c.Shared != want {
			t.Errorf("container %s is shared: %t", id, c.Shared)
		}
		if c.ID == id {
			return
		}
	}
	t.Errorf("container %s is not known", id)
}

func TestAContainerThatWasJoinedStaysSharedUntilItEnds(t *testing.T) {
	t.Parallel()
	n, web := newDebugged()
	n.add(n.addPod("other"), "o1", 30)
	i, _ := newInventory(n)
	mustRefresh(t, i)
	wantShared(t, i, "w1", true)
	n.exit()
	n.remove("debug") // by hand
	for range 3 {
		mustRefresh(t, i)
		wantShared(t, i, "w1", true)
		wantShared(t, i, "o1", false)
	}
	n.end()
	n.remove("w1")
	n.add(web, "w2", 10) // in a namespace that got the number of the one before
	mustRefresh(t, i)
	wantShared(t, i, "w2", false)
}

func TestAContainerIsSharedWithOneThatJoinedItAndDied(t *testing.T) {
	t.Parallel()
	n, _ := newDebugged()
	n.processes[20] = kernel.Process{PID: 20, State: kernel.StateZombie, Threads: 1, StartTicks: 20}
	i, _ := newInventory(n)
	mustRefresh(t, i)
	wantDead(t, i, "debug")
	wantShared(t, i, "w1", true)
}

// A debugger came and went between two looks, or before the agent came.
func TestAContainerMayBeSharedWithOneThatEndedUnseen(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		happen func(n *node, debug *runtimeapi.Container)
		want   bool
	}{
		"one that was created after it":               {func(*node, *runtimeapi.Container) {}, true},
		"one of which the runtime lost the state":     {func(_ *node, d *runtimeapi.Container) { d.State = runtimeapi.ContainerState_CONTAINER_UNKNOWN }, true},
		"not one that is not started":                 {func(_ *node, d *runtimeapi.Container) { d.State = runtimeapi.ContainerState_CONTAINER_CREATED }, false},
		"not one that was created before, to prepare": {func(_ *node, d *runtimeapi.Container) { d.CreatedAt = 9 }, false},
		"not one of another pod":                      {func(_ *node, d *runtimeapi.Container) { d.Labels[labelPodUID] = "uid-other" }, false},
		"not one that was started again, before":      {func(_ *node, d *runtimeapi.Container) { d.Metadata = &runtimeapi.ContainerMetadata{Attempt: 1} }, false},
		"not one that was started again": {func(n *node, d *runtimeapi.Container) {
			n.add(Pod{Namespace: "shop", Name: "web", UID: "uid-web"}, "again", 30)
			n.containers["again"].Labels[labelContainerName] = d.GetLabels()[labelContainerName]
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, _ := newDebugged()
			n.exit()
			tc.happen(n, n.containers["debug"])
			i, log := newInventory(n)
			mustRefresh(t, i)
			wantShared(t, i, "w1", tc.want)
			clear(n.containers) // the runtime is starting
			mustRefresh(t, i)
			wantShared(t, i, "w1", tc.want)
			if log.Len() > 0 {
				t.Errorf("log: %s", log)
			}
		})
	}
}

func TestAContainerIsSharedNoLongerWhenOneThatEndedRunsAgain(t *testing.T) {
	t.Parallel()
	n, _ := newDebugged()
	n.exit()
	i, _ := newInventory(n)
	mustRefresh(t, i)
	n.add(Pod{Namespace: "shop", Name: "web", UID: "uid-web"}, "debug", 20) // so it was none that joined
	mustRefresh(t, i)
	wantShared(t, i, "w1", false)
}

func TestAContainerMayBeSharedWithOneThatIsNotKnown(t *testing.T) {
	t.Parallel()
	n, _ := newDebugged()
	n.statusErrs["debug"] = errBroken
	i, _ := newInventory(n)
	mustRefresh(t, i)
	wantShared(t, i, "w1", true)
}
