// Package lock lets one zcluster at a time change the cache and the clusters of this machine.
package lock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/progress"
)

// Take waits for its turn: two at once would build over each other and choose the same addresses.
// An abstract socket ends with its process and leaves no file.
func Take(ctx context.Context, log *progress.Log) (unlock func(), err error) {
	for told := false; ; told = true {
		listener, err := net.Listen("unix", "@zombie-cluster")
		if err == nil {
			return func() { listener.Close() }, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("taking the lock of zcluster: %w", err)
		}
		if !told {
			log.Say("waiting for another zcluster that is at work")
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
