package gobuild

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

func TestItBuildsAgainOnlyWhenInputsChanged(t *testing.T) {
	t.Parallel()
	source, bin := t.TempDir(), t.TempDir()
	write(t, filepath.Join(source, "hello", "go.mod"), "module hello\n\ngo 1.26\n")
	write(t, filepath.Join(source, "hello", "main.go"), "package main\n\nfunc main() {}\n")
	b, p := &Builder{Source: source, Bin: bin}, Program{Name: "hello", Source: "hello", Links: []string{"other-name"}}
	expectFresh(t, b, p, false)
	if err := b.Build(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	expectFresh(t, b, p, true)
	if target, err := os.Readlink(filepath.Join(bin, "other-name")); err != nil || target != "hello" {
		t.Errorf("the link leads to %q, error %v", target, err)
	}
	p.LDFlags = "-X main.version=2"
	expectFresh(t, b, p, false)
	p.LDFlags = ""
	write(t, filepath.Join(source, "hello", "main.go"), "package main\n\nfunc main() { println() }\n")
	expectFresh(t, b, p, false)
}

func TestFailedBuildLeavesTheOldBinaryAndSaysWhy(t *testing.T) {
	t.Parallel()
	source, bin := t.TempDir(), t.TempDir()
	write(t, filepath.Join(source, "hello", "go.mod"), "module hello\n\ngo 1.26\n")
	write(t, filepath.Join(source, "hello", "main.go"), "package main\n\nfunc main() { nonsense }\n")
	write(t, filepath.Join(bin, "hello"), "old")
	b, p := &Builder{Source: source, Bin: bin}, Program{Name: "hello", Source: "hello"}
	if err := b.Build(context.Background(), p); err == nil {
		t.Error("broken sources were built")
	}
	if old, err := os.ReadFile(filepath.Join(bin, "hello")); err != nil || string(old) != "old" {
		t.Errorf("the old binary is %q now, error %v", old, err)
	}
}

func expectFresh(t *testing.T, b *Builder, p Program, want bool) {
	t.Helper()
	if got, err := b.Fresh(p); err != nil || got != want {
		t.Errorf("fresh is %t with error %v, want %t", got, err, want)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
