package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestChooseTakesTheFirstArgumentBeforeTheName(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		argv []string
		want string
		rest []string
		ok   bool
	}{
		"a tree under a role":                  {[]string{"/leaks/repo-server", "never-waits", "-count=1"}, "never-waits", []string{"-count=1"}, true},
		"a tree under its own name":            {[]string{"/leaks/sleep"}, "sleep", nil, true},
		"its own name with flags":              {[]string{"every", "-count=1"}, "every", []string{"-count=1"}, true},
		"a child under the name of a tree":     {[]string{"sleep", "child"}, "child", nil, true},
		"a role without a tree":                {[]string{"/leaks/repo-server"}, "", nil, false},
		"an unknown tree under an unknown one": {[]string{"leaks", "bonsai"}, "", nil, false},
		"no argument vector at all":            {nil, "", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, rest, ok := choose(tc.argv)
			if c.name != tc.want || ok != tc.ok || !slices.Equal(rest, tc.rest) {
				t.Errorf("got %q %v %v, want %q %v %v", c.name, rest, ok, tc.want, tc.rest, tc.ok)
			}
		})
	}
}

func TestCommandLineMistakesAreTold(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no tree":             {nil, 2, "usage: leaks TREE"},
		"an unknown tree":     {[]string{"bonsai"}, 2, "never-waits"},
		"an unknown flag":     {[]string{"every", "-often"}, 1, "flag provided but not defined: -often"},
		"a forgotten dash":    {[]string{"every", "count=3"}, 1, `unexpected argument "count=3"`},
		"a period of nothing": {[]string{"sawtooth", "-period=0"}, 1, "-period must be positive"},
		"install nowhere":     {[]string{"install"}, 1, "usage: leaks install DIR"},
		"nothing to say":      {[]string{"say", "-sleep=1"}, 1, "usage: say [-sleep SECONDS] TEXT"},
		"help":                {[]string{"never-waits", "-h"}, 0, "-middle"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(filepath.Join(image, "leaks"), tc.args...)
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != tc.code || !strings.Contains(string(out), tc.says) {
				t.Errorf("exit code %d, want %d; it said %q, want %q in it", code, tc.code, out, tc.says)
			}
		})
	}
}

func TestInstallLinksEveryTreeAndRoleAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "leaks")
	for range 2 {
		if err := install([]string{dir}); err != nil {
			t.Fatal(err)
		}
	}
	names := roles()
	for _, c := range trees() {
		names = append(names, c.name)
	}
	for _, name := range names {
		if to, err := os.Readlink(filepath.Join(dir, name)); err != nil || to != "leaks" {
			t.Errorf("%s links to %q (%v), want leaks", name, to, err)
		}
	}
}

func TestParseStatReadsHostileNamesAndRefusesRubbish(t *testing.T) {
	t.Parallel()
	const rest = " Z 1 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 99 0 0"
	for _, comm := range []string{"sh", ") Z 1 (", "a\nb", "", "\xff"} {
		s, err := parseStat([]byte("7 (" + comm + ")" + rest))
		if err != nil || s != (procStat{comm: comm, state: "Z", threads: 1}) {
			t.Errorf("comm %q: got %+v, %v", comm, s, err)
		}
	}
	for _, line := range []string{"", "7 sh Z 1", "7 )sh( Z 1", "7 (sh) Z 1", "7 (sh)" + strings.Replace(rest, "20 0 1", "20 0 x", 1)} {
		if s, err := parseStat([]byte(line)); err == nil {
			t.Errorf("line %q: got %+v, want an error", line, s)
		}
	}
}
