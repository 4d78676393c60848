package cgroup

import (
	"path/filepath"
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "\n", "max\n", "0\n", "4194304\n", "-1", "9223372036854775808", "max 3\n", "max", "min 1\nmax 2", "populated 1\nfrozen 1\n", "FROZEN\n", "frozen  1", "max \xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if n, err := parseNumber(raw); n < 0 || (err != nil && n != 0) {
			t.Errorf("parseNumber(%q) = %d, %v", raw, n, err)
		}
		if n, err := parseMax(raw); n < 0 || (err == nil && n == 0 && strings.TrimSpace(string(raw)) != "max") {
			t.Errorf("parseMax(%q) = %d, %v", raw, n, err)
		}
		if n, err := parseRefused(raw); err != nil && n != 0 {
			t.Errorf("parseRefused(%q) = %d, %v", raw, n, err)
		}
		if frozen, err := parseFrozen(raw); frozen && (err != nil || !strings.Contains(string(raw), "frozen 1")) {
			t.Errorf("parseFrozen(%q) = %t, %v", raw, frozen, err)
		}
		if frozen, err := parseState(raw); frozen && (err != nil || !strings.Contains(string(raw), "FROZEN")) {
			t.Errorf("parseState(%q) = %t, %v", raw, frozen, err)
		}
	})
}

// Whatever a cgroup is called, it is a container's only if the name ends with the whole ID, and then no walk goes into it.
func FuzzContainerOf(f *testing.F) {
	for _, seed := range []string{"", ":", "kubepods.slice", idA, "crio-" + idA + ".scope", "crio-conmon-" + idA + ".scope", "a:b:" + idA, ".scope", strings.Repeat("f", 63)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if id := containerOf(name); !strings.HasSuffix(strings.TrimSuffix(name, ".scope"), id) {
			t.Errorf("containerOf(%q) = %q", name, id)
		}
		for _, within := range []string{name + idA, idA + name, name + idA + name} {
			if !ofContainer(within) {
				t.Errorf("ofContainer(%q) = false", within)
			}
		}
		if containerOf("cri-containerd-"+idA+".scope") != idA || (containerOf(name) == idA && !ofContainer(name)) {
			t.Errorf("containerOf(%q) is %s, but it would be walked into", name, idA)
		}
	})
}

// What a tenant calls its cgroups leads nowhere but below its container.
func FuzzBelow(f *testing.F) {
	for _, seed := range []string{
		"", "/", "/" + idA, "/../kubepods/pod1/" + idA + "/x", "/kubepods/crio-" + idA + ".scope/x/y", "/" + idA + "/..", "/" + idA + "/../" + idB,
		"/" + idA + "/" + idA + "/x", "/" + idA + "//x", "/" + idA + "/x/../../y", "/" + idA + "/...", "/" + idA + "/\xff\n\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		inner := below(idA, path)
		if inner == "" {
			return
		}
		if dir := filepath.Join("container", inner); dir != "container" && !strings.HasPrefix(dir, "container/") {
			t.Errorf("below(%q) = %q, which leads to %q", path, inner, dir)
		}
		container, ok := strings.CutSuffix(path, "/"+inner)
		if first := strings.Index(container, idA); !ok || first < 0 || strings.Contains(container[first:], "/") {
			t.Errorf("below(%q) = %q, want all after the first part with the ID", path, inner)
		}
		if outside := strings.ReplaceAll(path, idA, idB); below(idA, outside) != "" {
			t.Errorf("below(%q) = %q, want nothing without the ID", outside, below(idA, outside))
		}
	})
}
