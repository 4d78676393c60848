package dirs

import (
	"strings"
	"testing"
)

func TestSocketPathFitsTheKernelWithTheLongestName(t *testing.T) {
	t.Parallel()
	socket := StateOf(strings.Repeat("n", 20)).Node("node-4").Socket()
	if len(socket) > 107 { // sun_path is 108 bytes with its end
		t.Errorf("%s has %d characters, a unix socket may have 107", socket, len(socket))
	}
}

func TestCacheFollowsTheEnvironment(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/xdg")
	for env, want := range map[string]string{"": "/xdg/zombie-operator", "/mine": "/mine"} {
		t.Setenv("ZOMBIE_CACHE", env)
		got, err := FindCache()
		if err != nil || got.Root != want {
			t.Errorf("ZOMBIE_CACHE=%q: cache %q and error %v, want %q", env, got.Root, err, want)
		}
	}
}
