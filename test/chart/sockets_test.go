//go:build linux

package chart

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/zombie-operator/zombie-operator/agent/inventory"
)

// A socket that the agent looks for and whose directory is not mounted would never be found. Two have to be named: the directory of one
// belongs to all programs of the node, and that of the other is on disk, where it would stay on nodes that do not use it.
func TestTheDirectoriesOfTheUsualSocketsAreMounted(t *testing.T) {
	t.Parallel()
	toBeNamed := []string{"/run/cri-dockerd.sock", "/var/snap/microk8s/common/run/containerd.sock"}
	var want, got []string
	for _, socket := range inventory.UsualSockets {
		if !slices.Contains(toBeNamed, socket) {
			want = append(want, path.Dir(socket))
		}
	}
	for _, mount := range agentOf(t, render(t)).Spec.Template.Spec.Containers[0].VolumeMounts {
		if strings.HasPrefix(mount.Name, "cri-") {
			got = append(got, mount.MountPath)
		}
	}
	if !slices.Equal(want, got) {
		t.Errorf("mounted are %v, and sockets are looked for in %v", got, want)
	}
}
