// Package apt downloads and unpacks Debian packages without installing them: no service starts, nothing is replaced,
// and apt's own state is not touched, since lists, archives and status are private ones.
package apt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// listsAge is how old package lists may be: Debian removes a version that was replaced by a security update, so old ones lead to nothing.
const listsAge = 24 * time.Hour

// Available says whether this machine has apt.
func Available() bool {
	_, aptErr := exec.LookPath("apt-get")
	_, dpkgErr := exec.LookPath("dpkg")
	return aptErr == nil && dpkgErr == nil
}

// Apt works in a directory of its own.
type Apt struct{ Dir string }

// Unpack fills root with the packages, and with those they need that are wanted; nil wants none.
// root appears only when everything is in it, so a directory that exists is complete.
func (a Apt) Unpack(ctx context.Context, root string, wanted func(name string) bool, packages ...string) error {
	if err := a.prepare(ctx); err != nil {
		return err
	}
	names := packages
	if wanted != nil {
		closure, err := a.closure(ctx, wanted, packages)
		if err != nil {
			return err
		}
		names = closure
	}
	archives := filepath.Join(a.Dir, "download")
	if err := remake(archives); err != nil {
		return err
	}
	defer os.RemoveAll(archives)
	if _, err := a.run(ctx, archives, append([]string{"download"}, names...)...); err != nil {
		return err
	}
	return unpack(ctx, archives, root)
}

// closure asks apt what an installation on an empty system would bring, and keeps the packages and what is wanted.
func (a Apt) closure(ctx context.Context, wanted func(name string) bool, packages []string) ([]string, error) {
	args := append([]string{"--simulate", "--no-install-recommends", "install"}, packages...)
	out, err := a.run(ctx, a.Dir, args...)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(parseSimulation(out), func(name string) bool {
		return !slices.Contains(packages, name) && !wanted(name)
	}), nil
}

var installLine = regexp.MustCompile(`(?m)^Inst (\S+) `)

// parseSimulation lists the packages of the lines "Inst name (version source [arch])".
func parseSimulation(out string) []string {
	var names []string
	for _, match := range installLine.FindAllStringSubmatch(out, -1) {
		names = append(names, match[1])
	}
	return names
}

// Libraries wants the shared libraries that programs load at run time, except the C library: that must be the one of the
// running machine.
func Libraries(name string) bool {
	return strings.HasPrefix(name, "lib") && !strings.HasPrefix(name, "libc6") && !strings.Contains(name, "perl") && !strings.HasPrefix(name, "libpam")
}

// prepare writes apt's private configuration and fetches package lists when there are none or old ones.
func (a Apt) prepare(ctx context.Context) error {
	for _, dir := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.Dir, dir), 0o755); err != nil {
			return fmt.Errorf("creating apt's directory: %w", err)
		}
	}
	for file, content := range map[string]string{"apt.conf": a.config(), "status": ""} {
		if err := os.WriteFile(filepath.Join(a.Dir, file), []byte(content), 0o644); err != nil {
			return fmt.Errorf("writing apt's configuration: %w", err)
		}
	}
	stamp := filepath.Join(a.Dir, "updated")
	if info, err := os.Stat(stamp); err == nil && time.Since(info.ModTime()) < listsAge {
		return nil
	}
	if _, err := a.run(ctx, a.Dir, "update"); err != nil {
		return err
	}
	return os.WriteFile(stamp, nil, 0o644)
}

// config points everything apt writes into the private directory.
// An empty status makes apt resolve as on a bare machine, so the result does not depend on what is installed here.
// The hooks are cleared because those of container images empty the system's own apt cache.
func (a Apt) config() string {
	return fmt.Sprintf(`Dir::State::lists "%[1]s/lists";
Dir::State::status "%[1]s/status";
Dir::State::extended_states "%[1]s/extended_states";
Dir::Cache "%[1]s/cache";
Dir::Log "%[1]s";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear Acquire::IndexTargets::deb::DEP-11;
#clear Acquire::IndexTargets::deb::DEP-11-icons;
`, a.Dir)
}

func (a Apt) run(ctx context.Context, dir string, args ...string) (string, error) {
	all := append([]string{"-c", filepath.Join(a.Dir, "apt.conf"), "-qq", "--yes"}, args...)
	cmd := exec.CommandContext(ctx, "apt-get", all...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("running apt-get %s: %w\n%s", args[0], err, stderr.String())
	}
	return string(out), nil
}

func unpack(ctx context.Context, archives, root string) error {
	debs, err := filepath.Glob(filepath.Join(archives, "*.deb"))
	if err != nil || len(debs) == 0 {
		return errors.Join(errors.New("unpacking packages: apt downloaded none"), err)
	}
	partial := root + ".partial"
	if err := remake(partial); err != nil {
		return err
	}
	for _, deb := range debs {
		if out, err := exec.CommandContext(ctx, "dpkg", "-x", deb, partial).CombinedOutput(); err != nil {
			return fmt.Errorf("unpacking %s: %w\n%s", filepath.Base(deb), err, out)
		}
	}
	if err := os.RemoveAll(root); err != nil {
		return fmt.Errorf("replacing unpacked packages: %w", err)
	}
	if err := os.Rename(partial, root); err != nil {
		return fmt.Errorf("placing unpacked packages: %w", err)
	}
	return nil
}

func remake(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("clearing a directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	return nil
}
