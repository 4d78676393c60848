package attribute

import (
	"fmt"
	"testing"
)

// BenchmarkAttribute judges one zombie on a node with as many containers as the kubelet allows pods, two in each.
func BenchmarkAttribute(b *testing.B) {
	known := containers()
	for i := range 220 {
		known = append(known, Container{
			ID: fmt.Sprint("c", i), InitPID: 10000 + i, Namespace: uint64(1000 + i), Depth: 2,
			Cgroup: fmt.Sprintf("/kubepods/burstable/pod%d/c%d", i/2, i),
		})
	}
	table := NewTable(hostNS, known)
	z := zombie(1000, at(20000, 10))
	p := parent(1000, at(10000, 1), "/kubepods/burstable/pod0/c0/system.slice/app.service", "/kubepods/burstable/pod0/c0")
	for b.Loop() {
		if verdict := table.Attribute(z, p); verdict.Place != InContainer {
			b.Fatal(verdict)
		}
	}
}
