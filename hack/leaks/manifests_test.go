package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// commandsOf finds the commands in a manifest: the container's first, then those of
// its probes. They are one-line flow lists, which are JSON.
func commandsOf(t *testing.T, manifest string) [][]string {
	t.Helper()
	var all [][]string
	for line := range strings.Lines(manifest) {
		list, ok := strings.CutPrefix(strings.TrimSpace(line), "command: ")
		if !ok {
			continue
		}
		var argv []string
		if err := json.Unmarshal([]byte(list), &argv); err != nil {
			t.Fatalf("reading %q: %v", line, err)
		}
		name, ok := strings.CutPrefix(argv[0], "/leaks/")
		if !ok {
			t.Fatalf("command %q is not from the image", argv[0])
		}
		argv[0] = name
		all = append(all, argv)
	}
	return all
}

func TestManifestsMakeTheZombiesTheyPromise(t *testing.T) {
	t.Parallel()
	for pod, want := range map[string]map[string]int{
		"repo-server": {"1/repo-server/git-remote-http": 20},
		"webhook":     {"1/webhook/openssl": 12},
		"builder":     {"middle/buildd/sh": 15},
		"cron-runner": {"1/cron-runner/backup.sh": 3},
		"terminal":    {"1/sleep/timeout": 1}, // after one probe
		"invoicer":    {"1/invoicer/wkhtmltopdf": 8},
		"sentinel":    {"1/sentinel/timeout": 6},
		"search":      {},
	} {
		t.Run(pod, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("manifests", pod+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			commands := commandsOf(t, string(text))
			if len(commands) == 0 {
				t.Fatal("no command")
			}
			tr := start(t, commands[0][0], commands[0][1:]...)
			for _, probe := range commands[1:] {
				tr.exec(probe[0], probe[1:]...)
			}
			eventually(t, "the zombies are there", func() bool { return maps.Equal(tr.dead(), want) })
			tr.end()
		})
	}
}

func TestManifestsAreSafeToApply(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("manifests", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 9 {
		t.Errorf("%d manifests, want 8 pods and their namespace", len(files))
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if name == "namespace" {
			continue
		}
		if len(name) > 24 {
			t.Errorf("%s: the name does not fit the table of reports", file)
		}
		for _, want := range []string{
			"  name: " + name + "\n", "  namespace: shop\n",
			"image: localhost/zombie-leaks:dev\n", "imagePullPolicy: Never\n",
			"runAsNonRoot: true\n", "allowPrivilegeEscalation: false\n",
			"drop: [\"ALL\"]\n", "memory: 64Mi\n", "terminationGracePeriodSeconds: 2\n",
		} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s: no %q", file, want)
			}
		}
	}
}
