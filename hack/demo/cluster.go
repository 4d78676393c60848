//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// bringUp leaves a cluster alone that is up already.
func bringUp(ctx context.Context, s *stage) error {
	s.tell.text(`A real one: etcd, API server, scheduler, containerd and a kubelet, in namespaces, directories and
		cgroups of their own. Nothing is installed on this machine.`)
	if err := s.zclusterShown(ctx, "up", "--name", clusterName); err != nil {
		return err
	}
	env, err := s.output(ctx, clusterDir, zcluster([]string{"env", "--name", clusterName})...)
	if err != nil {
		return err
	}
	if s.exports, err = parseExports(env); err != nil {
		return fmt.Errorf("reading what zcluster env says: %w", err)
	}
	// kubectl caches beside the cluster what it learns of it, so that it goes with the cluster.
	s.env = append(s.env, "KUBECONFIG="+s.exports["KUBECONFIG"], "KUBECACHEDIR="+s.exports["KUBECACHEDIR"])
	nodes, err := s.kubectl(ctx, "get", "nodes")
	if err != nil {
		return err
	}
	s.tell.lines(nodes)
	return nil
}

// parseExports reads lines such as export KUBECONFIG='/path/to/file'. Those that build on another variable are left out.
func parseExports(text string) (map[string]string, error) {
	exports := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if found && len(value) >= 2 && strings.HasPrefix(value, "'") && strings.HasSuffix(value, "'") {
			exports[name] = value[1 : len(value)-1]
		}
	}
	for _, name := range []string{"KUBECONFIG", "KUBECACHEDIR", "KUBEBUILDER_ASSETS"} {
		if exports[name] == "" {
			return nil, fmt.Errorf("there is no %s in %q", name, text)
		}
	}
	return exports, nil
}

// kubectl runs the one of the cluster's own version and returns what it prints.
func (s *stage) kubectl(ctx context.Context, args ...string) (string, error) {
	program := filepath.Join(s.exports["KUBEBUILDER_ASSETS"], "kubectl")
	return s.output(ctx, "", append([]string{program}, args...)...)
}
