package attribute

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
)

const (
	// trees is how many worlds of real processes are made, fewTrees with -short.
	trees, fewTrees = 1000, 50
	// wholeView is how often all processes of the machine are scanned: once in so many trees.
	wholeView = 10
	// seedVariable makes them the same again: ATTRIBUTE_SEED=7 go test -run RealTrees -v ./agent/attribute
	seedVariable = "ATTRIBUTE_SEED"
)

// leaveOut leaves a test out, except where leaving it out would hide a failure.
func leaveOut(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("REQUIRE_E2E") == "1" {
		t.Fatal("REQUIRE_E2E=1, but " + why)
	}
	t.Skip(why)
}

// TestRealTreesAreNeverAttributedWrongly builds worlds of real processes, in real namespaces and cgroups, looks at them as
// the agent does, and compares what it makes of each zombie with what is true by construction.
func TestRealTreesAreNeverAttributedWrongly(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		leaveOut(t, "only root may make PID namespaces and cgroups")
	}
	count := trees
	if testing.Short() {
		count = fewTrees
	}
	seed := treeSeed(t)
	g := newGrower(t)
	for tree := range count {
		g.grow(seed, uint64(tree))
	}
	zombies := 0
	for _, n := range g.counts {
		zombies += n
	}
	t.Logf("seed %d: %d trees with %d zombies, of which %d are unknown (%.1f %%), %d the host's, %d in a container, %d with a parent outside",
		seed, count, zombies, g.counts[Unknown], 100*float64(g.counts[Unknown])/float64(zombies),
		g.counts[Host], g.counts[InContainer], g.counts[ParentOutside])
	for place := Unknown; place <= ParentOutside; place++ {
		if g.counts[place] < count/5 {
			t.Errorf("verdict %d came %d times only: the trees are too poor", place, g.counts[place])
		}
	}
}

func treeSeed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv(seedVariable)
	if text == "" {
		return rand.Uint64()
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("parsing %s: %v", seedVariable, err)
	}
	return seed
}

// clearing is a proc mount of which the processes of a world alone are listed: a busy machine has hundreds of others.
type clearing struct {
	scan.Proc
	pids []int
}

func (c clearing) Processes() (processes []kernel.Process, unreadable int, err error) {
	for _, pid := range c.pids {
		if p, err := c.Process(pid); err == nil {
			processes = append(processes, p)
		} else if !kernel.IsVanished(err) {
			unreadable++
		}
	}
	return processes, unreadable, nil
}

// grower grows one world after the other, each with its own hierarchies.
type grower struct {
	*testing.T
	proc    scan.Proc
	forest  *forest
	natures []ecology
	counts  map[Place]int
}

// ecology is a nature with the hierarchies that make it.
type ecology struct {
	nature
	hierarchies []string
}

func newGrower(t *testing.T) *grower {
	t.Helper()
	fs, err := kernel.New("/proc")
	if err != nil {
		t.Fatal(err)
	}
	g := &grower{T: t, proc: scan.Proc{FS: fs}, counts: map[Place]int{}}
	v1, v2 := hierarchies(t)
	if v1 == "" && v2 == "" {
		leaveOut(t, "no cgroups are mounted")
	}
	if v1 != "" {
		v1 = ground(t, v1)
		// On v1 nothing tells an orphan of a hostPID pod from one of the host.
		g.natures = append(g.natures, ecology{nature{strays: true}, []string{v1}})
	}
	if v2 != "" {
		v2 = ground(t, v2)
		g.natures = append(g.natures, ecology{nature{v2: true, hostPID: true, strays: true}, []string{v2}})
	}
	if v1 != "" && v2 != "" {
		g.natures = append(g.natures, ecology{nature{v2: true, hostPID: true, strays: true}, []string{v1, v2}})
	}
	g.forest = newForest(t, fs, &cgroups{})
	return g
}

// grow makes one world, judges its zombies, and ends it.
func (g *grower) grow(seed, tree uint64) {
	g.Helper()
	random := rand.New(rand.NewPCG(seed, tree))
	e := g.natures[random.IntN(len(g.natures))]
	g.forest.cgroups.hierarchies = e.hierarchies
	w := newWorld(random, g.forest, e.nature)
	containers := g.containers(w)
	for range 15 + random.IntN(30) {
		if len(w.processes) < maxProcesses-2 { // a step makes at most two
			w.step()
		}
	}
	g.forest.settle(w)
	if random.IntN(3) == 0 {
		g.forest.cgroups.remove() // those in which only zombies are left
	}
	var view scan.Reader = g.proc
	if tree%wholeView != 0 {
		c := clearing{Proc: g.proc}
		for _, p := range w.processes {
			c.pids = append(c.pids, p.pid())
		}
		view = c
	}
	if wrong := g.judge(w, g.table(w, containers), view); wrong != "" {
		g.Fatalf("%s=%d, tree %d, %+v: %s", seedVariable, seed, tree, e, wrong)
	}
	g.forest.fell(w)
}

// containers are what the agent learns of the containers while their first processes live.
func (g *grower) containers(w *world) []Container {
	g.Helper()
	var containers []Container
	for _, id := range w.ids {
		pid := w.inits[id].pid()
		identity, err := g.proc.Identity(pid)
		g.forest.must("reading where a container is", err)
		containers = append(containers, Container{
			ID: id, InitPID: pid, Namespace: identity.Namespace, Depth: len(identity.NamespacePIDs),
			Joined: HasJoined(identity), Shared: w.shared(id), Cgroup: CgroupOf(id, identity.Cgroups),
		})
	}
	return containers
}

// table is of those containers whose first processes still live: the agent forgets the others, as the number of a PID
// namespace that ended is soon that of another.
func (g *grower) table(w *world, containers []Container) Table {
	g.Helper()
	host, err := g.proc.Identity(w.processes[0].pid())
	g.forest.must("reading where the host is", err)
	return NewTable(host.Namespace, slices.DeleteFunc(containers, func(c Container) bool { return w.inits[c.ID].dead }))
}

// judge compares the verdict on each zombie with the truth and returns what is wrong.
func (g *grower) judge(w *world, table Table, view scan.Reader) (wrong string) {
	g.Helper()
	result, err := scan.New(view).Scan(time.Now())
	g.forest.must("scanning", err)
	seen := map[int]*scan.Zombie{}
	for _, z := range result.Zombies {
		seen[z.PID] = z
	}
	for _, z := range w.zombies() {
		found, ok := seen[z.pid()]
		if !ok {
			return fmt.Sprintf("zombie %+v was not found", *z)
		}
		parent, ok := result.Parents[found.ParentPID]
		if !ok || found.ParentPID != z.parent.pid() {
			return fmt.Sprintf("zombie %+v was found with parent %d, but its parent is %+v", *z, found.ParentPID, *z.parent)
		}
		verdict := table.Attribute(*found, parent)
		g.counts[verdict.Place]++
		if wrong := w.wrong(z, verdict); wrong != "" {
			return fmt.Sprintf("%+v of zombie %+v with parent %+v: %s; seen %+v with %+v", verdict, *z, *z.parent, wrong, *found, *parent)
		}
	}
	return ""
}
