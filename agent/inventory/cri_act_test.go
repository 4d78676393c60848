package inventory

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// acting is a container runtime in memory that acts. It notes what it was asked, and how long it was given.
type acting struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	stopped chan *runtimeapi.StopContainerRequest
	run     chan *runtimeapi.ExecSyncRequest
	given   chan time.Duration
	exec    *runtimeapi.ExecSyncResponse
	err     error
	listed  []*runtimeapi.Container
	state   runtimeapi.ContainerState
}

func (a *acting) deadline(ctx context.Context) {
	if deadline, ok := ctx.Deadline(); ok {
		a.given <- time.Until(deadline)
	}
}

func (a *acting) StopContainer(ctx context.Context, r *runtimeapi.StopContainerRequest) (*runtimeapi.StopContainerResponse, error) {
	a.stopped <- r
	a.deadline(ctx)
	return &runtimeapi.StopContainerResponse{}, a.err
}

func (a *acting) ExecSync(ctx context.Context, r *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
	a.run <- r
	a.deadline(ctx)
	return a.exec, a.err
}

func (a *acting) ContainerStatus(context.Context, *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	return &runtimeapi.ContainerStatusResponse{Status: &runtimeapi.ContainerStatus{State: a.state}}, a.err
}

func (a *acting) ListContainers(context.Context, *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	return &runtimeapi.ListContainersResponse{Containers: a.listed}, a.err
}

func newActing(t *testing.T) (*acting, *Socket) {
	t.Helper()
	a := &acting{
		stopped: make(chan *runtimeapi.StopContainerRequest, 1), run: make(chan *runtimeapi.ExecSyncRequest, 1),
		given: make(chan time.Duration, 1), exec: &runtimeapi.ExecSyncResponse{},
	}
	path := filepath.Join(t.TempDir(), "cri.sock")
	server, listener := grpc.NewServer(), listen(t, path)
	runtimeapi.RegisterRuntimeServiceServer(server, a)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // it is stopped
	}()
	t.Cleanup(func() { server.Stop(); <-done })
	return a, newSocket(t, path)
}

// wantGiven compares how long the runtime was given, give or take a slow machine.
func wantGiven(t *testing.T, got, want time.Duration) {
	t.Helper()
	if got > want || got < want-10*time.Second {
		t.Errorf("the runtime was given %s, want %s", got, want)
	}
}

func TestSocketStopsAContainerWithinItsGrace(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		grace time.Duration
		want  int64
	}{
		"as it is":                              {90 * time.Second, 90},
		"rounded up, as 0 would be SIGKILL now": {time.Millisecond, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, s := newActing(t)
			if err := s.StopContainer(t.Context(), "one", tc.grace); err != nil {
				t.Fatal(err)
			}
			if got := <-a.stopped; got.GetContainerId() != "one" || got.GetTimeout() != tc.want {
				t.Errorf("asked %v, want a grace of %d s", got, tc.want)
			}
			wantGiven(t, <-a.given, tc.grace+30*time.Second)
		})
	}
}

// The text is all that is left of the runtime's error, so it must arrive whole.
func TestSocketTellsWhyAContainerWasNotStopped(t *testing.T) {
	t.Parallel()
	a, s := newActing(t)
	a.err = status.Error(codes.Unknown, "fork/exec /usr/bin/runc: "+unix.EAGAIN.Error())
	err := s.StopContainer(t.Context(), "one", time.Second)
	for _, want := range []string{"stopping container one by CRI socket", "resource temporarily unavailable"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want one with %q", err, want)
		}
	}
}

func TestSocketRunsACommand(t *testing.T) {
	t.Parallel()
	a, s := newActing(t)
	if err := s.ExecSync(t.Context(), "one", []string{"drain", "-a"}, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	got := <-a.run
	if diff := cmp.Diff([]string{"drain", "-a"}, got.GetCmd()); diff != "" || got.GetContainerId() != "one" || got.GetTimeout() != 20 {
		t.Errorf("asked %v, command (-want +got):\n%s", got, diff)
	}
	wantGiven(t, <-a.given, 20*time.Second+callTimeout)
}

func TestSocketTellsThatACommandFailed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*acting)
		want   string
	}{
		"by its exit code":              {func(a *acting) { a.exec.ExitCode = 3 }, "exit code 3"},
		"as the runtime ended it":       {func(a *acting) { a.err = status.Error(codes.DeadlineExceeded, "time is over") }, "time is over"},
		"as the runtime is short of it": {func(a *acting) { a.err = status.Error(codes.ResourceExhausted, "no memory") }, "no memory"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, s := newActing(t)
			tc.change(a)
			err := s.ExecSync(t.Context(), "one", []string{"drain"}, time.Second)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "running a command in container one") {
				t.Errorf("error = %v, want one with %q", err, tc.want)
			}
			var exit ExitError
			if errors.As(err, &exit) != (tc.want == "exit code 3") {
				t.Errorf("error = %#v", err)
			}
		})
	}
}

func TestSocketTakesACommandThatWritesMuchForOneThatEnded(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*acting){
		"more than is taken": func(a *acting) { a.exec.Stdout = make([]byte, maxOutput+1) },
		"more than the runtime may": func(a *acting) {
			a.err = status.Error(codes.ResourceExhausted, "grpc: trying to send message larger than max (17 vs. 16)")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, s := newActing(t)
			change(a)
			if err := s.ExecSync(t.Context(), "one", []string{"drain"}, time.Second); err != nil {
				t.Errorf("error = %v, want none", err)
			}
		})
	}
}

func TestSocketSaysWhetherAContainerRuns(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		state   runtimeapi.ContainerState
		err     error
		runs    bool
		unknown bool
	}{
		"one that runs":                   {runtimeapi.ContainerState_CONTAINER_RUNNING, nil, true, false},
		"one that ended":                  {runtimeapi.ContainerState_CONTAINER_EXITED, nil, false, false},
		"one that nobody knows":           {0, status.Error(codes.NotFound, "no such container"), false, false},
		"one of which it cannot be known": {0, status.Error(codes.Unavailable, "busy"), false, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, s := newActing(t)
			a.state, a.err = tc.state, tc.err
			if runs, err := s.Runs(t.Context(), "one"); runs != tc.runs || (err != nil) != tc.unknown {
				t.Errorf("Runs() = %t, %v, want %t", runs, err, tc.runs)
			}
		})
	}
}

func TestSocketFindsTheSuccessorOfAContainer(t *testing.T) {
	t.Parallel()
	container := func(id, pod, name string) *runtimeapi.Container {
		return &runtimeapi.Container{
			Id: id, State: runtimeapi.ContainerState_CONTAINER_RUNNING, Labels: map[string]string{labelPodUID: pod, labelContainerName: name},
		}
	}
	strangers := []*runtimeapi.Container{
		container("old", "pod-1", "app"), container("a", "pod-2", "app"), container("b", "pod-1", "sidecar"), container("c", "", ""),
		container("older", "pod-1", "app"),
	}
	strangers[4].State = runtimeapi.ContainerState_CONTAINER_EXITED
	tests := map[string]struct {
		listed []*runtimeapi.Container
		err    error
		want   string
	}{
		"among strangers and the old one": {append([]*runtimeapi.Container{container("new", "pod-1", "app")}, strangers...), nil, "new"},
		"not yet":                         {strangers, nil, ""},
		"not while the runtime is away":   {nil, status.Error(codes.Unavailable, "busy"), ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, s := newActing(t)
			a.listed, a.err = tc.listed, tc.err
			if got, err := s.Successor(t.Context(), "pod-1", "app", "old"); got != tc.want || (err != nil) != (tc.err != nil) {
				t.Errorf("Successor() = %q, %v, want %q", got, err, tc.want)
			}
		})
	}
}
