package target_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zombie-operator/zombie-operator/agent/target"
	"github.com/zombie-operator/zombie-operator/agent/target/targettest"
)

// traceLive lets process 203, which lives, be traced by another one.
func traceLive(tracer int) func(*targettest.Node) {
	return func(n *targettest.Node) { n.Change(203, func(p *targettest.Process) { p.TracerPID = tracer }) }
}

// debugger is process 300 of the node, which traces process 203.
func debugger(what func(*targettest.Process)) func(*targettest.Node) {
	return func(n *targettest.Node) {
		n.Live(300, 1)
		n.Change(300, func(p *targettest.Process) {
			p.Command, p.Namespace, p.NamespacePIDs, p.Cgroups = "gdb", targettest.HostNamespace, []int{300}, nil
			what(p)
		})
		traceLive(300)(n)
	}
}

func onHost(*targettest.Process) {}

// traces is what happens on a node, and which processes of the container are traced then.
type traces map[string]struct {
	happen func(*targettest.Node)
	want   []target.Traced
}

func (tests traces) run(t *testing.T) {
	t.Helper()
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode()
			tc.happen(n)
			got, err := n.Finder().Traced(mustContainer(t, n))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("traced (-want +got):\n%s", diff)
			}
		})
	}
}

// held is the process that is traced by the debugger of most tests.
var held = []target.Traced{{PID: targettest.Inner(203), Command: "p203", TracerPID: 300, TracerCommand: "gdb"}}

func TestTracedProcessesOfAContainer(t *testing.T) {
	t.Parallel()
	traces{
		"none that nobody traces":                                {func(*targettest.Node) {}, nil},
		"one whose tracer is on the host, whoever its parent is": {debugger(onHost), held},
		"one whose tracer is in another container": {
			debugger(func(p *targettest.Process) {
				p.Namespace, p.NamespacePIDs, p.Cgroups = 8, []int{300, 5}, []string{"/kubepods/pod2/other"}
			}), held,
		},
		"one whose tracer came from the host into the cgroup": {debugger(func(p *targettest.Process) { p.Cgroups = []string{targettest.Cgroup} }), held},
		"one whose tracer's PID namespace cannot be read":     {debugger(func(p *targettest.Process) { p.Namespace = 0 }), held},
		"none whose tracer ends with the container":           {traceLive(parent), nil},
		"none whose tracer is in a namespace below the container's": {
			debugger(func(p *targettest.Process) {
				p.Namespace, p.NamespacePIDs, p.Cgroups = 9, []int{300, 5, 1}, []string{targettest.Cgroup + "/inner"}
			}), nil,
		},
		"one in a namespace below the container's": {
			func(n *targettest.Node) {
				debugger(onHost)(n)
				n.Change(203, func(p *targettest.Process) {
					p.Namespace, p.NamespacePIDs = 9, append(p.NamespacePIDs, 1)
				})
			}, held,
		},
		"the first process itself": {
			func(n *targettest.Node) {
				debugger(onHost)(n)
				traceLive(0)(n)
				n.Change(targettest.Init, func(p *targettest.Process) { p.TracerPID = 300 })
			},
			[]target.Traced{{PID: 1, Command: "p100", TracerPID: 300, TracerCommand: "gdb"}},
		},
		"one of which a tracer holds another thread than the first": {
			func(n *targettest.Node) {
				debugger(onHost)(n)
				n.Change(203, func(p *targettest.Process) { p.TracerPID, p.ThreadTracer = parent, 300 })
			}, held,
		},
		"none of another container": {
			func(n *targettest.Node) {
				debugger(onHost)(n)
				n.Change(203, func(p *targettest.Process) { p.Namespace, p.Cgroups = 8, []string{"/kubepods/pod2/other"} })
			}, nil,
		},
		"no zombie, which is counted with the zombies": {
			func(n *targettest.Node) {
				debugger(onHost)(n)
				traceLive(0)(n)
				n.Change(201, func(p *targettest.Process) { p.TracerPID = 300 })
			}, nil,
		},
		"one that lives though its main thread has ended": {
			func(n *targettest.Node) {
				debugger(onHost)(n)
				n.Change(203, func(p *targettest.Process) { p.State, p.Threads = "Z", 2 })
			}, held,
		},
	}.run(t)
}

func TestTracedProcessesThatChangeMeanwhile(t *testing.T) {
	t.Parallel()
	traces{
		"none that ends meanwhile": {
			func(n *targettest.Node) {
				debugger(onHost)(n)
				happens("identity 203", func(n *targettest.Node) { n.Reap(203) })(n)
			}, nil,
		},
		"none that ends a bit later": {
			func(n *targettest.Node) {
				debugger(onHost)(n)
				happens("tracers 203", func(n *targettest.Node) { n.Reap(203) })(n)
			}, nil,
		},
		"none that is let go meanwhile": {
			func(n *targettest.Node) {
				traceLive(999)(n)
				happens("identity 999", traceLive(0))(n)
			}, nil,
		},
		"one whose tracer is gone and that is traced still": {traceLive(999), []target.Traced{{PID: targettest.Inner(203), Command: "p203", TracerPID: 999}}},
		"none that ends when its tracer does": {
			func(n *targettest.Node) {
				traceLive(999)(n)
				happens("identity 999", func(n *targettest.Node) { n.Reap(203) })(n)
			}, nil,
		},
	}.run(t)
}

func TestTracedProcessesWhereAPIDNamespaceIsShared(t *testing.T) {
	t.Parallel()
	joined := func(tracee int) func(*targettest.Node) {
		return func(n *targettest.Node) {
			n.Change(targettest.Init, func(p *targettest.Process) { p.NamespacePIDs = []int{targettest.Init, 8} })
			n.Change(tracee, func(p *targettest.Process) { p.TracerPID = parent })
		}
	}
	traces{
		"where the container joined a PID namespace its first process, whoever traces it": {joined(targettest.Init), []target.Traced{{PID: 8, Command: "p100", TracerPID: parent, TracerCommand: "p107"}}},
		"where the container joined a PID namespace none but its first process":           {joined(203), nil},
	}.run(t)
}

func TestTracedFailsWhenItCannotBeKnown(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"processes", "identity 203", "tracers 203", "identity 300", fmt.Sprint("identity ", os.Getpid())} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			n := newNode()
			debugger(onHost)(n)
			c := mustContainer(t, n)
			n.Fail(call, targettest.ErrBroken)
			if got, err := n.Finder().Traced(c); !errors.Is(err, targettest.ErrBroken) {
				t.Errorf("Traced() = %+v, %v, want %v", got, err, targettest.ErrBroken)
			}
		})
	}
}

func TestTracedFailsWhenATraceeCannotBeReadAgain(t *testing.T) {
	t.Parallel()
	n := newNode()
	traceLive(999)(n)
	c := mustContainer(t, n)
	happens("identity 999", func(n *targettest.Node) { n.Fail("tracers 203", targettest.ErrBroken) })(n)
	if got, err := n.Finder().Traced(c); !errors.Is(err, targettest.ErrBroken) {
		t.Errorf("Traced() = %+v, %v, want %v", got, err, targettest.ErrBroken)
	}
}
