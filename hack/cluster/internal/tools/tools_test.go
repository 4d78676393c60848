package tools

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestVersionIsTheOneInGoMod(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile(filepath.Join("..", "..", "cmd", "kube", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(mod), "\n\tk8s.io/kubernetes "+Version+"\n") {
		t.Errorf("cmd/kube/go.mod does not require k8s.io/kubernetes %s, which the binaries say they are", Version)
	}
}
