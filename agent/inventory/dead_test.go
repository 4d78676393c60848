package inventory

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
)

// die makes process 10, the first one of container w1 in the tests, a zombie, which is in no cgroup on v1.
func (n *node) die() {
	n.processes[10] = kernel.Process{PID: 10, State: kernel.StateZombie, Threads: 1, StartTicks: 10}
	n.identities[10] = scan.Identity{Namespace: 10, NamespacePIDs: []int{10, 1}}
}

// wantDead compares the containers whose first process is dead.
func wantDead(t *testing.T, i *Inventory, want ...string) {
	t.Helper()
	got := []string{}
	for _, c := range i.Dead() {
		got = append(got, c.ID)
	}
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		t.Errorf("dead containers (-want +got):\n%s", diff)
	}
}

func TestRefreshSetsAsideAContainerWhoseFirstProcessDied(t *testing.T) {
	t.Parallel()
	n := newNode()
	web := n.addPod("web")
	n.add(web, "w1", 10)
	n.add(web, "w2", 20)
	i, log := newInventory(n)
	mustRefresh(t, i)
	wantDead(t, i)
	before := i.Containers()[0]
	n.die()
	n.asked = nil
	for range 3 {
		mustRefresh(t, i)
		wantDead(t, i, "w1")
		wantIDs(t, i, "w2")
	}
	if diff := cmp.Diff(before, i.Dead()[0]); diff != "" {
		t.Errorf("dead container (-alive +dead):\n%s", diff)
	}
	if len(n.asked) > 0 || log.Len() > 0 || !i.Pods()[web] {
		t.Errorf("asked %v, pods = %v, want all of web known; log: %s", n.asked, i.Pods(), log)
	}
}

// An agent that starts beside a stuck container has the runtime's word alone: on cgroup v1 a zombie is in no cgroup.
func TestRefreshFindsAContainerThatWasDeadBefore(t *testing.T) {
	t.Parallel()
	n := newNode()
	web := n.addPod("web")
	n.add(web, "w1", 10)
	n.die()
	i, log := newInventory(n)
	mustRefresh(t, i)
	wantDead(t, i, "w1")
	wantIDs(t, i)
	if got := i.Dead()[0]; got.Pod != web || got.Name != "app-w1" || got.InitPID != 10 || got.InitTicks != 10 || got.Cgroup != "" {
		t.Errorf("dead container = %+v", got)
	}
	if log.Len() > 0 || !i.Pods()[web] {
		t.Errorf("pods = %v, want all of web known; log: %s", i.Pods(), log)
	}
}

// What has the PID of a first process that is gone is not the container's, be it dead as well.
func TestRefreshBelievesOfADeadContainerWhatTheKernelConfirms(t *testing.T) {
	t.Parallel()
	const minute, nearly = time.Minute, 5 * time.Second
	another := scan.Identity{Namespace: 77, NamespacePIDs: []int{10, 4711}, Cgroups: []string{"/kubepods/other"}}
	own := scan.Identity{Namespace: 10, NamespacePIDs: []int{10, 1}, Cgroups: []string{"/kubepods/w1"}}
	tests := map[string]struct {
		happen func(*node)
		want   bool
	}{
		"on v1 that it started between the container's creation and its start": {func(n *node) { n.tell("w1", -minute, minute) }, true},
		"on v1 that it started then, nearly, at the start":                     {func(n *node) { n.tell("w1", -minute, -nearly) }, true},
		"on v1 that it started then, nearly, at the creation":                  {func(n *node) { n.tell("w1", nearly, minute) }, true},
		"on v2 that it is in the container's cgroup, whatever the clocks say": {func(n *node) {
			n.identities[10], n.clocksErr = own, errBroken
			n.tell("w1", minute, 2*minute)
		}, true},
		"but not of one in the cgroup of another container": {func(n *node) { n.identities[10] = another }, false},
		"but not of one that started later":                 {func(n *node) { n.tell("w1", -minute, -nearly-1) }, false},
		"but not of one that started before, or so it seems as the clock was set back": {
			func(n *node) { n.tell("w1", nearly+1, minute) }, false,
		},
		"but not of a container that was not started yet": {func(n *node) { n.statuses["w1"].Status.StartedAt = 0 }, false},
		"but not of one that started nobody knows when":   {func(n *node) { n.clocksErr = errBroken }, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := newNode()
				web := n.addPod("web")
				n.add(web, "w1", 10)
				n.add(n.addPod("other"), "o1", 20)
				n.die()
				tc.happen(n)
				i, log := newInventory(n)
				mustRefresh(t, i)
				want := []string{}
				if tc.want {
					want = append(want, "w1")
				}
				wantDead(t, i, want...)
				if i.Pods()[web] != tc.want || (log.Len() == 0) != tc.want {
					t.Errorf("pods = %v, want all of web known: %t; log: %s", i.Pods(), tc.want, log)
				}
			})
		})
	}
}

func TestRefreshKeepsADeadContainer(t *testing.T) {
	t.Parallel()
	for name, happen := range map[string]func(*node){
		"when the runtime does not list the pods":       func(n *node) { n.sandboxErr = errBroken },
		"when the runtime does not list the containers": func(n *node) { n.containerErr = errBroken },
		"when its first process cannot be read for now": func(n *node) { n.processErrs[10] = errBroken },
		"when its pod is not listed":                    func(n *node) { delete(n.sandboxes, "web") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode()
			web := n.addPod("web")
			n.add(web, "w1", 10)
			n.die()
			i, _ := newInventory(n)
			mustRefresh(t, i)
			happen(n)
			for range 3 {
				_ = i.Refresh(t.Context())
				wantDead(t, i, "w1")
			}
			if _, ok := i.Pods()[web]; !ok {
				t.Error("the pod of a dead container is gone")
			}
		})
	}
}

func TestRefreshForgetsADeadContainer(t *testing.T) {
	t.Parallel()
	for name, happen := range map[string]func(*node){
		"when its first process is reaped":          func(n *node) { n.end() },
		"when the runtime lists it no more":         func(n *node) { n.remove("w1") },
		"when its first process' PID is another's":  func(n *node) { n.processes[10] = kernel.Process{PID: 10, State: "Z", Threads: 1, StartTicks: 11} },
		"when its first process turns out to live":  func(n *node) { n.processes[10] = kernel.Process{PID: 10, State: "Z", Threads: 2, StartTicks: 10} },
		"when it is listed no more, as another is":  func(n *node) { n.remove("w1"); n.add(n.addPod("web"), "w2", 20) },
		"when it is reaped and the runtime is away": func(n *node) { n.end(); n.sandboxErr = errBroken },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode()
			n.add(n.addPod("web"), "w1", 10)
			i, _ := newInventory(n)
			mustRefresh(t, i)
			n.die()
			mustRefresh(t, i)
			wantDead(t, i, "w1")
			happen(n)
			if name == "when its first process' PID is another's" {
				n.remove("w1") // or the runtime's word would stand for the other
			}
			_ = i.Refresh(t.Context())
			if strings.Contains(name, "no more") {
				wantDead(t, i, "w1") // one list may come from a runtime that is starting
				_ = i.Refresh(t.Context())
			}
			wantDead(t, i)
		})
	}
}

// That details cannot be had is no sign of a wrong PID namespace when a dead container is known.
func TestRefreshSucceedsWhenAllThatIsKnownIsDead(t *testing.T) {
	t.Parallel()
	n := newNode()
	n.add(n.addPod("web"), "w1", 10)
	n.add(n.addPod("other"), "bad", 66)
	n.die()
	n.statusErrs["bad"] = errBroken
	i, _ := newInventory(n)
	mustRefresh(t, i)
	wantDead(t, i, "w1")
}

// Only a dead process may go without a cgroup: one whose main thread alone has ended lives, and is in one.
func TestRefreshBelievesNoLivingContainerWithoutACgroup(t *testing.T) {
	t.Parallel()
	for name, threads := range map[string]int{"a process that lives": 1, "a process whose main thread has ended": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode()
			n.add(n.addPod("web"), "w1", 10)
			n.add(n.addPod("other"), "o1", 20)
			n.die()
			state := map[int]string{1: "S", 2: kernel.StateZombie}[threads]
			n.processes[10] = kernel.Process{PID: 10, State: state, Threads: threads, StartTicks: 10}
			i, _ := newInventory(n)
			mustRefresh(t, i)
			wantDead(t, i)
			wantIDs(t, i, "o1")
		})
	}
}

func TestRefreshDoesNotKnowAContainerThatEndsWhileItIsExamined(t *testing.T) {
	t.Parallel()
	n := newNode()
	web := n.addPod("web")
	n.add(web, "w1", 10)
	n.add(web, "w2", 20)
	i, log := newInventory(n)
	i.kernel = replaced{n}
	mustRefreshOrVanish(t, i)
	wantDead(t, i)
	wantIDs(t, i)
	if i.Pods()[web] || log.Len() > 0 {
		t.Errorf("pods = %v, want not all of web known; log: %s", i.Pods(), log)
	}
}

func mustRefreshOrVanish(t *testing.T, i *Inventory) {
	t.Helper()
	if err := i.Refresh(t.Context()); err != nil && !kernel.IsVanished(err) {
		t.Fatal(err)
	}
}

func TestLookTakesADeadContainerForOneThatDoesNotRun(t *testing.T) {
	t.Parallel()
	n := newLookedAt()
	n.die()
	if _, err := Look(t.Context(), n, n, "w1"); !errors.Is(err, ErrNotRunning) || errors.Is(err, ErrNotOurs) {
		t.Errorf("error = %v, want %v", err, ErrNotRunning)
	}
}

func TestDeadContainersAreSorted(t *testing.T) {
	t.Parallel()
	n := newNode()
	for pid, pod := range map[int]string{30: "c", 20: "b", 40: "d", 50: "a"} {
		n.add(n.addPod(pod), pod+"1", pid)
		n.processes[pid] = kernel.Process{PID: pid, State: kernel.StateZombie, Threads: 1, StartTicks: uint64(pid)}
	}
	i, _ := newInventory(n)
	mustRefresh(t, i)
	wantDead(t, i, "a1", "b1", "c1", "d1")
}
