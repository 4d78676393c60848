package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/agent/attribute"
	"github.com/zombie-operator/zombie-operator/agent/cgroup"
	"github.com/zombie-operator/zombie-operator/agent/evidence"
	"github.com/zombie-operator/zombie-operator/agent/headroom"
	"github.com/zombie-operator/zombie-operator/agent/nodereport"
	"github.com/zombie-operator/zombie-operator/agent/observe"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/agent/sighting"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// That a parent is stopped takes two looks at it; the report that names it first must not wait for another.
func TestTheFirstReportKnowsWhyTheParentDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		n.zombies(1)
		n.thread(appPID, "T (stopped)")
		a, _ := newAgent(t, n, s)
		defer run(t, a)()
		pass(1)
		wantCalls(t, s, "at the second look", "get", "spec", "status")
		report := s.report(t)
		if got := report.Status.Observed.Containers[0].Parents[0].Cause; got != v1alpha1.CauseParentStopped || report.Status.Observed.Finding != string(got) {
			t.Errorf("cause = %s, finding = %s, want ParentStopped", got, report.Status.Observed.Finding)
		}
	})
}

// A container within the container may be paused: its processes are frozen, those around it are not.
func TestAParentIsFrozenWithItsOwnCgroup(t *testing.T) {
	t.Parallel()
	for about, tc := range map[string]struct {
		cgroup string // of the parent, below that of the container
		want   v1alpha1.Cause
	}{
		"in the frozen one": {"/docker/paused", v1alpha1.CauseParentFrozen},
		"beside it":         {"/docker/runs", v1alpha1.CauseParentDoesNotWait},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n, s := newNode(t), newServer(t)
				const container, parent = "/kubepods/web/" + appID, appPID + 500
				n.process(parent, appPID, "S", appNS, container+tc.cgroup, parent, 500)
				n.thread(parent, "S (sleeping)")
				n.process(parent+1, parent, "Z", appNS, "/", parent+1, 501)
				n.cgroup(container+"/cgroup.events", "populated 1\nfrozen 0\n")
				n.cgroup(container+"/docker/paused/cgroup.events", "populated 1\nfrozen 1\n")
				a, _ := newAgent(t, n, s)
				defer run(t, a)()
				pass(1)
				wantCalls(t, s, "at the second look", "get", "spec", "status")
				if got := s.report(t).Status.Observed.Containers[0].Parents[0].Cause; got != tc.want {
					t.Errorf("cause = %s, want %s", got, tc.want)
				}
			})
		})
	}
}

// What a tracer holds ends when that one waits, and the container not before, unless the tracer ends with it.
func TestARestartCannotHelpAParentThatIsTracedFromOutside(t *testing.T) {
	t.Parallel()
	const parent, tracer = appPID + 500, appPID + 600
	for about, tc := range map[string]struct {
		put  func(*node) // the tracer
		want bool
	}{
		"on the node":          {func(n *node) { n.process(tracer, 1, "S", hostNS, "/user.slice", tracer) }, true},
		"in another container": {func(n *node) { n.process(tracer, 1, "S", appNS+1, "/kubepods/gdb/bbbb", tracer, 7) }, true},
		"in the container":     {func(n *node) { n.process(tracer, appPID, "S", appNS, "/kubepods/web/"+appID, tracer, 600) }, false},
		"nested in it":         {func(n *node) { n.process(tracer, appPID, "S", appNS+1, "/kubepods/web/"+appID, tracer, 600, 1) }, false},
		"gone":                 {func(*node) {}, false},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n, s := newNode(t), newServer(t)
				n.process(parent, appPID, "S", appNS, "/kubepods/web/"+appID, parent, 500)
				n.write(fmt.Sprintf("%d/status", parent), fmt.Sprintf("Name:\tapi\nTracerPid:\t%d\nNSpid:\t%d\t500\n", tracer, parent))
				n.thread(parent, "t (tracing stop)")
				n.process(parent+1, parent, "Z", appNS, "/", parent+1, 501)
				tc.put(n)
				a, _ := newAgent(t, n, s)
				defer run(t, a)()
				pass(1)
				wantCalls(t, s, "at the second look", "get", "spec", "status")
				seen := s.report(t).Status.Observed.Containers[0].Parents[0]
				if seen.Cause != v1alpha1.CauseParentTraced || slices.Contains(seen.CannotHelp, v1alpha1.RemedyRestartContainer) != tc.want {
					t.Errorf("%s with %v, want ParentTraced, and that a restart cannot help: %t", seen.Cause, seen.CannotHelp, tc.want)
				}
			})
		})
	}
}

func TestRunTellsHowFarPIDsAreUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		n.zombies(1)
		n.limit(79, 5)
		a, _ := newAgent(t, n, s)
		defer run(t, a)()
		check := func(when string, used int32, forksFailing bool) {
			t.Helper()
			want := &v1alpha1.PIDs{Used: used, Limit: 100, LimitedBy: v1alpha1.PIDLimitContainer, UsedPercent: used, ForksFailing: forksFailing}
			if diff := cmp.Diff(want, s.report(t).Status.Observed.Containers[0].PIDs); diff != "" {
				t.Errorf("%s: PIDs (-want +got):\n%s", when, diff)
			}
		}
		pass(1)
		wantCalls(t, s, "at the second look", "get", "spec", "status")
		check("at the second look", 79, false) // five were refused before the agent looked
		n.limit(80, 5)
		pass(1)
		wantCalls(t, s, "at 80 %", "status")
		check("at 80 %", 80, false)
		n.limit(81, 6)
		pass(1)
		wantCalls(t, s, "when forks fail", "status")
		check("when forks fail", 81, true)
		pass(2)
		wantCalls(t, s, "when none fails any more: it can wait")
	})
}

func TestRunReportsTheNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		n.process(1992, 1, "Z", hostNS, "/", 1992)
		n.process(1994, 1, "Z", 4026539999, "/", 1994, 94)
		n.write("loadavg", "0.00 0.01 0.05 1/24576 4711\n")
		a, _ := newAgent(t, n, s)
		defer run(t, a)()
		pass(1)
		var report v1alpha1.ZombieNodeReport
		if err := s.Get(t.Context(), client.ObjectKey{Name: "node-1"}, &report); err != nil {
			t.Fatal(err)
		}
		want := &v1alpha1.NodeObserved{
			HostZombies: 1, Parents: []v1alpha1.HostParent{{Command: "p1", Zombies: 1}}, Unattributed: 1,
			PIDs: &v1alpha1.PIDs{Used: 24576, Limit: 32768, LimitedBy: v1alpha1.PIDLimitPIDMax, UsedPercent: 75},
		}
		if diff := cmp.Diff(want, report.Status.Observed); diff != "" {
			t.Errorf("observation (-want +got):\n%s", diff)
		}
		s.taken()
	})
}

// Where each call takes its time, a hundred leaking pods take minutes; the node may have no PID left by then.
func TestRunReportsTheNodeBeforeItsPods(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		n.zombies(3)
		n.write("loadavg", "0.00 0.01 0.05 1/24576 4711\n")
		a, _ := newAgent(t, n, s)
		s.behave(time.Second, nil)
		defer run(t, a)()
		pass(1)
		<-time.After(3*time.Second - 1)
		synctest.Wait()
		wantCalls(t, s, "while the node is reported")
		if diff := cmp.Diff([]string{"get", "spec", "status"}, s.nodeCalls); diff != "" {
			t.Errorf("calls about the node (-want +got):\n%s", diff)
		}
		<-time.After(3 * time.Second)
		synctest.Wait()
		wantCalls(t, s, "after it", "get", "spec", "status")
	})
}

// held makes as many zombies of a parent; what they were moved from goes round.
func held(count, parentPID int, movedFrom ...string) []observe.Zombie {
	zombies := make([]observe.Zombie, count)
	for i := range zombies {
		zombies[i] = observe.Zombie{Zombie: &sighting.Zombie{Zombie: &scan.Zombie{}}, Parent: &scan.Parent{Key: scan.Key{PID: parentPID, StartTicks: uint64(parentPID)}}, ParentPID: parentPID}
		if len(movedFrom) > 0 {
			zombies[i].MovedFrom = movedFrom[i%len(movedFrom)]
		}
	}
	return zombies
}

func TestSubjectOfCountsWhatWasMoved(t *testing.T) {
	t.Parallel()
	for about, tc := range map[string]struct {
		held  []observe.Zombie
		moved int
		from  string
	}{
		"none was moved":                {held(3, 1), 0, ""},
		"some were moved":               {held(3, 1, "sh", ""), 2, "sh"},
		"most came from one":            {held(5, 1, "a", "b", "b"), 5, "b"},
		"as many came from each of two": {held(2, 1, "b", "a"), 2, "a"},
	} {
		want := evidence.Subject{Parent: *tc.held[0].Parent, PID: 1, Zombies: len(tc.held), Moved: tc.moved, MovedFrom: tc.from}
		for range 10 { // they come out of a map
			if diff := cmp.Diff(want, subjectOf(observe.Holders(tc.held)[0])); diff != "" {
				t.Errorf("%s: subject (-want +got):\n%s", about, diff)
			}
		}
	}
}

// Those that were seen once say nothing of it.
func TestSubjectOfTellsWhatWasReaped(t *testing.T) {
	t.Parallel()
	zombies := held(3, 1)
	zombies[0].Reaped, zombies[1].Reaped = 7, 7
	if got := subjectOf(observe.Holders(zombies)[0]); got.Reaped != 7 {
		t.Errorf("reaped = %d, want 7", got.Reaped)
	}
}

// What a parent of the host or of a pod reaps now and then does not fill the node, but it is born there.
func TestTheForecastOfTheNodeLeavesOutWhatIsTemporary(t *testing.T) {
	t.Parallel()
	now := time.Now()
	look := func(temporary func(int) bool) (nodeFacts, nodereport.Look) {
		s := sorter{table: attribute.NewTable(hostNS, nil), unknown: map[scan.Key]bool{}}
		s.lookBefore = now
		for i := range 60 {
			z := sighting.Zombie{Zombie: &scan.Zombie{}, Temporary: temporary(i)}
			z.StartedAt = now.Add(-time.Duration(i) * 10 * time.Second)
			s.zombie(&z)
		}
		n := ratesOf(s.sorted)
		n.limits = []headroom.Limit{{By: v1alpha1.PIDLimitPIDMax, Max: 1000}}
		return n, n.look(s.sorted, now)
	}
	for name, tc := range map[string]struct {
		temporary func(int) bool
		staying   float64
	}{
		"none is":     {func(int) bool { return false }, 360},
		"each other":  {func(i int) bool { return i%2 == 0 }, 180},
		"all of them": {func(int) bool { return true }, 0},
	} {
		n, seen := look(tc.temporary)
		if seen.BirthsPerHour == nil || *seen.BirthsPerHour != 360 || n.staying != tc.staying || seen.ExhaustionTime.IsZero() != (tc.staying == 0) {
			t.Errorf("%s: births = %v, staying = %f, full at %s, want 360 and %f", name, seen.BirthsPerHour, n.staying, seen.ExhaustionTime, tc.staying)
		}
	}
}

// A tenant may make as many parents as it has PIDs.
func TestFewParentsAreLookedAt(t *testing.T) {
	t.Parallel()
	var counted, all []observe.Zombie
	for pid := range 200 {
		all = append(all, held(1+pid, 1+pid)...)
		if pid < 100 {
			counted = append(counted, held(1+pid, 1+pid)...)
		}
	}
	var got, want []read
	for _, s := range worst(observe.Holders(counted), all) {
		got = append(got, read{s.PID, s.ThreadsOnly})
	}
	for _, most := range []int{100, 200} {
		for i := range 64 {
			want = append(want, read{most - i, i >= 3})
		}
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(read{})); diff != "" {
		t.Errorf("parents (-want +got):\n%s", diff)
	}
}

// read is a parent that is read, and whether only its threads are.
type read struct {
	pid         int
	threadsOnly bool
}

// A restart would hang behind it, however few zombies it holds.
func TestTheFirstReportTellsOfAParentInDBehindLargerOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		zombie := 1500
		for i, zombies := range []int{5, 4, 3, 2} {
			parent := 1100 + i
			n.process(parent, appPID, "S", appNS, "/kubepods/web/"+appID, parent, 100+i)
			n.thread(parent, "S (sleeping)")
			for range zombies {
				n.process(zombie, parent, "Z", appNS, "/", zombie, zombie-1000)
				zombie++
			}
		}
		n.thread(1103, "D (disk sleep)")
		a, _ := newAgent(t, n, s)
		defer run(t, a)()
		pass(1)
		report := s.report(t)
		var pids []int32
		for _, p := range report.Status.Observed.Containers[0].Parents {
			pids = append(pids, *p.PID)
		}
		if diff := cmp.Diff([]int32{100, 101, 103}, pids); diff != "" {
			t.Errorf("parents (-want +got):\n%s", diff)
		}
		if !meta.IsStatusConditionTrue(report.Status.Conditions, v1alpha1.ConditionPileBehindD) {
			t.Errorf("conditions = %+v, want the pile behind D", report.Status.Conditions)
		}
	})
}

// A parent that is just dying shows nothing at one look, as in every container that is restarted.
func TestAZombieIsUnattributedWhenItWasAtTheLookBeforeToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		n.zombies(5)
		n.process(1992, 1, "Z", hostNS, "/", 1992)
		a, _ := newAgent(t, n, s)
		a.begin()
		lookAt := func(what string, host, unattributed int32) {
			t.Helper()
			<-time.After(interval)
			seen, _ := a.look(t.Context())
			if seen.node.HostZombies != host || seen.node.Unattributed != unattributed {
				t.Errorf("%s: node = %+v, want %d zombies of the host and %d unattributed", what, seen.node, host, unattributed)
			}
		}
		a.look(t.Context())
		lookAt("at the second look", 1, 0)
		for _, parent := range []string{"1", "1000"} { // away for a look
			if err := os.Rename(filepath.Join(n.root, parent, "cgroup"), filepath.Join(n.root, parent, "away")); err != nil {
				t.Fatal(err)
			}
		}
		lookAt("without the parents", 0, 0)
		for _, parent := range []string{"1", "1000"} {
			if err := os.Rename(filepath.Join(n.root, parent, "away"), filepath.Join(n.root, parent, "cgroup")); err != nil {
				t.Fatal(err)
			}
		}
		lookAt("with the parents again", 1, 0)
		n.remove(1)
		lookAt("without the host's again", 0, 0)
		lookAt("still without it", 0, 1)
	})
}

func TestReaperHoldsWhereItsOwnZombiesCount(t *testing.T) {
	t.Parallel()
	n, s := newNode(t), newServer(t)
	a, _ := newAgent(t, n, s)
	a.begin()
	a.look(t.Context())
	now := time.Now()
	for about, tc := range map[string]struct {
		age  time.Duration
		want bool
	}{"they count": {time.Minute, true}, "they are young": {time.Second, false}} {
		zombies := slices.Concat(held(1, 1), held(1, 7))
		for i := range zombies {
			zombies[i].Since = now.Add(-tc.age)
		}
		zombies[1].Since = now.Add(-time.Hour)
		read := a.parents(sorted{zombies: map[string][]observe.Zombie{appID: zombies}}, now)
		if got := read[zombies[1].Parent.Key].ReaperHolds; got != tc.want {
			t.Errorf("%s: the reaper holds = %t, want %t", about, got, tc.want)
		}
	}
}

// What is refused above the pod, others may have used up.
func TestRefusalsAreThoseOfTheContainerAndItsPod(t *testing.T) {
	t.Parallel()
	got := refusalsOf([]cgroup.Level{
		{By: v1alpha1.PIDLimitContainer, Refused: 1}, {By: v1alpha1.PIDLimitPod, Refused: 2}, {By: v1alpha1.PIDLimitKubepods, Refused: 3},
	})
	if diff := cmp.Diff(refusals{v1alpha1.PIDLimitContainer: 1, v1alpha1.PIDLimitPod: 2}, got); diff != "" {
		t.Errorf("refusals (-want +got):\n%s", diff)
	}
}

func TestRefusalsAreKnownFromTheSecondLookOn(t *testing.T) {
	t.Parallel()
	const container, pod = v1alpha1.PIDLimitContainer, v1alpha1.PIDLimitPod
	for about, tc := range map[string]struct {
		before, now refusals
		want        bool
	}{
		"no look before":               {nil, refusals{container: 5}, false},
		"as many as before":            {refusals{container: 5}, refusals{container: 5}, false},
		"more of the container":        {refusals{container: 5, pod: 9}, refusals{container: 6, pod: 9}, true},
		"more of the pod":              {refusals{container: 5, pod: 9}, refusals{container: 5, pod: 10}, true},
		"the pod was not read before":  {refusals{container: 5}, refusals{container: 5, pod: 10}, false},
		"fewer: another cgroup by now": {refusals{container: 5}, refusals{container: 1}, false},
		"nothing can be read":          {refusals{container: 5}, nil, false},
	} {
		if got := tc.now.since(tc.before); got != tc.want {
			t.Errorf("%s: forks fail = %t, want %t", about, got, tc.want)
		}
	}
}
