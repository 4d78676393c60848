// Package plan decides names and addresses of a cluster. It is pure: the same name, slot and node count
// always give the same plan, so a second command finds what the first one built.
package plan

import (
	"fmt"
	"net/netip"
	"regexp"
)

// MaxNodes keeps at least 29 pod addresses for each node.
const MaxNodes = 4

// Slots is how many clusters can live on one machine: each takes its own 16 node addresses.
const Slots = 16

// maxName keeps unix socket paths below the state directory within the 108 bytes the kernel allows.
const maxName = 20

// Only documentation ranges (RFC 5737) are used: they belong to nobody, so no real network can be shadowed.
// Node addresses are seen by the host and are split among clusters. Services and pods exist
// only inside the namespaces of a cluster, so every cluster uses the same ones.
var (
	nodeRange    = netip.MustParsePrefix("198.51.100.0/24")
	serviceRange = netip.MustParsePrefix("203.0.113.0/25")
	podRange     = netip.MustParsePrefix("203.0.113.128/25")
)

var validName = regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)

// Plan is a cluster on paper.
type Plan struct {
	Name  string
	Slot  int
	Nodes []Node
}

// Node is one node of the plan.
type Node struct {
	Name string
	IP   netip.Addr
	Pods netip.Prefix
}

// New plans a cluster. The slot chooses the node addresses.
func New(name string, slot, nodes int) (Plan, error) {
	if err := CheckName(name); err != nil {
		return Plan{}, err
	}
	if nodes < 1 || nodes > MaxNodes {
		return Plan{}, fmt.Errorf("%d nodes asked for: --nodes takes 1 to %d", nodes, MaxNodes)
	}
	if slot < 0 || slot >= Slots {
		return Plan{}, fmt.Errorf("slot %d is outside of 0 to %d", slot, Slots-1)
	}
	p := Plan{Name: name, Slot: slot}
	for i := range nodes {
		p.Nodes = append(p.Nodes, Node{
			Name: fmt.Sprintf("node-%d", i+1),
			IP:   add(p.NodeNet().Addr(), 2+i),
			Pods: podsOf(i, nodes),
		})
	}
	return p, nil
}

// CheckName says whether a cluster may have this name.
func CheckName(name string) error {
	if len(name) > maxName || !validName.MatchString(name) {
		return fmt.Errorf("cluster name %q: --name takes lower case letters, digits and dashes, "+
			"starts with a letter and has at most %d characters", name, maxName)
	}
	return nil
}

// NodeNet is the network that the host and the nodes of this cluster share.
func (p Plan) NodeNet() netip.Prefix {
	return netip.PrefixFrom(add(nodeRange.Addr(), 16*p.Slot), 28)
}

// Host is the address of the host in the node network.
func (p Plan) Host() netip.Addr { return add(p.NodeNet().Addr(), 1) }

// HostLink is the name of the host's network interface into the cluster.
// Named by slot, because the kernel allows only 15 characters.
func (p Plan) HostLink() string { return fmt.Sprintf("zombie-%d", p.Slot) }

// ControlPlane is the node that also runs etcd, the API server, the controllers and the scheduler.
func (p Plan) ControlPlane() Node { return p.Nodes[0] }

// APIServer is where the host finds the API server.
func (p Plan) APIServer() string { return fmt.Sprintf("https://%s:443", p.ControlPlane().IP) }

// Services is the range of service addresses.
func (p Plan) Services() netip.Prefix { return serviceRange }

// KubernetesService is the address of the Service "kubernetes": the API server takes the first one of the range.
func (p Plan) KubernetesService() netip.Addr { return add(serviceRange.Addr(), 1) }

// DNS is the address pods get as name server. Nothing answers there.
func (p Plan) DNS() netip.Addr { return add(serviceRange.Addr(), 10) }

// MaxPods is how many addresses a node has for pods: its range without network, gateway and broadcast address.
func (n Node) MaxPods() int {
	return min(1<<(32-n.Pods.Bits())-3, 110)
}

// NetNS is the name under which `ip netns` knows the network namespace of a node.
func (p Plan) NetNS(n Node) string { return "zombie-" + p.Name + "-" + n.Name }

// Cgroup is the cgroup that everything of the cluster runs in.
func (p Plan) Cgroup() string { return "zombie-" + p.Name }

// podsOf halves the pod range until every node can have a part.
func podsOf(node, nodes int) netip.Prefix {
	bits, parts := podRange.Bits(), 1
	for parts < nodes {
		bits, parts = bits+1, parts*2
	}
	return netip.PrefixFrom(add(podRange.Addr(), node<<(32-bits)), bits)
}

func add(a netip.Addr, n int) netip.Addr {
	for range n {
		a = a.Next()
	}
	return a
}
