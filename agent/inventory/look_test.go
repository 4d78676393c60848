package inventory

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/zombie-operator/zombie-operator/agent/attribute"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
)

// newLookedAt is a node with container w1, whose status tells what the list of containers tells otherwise.
func newLookedAt() *node {
	n := newNode()
	n.add(n.addPod("web"), "w1", 10)
	s := n.statuses["w1"].Status
	s.State = runtimeapi.ContainerState_CONTAINER_RUNNING
	s.Labels = maps.Clone(n.containers["w1"].Labels)
	s.Annotations = map[string]string{annotationTerminationMessagePath: "/dev/termination-log"}
	return n
}

func TestLookTellsAContainer(t *testing.T) {
	t.Parallel()
	n := newLookedAt()
	got, err := Look(t.Context(), n, n, "w1")
	if err != nil {
		t.Fatal(err)
	}
	want := Container{
		Container: attribute.Container{ID: "w1", InitPID: 10, Namespace: 10, Depth: 2, Cgroup: "/kubepods/w1"},
		Pod:       Pod{Namespace: "shop", Name: "web", UID: "uid-web"}, Name: "app-w1", Image: "registry/w1",
		InitTicks: 10, TerminationMessagePath: "/dev/termination-log",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("container (-want +got):\n%s", diff)
	}
}

func TestLookFails(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		happen func(*node)
		want   error
	}{
		"as not running when the runtime does not know the container": {
			func(n *node) {
				n.statusErrs["w1"] = fmt.Errorf("asking: %w", status.Error(codes.NotFound, "an error occurred"))
			}, ErrNotRunning,
		},
		"as not running when the container exited": {
			func(n *node) { n.statuses["w1"].Status.State = runtimeapi.ContainerState_CONTAINER_EXITED }, ErrNotRunning,
		},
		"as not running when the runtime tells nothing": {
			func(n *node) { n.statuses["w1"] = nil }, ErrNotRunning,
		},
		"as not running when the runtime tells of another, as it does for the beginning of an ID": {
			func(n *node) { n.statuses["w1"].Status.Id = "w123" }, ErrNotRunning,
		},
		"as not running when the first process just ended": {
			func(n *node) { n.end() }, ErrNotRunning,
		},
		"as not running when the first process ended while it was read": {
			func(n *node) { n.identityErrs[10] = errGone }, ErrNotRunning,
		},
		"as not running when the first process is a zombie": {
			func(n *node) {
				n.processes[10] = kernel.Process{PID: 10, State: kernel.StateZombie, Threads: 1, StartTicks: 10}
			}, ErrNotRunning,
		},
		"as not ours when the container carries no labels of a pod": {
			func(n *node) { n.statuses["w1"].Status.Labels = nil }, ErrNotOurs,
		},
		"as not ours when its first process is not in its cgroup": {
			func(n *node) { n.identities[10] = n.identities[0] }, ErrNotOurs,
		},
		"as not ours when the runtime tells no PID": {
			func(n *node) { n.statuses["w1"].Info = nil }, ErrNotOurs,
		},
		"with the error of the runtime": {
			func(n *node) { n.statusErrs["w1"] = errBroken }, errBroken,
		},
		"with the error of the kernel": {
			func(n *node) { n.identityErrs[10] = errBroken }, errBroken,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newLookedAt()
			n.identities[0] = n.identities[66]
			tc.happen(n)
			_, err := Look(t.Context(), n, n, "w1")
			for _, kind := range []error{ErrNotRunning, ErrNotOurs, errBroken} {
				if got := errors.Is(err, kind); got != errors.Is(tc.want, kind) {
					t.Errorf("error = %v, want %v", err, tc.want)
				}
			}
		})
	}
}

// The runtime's answer and the two reads of the first process must be about one process.
func TestLookNoticesThatTheFirstProcessIsAnotherOne(t *testing.T) {
	t.Parallel()
	n := newLookedAt()
	_, err := Look(t.Context(), n, replaced{n}, "w1")
	if !errors.Is(err, ErrNotRunning) {
		t.Errorf("error = %v, want %v", err, ErrNotRunning)
	}
}

// replaced is a node on which the first process of w1 gives way to a later one after its first read.
type replaced struct{ *node }

func (r replaced) Process(pid int) (kernel.Process, error) {
	p, err := r.node.Process(pid)
	r.processes[pid] = kernel.Process{PID: pid, State: "S", Threads: 1, StartTicks: p.StartTicks + 1}
	return p, err
}
