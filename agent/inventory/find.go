package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"
)

// UsualSockets are the paths at which container runtimes listen for the kubelet by default, in the order in which they are
// tried. containerd's own is the last: Docker brings a containerd there too, which does not serve the kubelet.
var UsualSockets = []string{
	"/run/k3s/containerd/containerd.sock",           // k3s and RKE2
	"/run/k0s/containerd.sock",                      // k0s
	"/var/snap/microk8s/common/run/containerd.sock", // MicroK8s
	"/run/crio/crio.sock",                           // CRI-O
	"/run/cri-dockerd.sock",                         // cri-dockerd
	"/run/containerd/containerd.sock",               // containerd
}

// dialTimeout is how long a socket has to take a connection; a runtime that lives takes it at once.
const dialTimeout = time.Second

// FindSocket returns the first of the candidates on which somebody listens: the socket of a runtime that was removed stays until
// the next boot. Where none is found, the error names them and what to do.
func FindSocket(candidates []string) (string, error) {
	var trouble error
	for _, path := range candidates {
		info, err := os.Stat(path)
		switch {
		case err == nil && info.Mode().Type() == fs.ModeSocket:
			if err = listens(path); err == nil {
				return path, nil
			}
		case err == nil:
			err = &fs.PathError{Op: "using", Path: path, Err: errNoSocket}
		case errors.Is(err, fs.ErrNotExist):
			continue
		}
		trouble = cmp.Or(trouble, err)
	}
	return "", fmt.Errorf("no CRI socket at any of the usual places %s; set --cri-socket (chart value agent.criSocket) to the socket of this node's container runtime: %w",
		strings.Join(candidates, ", "), cmp.Or(trouble, fs.ErrNotExist))
}

func listens(path string) error {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(context.Background(), "unix", path)
	if err != nil {
		return fmt.Errorf("trying socket %q: %w", path, err)
	}
	_ = conn.Close() // it has served
	return nil
}
