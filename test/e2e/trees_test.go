package e2e

import (
	"embed"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// trees are process trees in Perl, which every Debian has (perl-base is essential), for what the Go programs of hack/leaks
// cannot be: the Go runtime catches every signal and waits in threads of its own.
//
//go:embed testdata/trees/*.pl
var trees embed.FS

// tree is the program of a tree.
func tree(t *testing.T, name string) string {
	t.Helper()
	program, err := treeText(name)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func treeText(name string) (string, error) {
	program := ""
	for _, part := range []string{"prelude", name} {
		text, err := trees.ReadFile("testdata/trees/" + part + ".pl")
		if err != nil {
			return "", fmt.Errorf("reading tree %s: %w", name, err)
		}
		program += string(text)
	}
	return program, nil
}

// perl makes a pod on the second node whose PID 1 is a tree. The kubelet reads "$$" as "$".
func perl(t *testing.T, namespace, name, program string, args ...string) *corev1.Pod {
	t.Helper()
	text := strings.ReplaceAll(tree(t, program), "$", "$$")
	return programs(namespace, name, append([]string{"perl", "-e", text, "--"}, args...)...)
}

// programs makes a pod on the second node that has the programs of this machine and runs one. Its image has none.
func programs(namespace, name string, command ...string) *corev1.Pod {
	p := guarded(namespace, name, container("app", command...))
	c := &p.Spec.Containers[0]
	for i, dir := range []string{"/bin", "/lib", "/lib64"} {
		if _, err := os.Stat("/usr" + dir); err != nil {
			continue // there is no /lib64 on some architectures
		}
		mountHost(p, c, "dir-"+strconv.Itoa(i), "/usr"+dir, dir)
	}
	mountHost(p, c, "usr", "/usr", "/usr")
	return p
}

func mountHost(p *corev1.Pod, c *corev1.Container, volume, from, at string) {
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{
		Name: volume, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: from}},
	})
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volume, MountPath: at, ReadOnly: true})
}
