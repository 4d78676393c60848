package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// deadStat is what follows the name in the stat of a zombie, with places for its exit signal and its wait status.
const deadStat = " Z 1 7 7 0 -1 4227084 0 0 0 0 0 0 0 0 20 0 1 0 6000 0 0 1 0 0 0 0 0 0 0 4096 65536 0 0 0 %v 0 0 0 0 0 0 0 0 0 0 0 0 0 %v\n"

func TestParseExit(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		raw  string
		want Exit
		fail bool
	}{
		"a process that tells its parent and left with 7": {raw: "7 (sh)" + fmt.Sprintf(deadStat, 17, 7<<8), want: Exit{Signal: 17, Status: 7 << 8}},
		"a clone that tells nobody and was killed":        {raw: "7 (sh)" + fmt.Sprintf(deadStat, 0, 9), want: Exit{Status: 9}},
		"a process that left a core":                      {raw: "7 (sh)" + fmt.Sprintf(deadStat, 17, 0x80|6), want: Exit{Signal: 17, Status: 0x86}},
		"a thread that is gone":                           {raw: "7 (sh)" + fmt.Sprintf(deadStat, -1, 0), want: Exit{Signal: -1}},
		"a name that looks like a stat":                   {raw: "7 (x) S 1 1) Z 1)" + fmt.Sprintf(deadStat, 10, 1), want: Exit{Signal: 10, Status: 1}},
		"a later kernel that tells more after it":         {raw: "7 (sh)" + fmt.Sprintf(deadStat, 17, 0) + " 5 5", want: Exit{Signal: 17}},
		"a stat that ends before the exit code":           {raw: "7 (sh)" + fmt.Sprintf(deadStat, 17, ""), fail: true},
		"a stat that ends with the name":                  {raw: "7 (sh)", fail: true},
		"a stat without parentheses":                      {raw: "7 sh" + fmt.Sprintf(deadStat, 17, 0), fail: true},
		"an empty stat":                                   {raw: "", fail: true},
		"an exit signal that is no number":                {raw: "7 (sh)" + fmt.Sprintf(deadStat, "CHLD", 0), fail: true},
		"an exit code that is no number":                  {raw: "7 (sh)" + fmt.Sprintf(deadStat, 17, "x"), fail: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseExit([]byte(tc.raw))
			if got != tc.want || (err != nil) != tc.fail {
				t.Errorf("parseExit(%q) = %+v, %v, want %+v", tc.raw, got, err, tc.want)
			}
		})
	}
}

func TestExitTellsVanishedFromMalformed(t *testing.T) {
	t.Parallel()
	f := fixtures(t)
	for _, pid := range []int{101, 102, 103, 104} { // of hostile names
		if exit, err := f.Exit(pid); exit != (Exit{Signal: 17, Status: 7 << 8, Readable: true}) || err != nil {
			t.Errorf("Exit(%d) = %+v, %v, want exit code 7", pid, exit, err)
		}
	}
	for _, pid := range []int{106, 107, 108, 109} {
		if _, err := f.Exit(pid); err == nil || IsVanished(err) {
			t.Errorf("Exit(%d): error = %v, want one that does not say vanished", pid, err)
		}
	}
	for _, pid := range []int{110, 9999} {
		if _, err := f.Exit(pid); !IsVanished(err) {
			t.Errorf("Exit(%d): error = %v, want one that says vanished", pid, err)
		}
	}
}

func TestAnExitCodeOfZeroIsReadableWhereTheNamespaceIs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "7", "ns"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "7", "stat"), fmt.Appendf(nil, "7 (sh)"+deadStat, 17, 0))
	if _, err := open(t, dir).Exit(7); !IsVanished(err) {
		t.Errorf("error of a process that was reaped meanwhile = %v, want one that says vanished", err)
	}
	link := filepath.Join(dir, "7", "ns", "pid")
	if err := os.Symlink("pid:[5]", link); err != nil {
		t.Fatal(err)
	}
	if exit, err := open(t, dir).Exit(7); exit != (Exit{Signal: 17, Readable: true}) || err != nil {
		t.Errorf("Exit() = %+v, %v, want a readable 0", exit, err)
	}
}
