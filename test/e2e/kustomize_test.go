package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// overlay installs config/default with the image of this working tree, as its README says.
const overlay = `
resources: [default]
images:
- name: ghcr.io/zombie-operator/zombie-operator
  newName: ` + operatorImage + `
  newTag: dev
patches:
- target: {kind: DaemonSet}
  patch: '[{"op": "replace", "path": "/spec/template/spec/containers/0/imagePullPolicy", "value": "Never"}]'
- target: {kind: Deployment}
  patch: '[{"op": "replace", "path": "/spec/template/spec/containers/0/imagePullPolicy", "value": "Never"}]'
`

func kustomizeInstall(t *testing.T) {
	if err := helm("uninstall", release, "--namespace", operatorNamespace, "--wait"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(repository+"/config")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(overlay), 0o600); err != nil {
		t.Fatal(err)
	}
	// The chart keeps its CRDs when it goes; they are taken over.
	if err := show(kubectl, "apply", "--server-side", "--force-conflicts", "-k", dir); err != nil {
		t.Fatal(err)
	}
	for _, workload := range []string{"daemonset/zombie-operator-agent", "deployment/zombie-operator-controller"} {
		if err := show(kubectl, "rollout", "status", "--timeout=2m", "-n", operatorNamespace, workload); err != nil {
			t.Fatal(err)
		}
	}
	ns := namespace(t, "kustomized")
	l := oneContainer(t, fromManifest(t, ns, "invoicer"), "invoicer", v1alpha1.CausePID1DoesNotReap)
	// Two scans at the default of 30 s.
	checkReport(t, waitReport(t, l.pod, l.total, 3*time.Minute), l.pod, l.wants...)
}
