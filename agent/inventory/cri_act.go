package inventory

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// stopSlack is how much longer than its grace a stop may take: the runtime kills what is left when the grace is over and
// then cleans up. Much more would let a runtime that hangs hold the act for no use.
const stopSlack = 30 * time.Second

// StopContainer lets the runtime send a container its stop signal, and SIGKILL when it still runs after the grace. It
// returns when the container ended. A container that does not run is no error.
func (s *Socket) StopContainer(ctx context.Context, id string, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace+stopSlack)
	defer cancel()
	_, err := s.client.StopContainer(ctx, &runtimeapi.StopContainerRequest{ContainerId: id, Timeout: seconds(grace)})
	return s.explain("stopping container "+id, err)
}

// maxOutput is the largest answer in bytes that is taken from a command: nobody reads it, and a container must not fill
// the agent's memory with it.
const maxOutput = 1 << 20

// tooLarge is what gRPC says of an answer that is larger than is taken, or than the runtime may send. Its code stands for more.
const tooLarge = "message larger than max"

// ExitError says that a command in a container failed.
type ExitError struct{ Code int32 }

// Error tells the exit code.
func (e ExitError) Error() string { return fmt.Sprintf("exit code %d", e.Code) }

// ExecSync runs a command in a container until it ends, or is ended by the runtime when its time is over. It fails with
// an ExitError when the command did. One that writes more than anybody reads ended too, and is no error, though nobody learns its
// exit code.
func (s *Socket) ExecSync(ctx context.Context, id string, command []string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout+callTimeout)
	defer cancel()
	answer, err := s.client.ExecSync(ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: command, Timeout: seconds(timeout)},
		grpc.MaxCallRecvMsgSize(maxOutput))
	switch {
	case status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), tooLarge):
		return nil // the answer comes when the command ended
	case err == nil && answer.GetExitCode() != 0:
		err = ExitError{Code: answer.GetExitCode()}
	}
	return s.explain("running a command in container "+id, err)
}

// seconds rounds up: CRI takes 0 for "at once" and "for ever".
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// Runs says whether the runtime lets a container run. One that the runtime does not know does not run.
func (s *Socket) Runs(ctx context.Context, id string) (bool, error) {
	answer, err := s.Container(ctx, id)
	if status.Code(err) == codes.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return answer.GetStatus().GetState() == runtimeapi.ContainerState_CONTAINER_RUNNING, nil
}

// Successor returns the ID of a running container of the same pod and name as another one that ended, or "".
func (s *Socket) Successor(ctx context.Context, podUID, name, ended string) (string, error) {
	listed, err := s.Containers(ctx)
	if err != nil {
		return "", err
	}
	for _, c := range running(listed) {
		if podOf(c).UID == podUID && c.GetLabels()[labelContainerName] == name && c.GetId() != ended {
			return c.GetId(), nil
		}
	}
	return "", nil
}
