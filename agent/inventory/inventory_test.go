package inventory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/zombie-operator/zombie-operator/agent/attribute"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
)

var (
	errBroken = errors.New("broken")
	errGone   = fmt.Errorf("reading: %w", fs.ErrNotExist)
)

// node is a Runtime and a Kernel in memory.
type node struct {
	sandboxes    map[string]*runtimeapi.PodSandbox
	containers   map[string]*runtimeapi.Container
	statuses     map[string]*runtimeapi.ContainerStatusResponse
	statusErrs   map[string]error
	sandboxErr   error
	containerErr error
	asked        []string

	processes    map[int]kernel.Process
	identities   map[int]scan.Identity
	processErrs  map[int]error
	identityErrs map[int]error
	clocksErr    error
}

// uptime is how long the node is up.
const uptime = time.Hour

func newNode() *node {
	return &node{
		sandboxes: map[string]*runtimeapi.PodSandbox{}, containers: map[string]*runtimeapi.Container{},
		statuses: map[string]*runtimeapi.ContainerStatusResponse{}, statusErrs: map[string]error{},
		processes: map[int]kernel.Process{}, identities: map[int]scan.Identity{},
		processErrs: map[int]error{}, identityErrs: map[int]error{},
	}
}

func (n *node) Sandboxes(context.Context) ([]*runtimeapi.PodSandbox, error) {
	return slices.Collect(maps.Values(n.sandboxes)), n.sandboxErr
}

func (n *node) Containers(context.Context) ([]*runtimeapi.Container, error) {
	ids := slices.Sorted(maps.Keys(n.containers))
	var out []*runtimeapi.Container
	for _, id := range ids {
		out = append(out, n.containers[id])
	}
	return out, n.containerErr
}

func (n *node) Container(_ context.Context, id string) (*runtimeapi.ContainerStatusResponse, error) {
	n.asked = append(n.asked, id)
	return n.statuses[id], n.statusErrs[id]
}

func (n *node) Process(pid int) (kernel.Process, error) {
	p, ok := n.processes[pid]
	if !ok {
		return kernel.Process{}, errGone
	}
	return p, n.processErrs[pid]
}

func (n *node) Identity(pid int) (scan.Identity, error) {
	identity, ok := n.identities[pid]
	if !ok {
		return scan.Identity{}, errGone
	}
	return identity, n.identityErrs[pid]
}

func (n *node) Clocks() (scan.Clocks, error) { return clocks{}, n.clocksErr }

type clocks struct{ scan.Clocks }

func (clocks) StartedFor(p kernel.Process) time.Duration {
	return uptime - time.Duration(p.StartTicks)*time.Second/100
}

// tell makes the runtime tell when a container was created and started, counted from when process 10 was.
func (n *node) tell(id string, created, started time.Duration) {
	start := time.Now().Add(-clocks{}.StartedFor(kernel.Process{StartTicks: 10}))
	n.statuses[id].Status.CreatedAt, n.statuses[id].Status.StartedAt = start.Add(created).UnixNano(), start.Add(started).UnixNano()
}

func (n *node) addPod(name string) Pod {
	pod := Pod{Namespace: "shop", Name: name, UID: "uid-" + name}
	n.sandboxes[name] = &runtimeapi.PodSandbox{
		Metadata: &runtimeapi.PodSandboxMetadata{Namespace: pod.Namespace, Name: pod.Name, Uid: pod.UID},
	}
	return pod
}

// add lets a container of a pod run, with its first process.
func (n *node) add(pod Pod, id string, pid int) {
	n.containers[id] = &runtimeapi.Container{
		Id: id, State: runtimeapi.ContainerState_CONTAINER_RUNNING, CreatedAt: int64(pid), Labels: map[string]string{
			labelPodNamespace: pod.Namespace, labelPodName: pod.Name, labelPodUID: pod.UID, labelContainerName: "app-" + id,
		},
	}
	n.statuses[id] = &runtimeapi.ContainerStatusResponse{
		Status: &runtimeapi.ContainerStatus{Id: id, Image: &runtimeapi.ImageSpec{Image: "sha256:1", UserSpecifiedImage: "registry/" + id}},
		Info:   map[string]string{"info": fmt.Sprintf(`{"pid": %d, "sandboxID": "x"}`, pid)},
	}
	n.tell(id, -time.Second, time.Second)
	n.processes[pid] = kernel.Process{PID: pid, State: "S", Threads: 1, StartTicks: uint64(pid)}
	n.identities[pid] = scan.Identity{Namespace: uint64(pid), NamespacePIDs: []int{pid, 1}, Cgroups: []string{"/kubepods/" + id}}
}

// remove lets the runtime forget a container; its processes are not touched.
func (n *node) remove(id string) { delete(n.containers, id) }

// end lets process 10, the first one of container w1 in the tests, end and be waited for.
func (n *node) end() {
	delete(n.processes, 10)
	delete(n.identities, 10)
}

func newInventory(n *node) (*Inventory, *bytes.Buffer) {
	var log bytes.Buffer
	return New(n, n, slog.New(slog.NewTextHandler(&log, nil))), &log
}

func mustRefresh(t *testing.T, i *Inventory) {
	t.Helper()
	if err := i.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func ids(i *Inventory) []string {
	out := []string{}
	for _, c := range i.Containers() {
		out = append(out, c.ID)
	}
	return out
}

func wantIDs(t *testing.T, i *Inventory, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), ids(i)); diff != "" {
		t.Errorf("containers (-want +got):\n%s", diff)
	}
}

func TestRefreshLearnsContainersAndPods(t *testing.T) {
	t.Parallel()
	n := newNode()
	web, job := n.addPod("web"), n.addPod("job")
	n.add(web, "w1", 10)
	n.add(web, "w2", 11)
	n.add(job, "j1", 12)
	n.statuses["w2"].Status.Image.UserSpecifiedImage = ""                                                           // an older runtime
	n.identities[11] = scan.Identity{Namespace: 11, NamespacePIDs: []int{11, 7}, Cgroups: []string{"/kubepods/w2"}} // into that of its pod
	i, _ := newInventory(n)
	mustRefresh(t, i)
	container := func(pod Pod, id string, pid int, image string) Container {
		return Container{
			Container: attribute.Container{ID: id, InitPID: pid, Namespace: uint64(pid), Depth: 2, Cgroup: "/kubepods/" + id},
			Pod:       pod, Name: "app-" + id, Image: image, InitTicks: uint64(pid),
		}
	}
	want := []Container{
		container(job, "j1", 12, "registry/j1"), container(web, "w1", 10, "registry/w1"), container(web, "w2", 11, "sha256:1"),
	}
	want[2].Joined, want[2].Shared = true, true
	if diff := cmp.Diff(want, i.Containers()); diff != "" {
		t.Errorf("containers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[Pod]bool{web: true, job: true}, i.Pods()); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
	n.asked = nil
	mustRefresh(t, i)
	if len(n.asked) > 0 {
		t.Errorf("asked again for %v", n.asked)
	}
}

func TestRefreshKeepsWhatItKnew(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		happen func(*node)
		failed bool
	}{
		"when the runtime does not list the pods":               {func(n *node) { n.sandboxErr = errBroken }, true},
		"when the runtime does not list the containers":         {func(n *node) { n.containerErr = errBroken }, true},
		"when the runtime lists no container after its restart": {func(n *node) { n.remove("w1") }, false},
		"when the first process cannot be read for now":         {func(n *node) { n.processErrs[10] = errBroken }, false},
		"when the first process lost its main thread only": {func(n *node) {
			n.processes[10] = kernel.Process{PID: 10, State: "Z", Threads: 2, StartTicks: 10}
		}, false},
		"when the pod is not listed": {func(n *node) { delete(n.sandboxes, "web") }, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode()
			web := n.addPod("web")
			n.add(web, "w1", 10)
			i, _ := newInventory(n)
			mustRefresh(t, i)
			n.asked = nil
			tc.happen(n)
			for range 3 {
				if err := i.Refresh(t.Context()); (err != nil) != tc.failed {
					t.Errorf("error = %v, want one: %t", err, tc.failed)
				}
			}
			wantIDs(t, i, "w1")
			if len(n.asked) > 0 {
				t.Errorf("asked again for %v, as if it had been forgotten", n.asked)
			}
			if !i.Pods()[web] {
				t.Errorf("pods = %v, want all of web known", i.Pods())
			}
		})
	}
}

func TestRefreshDropsAContainer(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*node){
		"whose first process ended": func(n *node) { n.end() },
		"whose first process is a zombie": func(n *node) {
			n.processes[10] = kernel.Process{PID: 10, State: "Z", Threads: 1, StartTicks: 10}
		},
		"whose first process' PID went to another process": func(n *node) {
			n.processes[10] = kernel.Process{PID: 10, State: "S", Threads: 1, StartTicks: 11}
		},
	}
	for name, happen := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode()
			n.add(n.addPod("web"), "w1", 10)
			i, _ := newInventory(n)
			mustRefresh(t, i)
			happen(n)
			n.containerErr = errBroken // whatever the runtime says
			_ = i.Refresh(t.Context())
			wantIDs(t, i)
		})
	}
}

func TestRefreshTakesTheNextContainerOfARestart(t *testing.T) {
	t.Parallel()
	n := newNode()
	web := n.addPod("web")
	n.add(web, "w1", 10)
	i, _ := newInventory(n)
	mustRefresh(t, i)
	n.end()
	n.remove("w1")
	n.add(web, "w2", 20)
	mustRefresh(t, i)
	wantIDs(t, i, "w2")
}

func TestRefreshDropsAPodAfterTwoAnswersWithoutIt(t *testing.T) {
	t.Parallel()
	n := newNode()
	web := n.addPod("web")
	n.add(web, "w1", 10)
	i, _ := newInventory(n)
	mustRefresh(t, i)
	sandbox := n.sandboxes["web"]
	delete(n.sandboxes, "web")
	n.remove("w1")
	n.end()
	has := func() bool { _, ok := i.Pods()[web]; return ok }

	mustRefresh(t, i)
	if !has() {
		t.Error("the pod is gone after one answer without it")
	}
	n.sandboxErr = errBroken
	_ = i.Refresh(t.Context())
	if !has() {
		t.Error("the pod is gone after one answer without it and one failure")
	}
	n.sandboxErr, n.sandboxes["web"] = nil, sandbox
	mustRefresh(t, i)
	delete(n.sandboxes, "web")
	mustRefresh(t, i)
	if !has() {
		t.Error("the pod is gone after two answers without it, but one with it between them")
	}
	mustRefresh(t, i)
	if has() {
		t.Error("the pod is still there after two answers in a row without it")
	}
}

var refusals = map[string]struct {
	happen func(*node)
	reason string
}{
	"that carries no pod labels": {
		func(n *node) { n.containers["bad"].Labels = nil }, "no pod labels",
	},
	"without the name of its container": {
		func(n *node) { delete(n.containers["bad"].Labels, labelContainerName) }, "no pod labels",
	},
	"without the UID of its pod": {
		func(n *node) { delete(n.containers["bad"].Labels, labelPodUID) }, "no pod labels",
	},
	"whose first process is not in its cgroup": {
		func(n *node) { n.statuses["bad"].Info["info"] = `{"pid": 10}` }, "process 10 is not in a cgroup of the container",
	},
	"whose first process shows no cgroup, as the agent's own": {
		func(n *node) { n.identities[66] = scan.Identity{NamespacePIDs: []int{66}} }, "process 66 is not in a cgroup",
	},
	"whose verbose status is missing": {
		func(n *node) { n.statuses["bad"].Info = nil }, "no pid in the verbose status",
	},
	"whose verbose status is no JSON": {
		func(n *node) { n.statuses["bad"].Info["info"] = "{" }, "parsing the verbose status",
	},
	"whose verbose status has a PID that is no number": {
		func(n *node) { n.statuses["bad"].Info["info"] = `{"pid": "x"}` }, "parsing the verbose status",
	},
	"whose verbose status has no PID": {
		func(n *node) { n.statuses["bad"].Info["info"] = `{}` }, "no pid in the verbose status",
	},
	"whose verbose status has PID 0, as of a container that ended": {
		func(n *node) { n.statuses["bad"].Info["info"] = `{"pid": 0}` }, "no pid in the verbose status",
	},
	"whose status is empty": {
		func(n *node) { n.statuses["bad"] = nil }, "no pid in the verbose status",
	},
}

func TestRefreshLeavesOutAContainerAndSaysSoOnce(t *testing.T) {
	t.Parallel()
	for name, tc := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode()
			web := n.addPod("web")
			n.add(web, "good", 10)
			n.add(web, "bad", 66)
			tc.happen(n)
			i, log := newInventory(n)
			mustRefresh(t, i)
			mustRefresh(t, i)
			wantIDs(t, i, "good")
			if complete, ok := i.Pods()[web]; complete != (n.containers["bad"].Labels[labelPodUID] == "") || !ok {
				t.Errorf("pods = %v, want web with a container that is not known, if that is known to be web's", i.Pods())
			}
			if got := strings.Count(log.String(), "Leaving out a container"); got != 1 {
				t.Errorf("logged %d times, want once:\n%s", got, log)
			}
			for _, want := range []string{"container=bad", tc.reason} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("log lacks %q:\n%s", want, log)
				}
			}
		})
	}
}

func TestRefreshSaysAgainThatItLeavesOutAContainerThatWasAway(t *testing.T) {
	t.Parallel()
	n := newNode()
	web := n.addPod("web")
	n.add(web, "good", 10)
	n.add(web, "bad", 66)
	n.containers["bad"].Labels = nil
	bad := n.containers["bad"]
	i, log := newInventory(n)
	mustRefresh(t, i)
	n.remove("bad")
	mustRefresh(t, i)
	n.containers["bad"] = bad
	mustRefresh(t, i)
	if got := strings.Count(log.String(), "Leaving out a container"); got != 2 {
		t.Errorf("logged %d times, want twice:\n%s", got, log)
	}
}

// troubles are what keeps a container from being known for a while, and how often the log tells of it.
var troubles = map[string]struct {
	happen, mend func(*node)
	logged       int
}{
	"its status": {
		func(n *node) { n.statusErrs["bad"] = errBroken },
		func(n *node) { delete(n.statusErrs, "bad") },
		1,
	},
	"its first process": {
		func(n *node) { n.processErrs[66] = errBroken },
		func(n *node) { delete(n.processErrs, 66) },
		1,
	},
	"its first process' identity": {
		func(n *node) { n.identityErrs[66] = errBroken },
		func(n *node) { delete(n.identityErrs, 66) },
		1,
	},
	"its first process, which ended meanwhile": {
		func(n *node) { n.processErrs[66] = errGone },
		func(n *node) { delete(n.processErrs, 66) },
		0,
	},
	"its first process, which ended a little later": {
		func(n *node) { n.identityErrs[66] = errGone },
		func(n *node) { delete(n.identityErrs, 66) },
		0,
	},
}

func TestRefreshLearnsTheOthersWhenItCannotRead(t *testing.T) {
	t.Parallel()
	for name, tc := range troubles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode()
			web := n.addPod("web")
			n.add(web, "bad", 66)
			n.add(web, "good", 10)
			tc.happen(n)
			i, log := newInventory(n)
			for range 2 {
				mustRefresh(t, i)
				wantIDs(t, i, "good")
				if i.Pods()[web] {
					t.Error("all of web is known, but one container is not")
				}
			}
			tc.mend(n)
			mustRefresh(t, i)
			wantIDs(t, i, "bad", "good")
			if !i.Pods()[web] {
				t.Error("not all of web is known")
			}
			if got := strings.Count(log.String(), "\n"); got != tc.logged {
				t.Errorf("logged %d lines, want %d:\n%s", got, tc.logged, log)
			}
		})
	}
}

func TestRefreshFailsWhenNoContainerIsUsable(t *testing.T) {
	t.Parallel()
	n := newNode()
	n.add(n.addPod("web"), "w1", 10)
	n.end() // as it looks from a PID namespace of the agent's own
	i, _ := newInventory(n)
	if err := i.Refresh(t.Context()); !kernel.IsVanished(err) || !strings.Contains(err.Error(), "hostPID: true") {
		t.Errorf("error = %v, want one that asks for hostPID", err)
	}
	empty, _ := newInventory(newNode())
	mustRefresh(t, empty) // a node without pods is none of that
}

// While the runtime is away, a container that ended may have been started again.
func TestRefreshDoesNotKnowAllOfAPodWhoseContainerEndedUnseen(t *testing.T) {
	t.Parallel()
	n := newNode()
	web := n.addPod("web")
	n.add(web, "w1", 10)
	n.add(web, "w2", 20)
	i, _ := newInventory(n)
	mustRefresh(t, i)
	n.end()
	n.sandboxErr = errBroken
	_ = i.Refresh(t.Context())
	if complete, ok := i.Pods()[web]; complete || !ok {
		t.Errorf("pods = %v, want web, and not all of it known", i.Pods())
	}
	n.sandboxErr = nil
	n.remove("w1")
	mustRefresh(t, i)
	if !i.Pods()[web] {
		t.Error("not all of web is known, but the runtime listed it")
	}
}
