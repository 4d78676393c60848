// Package wire connects the nodes of a cluster with each other and with the host, by netlink alone.
//
//	host  zombie-0 ---- host  [node-1: bridge "nodes"]  node-2 ---- eth0 [node-2]
//
// Only one end of one cable is on the host. No node has a default route, so nothing can leave the machine.
package wire

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/zombie-operator/zombie-operator/hack/cluster/internal/plan"
)

const bridge = "nodes"

// Space is the network namespace of one node.
type Space struct {
	*netlink.Handle
	ns netns.NsHandle
}

// Open opens the network namespace of a process.
func Open(pid int) (Space, error) {
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return Space{}, fmt.Errorf("opening the network of process %d: %w", pid, err)
	}
	handle, err := netlink.NewHandleAt(ns)
	if err != nil {
		return Space{}, fmt.Errorf("opening netlink in the network of process %d: %w", pid, err)
	}
	return Space{Handle: handle, ns: ns}, nil
}

// Close gives the namespace back.
func (s Space) Close() {
	s.Handle.Close()
	s.ns.Close()
}

// ControlPlane sets up the first node: the bridge all others plug into, the cable to the host,
// and the address of the Service "kubernetes". That address is on lo, where the API server answers itself;
// so no kube-proxy is needed for pods to reach it.
func ControlPlane(p plan.Plan, s Space) error {
	lo, err := s.up("lo")
	if err != nil {
		return err
	}
	if err := s.address(lo, netip.PrefixFrom(p.KubernetesService(), 32)); err != nil {
		return err
	}
	if err := s.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridge}}); err != nil {
		return fmt.Errorf("adding the bridge between the nodes: %w", err)
	}
	br, err := s.up(bridge)
	if err != nil {
		return err
	}
	if err := s.address(br, netip.PrefixFrom(p.ControlPlane().IP, p.NodeNet().Bits())); err != nil {
		return err
	}
	return plugHost(p, s)
}

// Worker plugs another node into the bridge of the first one.
func Worker(p plan.Plan, n plan.Node, first, s Space) error {
	if _, err := s.up("lo"); err != nil {
		return err
	}
	cable := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: n.Name, PeerNamespace: netlink.NsFd(first.ns)}
	if err := s.LinkAdd(cable); err != nil {
		return fmt.Errorf("laying a cable between %s and %s: %w", p.ControlPlane().Name, n.Name, err)
	}
	eth0, err := s.up("eth0")
	if err != nil {
		return err
	}
	if err := s.address(eth0, netip.PrefixFrom(n.IP, p.NodeNet().Bits())); err != nil {
		return err
	}
	if err := first.plug(n.Name); err != nil {
		return err
	}
	return s.route(netip.PrefixFrom(p.KubernetesService(), 32), p.ControlPlane().IP)
}

// Pods makes the pods of every other node reachable from this one.
func Pods(p plan.Plan, n plan.Node, s Space) error {
	for _, other := range p.Nodes {
		if other.Name == n.Name {
			continue
		}
		if err := s.route(other.Pods, other.IP); err != nil {
			return err
		}
	}
	return nil
}

// Forward lets the network namespace of the calling thread pass packets on from and to its pods.
func Forward() error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return fmt.Errorf("allowing forwarding inside of a node: %w; /proc/sys must be writable", err)
	}
	return nil
}

func plugHost(p plan.Plan, first Space) error {
	cable := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: p.HostLink()}, PeerName: "host", PeerNamespace: netlink.NsFd(first.ns)}
	if err := netlink.LinkAdd(cable); err != nil {
		return fmt.Errorf("laying the cable between host and cluster: %w", err)
	}
	handle, err := netlink.NewHandle()
	if err != nil {
		return fmt.Errorf("opening netlink on the host: %w", err)
	}
	defer handle.Close()
	host := Space{Handle: handle}
	end, err := host.up(p.HostLink())
	if err != nil {
		return err
	}
	if err := host.address(end, netip.PrefixFrom(p.Host(), p.NodeNet().Bits())); err != nil {
		return err
	}
	return first.plug("host")
}

func (s Space) plug(name string) error {
	end, err := s.up(name)
	if err != nil {
		return err
	}
	br, err := s.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("finding the bridge between the nodes: %w", err)
	}
	if err := s.LinkSetMaster(end, br); err != nil {
		return fmt.Errorf("plugging %s into the bridge: %w", name, err)
	}
	return nil
}

func (s Space) up(name string) (netlink.Link, error) {
	link, err := s.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("finding network interface %s: %w", name, err)
	}
	if err := s.LinkSetUp(link); err != nil {
		return nil, fmt.Errorf("setting network interface %s up: %w", name, err)
	}
	return link, nil
}

func (s Space) address(link netlink.Link, prefix netip.Prefix) error {
	if err := s.AddrAdd(link, &netlink.Addr{IPNet: ipNet(prefix)}); err != nil {
		return fmt.Errorf("adding address %s to %s: %w", prefix, link.Attrs().Name, err)
	}
	return nil
}

func (s Space) route(to netip.Prefix, via netip.Addr) error {
	if err := s.RouteAdd(&netlink.Route{Dst: ipNet(to), Gw: via.AsSlice()}); err != nil {
		return fmt.Errorf("adding the route to %s by %s: %w", to, via, err)
	}
	return nil
}

// Unplug takes the cable off the host; its other end goes with it.
func Unplug(link string) error {
	found, err := netlink.LinkByName(link)
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding network interface %s: %w", link, err)
	}
	if err := netlink.LinkDel(found); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing network interface %s: %w", link, err)
	}
	return nil
}

// Plugged says whether the host has this interface.
func Plugged(link string) bool {
	_, err := netlink.LinkByName(link)
	return err == nil
}

// Taken says whether the host already uses an address or a route inside of the network.
func Taken(network netip.Prefix) (bool, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return false, fmt.Errorf("listing the routes of the host: %w", err)
	}
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		if ones, _ := r.Dst.Mask.Size(); ones > 0 && overlaps(network, *r.Dst) {
			return true, nil
		}
	}
	return false, nil
}

func overlaps(a netip.Prefix, b net.IPNet) bool {
	return ipNet(a).Contains(b.IP) || b.Contains(a.Addr().AsSlice())
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
