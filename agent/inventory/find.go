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
	"syscall"
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

// FindSocket returns the first of the candidates on which somebody listens: the socket of a runtime that was removed stays until
// the next boot, and refuses. A runtime that hangs takes no connection either, but is still the node's: another one that is there
// too would say that no pod runs. Where none is found, the error names them and what to do.
func FindSocket(candidates []string) (string, error) {
	var trouble error
	for _, path := range candidates {
		info, err := os.Stat(path)
		switch {
		case err == nil && info.Mode().Type() == fs.ModeSocket:
			if err = connect(path); !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist) {
				return path, nil // what is wrong with it is told by whoever connects to it
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

func connect(path string) error {
	conn, err := new(net.Dialer).DialContext(context.Background(), "unix", path) // the kernel lets nobody wait here
	if err != nil {
		return fmt.Errorf("trying socket %q: %w", path, err)
	}
	_ = conn.Close() // it has served
	return nil
}
