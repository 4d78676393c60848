package agent

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/agent/diagnose"
	"github.com/zombie-operator/zombie-operator/agent/publish"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// pass lets time pass, up to just after a look and what it leads to.
func pass(looks int) {
	<-time.After(time.Duration(looks) * interval)
	synctest.Wait()
}

func wantCalls(t *testing.T, s *server, when string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), s.taken()); diff != "" {
		t.Errorf("%s: calls (-want +got):\n%s", when, diff)
	}
}

func TestRunReportsALeakAtTheSecondLook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		n.zombies(3)
		a, _ := newAgent(t, n, s)
		began := time.Now()
		defer run(t, a)()
		synctest.Wait()
		wantCalls(t, s, "at the first look")
		pass(1)
		wantCalls(t, s, "at the second look", "get", "spec", "status")
		report := s.report(t)
		c := meta.FindStatusCondition(report.Status.Conditions, v1alpha1.ConditionLeaking)
		if c == nil || c.Status != metav1.ConditionTrue || !c.LastTransitionTime.Time.Equal(began.Add(-20*time.Minute)) {
			t.Errorf("condition = %+v, want leaking since %s", c, began.Add(-20*time.Minute))
		}
		oldest := metav1.NewTime(began.Add(-20 * time.Minute).UTC())
		want := &v1alpha1.Observed{
			Zombies: 3, OldestZombieTime: &oldest, Finding: "PID1DoesNotReap",
			Containers: []v1alpha1.ContainerObservation{{
				Name: "app", ContainerID: appID, Image: "registry/app:1", Zombies: 3,
				Ages: []v1alpha1.AgeCount{{MinAgeSeconds: 30, Zombies: 3}, {MinAgeSeconds: 60, Zombies: 3}, {MinAgeSeconds: 300, Zombies: 3}, {MinAgeSeconds: 900, Zombies: 3}},
				PIDs: &v1alpha1.PIDs{Used: 120, Limit: 32768, LimitedBy: v1alpha1.PIDLimitPIDMax},
				Parents: []v1alpha1.Parent{{
					PID: new(int32(1)), StartTicks: appPID, Command: "p1000", Zombies: 3, OldestZombieTime: oldest,
					Cause: v1alpha1.CausePID1DoesNotReap,
					Dead:  []v1alpha1.DeadGroup{{Command: "p1001", Exit: "exit 0", Zombies: 1}, {Command: "p1002", Exit: "exit 0", Zombies: 1}}, DeadOmitted: 1,
				}},
			}},
		}
		seen := &report.Status.Observed.Containers[0]
		seen.Parents[0].Message, seen.Parents[0].Evidence, seen.Parents[0].Fix, seen.Parents[0].CannotHelp = "", "", "", nil
		if diff := cmp.Diff(want, report.Status.Observed, cmp.Comparer(func(a, b metav1.Time) bool { return a.Time.Equal(b.Time) })); diff != "" {
			t.Errorf("observation (-want +got):\n%s", diff)
		}
		n.zombies(4)
		pass(1)
		wantCalls(t, s, "at a look that saw about the same")
		n.zombies(0)
		pass(1)
		wantCalls(t, s, "when all were reaped", "status")
		if report := s.report(t); report.Status.Observed.Zombies != 0 {
			t.Errorf("zombies = %d, want none", report.Status.Observed.Zombies)
		}
	})
}

func TestRunReportsTheNewestLookWhenTheAPIServerIsSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		n.zombies(1)
		a, _ := newAgent(t, n, s)
		defer run(t, a)()
		pass(1)
		wantCalls(t, s, "at the second look", "get", "spec", "status")
		s.behave(4*interval+interval/2, nil)
		n.zombies(10)
		pass(2) // to be seen twice
		wantCalls(t, s, "when it gets slow", "status")
		for _, zombies := range []int{20, 50, 100, 5} {
			n.zombies(zombies)
			pass(1)
		}
		wantCalls(t, s, "while it is slow")
		s.behave(0, nil)
		<-time.After(interval/2 + 1)
		synctest.Wait()
		wantCalls(t, s, "when it answered", "status")
		if got := s.report(t).Status.Observed.Zombies; got != 5 {
			t.Errorf("zombies = %d, want 5 of the newest look", got)
		}
		if err := a.Health.Live(); err != nil {
			t.Errorf("Live() = %v: scans must not wait for the API server", err)
		}
	})
}

func TestRunStopsWhileACallHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		n.zombies(1)
		a, log := newAgent(t, n, s)
		s.behave(1000*time.Hour, nil)
		stop := run(t, a)
		pass(1)
		if diff := cmp.Diff([]string{"get"}, s.nodeCalls); diff != "" {
			t.Fatalf("calls about the node (-want +got):\n%s", diff)
		}
		began := time.Now()
		stop() // synctest fails when a goroutine stays
		if took := time.Since(began); took > 0 {
			t.Errorf("stopping took %s", took)
		}
		if got := log.count("level=ERROR"); got != 0 {
			t.Errorf("logged %d errors, want none: a call that was given up is no failure", got)
		}
	})
}

func TestRunDoesNotReturnBeforeItsLastCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		n.zombies(1)
		a, _ := newAgent(t, n, s)
		s.stubborn = true
		s.behave(5*time.Second, nil)
		stop := run(t, a)
		pass(1)
		began := time.Now()
		stop()
		if took := time.Since(began); took < 5*time.Second {
			t.Errorf("stopping took %s, want 5s at least: a call is under way", took)
		}
	})
}

// reportedBefore is the report that an earlier agent left: three zombies, the oldest two hours dead.
func reportedBefore(now time.Time) *v1alpha1.ZombieReport {
	oldest := metav1.NewTime(now.Add(-2 * time.Hour))
	return &v1alpha1.ZombieReport{
		ObjectMeta: metav1.ObjectMeta{Namespace: reportKey.Namespace, Name: reportKey.Name},
		Spec:       v1alpha1.ZombieReportSpec{PodName: "web", PodUID: "uid-web", NodeName: "node-1"},
		Status: v1alpha1.ZombieReportStatus{
			Observed: &v1alpha1.Observed{
				Zombies: 3, OldestZombieTime: &oldest, Finding: "PID1DoesNotReap",
				Containers: []v1alpha1.ContainerObservation{{
					Name: "app", ContainerID: appID, Image: "registry/app:1", Zombies: 3,
					Ages: []v1alpha1.AgeCount{
						{MinAgeSeconds: 30, Zombies: 3}, {MinAgeSeconds: 60, Zombies: 3}, {MinAgeSeconds: 300, Zombies: 3},
						{MinAgeSeconds: 900, Zombies: 2}, {MinAgeSeconds: 3600, Zombies: 1},
					},
					Parents: []v1alpha1.Parent{{
						PID: new(int32(1)), StartTicks: appPID, Command: "p1000", Zombies: 3, OldestZombieTime: oldest,
						Cause: v1alpha1.CausePID1DoesNotReap, CannotHelp: []v1alpha1.Remedy{v1alpha1.RemedySIGTERM, v1alpha1.RemedySIGKILL},
						Fix: diagnose.Diagnose(diagnose.Evidence{Command: "p1000", PID: 1}).Fix,
					}},
				}},
			},
			Conditions: []metav1.Condition{{
				Type: v1alpha1.ConditionLeaking, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonZombiesCounted,
				LastTransitionTime: oldest,
			}},
		},
	}
}

func TestRunLosesNoAgeWhereTheKernelTellsNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		n.tells = false
		n.zombies(3)
		before := reportedBefore(time.Now())
		s := newServer(t, before)
		a, _ := newAgent(t, n, s)
		defer run(t, a)()
		pass(1)
		wantCalls(t, s, "at the second look", "get")
		pass(6)
		wantCalls(t, s, "at the looks after it")
		n.zombies(10)
		pass(2)
		wantCalls(t, s, "when there are more", "status")
		got := s.report(t).Status.Observed
		if !got.OldestZombieTime.Time.Equal(before.Status.Observed.OldestZombieTime.Time) {
			t.Errorf("oldest = %s, want %s as reported before", got.OldestZombieTime, before.Status.Observed.OldestZombieTime)
		}
		want := []v1alpha1.AgeCount{
			{MinAgeSeconds: 30, Zombies: 10}, {MinAgeSeconds: 60, Zombies: 3}, {MinAgeSeconds: 300, Zombies: 3},
			{MinAgeSeconds: 900, Zombies: 2}, {MinAgeSeconds: 3600, Zombies: 1},
		}
		if diff := cmp.Diff(want, got.Containers[0].Ages); diff != "" {
			t.Errorf("ages (-want +got):\n%s", diff)
		}
	})
}

func TestRunGoesOnWithoutTheRuntime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		n.zombies(1)
		a, log := newAgent(t, n, s)
		defer run(t, a)()
		pass(1)
		wantCalls(t, s, "at the second look", "get", "spec", "status")
		n.breakRuntime(errBroken)
		n.zombies(5)
		pass(2) // to be seen twice
		wantCalls(t, s, "without the runtime", "status")
		if err := a.Health.Ready(); err != nil {
			t.Errorf("Ready() = %v, want nil: it may be a restart", err)
		}
		pass(3)
		if err := a.Health.Ready(); err == nil {
			t.Error("Ready() = nil, want an error")
		}
		if err := a.Health.Live(); err != nil {
			t.Errorf("Live() = %v, want nil", err)
		}
		n.breakRuntime(nil)
		pass(1)
		if err := a.Health.Ready(); err != nil {
			t.Errorf("Ready() = %v, want nil", err)
		}
		wantCalls(t, s, "all the time")
		if failed, works := log.count("Part of the agent fails"), log.count("Part of the agent works"); failed != 1 || works != 4 {
			t.Errorf("logged %d failures and %d starts, want 1 and 4: scan, hostPID, and twice the runtime", failed, works)
		}
	})
}

func TestRunTriesAgainWhenTheAPIServerFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		n.zombies(1)
		a, _ := newAgent(t, n, s)
		s.behave(0, errBroken)
		defer run(t, a)()
		pass(5)
		wantCalls(t, s, "while it fails", "get", "get", "get", "get", "get")
		if err := a.Health.Ready(); err == nil {
			t.Error("Ready() = nil, want an error")
		}
		s.behave(0, nil)
		pass(1)
		wantCalls(t, s, "when it works", "get", "spec", "status")
		if err := a.Health.Ready(); err != nil {
			t.Errorf("Ready() = %v, want nil", err)
		}
	})
}

func TestRunSaysNothingWithoutScans(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		n.zombies(1)
		a, log := newAgent(t, n, s)
		defer run(t, a)()
		pass(1)
		s.taken()
		if err := os.Remove(filepath.Join(n.root, "uptime")); err != nil {
			t.Fatal(err)
		}
		pass(4)
		wantCalls(t, s, "without scans")
		if err := a.Health.Live(); err == nil {
			t.Error("Live() = nil, want an error")
		}
		if got := log.count("part=scan err="); got != 1 {
			t.Errorf("logged %d times, want once", got)
		}
	})
}

func TestRunNeverCountsWhatIsNoLeak(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		n.lookAlikes()
		n.process(1992, 1, "Z", hostNS, "/", 1992)         // the host's
		n.process(1993, 4444, "Z", appNS, "/", 1993, 93)   // its parent vanished
		n.process(1994, 1, "Z", 4026539999, "/", 1994, 94) // of nobody that is known
		a, log := newAgent(t, n, s)
		defer run(t, a)()
		pass(3)
		if got := s.report(t).Status.Observed; got.Zombies != 0 || len(got.Containers) != 0 {
			t.Errorf("observation = %+v, want no zombie", got)
		}
		if got := log.count("ofTheHost=1 unattributed=2 traced=1 leadersWithLiveThreads=1 otherExitSignal=1 deadContainers=0 unreadable=0 moreLookAlikes=0"); got != 1 {
			t.Errorf("logged %d times, want once:\n%s", got, log.text.String())
		}
	})
}

// A thread that gave up the right to pass locked directories stands in for an agent without SYS_PTRACE.
func TestLookSaysOnceThatNamespacesAreHidden(t *testing.T) {
	t.Parallel()
	n, s := newNode(t), newServer(t)
	n.zombies(1)
	for _, pid := range []string{"1000", "1001"} {
		dir := filepath.Join(n.root, pid, "ns")
		if err := os.Chmod(dir, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(dir, 0o700) }) // so that it can be removed
	}
	a, log := newAgent(t, n, s)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		err := unix.Capset(&header, &none[0])
		a.begin()
		a.look(t.Context())
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := log.count("SYS_PTRACE"); got != 1 {
		t.Errorf("logged %d times, want once:\n%s", got, log.text.String())
	}
	if containers := a.Inventory.Containers(); len(containers) != 1 || containers[0].Namespace != 0 {
		t.Errorf("containers = %+v, want one without a namespace", containers)
	}
}

// While the runtime hangs, a look begins long before its scan: zombies must not seem older for it.
func TestLookIsTimedByItsScan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		n.zombies(1)
		a, _ := newAgent(t, n, s)
		a.begin()
		n.answersAfter = 15 * time.Second // to each of three questions
		began := time.Now()
		a.look(t.Context())
		<-time.After(interval)
		look, _ := a.look(t.Context())
		pods := look.pods.Pods
		i := slices.IndexFunc(pods, func(p publish.Pod) bool { return p.Name == "web" })
		if i < 0 || pods[i].Observed.OldestZombieTime == nil {
			t.Fatalf("pods = %+v, want web with a zombie", pods)
		}
		if got, want := pods[i].Observed.OldestZombieTime.Time, began.Add(45*time.Second-20*time.Minute); !got.Equal(want) {
			t.Errorf("oldest = %s, want %s", got, want)
		}
	})
}

// While a parent dies, its zombies cannot be attributed for a look: that must not be told as "fewer zombies".
func TestLookLeavesAPodAloneWhileItsZombiesCannotBeAttributed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, s := newNode(t), newServer(t)
		n.zombies(5)
		a, _ := newAgent(t, n, s)
		a.begin()
		webAt := func(what string, zombies int32, incomplete bool) {
			t.Helper()
			<-time.After(interval)
			look, _ := a.look(t.Context())
			i := slices.IndexFunc(look.pods.Pods, func(p publish.Pod) bool { return p.Name == "web" })
			if i < 0 || look.pods.Pods[i].Observed.Zombies != zombies || look.pods.Pods[i].Incomplete != incomplete {
				t.Errorf("%s: pods = %+v, want web with %d zombies, incomplete: %t", what, look.pods.Pods, zombies, incomplete)
			}
		}
		a.look(t.Context())
		webAt("at the second look", 5, false)
		cgroup := filepath.Join(n.root, "1000", "cgroup")
		raw, err := os.ReadFile(cgroup)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(cgroup); err != nil {
			t.Fatal(err)
		}
		webAt("without the parent", 0, true)
		webAt("still without it", 0, true)
		if err := os.WriteFile(cgroup, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		webAt("with the parent again", 5, false)
	})
}
