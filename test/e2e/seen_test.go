package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// seenEnv names a directory into which a report of each cause and finding is written, as YAML and as the line of kubectl get.
const seenEnv = "E2E_SEEN"

// keepSeen writes a report as it came from the cluster, when somebody asks for it. What the API server keeps for itself of
// who wrote which field is left out, as kubectl get does.
func keepSeen(t *testing.T, report *v1alpha1.ZombieReport, name string) {
	t.Helper()
	dir := os.Getenv(seenEnv)
	if dir == "" {
		return
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(repository, dir)
	}
	line, err := output(kubectl, "get", "zombiereport", "-n", report.Namespace, report.Name)
	if err != nil {
		t.Fatal(err)
	}
	now := report.DeepCopy()
	now.APIVersion, now.Kind, now.ManagedFields = v1alpha1.GroupVersion.String(), "ZombieReport", nil
	text, err := yaml.Marshal(now)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	for l := range strings.Lines(line) {
		table.WriteString(strings.TrimRight("# "+l, " \n") + "\n")
	}
	writeFile(t, filepath.Join(dir, name+".yaml"), table.String()+string(text))
}
