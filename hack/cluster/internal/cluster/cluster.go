// Package cluster brings a cluster up, finds out how it is, and takes it down without a trace.
package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/cgroup"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/dirs"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/pki"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/plan"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/process"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/progress"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/render"
	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/tools"
)

// Options are what a person chooses. They are saved, so that later commands need only the name.
type Options struct {
	Name         string `json:"name"`
	Nodes        int    `json:"nodes"`
	PodPidsLimit int    `json:"podPidsLimit,omitempty"`
}

// UpCommand is what one types at the top of the repository to bring the cluster up, or to repair it.
func UpCommand(o Options) string {
	command := fmt.Sprintf("make cluster-up NAME=%s NODES=%d", o.Name, o.Nodes)
	if o.PodPidsLimit > 0 {
		command += fmt.Sprintf(" POD_PIDS_LIMIT=%d", o.PodPidsLimit)
	}
	return command
}

// DownCommand is what one types at the top of the repository to take the cluster down.
func DownCommand(name string) string { return "make cluster-down NAME=" + name }

// spec is the saved form of a cluster.
type spec struct {
	Options
	Slot int `json:"slot"`
}

// Cluster is one cluster with everything that the steps of bringing it up share.
type Cluster struct {
	options Options
	plan    plan.Plan
	state   dirs.State
	certs   pki.Store
	tools   tools.Tools
	machine render.Machine
	cgroups cgroup.Tree
	log     *progress.Log
}

// ErrNotFound says that no cluster of this name was brought up.
var ErrNotFound = errors.New("no such cluster")

// Load finds a cluster that was brought up before.
func Load(name string, log *progress.Log) (*Cluster, error) {
	if err := plan.CheckName(name); err != nil {
		return nil, err
	}
	s, err := loadSpec(name)
	if err != nil {
		return nil, err
	}
	return assemble(s, log)
}

func assemble(s spec, log *progress.Log) (*Cluster, error) {
	p, err := plan.New(s.Name, s.Slot, s.Nodes)
	if err != nil {
		return nil, err
	}
	tree, err := cgroup.Find()
	if err != nil {
		return nil, err
	}
	state := dirs.StateOf(s.Name)
	return &Cluster{options: s.Options, plan: p, state: state, certs: pki.Store{Dir: state.PKI()}, cgroups: tree, log: log}, nil
}

func loadSpec(name string) (spec, error) {
	data, err := os.ReadFile(dirs.StateOf(name).Spec())
	if errors.Is(err, fs.ErrNotExist) {
		return spec{}, fmt.Errorf("cluster %q: %w; bring it up with: make cluster-up NAME=%s", name, ErrNotFound, name)
	}
	if err != nil {
		return spec{}, fmt.Errorf("reading what cluster %q is: %w", name, err)
	}
	var s spec
	if err := json.Unmarshal(data, &s); err != nil {
		return spec{}, fmt.Errorf("parsing %s: %w", dirs.StateOf(name).Spec(), err)
	}
	return s, nil
}

func (s spec) save() error {
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encoding what the cluster is: %w", err)
	}
	path := dirs.StateOf(s.Name).Spec()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("creating the state directory: %w", err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return fmt.Errorf("saving what the cluster is: %w", err)
	}
	return nil
}

// clusters lists the names that have a state directory.
func clusters() ([]string, error) {
	entries, err := os.ReadDir(dirs.StateRoot)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing the clusters: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// holder is the pause process that keeps the namespaces of a node open.
func (c *Cluster) holder(n plan.Node) (process.ID, error) {
	return process.Load(c.state.Pids(), holderName(n))
}

func holderName(n plan.Node) string { return n.Name + "-holder" }

// systemCgroup takes what is not a pod: on v2 only leaves may have processes.
func (c *Cluster) systemCgroup(n plan.Node) string {
	return filepath.Join(c.plan.Cgroup(), n.Name, "system")
}
