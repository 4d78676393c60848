//go:build linux

package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	rest := " 0 0 0 0 0 0 0 0 0 0 0 20 0 %d 0 4711 0 0"
	// ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt utime stime cutime cstime priority nice threads itrealvalue start
	line := func(head string, threads int) string { return head + " 7 7" + fmt.Sprintf(rest, threads) + "\n" }
	for name, test := range map[string]struct {
		text string
		want process
	}{
		"a zombie": {line("42 (git) Z 1", 1), process{pid: 42, parent: 1, threads: 1, state: 'Z', command: "git", started: "4711"}},
		"a name with spaces and parentheses": {line("42 (a) Z (b c) S 9", 3),
			process{pid: 42, parent: 9, threads: 3, state: 'S', command: "a) Z (b c", started: "4711"}},
		"a name with a newline": {line("42 (a\nb) S 9", 3), process{pid: 42, parent: 9, threads: 3, state: 'S', command: "a\nb", started: "4711"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseStat([]byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
	for _, text := range []string{"", "42", "42 (git)", ")(", "42 (git) Z 1", line("x (git) Z 1", 1), line("42 (git) Z x", 1)} {
		if got, err := parseStat([]byte(text)); err == nil {
			t.Errorf("%q is read as %+v, want an error", text, got)
		}
	}
}

func TestParseStatOfThisProcess(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	p, err := parseStat(text)
	if err != nil {
		t.Fatal(err)
	}
	if p.pid != os.Getpid() || p.parent != os.Getppid() || p.threads < 2 || p.state == 'Z' {
		t.Errorf("got %+v", p)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (git) Z 1 7 7 0 0 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0"))
	f.Fuzz(func(_ *testing.T, text []byte) { _, _ = parseStat(text) })
}

// fakeProc writes processes as /proc shows them. Cgroups are by PID.
func fakeProc(t *testing.T, processes []process, cgroups map[int]string) string {
	t.Helper()
	root := t.TempDir()
	for _, p := range processes {
		dir := filepath.Join(root, strconv.Itoa(p.pid))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		stat := fmt.Sprintf("%d (%s) %c %d 0 0 0 0 0 0 0 0 0 0 0 0 0 20 0 %d 0 %s 0\n", p.pid, p.command, p.state, p.parent, p.threads, p.started)
		for name, text := range map[string]string{"stat": stat, "cgroup": cgroups[p.pid]} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

func TestFindCountsTheDeadOfEachContainer(t *testing.T) {
	t.Parallel()
	root := fakeProc(t, []process{
		{pid: 10, parent: 1, threads: 4, state: 'S', command: "buildd", started: "1"},
		{pid: 11, parent: 10, threads: 1, state: 'Z', command: "sh", started: "2"},
		{pid: 12, parent: 10, threads: 1, state: 'Z', command: "sh", started: "3"},
		{pid: 13, parent: 10, threads: 1, state: 'S', command: "sh", started: "4"}, // lives
		{pid: 20, parent: 1, threads: 1, state: 'S', command: "launcher", started: "5"},
		{pid: 21, parent: 20, threads: 8, state: 'Z', command: "java", started: "6"},
		{pid: 30, parent: 1, threads: 1, state: 'S', command: "cron", started: "7"}, // of the machine, in no container
		{pid: 31, parent: 30, threads: 1, state: 'Z', command: "sh", started: "8"},
		{pid: 41, parent: 99, threads: 1, state: 'Z', command: "sh", started: "9"}, // its parent has just gone
	}, map[int]string{
		10: "8:pids:/demo/kubepods/besteffort/pod1/aaa\n", 11: "8:pids:/\n", 12: "8:pids:/\n", 13: "8:pids:/demo/kubepods/besteffort/pod1/aaa\n",
		20: "0::/kubepods.slice/pod2.slice/cri-containerd-bbb.scope\n", 30: "8:pids:/\n",
	})
	found, err := find(root, map[string]string{"builder": "aaa", "search": "bbb", "starting": ""})
	if err != nil {
		t.Fatal(err)
	}
	if pods := len(found); pods != 2 {
		t.Errorf("found dead in %d pods, want builder and search only: %v", pods, maps.Collect(maps.All(found)))
	}
	builder := found["builder"]
	if len(builder.zombies) != 2 || builder.zombies[0].pid != 11 || builder.parent.command != "buildd" || len(builder.alive) != 0 {
		t.Errorf("builder: got %+v, want 11 and 12 under buildd", builder)
	}
	search := found["search"]
	if len(search.zombies) != 0 || len(search.alive) != 1 || search.alive[0].command != "java" {
		t.Errorf("search: got %+v, want no zombie, and java alive", search)
	}
}

func TestStillKnowsAProcessByPIDAndStart(t *testing.T) {
	t.Parallel()
	before := []process{{pid: 1, started: "1"}, {pid: 2, started: "2"}, {pid: 3, started: "3"}}
	now := []process{{pid: 1, started: "1"}, {pid: 2, started: "9"}} // 2 is another one of that PID
	if got := still(before, now); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	held := process{pid: 7, command: "sleep"}
	dead := process{command: "timeout"}
	for want, f := range map[string]finding{
		" 1 zombie named timeout, parent sleep (PID 7 here)":  {zombies: []process{dead}, parent: held},
		" 2 zombies named timeout, parent sleep (PID 7 here)": {zombies: []process{dead, dead}, parent: held},
		"java (PID 9) is in state Z too, but has 8 threads":   {alive: []process{{pid: 9, command: "java", threads: 8}}},
		"no zombies": {},
	} {
		if got := describe(f); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
