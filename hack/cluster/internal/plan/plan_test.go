package plan

import (
	"net/netip"
	"strings"
	"testing"
)

func TestEveryAddressIsItsOwn(t *testing.T) {
	t.Parallel()
	for nodes := 1; nodes <= MaxNodes; nodes++ {
		seen := map[netip.Addr]string{}
		for slot := range Slots {
			p, err := New("demo", slot, nodes)
			if err != nil {
				t.Fatal(err)
			}
			claim(t, seen, p.Host(), "host")
			for _, n := range p.Nodes {
				claim(t, seen, n.IP, n.Name)
				if !p.NodeNet().Contains(n.IP) || !nodeRange.Contains(n.IP) {
					t.Errorf("slot %d: %s of %s is outside of %s", slot, n.IP, n.Name, p.NodeNet())
				}
			}
		}
	}
}

func claim(t *testing.T, seen map[netip.Addr]string, a netip.Addr, who string) {
	t.Helper()
	if other, taken := seen[a]; taken {
		t.Errorf("%s belongs to %s and to %s", a, other, who)
	}
	seen[a] = who
}

func TestPodRangesDoNotOverlap(t *testing.T) {
	t.Parallel()
	for nodes, wantPods := range map[int]int{1: 110, 2: 61, 3: 29, 4: 29} {
		p, err := New("demo", 0, nodes)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range p.Nodes {
			if n.MaxPods() != wantPods {
				t.Errorf("%d nodes: %s takes %d pods, want %d", nodes, n.Name, n.MaxPods(), wantPods)
			}
			if n.Pods.Overlaps(p.Services()) || !podRange.Contains(n.Pods.Addr()) || n.Pods != n.Pods.Masked() {
				t.Errorf("%d nodes: pods of %s get %s", nodes, n.Name, n.Pods)
			}
			for _, other := range p.Nodes[:i] {
				if n.Pods.Overlaps(other.Pods) {
					t.Errorf("%d nodes: %s and %s share pod addresses", nodes, n.Name, other.Name)
				}
			}
		}
	}
}

func TestNamesFitTheKernel(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("n", maxName)
	p, err := New(longest, Slots-1, MaxNodes)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.HostLink(); len(got) > 15 {
		t.Errorf("interface name %q has more than 15 characters", got)
	}
}

func TestWrongInputIsRefusedWithTheMend(t *testing.T) {
	t.Parallel()
	for sentence, tc := range map[string]struct {
		name  string
		nodes int
		want  string
	}{
		"a name with capitals":       {"Demo", 1, "--name takes lower case"},
		"a name that is a path":      {"../etc", 1, "--name takes lower case"},
		"an empty name":              {"", 1, "--name takes lower case"},
		"a name that is too long":    {strings.Repeat("n", maxName+1), 1, "at most 20 characters"},
		"a name that ends in a dash": {"demo-", 1, "--name takes lower case"},
		"no node":                    {"demo", 0, "--nodes takes 1 to 4"},
		"more nodes than pod ranges": {"demo", 5, "--nodes takes 1 to 4"},
		"a negative number of nodes": {"demo", -1, "--nodes takes 1 to 4"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			if _, err := New(tc.name, 0, tc.nodes); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want one with %q", err, tc.want)
			}
		})
	}
}
