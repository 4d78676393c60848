package attribute

import (
	"slices"
	"strings"
	"testing"
)

// Names of cgroups below a container are a tenant's: none of them moves where the container's own cgroup ends.
func FuzzCgroupOf(f *testing.F) {
	const id = "aaaa"
	for _, seed := range []string{
		"", "/", "/aaaa", "/kubepods/pod1/aaaa", "/kubepods/pod1/aaaa/docker/bbbb", "/../../pod1/crio-aaaa.scope/aaaa/x", "/a/aaa\n/b/aaaa/..",
		"/kubepods/pod1/cri-containerd-aaaa.scope/init.scope\n/kubepods/pod2/aaaa", "aaaa", "//aaaa//", "/\xff/aaaa \x00(deleted)",
	} {
		f.Add(id, seed)
	}
	f.Add("a/a", "/a/a")
	f.Fuzz(func(t *testing.T, id, text string) {
		if id == "" {
			return // no container
		}
		paths := strings.Split(text, "\n")
		got := CgroupOf(id, paths)
		i := slices.IndexFunc(paths, func(path string) bool { return strings.Contains(path, id) })
		if i < 0 || strings.Contains(id, "/") {
			if got != "" {
				t.Errorf("CgroupOf(%q, %q) = %q, want none", id, paths, got)
			}
			return
		}
		rest, ok := strings.CutPrefix(paths[i], got)
		if !ok || (rest != "" && rest[0] != '/') {
			t.Fatalf("CgroupOf(%q, %q) = %q, want whole parts of the first path that has the ID", id, paths, got)
		}
		last := strings.LastIndexByte(got, '/') + 1
		if !strings.Contains(got[last:], id) || strings.Contains(got[:last], id) {
			t.Errorf("CgroupOf(%q, %q) = %q, want its last part, and no other, to have the ID", id, paths, got)
		}
	})
}
