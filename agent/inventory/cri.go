package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// callTimeout bounds every call to the runtime: a runtime that hangs must not stop the scans.
const callTimeout = 2 * time.Second

// maxAnswer is the largest answer in bytes that is taken from the runtime, as large as the kubelet takes.
const maxAnswer = 16 << 20

// How the connection is made again: as the kubelet does it. gRPC's own way waits up to two minutes between two attempts,
// in which a runtime that is back would go unnoticed.
var reconnect = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
	MinConnectTimeout: 5 * time.Second,
}

// Socket is a Runtime behind a Unix socket. It connects at the first call and again whenever the connection is lost.
//
// It is a plain gRPC client and not k8s.io/cri-client, whose constructor fails while the runtime is away and then
// leaves its connection open: an agent that tries again with every scan would pile them up.
type Socket struct {
	// find returns the path of the socket, which is looked for anew for each connection.
	find   func() (string, error)
	conn   *grpc.ClientConn
	client runtimeapi.RuntimeServiceClient
}

// NewSocket returns the runtime that listens on the Unix socket at path or, where path is empty, at the first of
// UsualSockets that is there when it connects. It does not connect yet.
func NewSocket(path string) (*Socket, error) {
	if path == "" {
		return newSocketOf(func() (string, error) { return FindSocket(UsualSockets) })
	}
	return newSocketOf(func() (string, error) { return path, nil })
}

func newSocketOf(find func() (string, error)) (*Socket, error) {
	conn, err := grpc.NewClient("passthrough:///localhost", // the name of the host in each call, as gRPC has it for a Unix socket
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			path, err := find()
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()), // a Unix socket of the same node
		grpc.WithConnectParams(reconnect),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)))
	if err != nil {
		return nil, fmt.Errorf("making a client of the CRI socket: %w", err)
	}
	return &Socket{find: find, conn: conn, client: runtimeapi.NewRuntimeServiceClient(conn)}, nil
}

// Close ends the connection.
func (s *Socket) Close() error {
	if err := s.conn.Close(); err != nil {
		return fmt.Errorf("closing the CRI socket: %w", err)
	}
	return nil
}

// Sandboxes lists the pod sandboxes that are ready.
func (s *Socket) Sandboxes(ctx context.Context) ([]*runtimeapi.PodSandbox, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := s.client.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{Filter: &runtimeapi.PodSandboxFilter{
		State: &runtimeapi.PodSandboxStateValue{State: runtimeapi.PodSandboxState_SANDBOX_READY},
	}})
	return answer.GetItems(), s.explain("listing pod sandboxes", err)
}

// Containers lists the containers, those that ended included, as the kubelet does every second.
func (s *Socket) Containers(ctx context.Context) ([]*runtimeapi.Container, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := s.client.ListContainers(ctx, &runtimeapi.ListContainersRequest{})
	return answer.GetContainers(), s.explain("listing containers", err)
}

// Container tells the details of one container, those of the runtime's own included.
func (s *Socket) Container(ctx context.Context, id string) (*runtimeapi.ContainerStatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := s.client.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: id, Verbose: true})
	return answer, s.explain("reading status of container "+id, err)
}

var errNoSocket = errors.New("it is not a socket")

// explain adds to a failed call what a person has to mend when the socket itself cannot be used.
func (s *Socket) explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	path, findErr := s.find()
	if findErr != nil {
		return fmt.Errorf("%s: %w", doing, findErr)
	}
	info, statErr := os.Stat(path)
	switch {
	case errors.Is(statErr, fs.ErrNotExist):
		return fmt.Errorf("%s: no CRI socket at %q; set --cri-socket (chart value agent.criSocket) to the socket of this node's container runtime: %w", doing, path, statErr)
	case errors.Is(statErr, syscall.EACCES):
		return fmt.Errorf("%s: no right to reach CRI socket %q; the agent must run as root: %w", doing, path, statErr)
	case statErr == nil && info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s: CRI socket %q: %w", doing, path, errNoSocket)
	}
	return fmt.Errorf("%s by CRI socket %q: %w", doing, path, err)
}
