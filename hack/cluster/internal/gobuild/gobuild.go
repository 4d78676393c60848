// Package gobuild compiles the cluster's own programs into the cache, and again only when their sources changed.
package gobuild

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
)

// Program is one binary and the names it is called by.
type Program struct {
	Name    string
	Source  string // directory below hack/cluster
	LDFlags string
	Links   []string // symlinks beside it, for a binary that acts by its name
}

// Builder builds from one source tree into one directory.
type Builder struct {
	Source string // the directory hack/cluster
	Bin    string

	compiled atomic.Int64
}

// FindSource looks for hack/cluster in the working directory and above it.
func FindSource() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the sources of the cluster: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		for _, candidate := range []string{dir, filepath.Join(dir, "hack", "cluster")} {
			if _, err := os.Stat(filepath.Join(candidate, "cmd", "kube", "go.mod")); err == nil {
				return candidate, nil
			}
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("finding the sources of the cluster: run this inside of the zombie-operator repository")
		}
	}
}

// Progress is how many packages were compiled so far.
func (b *Builder) Progress() string {
	return fmt.Sprintf("%d packages compiled", b.compiled.Load())
}

// Fresh says whether the binary is there and was made from the present sources.
func (b *Builder) Fresh(p Program) (bool, error) {
	want, err := b.fingerprint(p)
	if err != nil {
		return false, err
	}
	have, err := os.ReadFile(b.stamp(p))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading what %s was built from: %w", p.Name, err)
	}
	_, err = os.Stat(filepath.Join(b.Bin, p.Name))
	return err == nil && string(have) == want, nil
}

// Build compiles the program beside its final place and moves it there, so that an interrupted build leaves no half binary.
func (b *Builder) Build(ctx context.Context, p Program) error {
	if err := os.MkdirAll(b.Bin, 0o755); err != nil {
		return fmt.Errorf("creating the binary directory: %w", err)
	}
	final := filepath.Join(b.Bin, p.Name)
	partial := final + ".partial"
	defer os.Remove(partial)
	if err := b.compile(ctx, p, partial); err != nil {
		return err
	}
	if err := os.Rename(partial, final); err != nil {
		return fmt.Errorf("placing %s: %w", p.Name, err)
	}
	for _, link := range p.Links {
		if err := relink(p.Name, filepath.Join(b.Bin, link)); err != nil {
			return err
		}
	}
	inputs, err := b.fingerprint(p)
	if err != nil {
		return err
	}
	return os.WriteFile(b.stamp(p), []byte(inputs), 0o644)
}

func (b *Builder) compile(ctx context.Context, p Program, out string) error {
	if _, err := exec.LookPath("go"); err != nil {
		return errors.New("building needs Go: put `go` on the PATH (with sudo: sudo env PATH=\"$PATH\" ...)")
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-v", "-trimpath", "-buildvcs=false",
		"-ldflags", strings.TrimSpace("-s -w "+p.LDFlags), "-o", out, ".")
	cmd.Dir = filepath.Join(b.Source, p.Source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("starting go build: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting go build: %w", err)
	}
	said := b.follow(stderr)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", p.Name, err, said)
	}
	return nil
}

// follow counts the packages that `go build -v` names and keeps the last of what else it says, for an error message.
func (b *Builder) follow(output io.Reader) string {
	var said []string
	for lines := bufio.NewScanner(output); lines.Scan(); {
		b.compiled.Add(1)
		said = append(said, lines.Text())
		if len(said) > 20 {
			said = said[1:]
		}
	}
	return strings.Join(said, "\n")
}

// fingerprint is a digest of all that decides what the binary contains.
func (b *Builder) fingerprint(p Program) (string, error) {
	digest := sha256.New()
	fmt.Fprintln(digest, runtime.Version(), runtime.GOARCH, p.LDFlags)
	dir := filepath.Join(b.Source, p.Source)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("reading the sources of %s: %w", p.Name, err)
	}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return "", fmt.Errorf("reading the sources of %s: %w", p.Name, err)
		}
		fmt.Fprintf(digest, "%s %d\n%s", entry.Name(), len(content), content)
	}
	return fmt.Sprintf("%x\n", digest.Sum(nil)), nil
}

func (b *Builder) stamp(p Program) string { return filepath.Join(b.Bin, "."+p.Name+".inputs") }

func relink(target, link string) error {
	if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("replacing a link: %w", err)
	}
	if err := os.Symlink(target, link); err != nil {
		return fmt.Errorf("linking %s: %w", filepath.Base(link), err)
	}
	return nil
}
