//go:build linux

package main

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

const (
	operatorNamespace = "zombie-operator-system"
	operatorArchive   = "dist/zombie-operator.tar"
	leaksArchive      = "dist/zombie-leaks.tar"
	// scanSeconds is short, so that nobody has to wait long for the story.
	scanSeconds = 5
	// rollout is what the operator's pods get to become ready: seconds on a quiet machine.
	rollout = 3 * time.Minute
)

// workloads of the chart.
var workloads = []string{"daemonset/zombie-operator-agent", "deployment/zombie-operator-controller"}

// operatorNamespaceManifest allows what the agent needs: it reads all processes of its node.
const operatorNamespaceManifest = `apiVersion: v1
kind: Namespace
metadata:
  name: ` + operatorNamespace + `
  labels:
    pod-security.kubernetes.io/enforce: privileged
`

func buildImages(ctx context.Context, s *stage) error {
	s.tell.text("Static programs in images without anything else. The first time this takes a few minutes.")
	// An ARCH in the environment is not meant for this: the cluster's nodes are this machine.
	if err := s.quietly(ctx, "", "make", "image", "leaks-image", "ARCH="+runtime.GOARCH); err != nil {
		return err
	}
	s.tell.event("built %s and %s", operatorArchive, leaksArchive)
	err := s.zclusterShown(ctx, "load", "--name", clusterName, filepath.Join(s.root, operatorArchive), filepath.Join(s.root, leaksArchive))
	if err != nil {
		return err
	}
	s.tell.event("the node has both")
	return nil
}

func install(ctx context.Context, s *stage) error {
	s.tell.text(fmt.Sprintf(`An agent on every node, which reads the kernel, and a controller beside it. The agent looks every %d s
		here, so that you do not wait; the default is 30 s. The first time helm itself is built.`, scanSeconds))
	if err := s.apply(ctx, operatorNamespaceManifest); err != nil {
		return err
	}
	err := s.quietly(ctx, "", "go", "tool", "-modfile=hack/tools/go.mod", "helm", "upgrade", "--install", "zombie-operator",
		"charts/zombie-operator", "--namespace", operatorNamespace, "--hide-notes", "--reset-values",
		"--set", "image.repository=localhost/zombie-operator", "--set", "image.tag=dev", "--set", "image.pullPolicy=Never",
		// The node shares /run with the machine, and the kubelet would make the directories of the other runtimes there.
		"--set", "agent.criSocket=/run/containerd/containerd.sock",
		"--set", fmt.Sprintf("agent.scanIntervalSeconds=%d", scanSeconds))
	if err != nil {
		return err
	}
	if err := s.runCurrentBuild(ctx); err != nil {
		return err
	}
	pods, err := s.kubectl(ctx, "get", "pods", "-n", operatorNamespace)
	if err != nil {
		return err
	}
	s.tell.event("the operator is ready")
	s.tell.lines(pods)
	return nil
}

func (s *stage) apply(ctx context.Context, manifest string) error {
	file, err := os.CreateTemp("", "zombie-demo-*.yaml")
	if err != nil {
		return fmt.Errorf("writing a manifest: %w", err)
	}
	defer os.Remove(file.Name())
	_, err = file.WriteString(manifest)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("writing a manifest: %w", err)
	}
	_, err = s.kubectl(ctx, "apply", "-f", file.Name())
	return err
}

// runCurrentBuild waits until the operator's pods run this build. Those of an earlier one are replaced: the image's tag
// is the same, so to helm nothing has changed. That is why helm does not wait: it would wait for the old ones,
// in vain if they do not start.
func (s *stage) runCurrentBuild(ctx context.Context) error {
	id, err := imageID(operatorArchive)
	if err != nil {
		return err
	}
	pods, err := s.operatorPods(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(slices.Collect(maps.Values(pods)), func(p pod) bool { return p.runsOther(id) }) {
		s.tell.event("pods of an earlier build are there: replacing them")
		if _, err := s.kubectl(ctx, append([]string{"rollout", "restart", "-n", operatorNamespace}, workloads...)...); err != nil {
			return err
		}
	}
	for _, workload := range workloads {
		if _, err := s.kubectl(ctx, "rollout", "status", "-n", operatorNamespace, workload, "--timeout", rollout.String()); err != nil {
			return err
		}
	}
	return until(ctx, rollout, func(ctx context.Context) (string, error) {
		pods, err := s.operatorPods(ctx)
		for name, p := range pods {
			if !p.running() || p.runsOther(id) {
				return "for the end of " + name + ", or for the current build in it", err
			}
		}
		return "", err
	})
}

func (s *stage) operatorPods(ctx context.Context) (map[string]pod, error) {
	out, err := s.kubectl(ctx, "get", "pods", "-n", operatorNamespace, "-l", "app.kubernetes.io/name=zombie-operator", "-o", "json")
	if err != nil {
		return nil, err
	}
	return parsePods(out)
}

// imageID is the digest of the configuration of an image in a docker archive: the name under which containerd runs it.
func imageID(archive string) (string, error) {
	file, err := os.Open(archive)
	if err != nil {
		return "", fmt.Errorf("looking for the image's ID: %w", err)
	}
	defer file.Close()
	id, err := parseImageID(file)
	if err != nil {
		return "", fmt.Errorf("looking for the image's ID in %s: %w", archive, err)
	}
	return id, nil
}

func parseImageID(archive io.Reader) (string, error) {
	for files := tar.NewReader(archive); ; {
		header, err := files.Next()
		if err != nil {
			return "", fmt.Errorf("looking for manifest.json: %w", err)
		}
		if header.Name != "manifest.json" {
			continue
		}
		var images []struct{ Config string }
		if err := json.NewDecoder(files).Decode(&images); err != nil {
			return "", fmt.Errorf("reading manifest.json: %w", err)
		}
		if len(images) != 1 || images[0].Config == "" {
			return "", fmt.Errorf("manifest.json names %d images, want one with its configuration", len(images))
		}
		return strings.TrimSuffix(filepath.Base(images[0].Config), ".json"), nil
	}
}
