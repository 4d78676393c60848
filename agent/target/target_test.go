package target_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/agent/target"
	"github.com/zombie-operator/zombie-operator/agent/target/targettest"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// parent is the process that the tests act on.
const parent = 107

// newNode is a node whose container has a parent with two zombies and a live child.
func newNode() *targettest.Node {
	n := targettest.New()
	n.Live(parent, targettest.Init)
	n.Dead(201, parent)
	n.Dead(202, parent)
	n.Live(203, parent)
	return n
}

func outcome(err error) v1alpha1.Outcome {
	if notDone, ok := errors.AsType[*act.NotDoneError](err); ok {
		return notDone.Outcome
	}
	return ""
}

func TestContainerIsFound(t *testing.T) {
	t.Parallel()
	c, err := newNode().Finder().Container(t.Context(), targettest.Remediation(v1alpha1.SignalChild, parent))
	if err != nil {
		t.Fatal(err)
	}
	if c.ID != targettest.ContainerID || c.InitPID != targettest.Init || c.InitTicks != targettest.Init || c.Depth != 2 {
		t.Errorf("container = %+v", c)
	}
}

func TestContainerMustBeTheOneThatWasDecidedOn(t *testing.T) {
	t.Parallel()
	type world struct {
		*targettest.Node
		*v1alpha1.ZombieRemediation
	}
	tests := map[string]struct {
		happen  func(world)
		outcome v1alpha1.Outcome
	}{
		"a container that the runtime does not know is stale":                  {func(w world) { w.Fail("container", status.Error(codes.NotFound, "none")) }, v1alpha1.OutcomeStale},
		"a container of which only the beginning of the ID was given is stale": {func(w world) { w.Spec.ContainerID = targettest.ContainerID[:1] }, v1alpha1.OutcomeStale},
		"a container that exited is stale":                                     {func(w world) { w.Node.Status.Status.State = runtimeapi.ContainerState_CONTAINER_EXITED }, v1alpha1.OutcomeStale},
		"a container of a pod of another name is stale":                        {func(w world) { w.Spec.PodName = "job" }, v1alpha1.OutcomeStale},
		"a container of a later pod of the same name is stale":                 {func(w world) { w.Spec.PodUID = "uid-later" }, v1alpha1.OutcomeStale},
		"a container of another namespace is stale":                            {func(w world) { w.Namespace = "bank" }, v1alpha1.OutcomeStale},
		"another container of the pod is stale":                                {func(w world) { w.Spec.ContainerName = "sidecar" }, v1alpha1.OutcomeStale},
		"a container that is no pod's is refused":                              {func(w world) { w.Node.Status.Status.Labels = nil }, v1alpha1.OutcomeRefused},
		"a container in the PID namespace of the host is refused": {
			func(w world) {
				w.Change(targettest.Init, func(p *targettest.Process) { p.Namespace = targettest.HostNamespace })
			}, v1alpha1.OutcomeRefused,
		},
		"a container whose PID namespace cannot be read is refused":             {func(w world) { w.Change(targettest.Init, func(p *targettest.Process) { p.Namespace = 0 }) }, v1alpha1.OutcomeRefused},
		"any container is refused when the host's PID namespace cannot be read": {func(w world) { w.Change(os.Getpid(), func(p *targettest.Process) { p.Namespace = 0 }) }, v1alpha1.OutcomeRefused},
		"the agent's own container is refused":                                  {func(w world) { w.Node.Status.Info["info"] = fmt.Sprintf(`{"pid": %d}`, os.Getpid()) }, v1alpha1.OutcomeRefused},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world{newNode(), targettest.Remediation(v1alpha1.SignalChild, parent)}
			tc.happen(w)
			_, err := w.Finder().Container(t.Context(), w.ZombieRemediation)
			if got := outcome(err); got != tc.outcome {
				t.Errorf("error = %v, want %s", err, tc.outcome)
			}
		})
	}
}

func TestContainerLookThatFailsMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"container", "process 100", "identity 100", fmt.Sprint("identity ", os.Getpid())} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			n := newNode()
			n.Fail(call, targettest.ErrBroken)
			_, err := n.Finder().Container(t.Context(), targettest.Remediation(v1alpha1.SignalChild, parent))
			if !errors.Is(err, targettest.ErrBroken) || outcome(err) != "" {
				t.Errorf("error = %v, want %v", err, targettest.ErrBroken)
			}
		})
	}
}

func mustContainer(t *testing.T, n *targettest.Node) inventory.Container {
	t.Helper()
	c, err := n.Finder().Container(t.Context(), targettest.Remediation(v1alpha1.SignalChild, parent))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// change changes zombie 201.
func change(what func(*targettest.Process)) func(*targettest.Node) {
	return func(n *targettest.Node) { n.Change(201, what) }
}

// traced lets zombie 201 be traced by process 203, which it changes.
func traced(what func(*targettest.Process)) func(*targettest.Node) {
	return func(n *targettest.Node) {
		n.Change(201, func(p *targettest.Process) { p.TracerPID = 203 })
		n.Change(203, what)
	}
}

func TestZombiesOfAContainer(t *testing.T) {
	t.Parallel()
	k201, k202, k301 := scan.Key{PID: 201, StartTicks: 201}, scan.Key{PID: 202, StartTicks: 202}, scan.Key{PID: 301, StartTicks: 301}
	all, others := target.Zombies{Held: []scan.Key{k201, k202}}, target.Zombies{Held: []scan.Key{k202}}
	outside := target.Zombies{Held: []scan.Key{k202}, Outside: 1}
	tests := map[string]struct {
		happen func(*targettest.Node)
		want   target.Zombies
	}{
		"all parents count":                                                 {func(n *targettest.Node) { n.Dead(301, targettest.Init) }, target.Zombies{Held: []scan.Key{k201, k202, k301}}},
		"one that is traced does not":                                       {change(func(p *targettest.Process) { p.TracerPID = 203 }), others},
		"one that its own parent traces counts":                             {change(func(p *targettest.Process) { p.TracerPID, p.ExitSignal = p.ParentPID, 0 }), all},
		"one whose tracer is in a namespace below the container's does not": {traced(func(p *targettest.Process) { p.Namespace, p.NamespacePIDs = 9, []int{203, 104, 1} }), others},
		"one that is let go meanwhile does not": {
			func(n *targettest.Node) {
				n.Change(201, func(p *targettest.Process) { p.TracerPID = 999 })
				happens("identity 999", func(n *targettest.Node) { n.Change(201, func(p *targettest.Process) { p.TracerPID = 0 }) })(n)
			}, others,
		},
		"one whose tracer is gone and that is traced still counts as one whose parent is outside": {change(func(p *targettest.Process) { p.TracerPID = 999 }), outside},
		"one whose tracer is on the host counts as one whose parent is outside":                   {change(func(p *targettest.Process) { p.TracerPID = os.Getpid() }), outside},
		"one whose tracer is in another container counts as one whose parent is outside":          {traced(func(p *targettest.Process) { p.Namespace, p.Cgroups = 8, []string{"/kubepods/pod2/other"} }), outside},
		"one whose tracer is in a namespace below another container's counts as one whose parent is outside": {
			traced(func(p *targettest.Process) {
				p.Namespace, p.NamespacePIDs, p.Cgroups = 9, []int{203, 104, 1}, []string{"/kubepods/pod2/other"}
			}), outside,
		},
		"one whose tracer came from the host into the cgroup counts as one whose parent is outside": {
			traced(func(p *targettest.Process) { p.Namespace, p.NamespacePIDs = targettest.HostNamespace, []int{203} }), outside,
		},
		"one that just died does not though its tracer is on the host": {change(func(p *targettest.Process) { p.TracerPID, p.DeadFor = os.Getpid(), time.Second }), others},
		"one with a living thread does not":                            {change(func(p *targettest.Process) { p.Threads = 2 }), others},
		"one that ended with no signal does not":                       {change(func(p *targettest.Process) { p.ExitSignal = 0 }), others},
		"one that ended with another signal than SIGCHLD does not":     {change(func(p *targettest.Process) { p.ExitSignal = unix.SIGUSR1 }), others},
		"one that just died does not":                                  {change(func(p *targettest.Process) { p.DeadFor = 30*time.Second - 1 }), others},
		"one that died half a minute ago counts":                       {change(func(p *targettest.Process) { p.DeadFor = 30 * time.Second }), all},
		"one counts of which the kernel does not tell when it died":    {func(n *targettest.Node) { n.Fail("dead 201", kernel.ErrNoDeathTime) }, all},
		"one of another container with the same PID namespace does not": {
			func(n *targettest.Node) {
				n.Live(300, targettest.Init)
				n.Change(300, func(p *targettest.Process) { p.Cgroups = []string{"/kubepods/pod1/other"} })
				n.Dead(301, 300)
				n.Change(301, func(p *targettest.Process) { p.Cgroups = nil })
			}, all,
		},
		"one that shows no cgroup, as on v1, counts by its parent":                 {change(func(p *targettest.Process) { p.Cgroups = nil }), all},
		"one whose parent is outside counts apart":                                 {change(func(p *targettest.Process) { p.ParentPID = os.Getpid() }), outside},
		"one whose parent is outside counts apart, on v1 too":                      {change(func(p *targettest.Process) { p.ParentPID, p.Cgroups = os.Getpid(), nil }), outside},
		"one whose parent is outside counts though no plain wait would reap it":    {change(func(p *targettest.Process) { p.ParentPID, p.ExitSignal, p.TracerPID = os.Getpid(), 0, 5 }), outside},
		"one that just died, as in a probe, does not though its parent is outside": {change(func(p *targettest.Process) { p.ParentPID, p.DeadFor = os.Getpid(), time.Second }), others},
		"one whose parent just ended does not":                                     {change(func(p *targettest.Process) { p.ParentPID = 999 }), others},
		"one that is reaped meanwhile does not":                                    {happens("identity 201", func(n *targettest.Node) { n.Reap(201) }), others},
		"one that is reaped a bit later does not":                                  {happens("exit signal 201", func(n *targettest.Node) { n.Reap(201) }), others},
		"one that is reaped at last does not":                                      {happens("dead 201", func(n *targettest.Node) { n.Reap(201) }), others},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode()
			c := mustContainer(t, n)
			tc.happen(n)
			got, err := n.Finder().Zombies(c)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("zombies (-want +got):\n%s", diff)
			}
		})
	}
}

func TestZombiesFailsWhenTheyCannotBeCounted(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"processes", "clocks", "identity 201", "exit signal 201", "dead 201", "identity 107", fmt.Sprint("identity ", os.Getpid())} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			n := newNode()
			c := mustContainer(t, n)
			n.Fail(call, targettest.ErrBroken)
			if got, err := n.Finder().Zombies(c); !errors.Is(err, targettest.ErrBroken) {
				t.Errorf("Zombies() = %+v, %v, want %v", got, err, targettest.ErrBroken)
			}
		})
	}
}

func TestZombiesFailsWhenATracerCannotBeRead(t *testing.T) {
	t.Parallel()
	n := newNode()
	c := mustContainer(t, n)
	n.Change(201, func(p *targettest.Process) { p.TracerPID = 203 })
	n.Fail("identity 203", targettest.ErrBroken)
	if got, err := n.Finder().Zombies(c); !errors.Is(err, targettest.ErrBroken) {
		t.Errorf("Zombies() = %+v, %v, want %v", got, err, targettest.ErrBroken)
	}
}

func TestLeftAreTheVerySameZombies(t *testing.T) {
	t.Parallel()
	n := newNode()
	n.Dead(204, parent)
	n.Dead(205, parent)
	n.Dead(206, parent)
	n.Reap(202)
	n.Change(204, func(p *targettest.Process) { p.StartTicks++ })
	n.Change(205, func(p *targettest.Process) { p.State = "S" })
	n.Change(206, func(p *targettest.Process) { p.ParentPID = targettest.Init })
	var asked []scan.Key
	for pid := 201; pid <= 206; pid++ {
		asked = append(asked, scan.Key{PID: pid, StartTicks: uint64(pid)})
	}
	got, err := n.Finder().Left(asked)
	if err != nil {
		t.Fatal(err)
	}
	want := []kernel.Process{
		{PID: 201, ParentPID: parent, State: "Z", Threads: 1, StartTicks: 201, Command: "p201"},
		{PID: 206, ParentPID: targettest.Init, State: "Z", Threads: 1, StartTicks: 206, Command: "p206"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	n.Fail("process 201", targettest.ErrBroken)
	if _, err := n.Finder().Left(asked); !errors.Is(err, targettest.ErrBroken) {
		t.Errorf("error = %v, want %v", err, targettest.ErrBroken)
	}
}
