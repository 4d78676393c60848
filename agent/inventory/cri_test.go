package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
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

// service is a container runtime in memory. It answers only what is asked as the agent must ask.
type service struct {
	runtimeapi.UnimplementedRuntimeServiceServer
}

func (service) ListPodSandbox(_ context.Context, r *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	if r.GetFilter().GetState().GetState() != runtimeapi.PodSandboxState_SANDBOX_READY {
		return nil, status.Error(codes.InvalidArgument, "asked for pods that are not ready")
	}
	return &runtimeapi.ListPodSandboxResponse{Items: []*runtimeapi.PodSandbox{{Id: "pod"}}}, nil
}

func (service) ListContainers(_ context.Context, r *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	if r.GetFilter() != nil {
		return nil, status.Error(codes.InvalidArgument, "did not ask for the containers that ended")
	}
	return &runtimeapi.ListContainersResponse{Containers: []*runtimeapi.Container{{Id: "one"}}}, nil
}

func (service) ContainerStatus(_ context.Context, r *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	if !r.GetVerbose() {
		return nil, status.Error(codes.InvalidArgument, "asked for a status without its verbose part")
	}
	return &runtimeapi.ContainerStatusResponse{Info: map[string]string{"info": `{"pid": 7}`, "id": r.GetContainerId()}}, nil
}

// listen listens on a new Unix socket.
func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func serve(t *testing.T, path string) *grpc.Server {
	t.Helper()
	server, listener := grpc.NewServer(), listen(t, path)
	runtimeapi.RegisterRuntimeServiceServer(server, service{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // it is stopped
	}()
	t.Cleanup(func() { server.Stop(); <-done })
	return server
}

func newSocket(t *testing.T, path string) *Socket {
	t.Helper()
	s, err := NewSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// calls are all calls of a Socket.
var calls = map[string]func(context.Context, *Socket) error{
	"listing pod sandboxes":           func(ctx context.Context, s *Socket) error { _, err := s.Sandboxes(ctx); return err },
	"listing containers":              func(ctx context.Context, s *Socket) error { _, err := s.Containers(ctx); return err },
	"reading status of container one": func(ctx context.Context, s *Socket) error { _, err := s.Container(ctx, "one"); return err },
}

func TestSocketAsksTheRuntime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cri.sock")
	serve(t, path)
	s := newSocket(t, path)
	sandboxes, err := s.Sandboxes(t.Context())
	if len(sandboxes) != 1 || sandboxes[0].GetId() != "pod" || err != nil {
		t.Errorf("Sandboxes() = %v, %v", sandboxes, err)
	}
	containers, err := s.Containers(t.Context())
	if len(containers) != 1 || containers[0].GetId() != "one" || err != nil {
		t.Errorf("Containers() = %v, %v", containers, err)
	}
	got, err := s.Container(t.Context(), "one")
	want := map[string]string{"info": `{"pid": 7}`, "id": "one"}
	if diff := cmp.Diff(want, got.GetInfo()); diff != "" || err != nil {
		t.Errorf("Container(): %v, info (-want +got):\n%s", err, diff)
	}
}

func TestSocketSaysWhatToMend(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		path string
		want []string
		is   error
	}{
		"a socket that is not there": {
			filepath.Join(dir, "missing.sock"), []string{"no CRI socket at", "missing.sock", "--cri-socket", "agent.criSocket"}, fs.ErrNotExist,
		},
		"a file that is no socket":        {file, []string{"file", "it is not a socket"}, errNoSocket},
		"a directory, mounted by mistake": {dir, []string{dir, "it is not a socket"}, errNoSocket},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSocket(t, tc.path)
			for doing, call := range calls {
				err := call(t.Context(), s)
				if !errors.Is(err, tc.is) {
					t.Fatalf("error = %v, want %v", err, tc.is)
				}
				for _, want := range append(tc.want, doing) {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("error %q lacks %q", err, want)
					}
				}
			}
		})
	}
}

// A thread that gave up root's rights to pass every directory stands in for an agent that is not root.
func TestSocketSaysThatTheRightIsMissing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "locked")
	if err := os.Mkdir(dir, 0); err != nil {
		t.Fatal(err)
	}
	s := newSocket(t, filepath.Join(dir, "cri.sock"))
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			done <- err
			return
		}
		done <- s.explain("listing containers", errBroken)
	}()
	if err := <-done; !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), "must run as root") {
		t.Errorf("error = %v, want %v and what to do", err, unix.EACCES)
	}
}

func TestSocketTellsAnErrorOfTheRuntime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cri.sock")
	serve(t, path)
	s := newSocket(t, path)
	_, err := s.client.Version(t.Context(), &runtimeapi.VersionRequest{})
	err = s.explain("asking", err)
	if status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "asking by CRI socket "+fmt.Sprintf("%q", path)) {
		t.Errorf("error = %v", err)
	}
}

func TestSocketConnectsAgainWhenTheRuntimeIsBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "cri.sock")
	s := newSocket(t, path)
	if _, err := s.Sandboxes(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("error = %v, want %v", err, fs.ErrNotExist)
	}
	server := serve(t, path)
	eventually(t, s)
	server.Stop()
	if _, err := s.Sandboxes(t.Context()); err == nil {
		t.Fatal("Sandboxes() of a runtime that stopped = nil, want an error")
	}
	serve(t, path)
	eventually(t, s)
}

// eventually calls until it succeeds; between calls the connection waits a moment before it tries again.
func eventually(t *testing.T, s *Socket) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(30 * time.Second)
	for {
		_, err := s.Sandboxes(t.Context())
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("the runtime is back, but still: %v", err)
		}
	}
}

// hang listens on a Unix socket and takes connections, but never answers.
func hang(t *testing.T) *Socket {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cri.sock")
	listener := listen(t, path)
	t.Cleanup(func() { _ = listener.Close() })
	return newSocket(t, path)
}

func TestSocketGivesUpOnARuntimeThatHangs(t *testing.T) {
	t.Parallel()
	s := hang(t)
	for doing, call := range calls {
		t.Run(doing, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			err := call(t.Context(), s)
			if took := time.Since(began); took < callTimeout || took > 5*callTimeout {
				t.Errorf("gave up after %s, want about %s", took, callTimeout)
			}
			if status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), doing) {
				t.Errorf("error = %v, want one that says that time ran out", err)
			}
		})
	}
}

//nolint:paralleltest // it counts the goroutines of the whole program
func TestSocketPilesUpNoGoroutinesWhenTheRuntimeHangs(t *testing.T) {
	s := hang(t)
	call := func() {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		if _, err := s.Sandboxes(ctx); status.Code(err) != codes.DeadlineExceeded {
			t.Fatalf("error = %v, want one that says that time ran out", err)
		}
	}
	call()
	before := runtime.NumGoroutine()
	for range 50 {
		call()
	}
	if after := runtime.NumGoroutine(); after > before+5 {
		t.Errorf("goroutines = %d, and %d before 50 calls", after, before)
	}
}

// A refresh of a runtime that hangs fails, and what was known stays known.
func TestRefreshOfARuntimeThatHangsKeepsWhatItKnew(t *testing.T) {
	t.Parallel()
	n := newNode()
	n.add(n.addPod("web"), "w1", 10)
	i, _ := newInventory(n)
	mustRefresh(t, i)
	i.runtime = hang(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := i.Refresh(ctx); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("error = %v, want one that says that time ran out", err)
	}
	wantIDs(t, i, "w1")
}
