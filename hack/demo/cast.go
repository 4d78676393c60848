//go:build linux

package main

// role is a pod of hack/leaks/manifests and its part in the story.
type role struct {
	pod     string
	is      string // what it plays
	does    string // what goes wrong in it
	real    string // where that happened
	zombies int    // to be seen on the node before the story goes on
	leaks   bool   // and so its report counts zombies
}

// cast has a role for every manifest; a test holds one against the other.
var cast = []role{
	{"repo-server", "server that runs git", "gets git's orphans, never waits", "argo-cd#3611", 20, true},
	{"webhook", "server that signs", "its SIGCHLD handler came too late", "a common race", 12, true},
	{"builder", "worker under an init", "the worker between never waits", "longhorn#941", 15, true},
	{"cron-runner", "runner of scripts", "starts 3 every 10 s, never waits", "cilium#5103", 3, true},
	{"terminal", "sandbox under sleep", "its readiness probe leaves orphans", "openreplay#4824", 1, true},
	{"invoicer", "Go service", "exec.Cmd.Start without Wait", "datadog-agent#12997", 8, true},
	{"sentinel", "server, waits late", "nothing: in the end it reaps all", "bitnami#34735", 6, false},
	{"search", "JVM, half ended", "nothing: it only looks dead", "moby#35910", 0, false},
}

// leaking are the pods whose report must count zombies.
func leaking() []role {
	var roles []role
	for _, r := range cast {
		if r.leaks {
			roles = append(roles, r)
		}
	}
	return roles
}

// castTable introduces them.
func castTable() string {
	rows := [][]string{{"POD", "WHAT IT IS", "WHAT IT DOES WRONG", "REAL CASE"}}
	for _, r := range cast {
		rows = append(rows, []string{r.pod, r.is, r.does, r.real})
	}
	return columns(rows)
}
