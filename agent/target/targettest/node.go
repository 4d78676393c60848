// Package targettest is a node in memory, and a tracer of real processes, for the tests of what acts on a node.
package targettest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/agent/target"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// What a new Node has: the agent, and one container with its first process.
const (
	HostNamespace = 1
	Namespace     = 2
	ContainerID   = "0123456789abcdef"
	Cgroup        = "/kubepods/pod1/" + ContainerID
	Init          = 100
)

// ErrBroken is an error that says nothing about the process or container it is about.
var ErrBroken = errors.New("broken")

// Process is a process of a Node.
type Process struct {
	kernel.Process
	scan.Identity
	// DeadFor is how long it is dead, if it is a zombie.
	DeadFor time.Duration
	// ThreadTracer traces a thread of it that is not the leader; 0 when none does.
	ThreadTracer int
	// ExitSignal is what it sends to its parent when it ends.
	ExitSignal unix.Signal
}

// Sent is a signal that was sent.
type Sent struct {
	PID    int
	Signal unix.Signal
}

// Node is a node in memory: a Runtime, a proc mount, and a kernel that opens pidfds. Its fields may be set while nothing
// reads it.
type Node struct {
	inventory.Runtime

	// Status is the runtime's answer.
	Status *runtimeapi.ContainerStatusResponse
	// Unlisted are children that the quick list leaves out.
	Unlisted map[int]bool
	// Unreadable is how many processes could not be read.
	Unreadable int
	// Before is called before each call, by its name.
	Before func(call string)
	// Signalled is called when a signal was sent.
	Signalled func(Sent)

	mu        sync.Mutex
	failing   map[string]error
	processes map[int]*Process
	sent      []Sent
}

// New returns a Node with the agent and one container.
func New() *Node {
	n := &Node{
		Status: &runtimeapi.ContainerStatusResponse{
			Status: &runtimeapi.ContainerStatus{
				Id:    ContainerID,
				State: runtimeapi.ContainerState_CONTAINER_RUNNING,
				Labels: map[string]string{
					"io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.name": "web", "io.kubernetes.pod.uid": "uid-web",
					"io.kubernetes.container.name": "app",
				},
			},
			Info: map[string]string{"info": fmt.Sprintf(`{"pid": %d}`, Init)},
		},
		failing: map[string]error{}, Unlisted: map[int]bool{}, processes: map[int]*Process{},
	}
	n.Add(Process{
		Process:  kernel.Process{PID: os.Getpid(), ParentPID: 1, State: "S", Threads: 1, StartTicks: 1, Command: "zombie-agent"},
		Identity: scan.Identity{Namespace: HostNamespace, NamespacePIDs: []int{os.Getpid()}},
	})
	n.Live(Init, 1)
	n.Change(Init, func(p *Process) { p.NamespacePIDs = []int{Init, 1} })
	return n
}

// Remediation returns a remediation that sends a signal to a process of the container.
func Remediation(sig v1alpha1.Signal, pid int) *v1alpha1.ZombieRemediation {
	return &v1alpha1.ZombieRemediation{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-1"},
		Spec: v1alpha1.ZombieRemediationSpec{
			PodName: "web", PodUID: "uid-web", ContainerName: "app", ContainerID: ContainerID,
			Action:       v1alpha1.RemediationSignalParent,
			SignalParent: &v1alpha1.SignalParentAct{Signal: sig, PID: int32(Inner(pid)), StartTicks: int64(pid)}, //nolint:gosec // PIDs of tests are small
		},
	}
}

// Inner is the PID in the container of a process that Live or Dead added.
func Inner(pid int) int { return pid - Init + 1 }

// Add adds a process.
func (n *Node) Add(p Process) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.processes[p.PID] = &p
}

// Live adds a living process of the container; it started at the tick that is its PID.
func (n *Node) Live(pid, parent int) { n.add(pid, parent, "S") }

// Dead adds a zombie of the container, which died an hour ago.
func (n *Node) Dead(pid, parent int) { n.add(pid, parent, kernel.StateZombie) }

func (n *Node) add(pid, parent int, state string) {
	n.Add(Process{
		Process:  kernel.Process{PID: pid, ParentPID: parent, State: state, Threads: 1, StartTicks: uint64(pid), Command: fmt.Sprint("p", pid)}, //nolint:gosec // PIDs of tests are small
		Identity: scan.Identity{Namespace: Namespace, NamespacePIDs: []int{pid, Inner(pid)}, Cgroups: []string{Cgroup}},
		DeadFor:  time.Hour, ExitSignal: unix.SIGCHLD,
	})
}

// Change changes a process.
func (n *Node) Change(pid int, change func(*Process)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n.processes[pid])
}

// Reap removes processes.
func (n *Node) Reap(pids ...int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, pid := range pids {
		delete(n.processes, pid)
	}
}

// End lets a process die as zombie, and its children pass to another one.
func (n *Node) End(pid, to int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.processes[pid].State = kernel.StateZombie
	for _, p := range n.processes {
		if p.ParentPID == pid {
			p.ParentPID = to
		}
	}
}

// Fail lets calls fail with err, or succeed again with nil. Calls are named such as "process 7", "identity 7",
// "children 7", "exit signal 7", "dead 7", "clocks", "processes", "open 7", "alive 7", "signal 7" and "container".
func (n *Node) Fail(call string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failing[call] = err
}

// Sent returns the signals that were sent.
func (n *Node) Sent() []Sent {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.sent)
}

// Finder returns a Finder on this node.
func (n *Node) Finder() target.Finder { return target.Finder{Runtime: n, Proc: n, Open: n.Open} }

func (n *Node) call(name string) error {
	if n.Before != nil {
		n.Before(name)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failing[name]
}

func (n *Node) find(pid int) (Process, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, ok := n.processes[pid]
	if !ok {
		return Process{}, fmt.Errorf("reading process %d: %w", pid, fs.ErrNotExist)
	}
	return *p, nil
}

// Container tells the details of the container.
func (n *Node) Container(context.Context, string) (*runtimeapi.ContainerStatusResponse, error) {
	if err := n.call("container"); err != nil {
		return nil, err
	}
	return n.Status, nil
}

// Processes lists all processes.
func (n *Node) Processes() (processes []kernel.Process, unreadable int, err error) {
	if err := n.call("processes"); err != nil {
		return nil, 0, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, pid := range slices.Sorted(maps.Keys(n.processes)) {
		processes = append(processes, n.processes[pid].Process)
	}
	return processes, n.Unreadable, nil
}

// Process reads one process.
func (n *Node) Process(pid int) (kernel.Process, error) {
	if err := n.call(fmt.Sprint("process ", pid)); err != nil {
		return kernel.Process{}, err
	}
	p, err := n.find(pid)
	return p.Process, err
}

// Identity reads where a process belongs.
func (n *Node) Identity(pid int) (scan.Identity, error) {
	if err := n.call(fmt.Sprint("identity ", pid)); err != nil {
		return scan.Identity{}, err
	}
	p, err := n.find(pid)
	return p.Identity, err
}

// Exit tells how a process ends.
func (n *Node) Exit(pid int) (kernel.Exit, error) {
	if err := n.call(fmt.Sprint("exit signal ", pid)); err != nil {
		return kernel.Exit{}, err
	}
	p, err := n.find(pid)
	return kernel.Exit{Signal: int(p.ExitSignal)}, err
}

// Clocks returns the clocks of this look.
func (n *Node) Clocks() (scan.Clocks, error) { return clocks{node: n}, n.call("clocks") }

type clocks struct {
	scan.Clocks
	node *Node
}

func (c clocks) DeadFor(zombie kernel.Process) (time.Duration, error) {
	if err := c.node.call(fmt.Sprint("dead ", zombie.PID)); err != nil {
		return 0, err
	}
	p, err := c.node.find(zombie.PID)
	return p.DeadFor, err
}

// Children lists the children of a process, but not those in Unlisted.
func (n *Node) Children(pid int) ([]int, error) {
	if err := n.call(fmt.Sprint("children ", pid)); err != nil {
		return nil, err
	}
	if _, err := n.find(pid); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var children []int
	for _, child := range slices.Sorted(maps.Keys(n.processes)) {
		if n.processes[child].ParentPID == pid && !n.Unlisted[child] {
			children = append(children, child)
		}
	}
	return children, nil
}

// Tracers tells who traces the threads of a process.
func (n *Node) Tracers(pid int) ([]int, error) {
	if err := n.call(fmt.Sprint("tracers ", pid)); err != nil {
		return nil, err
	}
	p, err := n.find(pid)
	return slices.DeleteFunc([]int{p.TracerPID, p.ThreadTracer}, func(tracer int) bool { return tracer == 0 }), err
}

// Open takes hold of a process.
func (n *Node) Open(pid int) (target.Handle, error) {
	if err := n.call(fmt.Sprint("open ", pid)); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	p, ok := n.processes[pid]
	if !ok {
		return nil, fmt.Errorf("opening process %d: %w", pid, unix.ESRCH)
	}
	return &handle{node: n, pid: pid, process: p}, nil
}

type handle struct {
	node    *Node
	pid     int
	process *Process
}

func (h *handle) held() (alive, there bool) {
	h.node.mu.Lock()
	defer h.node.mu.Unlock()
	there = h.node.processes[h.pid] == h.process
	return there && (h.process.State != kernel.StateZombie || h.process.Threads > 1), there
}

func (h *handle) Alive() (bool, error) {
	err := h.node.call(fmt.Sprint("alive ", h.pid))
	alive, _ := h.held()
	return alive, err
}

func (h *handle) Signal(sig unix.Signal) error {
	if err := h.node.call(fmt.Sprint("signal ", h.pid)); err != nil {
		return err
	}
	if _, there := h.held(); !there {
		return fmt.Errorf("signalling process %d: %w", h.pid, unix.ESRCH)
	}
	sent := Sent{PID: h.pid, Signal: sig}
	h.node.mu.Lock()
	h.node.sent = append(h.node.sent, sent)
	h.node.mu.Unlock()
	if h.node.Signalled != nil {
		h.node.Signalled(sent)
	}
	return nil
}

func (h *handle) Close() error {
	return h.node.call(fmt.Sprint("close ", h.pid))
}
