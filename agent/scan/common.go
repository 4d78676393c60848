package scan

import "strings"

// maxCommon is how many cgroups and how many commands are kept at most: more than a node has containers, 250 pods of four. A
// tenant that makes more, or gives each process a name of its own, only takes away what sharing saves.
const maxCommon = 1024

// common keeps one copy of what many processes have in common. The path of a container's cgroup alone is as long as all else that
// is known of a zombie, and leaks are slow: the zombies of one container come in many looks.
type common struct {
	cgroups  map[string][]string
	commands map[string]string
}

func newCommon() common {
	return common{cgroups: map[string][]string{}, commands: map[string]string{}}
}

// paths returns the copy of some cgroup paths, none of which has a newline in it.
func (c common) paths(paths []string) []string {
	if len(paths) == 0 {
		return paths
	}
	return kept(c.cgroups, strings.Join(paths, "\n"), paths)
}

func (c common) command(command string) string { return kept(c.commands, command, command) }

// kept returns what is kept under a key. Before there is too much, all is forgotten: what is in use comes again.
func kept[V any](all map[string]V, key string, value V) V {
	if before, ok := all[key]; ok {
		return before
	}
	if len(all) >= maxCommon {
		clear(all)
	}
	all[key] = value
	return value
}
