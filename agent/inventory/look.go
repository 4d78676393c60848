package inventory

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
)

// ErrNotRunning says that a container ended, or never was.
var ErrNotRunning = errors.New("the container does not run")

// Look tells one container as it is now, from the runtime and the kernel and from no memory: what is about to be acted on
// must be looked at itself. It fails with ErrNotRunning when the container ended, with ErrNotOurs when it is none of a
// pod's or its first process is not in it, and with another error when it cannot be known.
func Look(ctx context.Context, runtime Runtime, proc Kernel, id string) (Container, error) {
	answer, err := runtime.Container(ctx, id)
	switch {
	case status.Code(err) == codes.NotFound:
		return Container{}, fmt.Errorf("looking at container %q: %w", id, ErrNotRunning)
	case err != nil:
		return Container{}, fmt.Errorf("looking at container %q: %w", id, err)
	case answer.GetStatus().GetId() != id: // runtimes take the beginning of an ID for the whole
		return Container{}, fmt.Errorf("looking at container %q: %w", id, ErrNotRunning)
	case answer.GetStatus().GetState() != runtimeapi.ContainerState_CONTAINER_RUNNING:
		return Container{}, fmt.Errorf("looking at container %q: %w", id, ErrNotRunning)
	}
	pod, name, err := ownerOf(answer.GetStatus())
	if err != nil {
		return Container{}, fmt.Errorf("looking at container %q: %w", id, err)
	}
	container, err := examine(proc, id, answer)
	switch {
	case kernel.IsVanished(err): // between the runtime's answer and this look
		return Container{}, fmt.Errorf("looking at container %q: %w", id, ErrNotRunning)
	case err != nil:
		return Container{}, err
	}
	container.Pod, container.Name = pod, name
	switch lives, err := Lives(proc, container); {
	case err != nil:
		return Container{}, err
	case !lives: // dead, though the runtime did not notice
		return Container{}, fmt.Errorf("looking at container %q: %w", id, ErrNotRunning)
	}
	return container, nil
}
