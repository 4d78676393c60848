package signal

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/agent/target"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// These tests signal real processes of the kernel they run on. Only the container around them is made up.

const containerID = "0123456789abcdef"

// machine is a node whose processes are real, but of which all that are not the test itself are said to be in one container.
type machine struct {
	scan.Proc
	inventory.Runtime
	// first is the first process of the container.
	first int
	// youth is how much older its zombies are said to be than they are: no test waits for real ones to grow old.
	youth time.Duration
}

func (m machine) Clocks() (scan.Clocks, error) {
	c, err := m.Proc.Clocks()
	return clocks{c, m.youth}, err
}

type clocks struct {
	scan.Clocks
	youth time.Duration
}

func (c clocks) DeadFor(zombie kernel.Process) (time.Duration, error) {
	age, err := c.Clocks.DeadFor(zombie)
	return age + c.youth, err
}

func (m machine) Identity(pid int) (scan.Identity, error) {
	identity, err := m.Proc.Identity(pid)
	if err == nil && pid != os.Getpid() {
		identity.Namespace, identity.NamespacePIDs = 1, []int{pid, pid}
		identity.Cgroups = []string{"/kubepods/" + containerID}
	}
	return identity, err
}

func (m machine) Container(context.Context, string) (*runtimeapi.ContainerStatusResponse, error) {
	return &runtimeapi.ContainerStatusResponse{
		Status: &runtimeapi.ContainerStatus{
			Id:    containerID,
			State: runtimeapi.ContainerState_CONTAINER_RUNNING,
			Labels: map[string]string{
				"io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.name": "web", "io.kubernetes.pod.uid": "uid-web",
				"io.kubernetes.container.name": "app",
			},
		},
		Info: map[string]string{"info": fmt.Sprintf(`{"pid": %d}`, m.first)},
	}, nil
}

// kindFor returns the act and the remediation for the parent that takes a program's commands.
func kindFor(t *testing.T, p *program, sig v1alpha1.Signal, times times) (*Kind, *v1alpha1.ZombieRemediation) {
	t.Helper()
	fs, err := kernel.New("/proc")
	if err != nil {
		t.Fatal(err)
	}
	m := machine{Proc: scan.Proc{FS: fs}, first: os.Getppid(), youth: time.Hour}
	process, err := m.Process(p.pid)
	if err != nil {
		t.Fatal(err)
	}
	return &Kind{finder: target.Finder{Runtime: m, Proc: m, Open: target.OpenPidfd}, times: times}, &v1alpha1.ZombieRemediation{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1"},
		Spec: v1alpha1.ZombieRemediationSpec{
			PodName: "web", PodUID: "uid-web", ContainerName: "app", ContainerID: containerID,
			Action:       v1alpha1.RemediationSignalParent,
			SignalParent: &v1alpha1.SignalParentAct{Signal: sig, PID: int32(p.pid), StartTicks: int64(process.StartTicks)},
		},
	}
}

func mustPrepare(t *testing.T, k *Kind, r *v1alpha1.ZombieRemediation) act.Prepared {
	t.Helper()
	prepared, err := k.Prepare(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(prepared.Close)
	return prepared
}

func TestRealParentIsSignalled(t *testing.T) {
	t.Parallel()
	quick := times{apart: 5 * time.Millisecond, answer: patience, proof: patience, poll: 5 * time.Millisecond}
	hopeless := times{apart: 5 * time.Millisecond, answer: 50 * time.Millisecond, proof: 200 * time.Millisecond, poll: 5 * time.Millisecond}
	lost := hopeless
	lost.proof = 3 * time.Second // the process has to end, on an emulated machine too
	const zombies = 12
	tests := map[string]struct {
		role    string
		live    bool
		signal  v1alpha1.Signal
		times   times
		outcome v1alpha1.Outcome
		after   int32
		says    string
	}{
		"one SIGCHLD cures a parent that missed signals and waits in a loop": {
			role: roleLoop, live: true, signal: v1alpha1.SignalChild, times: quick,
			outcome: v1alpha1.OutcomeCured, says: "Sent SIGCHLD 1 time to process %d (exe): 12 zombies before, 0 after.",
		},
		"one SIGCHLD for each zombie cures a parent without a live child that waits once": {
			role: roleOnce, signal: v1alpha1.SignalChild, times: quick,
			outcome: v1alpha1.OutcomeCured, says: "Sent SIGCHLD 12 times to process %d (exe): 12 zombies before, 0 after.",
		},
		"one zombie is left to a parent with a live child that waits once": {
			role: roleOnce, live: true, signal: v1alpha1.SignalChild, times: quick,
			outcome: v1alpha1.OutcomeReduced, after: 1, says: "Sent SIGCHLD 11 times to process %d (exe): 12 zombies before, 1 after. One is left alone",
		},
		"SIGCHLD has no effect on a parent that never waits": {
			role: roleNever, signal: v1alpha1.SignalChild, times: hopeless,
			outcome: v1alpha1.OutcomeNoEffect, after: zombies, says: "Sent SIGCHLD 1 time to process %d (exe): 12 zombies before, 12 after.",
		},
		"SIGTERM to a middle process cures through an init that reaps": {
			role: roleInit, signal: v1alpha1.SignalTerminate, times: quick,
			outcome: v1alpha1.OutcomeCured, says: "Sent SIGTERM 1 time to process %d (exe): 12 zombies before, 0 after.",
		},
		"SIGTERM to a middle process moves the zombies to an init that does not reap, and makes one more": {
			role: roleBadInit, signal: v1alpha1.SignalTerminate, times: lost,
			outcome: v1alpha1.OutcomeMoved, after: zombies + 1, says: "Sent SIGTERM 1 time to process %d (exe): 12 zombies before, 13 after. They passed to process ",
		},
		"SIGKILL to a middle process cures through an init that reaps": {
			role: roleInit, signal: v1alpha1.SignalKill, times: quick,
			outcome: v1alpha1.OutcomeCured, says: "Sent SIGKILL 1 time to process %d (exe): 12 zombies before, 0 after.",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, tc.role)
			p.tell(t, "dead", zombies)
			if tc.live {
				p.tell(t, "live")
			}
			k, r := kindFor(t, p, tc.signal, tc.times)
			prepared := mustPrepare(t, k, r)
			if prepared.Before() != zombies {
				t.Errorf("Before() = %d, want %d", prepared.Before(), zombies)
			}
			result, err := prepared.Do(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if says := strings.ReplaceAll(tc.says, "%d", fmt.Sprint(p.pid)); result.Outcome != tc.outcome || result.After != tc.after || !strings.HasPrefix(result.Message, says) {
				t.Errorf("result = %+v, want %s, %d after, %q", result, tc.outcome, tc.after, says)
			}
		})
	}
}

// The zombies of a parent that is about to reap them are none of an act's business.
func TestRealParentWithYoungZombiesOnlyIsLeftAlone(t *testing.T) {
	t.Parallel()
	p := start(t, roleNever)
	p.tell(t, "dead", 3)
	k, r := kindFor(t, p, v1alpha1.SignalChild, usual)
	m, ok := k.finder.Proc.(machine)
	if !ok {
		t.Fatalf("proc = %T", k.finder.Proc)
	}
	m.youth = 0
	k.finder.Proc = m
	if prepared, err := k.Prepare(t.Context(), r); outcome(err) != v1alpha1.OutcomeStale {
		t.Errorf("Prepare() = %v, %v, want %s", prepared, err, v1alpha1.OutcomeStale)
	}
}

// A wait() sees no zombie that was made to end without SIGCHLD, so a handler that waits once would hang for as many of them as there
// are signals, as long as another child lives.
func TestRealParentIsNotSignalledForZombiesThatNoWaitSees(t *testing.T) {
	t.Parallel()
	p := start(t, roleOnce)
	p.tell(t, "dead", 0) // it has its handler from now on
	p.tell(t, "live")
	p.tell(t, "silent", 3)
	k, r := kindFor(t, p, v1alpha1.SignalChild, times{apart: time.Millisecond, answer: 20 * time.Millisecond, proof: time.Millisecond, poll: time.Millisecond})
	prepared, err := k.Prepare(t.Context(), r)
	if err == nil {
		defer prepared.Close()
		_, _ = prepared.Do(t.Context())
	}
	if outcome(err) != v1alpha1.OutcomeStale {
		t.Errorf("error = %v, want %s", err, v1alpha1.OutcomeStale)
	}
	if !p.answers(t, "ping") {
		t.Error("the parent is stuck")
	}
}

// The parent has a handler that waits once, and blocking, and a child that lives for ever: a SIGCHLD that finds no zombie
// hangs it. In each round some deaths were missed; while the act is under way, another thread of the parent reaps one zombie
// and another child dies, both at a random moment. Whatever the order, the parent must answer afterwards: the zombie that is
// kept back makes up for the one that was reaped, and a death that is told brings its own zombie.
func TestRealOneWaitParentIsNeverStuck(t *testing.T) {
	t.Parallel()
	const parents = 8
	rounds := 1250 // 10,000 in all; side by side, because most of a round is waiting
	if testing.Short() {
		rounds = 10
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var all sync.WaitGroup
	for i := range parents { //nolint:paralleltest // t.Parallel lets only as many run at a time as there are processors
		all.Go(func() {
			t.Run(fmt.Sprint(i), func(t *testing.T) { manyRounds(t, rounds, rand.New(rand.NewPCG(seed, uint64(i)))) })
		})
	}
	all.Wait()
}

func manyRounds(t *testing.T, rounds int, random *rand.Rand) {
	t.Helper()
	p := start(t, roleOnce)
	p.tell(t, "live")
	k, r := kindFor(t, p, v1alpha1.SignalChild, times{
		apart: time.Millisecond, answer: 20 * time.Millisecond, proof: time.Millisecond, poll: time.Millisecond,
	})
	// Found once: to look for it among all processes of a busy machine would take most of the time.
	held, err := k.find(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	outcomes := map[v1alpha1.Outcome]int{}
	for round := range rounds {
		outcomes[oneRound(t, p, k, held, random)]++
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("outcomes: %v", outcomes)
}

func oneRound(t *testing.T, p *program, k *Kind, held *target.Parent, random *rand.Rand) v1alpha1.Outcome {
	t.Helper()
	zombies := 2 + random.IntN(3)
	p.tell(t, "dead", zombies)
	prepared, err := k.prepare(held, unix.SIGCHLD)
	if err != nil {
		t.Fatal(err)
	}
	// A signal and its answer take some milliseconds, and so does the pause before the first.
	most := int64(4*zombies) * int64(time.Millisecond)
	p.tell(t, "race", random.Int64N(most), random.Int64N(most))
	result, err := prepared.Do(t.Context())
	if outcome(err) != "" {
		result.Outcome = outcome(err)
	} else if err != nil {
		t.Fatal(err)
	}
	if !p.answers(t, "ping") {
		t.Errorf("the parent is stuck after %d zombies: %+v, %v", zombies, result, err)
	}
	return result.Outcome
}
