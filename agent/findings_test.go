package agent

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/agent/attribute"
	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/observe"
	"github.com/zombie-operator/zombie-operator/agent/publish"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/agent/sighting"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

func TestRunTellsOfFindings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		began := time.Now()
		n.lookAlikes()
		a, _ := newAgent(t, n, s)
		defer run(t, a)()
		pass(1)
		wantCalls(t, s, "at the second look", "get", "spec", "status")
		report := s.report(t)
		for _, kind := range []string{v1alpha1.ConditionLeaderExited, v1alpha1.ConditionHeldByTracer, v1alpha1.ConditionOtherExitSignal} {
			c := meta.FindStatusCondition(report.Status.Conditions, kind)
			if c == nil || c.Status != metav1.ConditionTrue || !c.LastTransitionTime.Time.Equal(began) {
				t.Errorf("%s = %+v, want it true since %s", kind, c, began)
			}
		}
		if !meta.IsStatusConditionFalse(report.Status.Conditions, v1alpha1.ConditionLeaking) || report.Status.Observed.Finding != v1alpha1.ConditionLeaderExited {
			t.Errorf("status = %+v, want no leak, and the first finding for tables", report.Status)
		}
		pass(10)
		wantCalls(t, s, "at quiet looks")
		n.remove(1990)
		n.remove(1991)
		n.remove(1995)
		pass(1)
		wantCalls(t, s, "when all ended", "status")
		if got := s.report(t).Status; len(got.Conditions) != 1 || got.Observed.Finding != "" {
			t.Errorf("status = %+v, want no finding left", got)
		}
	})
}

// They hold PIDs as zombies do, and a container without zombies has no PIDs in its report.
func TestAFindingTellsThatPIDsAreScarce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		n.lookAlikes()
		n.limit(83, 5)
		a, _ := newAgent(t, n, s)
		defer run(t, a)()
		pass(1)
		for _, want := range []string{" PIDs: 83 % used.", " Forks fail."} {
			for kind, tells := range map[string]bool{
				v1alpha1.ConditionLeaderExited: false, v1alpha1.ConditionHeldByTracer: true, v1alpha1.ConditionOtherExitSignal: true,
			} {
				c := meta.FindStatusCondition(s.report(t).Status.Conditions, kind)
				if c == nil || strings.Contains(c.Message, want) != tells {
					t.Errorf("%s = %+v, want %q in it: %t", kind, c, want, tells)
				}
			}
			refused := 6
			for range publish.ReblameInterval / interval {
				n.limit(100, refused)
				pass(1)
				refused++
			}
		}
	})
}

// An earlier agent may have told of what this one sees for the first time, so its first look tells nothing of how old it is.
func TestFindingsOfTheFirstLookWaitUntilTheyAreOldEnough(t *testing.T) {
	t.Parallel()
	now := time.Now()
	alike := func(since time.Time) observe.Container {
		return observe.Container{LookAlikes: []observe.LookAlike{{LookAlike: sighting.LookAlike{Since: since}}}}
	}
	for about, tc := range map[string]struct {
		container observe.Container
		want      bool
	}{
		"nothing":                          {observe.Container{}, false},
		"a look-alike of the first look":   {alike(now.Add(-29 * time.Second)), true},
		"a look-alike of a later look":     {alike(now.Add(-20 * time.Second)), false},
		"a dead PID 1 of the first look":   {observe.Container{DeadSince: now.Add(-29 * time.Second)}, true},
		"a dead PID 1 that died long ago":  {observe.Container{DeadSince: now.Add(-time.Hour)}, false},
		"a dead PID 1 not yet seen twice.": {observe.Container{DeadSince: time.Time{}}, false},
	} {
		a := Agent{firstLook: now.Add(-29 * time.Second)}
		if got := a.tooEarly(tc.container, now); got != tc.want {
			t.Errorf("%s: too early = %t, want %t", about, got, tc.want)
		}
	}
	old := Agent{firstLook: now.Add(-30 * time.Second)}
	if old.tooEarly(alike(old.firstLook), now) {
		t.Error("what is old enough to be told of is too early")
	}
}

func TestLookLeavesAPodAloneUntilItsFindingsAreOldEnough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		n.lookAlikes()
		a, _ := newAgent(t, n, s)
		a.begin()
		a.look(t.Context())
		for round, findings := range []int{0, 0, 3} {
			<-time.After(10 * time.Second)
			seen, _ := a.look(t.Context())
			pod := seen.pods.Pods[slices.IndexFunc(seen.pods.Pods, func(p publish.Pod) bool { return p.Name == "web" })]
			if len(pod.Findings) != findings || pod.Incomplete != (findings == 0) {
				t.Errorf("look %d: findings = %+v, incomplete: %t, want %d", 2+round, pod.Findings, pod.Incomplete, findings)
			}
		}
	})
}

// The PID 1 of a dead container has no parent that could be blamed, and is none that nobody knows.
func TestADeadContainerIsItsOwnFinding(t *testing.T) {
	t.Parallel()
	init := &scan.Zombie{Key: scan.Key{PID: 7, StartTicks: 9}}
	since := time.Now()
	s := sorter{
		sorted: sorted{dead: map[string]time.Time{}}, table: attribute.NewTable(hostNS, nil), unknown: map[scan.Key]bool{},
		inits: initsOf([]inventory.Container{{Container: attribute.Container{ID: appID, InitPID: 7}, InitTicks: 9}}),
	}
	s.zombie(&sighting.Zombie{Zombie: init, Since: since})
	if diff := cmp.Diff(map[string]time.Time{appID: since}, s.dead); diff != "" || s.counts != (elsewhere{dead: 1}) || s.unattributed != nil {
		t.Errorf("counts = %+v, unattributed = %v, dead (-want +got):\n%s", s.counts, s.unattributed, diff)
	}
	later := &scan.Zombie{Key: scan.Key{PID: 7, StartTicks: 10}} // another process that got the PID
	s.unknownBefore = map[scan.Key]bool{later.Key: true}
	s.zombie(&sighting.Zombie{Zombie: later, Since: since})
	if s.counts.unknown != 1 || len(s.unattributed) != 1 {
		t.Errorf("counts = %+v, want one of whom nothing is known", s.counts)
	}
}

func TestRunTellsOfADeadContainer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		a, _ := newAgent(t, n, s)
		defer run(t, a)()
		pass(1)
		s.taken()
		n.remove(appPID)
		n.process(appPID, 1, "Z", appNS, "/", appPID, 1)
		pass(2)
		report := s.report(t)
		c := meta.FindStatusCondition(report.Status.Conditions, v1alpha1.ConditionContainerDead)
		if c == nil || c.Status != metav1.ConditionTrue || report.Status.Observed.Finding != v1alpha1.ConditionContainerDead {
			t.Errorf("status = %+v, want the container dead", report.Status)
		}
		if a.told != (elsewhere{dead: 1}) {
			t.Errorf("counts = %+v, want one dead container and no zombie that nobody knows", a.told)
		}
	})
}

// What holds a dead container keeps a restart from ending, and nothing else tells of it.
func TestRunTellsWhatHoldsADeadContainer(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		happen func(*node)
		kind   string
		says   string
	}{
		"a tracer from outside": {
			func(n *node) {
				n.write(fmt.Sprintf("%d/status", appPID), fmt.Sprintf("TracerPid:\t5\nNSpid:\t%d 1\n", appPID))
			},
			v1alpha1.ConditionHeldByTracer, "Container app: 1 dead process is held by a tracer; example: p1000 (PID 1), by node PID 5. ",
		},
		"a shim that is told by another signal": {
			func(n *node) { n.ends(appPID, 1, 1, 10) },
			v1alpha1.ConditionOtherExitSignal, "Container app: 1 dead process sent no SIGCHLD, so plain wait() misses it; example: p1000 (PID 1), signal 10. ",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n, s := newNode(t), newServer(t)
				a, _ := newAgent(t, n, s)
				defer run(t, a)()
				pass(1)
				n.remove(appPID)
				n.process(appPID, 1, "Z", appNS, "/", appPID, 1)
				tc.happen(n)
				pass(2)
				c := meta.FindStatusCondition(s.report(t).Status.Conditions, tc.kind)
				if c == nil || c.Status != metav1.ConditionTrue || !strings.HasPrefix(c.Message, tc.says) {
					t.Errorf("condition = %+v, want it to say %q", c, tc.says)
				}
			})
		})
	}
}

// A count that was cut must not be taken for the truth, nor what was left out for what the agent may not read.
func TestRunTellsThatThereAreMoreLookAlikes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		const more = 6
		for i := range scan.MaxLookAlikes + more {
			pid := 1500 + i
			n.process(pid, appPID, "Z", appNS, "/", pid, pid-1000)
			n.ends(pid, appPID, 2, 17)
		}
		a, log := newAgent(t, n, s)
		defer run(t, a)()
		pass(1)
		c := meta.FindStatusCondition(s.report(t).Status.Conditions, v1alpha1.ConditionLeaderExited)
		if says := "Container app: at least 64 alive, "; c == nil || !strings.HasPrefix(c.Message, says) {
			t.Errorf("condition = %+v, want it to say %q", c, says)
		}
		if log.count("leadersWithLiveThreads=64 otherExitSignal=0 deadContainers=0 unreadable=0 moreLookAlikes=6") != 1 {
			t.Errorf("logged:\n%s", log.text.String())
		}
	})
}
