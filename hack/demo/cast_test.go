//go:build linux

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestEveryManifestHasItsRole(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "..", manifests, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var inManifests, inCast []string
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".yaml"); name != "namespace" {
			inManifests = append(inManifests, name)
		}
	}
	for _, r := range cast {
		inCast = append(inCast, r.pod)
	}
	slices.Sort(inCast)
	if !slices.Equal(inCast, inManifests) {
		t.Errorf("the cast is %v, the manifests are %v", inCast, inManifests)
	}
}

func TestRolesAgreeWithTheirManifests(t *testing.T) {
	t.Parallel()
	for _, r := range cast {
		t.Run(r.pod, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("..", "..", manifests, r.pod+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			manifest := string(text)
			for _, want := range []string{"\n  name: " + r.pod + "\n", "\n  namespace: " + shop + "\n", strings.Replace(partLabel, "=", ": ", 1)} {
				if !strings.Contains(manifest, want) {
					t.Errorf("the manifest does not have %q", want)
				}
			}
			if strings.Contains(r.real, "#") && !strings.Contains(manifest, r.real) {
				t.Errorf("the manifest does not name the case %s", r.real)
			}
			// A live process that only looks dead is none of the zombies.
			if count := countFlag(t, manifest); r.zombies != 0 && count != r.zombies {
				t.Errorf("the manifest makes %d zombies, the cast says %d", count, r.zombies)
			}
		})
	}
}

// countFlag is that of the last command: the container's, or its probe's.
func countFlag(t *testing.T, manifest string) int {
	t.Helper()
	count := -1
	for line := range strings.Lines(manifest) {
		list, found := strings.CutPrefix(strings.TrimSpace(line), "command: ")
		if !found {
			continue
		}
		var argv []string
		if err := json.Unmarshal([]byte(list), &argv); err != nil {
			t.Fatalf("reading %q: %v", line, err)
		}
		for _, arg := range argv {
			if value, is := strings.CutPrefix(arg, "-count="); is {
				var err error
				if count, err = strconv.Atoi(value); err != nil {
					t.Fatalf("reading %q: %v", line, err)
				}
			}
		}
	}
	return count
}

func TestTheStoryFitsATerminal(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(castTable()) {
		if length := len(margin) + len(strings.TrimRight(line, "\n")); length > width {
			t.Errorf("%d characters, want at most %d: %s", length, width, line)
		}
	}
	for line := range strings.Lines(whereToLook) {
		if len(line) > width {
			t.Errorf("%d characters, want at most %d: %s", len(line), width, line)
		}
	}
}

func TestTheExampleLeaks(t *testing.T) {
	t.Parallel()
	if !slices.ContainsFunc(leaking(), func(r role) bool { return r.pod == example }) {
		t.Errorf("%s gets no report that could be shown", example)
	}
}
