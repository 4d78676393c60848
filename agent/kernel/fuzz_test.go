package kernel

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hostileNames are command names that try to look like something else. The kernel keeps 15 bytes of a name.
var hostileNames = []string{
	"sh", "", ") Z 1 (", "tmux: server", "a\nb", "\xff\xfe", "\nse.exec_start:", "\\n", "))))", "((((", "\nNSpid:\t1", "x (1) S 1 1",
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x1b[2J\x1b]0;x\a", "\nState:\tS", "\r\x00", "\u202egnp",
}

func kernelName(name string) string {
	name, _, _ = strings.Cut(name, "\x00")
	return name[:min(len(name), 15)]
}

func FuzzStat(f *testing.F) {
	for _, file := range []string{"101", "102", "104", "106", "107", "108", "109"} {
		raw, err := os.ReadFile(filepath.Join("testdata", "proc", file, "stat"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	dir, path := fuzzProc(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		write(t, path, raw)
		process, err := open(t, dir).Process(7)
		if err != nil {
			return
		}
		// What was taken for the name is all between the first and the last parenthesis.
		before, rest, _ := bytes.Cut(raw, []byte("("))
		name := rest[:bytes.LastIndexByte(rest, ')')]
		if process.PID != 7 || bytes.ContainsRune(before, '(') || process.Command != string(name) {
			t.Errorf("process = %+v of %q", process, raw)
		}
	})
}

func FuzzStatKeepsItsFieldsWhateverTheName(f *testing.F) {
	for i, name := range hostileNames {
		f.Add(name, i, uint8(i), uint64(i), uint16(i))
	}
	dir, path := fuzzProc(f)
	f.Fuzz(func(t *testing.T, name string, parent int, state uint8, started uint64, cpu uint16) {
		want := Process{
			PID: 7, ParentPID: parent, State: string("RSDZTtXIP"[int(state)%9]), Threads: int(state), StartTicks: started,
			CPU: int(cpu), Command: kernelName(name),
		}
		write(t, path, fmt.Appendf(nil,
			"7 (%s) %s %d 7 7 0 -1 4227084 0 0 0 0 0 0 0 0 20 0 %d 0 %d 0 0 1 0 0 0 0 0 0 0 4096 65536 0 0 0 17 %d 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
			want.Command, want.State, parent, want.Threads, started, cpu))
		got, err := open(t, dir).Process(7)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("process (-want +got):\n%s", diff)
		}
	})
}

func FuzzParseExit(f *testing.F) {
	for _, file := range []string{"101", "102", "104", "106", "107", "108", "109"} {
		raw, err := os.ReadFile(filepath.Join("testdata", "proc", file, "stat"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(")"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if exit, err := parseExit(raw); exit.Readable || (err != nil && exit != Exit{}) {
			t.Errorf("parseExit(%q) = %+v, %v", raw, exit, err)
		}
	})
}

func FuzzParseExitIgnoresTheName(f *testing.F) {
	for i, name := range hostileNames {
		f.Add(name, i, i<<8)
	}
	f.Fuzz(func(t *testing.T, name string, sig, status int) {
		raw := fmt.Appendf(nil, "7 (%s)"+deadStat, kernelName(name), sig, status)
		if got, err := parseExit(raw); got != (Exit{Signal: sig, Status: status}) || err != nil {
			t.Errorf("parseExit(%q) = %+v, %v, want %d and %d", raw, got, err, sig, status)
		}
	})
}

// fuzzProc makes a proc mount with process 7 and returns it with the path of that process' stat.
func fuzzProc(f *testing.F) (dir, path string) {
	f.Helper()
	dir = f.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "7"), 0o700); err != nil {
		f.Fatal(err)
	}
	return dir, filepath.Join(dir, "7", "stat")
}

func write(t *testing.T, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte("Name:\tsh\nTracerPid:\t0\nNSpid:\t5\t1\n"))
	f.Add([]byte("NSpid:"))
	f.Add([]byte("TracerPid:\tx\n"))
	f.Add([]byte("Tgid:\tx\nNSpid:\t5\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		status, err := parseStatus(raw)
		if (err == nil) != (len(status.NamespacePIDs) > 0) {
			t.Errorf("parseStatus(%q) = %+v, %v: a status has a PID, or is refused", raw, status, err)
		}
	})
}

func FuzzParseStatusIgnoresTheName(f *testing.F) {
	for _, name := range hostileNames {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		// The kernel writes a name with backslashes and newlines escaped.
		name = strings.NewReplacer("\\", "\\\\", "\n", "\\n").Replace(kernelName(name))
		got, err := parseStatus([]byte("Name:\t" + name + "\nState:\tZ (zombie)\nTgid:\t6\nTracerPid:\t3\nNSpid:\t7\t2\nThreads:\t4\n"))
		if diff := cmp.Diff(Status{ThreadGroup: 6, TracerPID: 3, NamespacePIDs: []int{7, 2}, State: "Z", Threads: 4}, got); diff != "" || err != nil {
			t.Errorf("status of %q: %v (-want +got):\n%s", name, err, diff)
		}
	})
}

func FuzzParseCgroups(f *testing.F) {
	f.Add([]byte("9:name=systemd:/kubepods/a\n8:pids:/\n0::/../../kubepods/a (deleted)\n"))
	f.Add([]byte("0::"))
	f.Add([]byte(":::/x\n:"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		seen := map[string]bool{}
		for _, path := range parseCgroups(raw) {
			if seen[path] || path == "/" || !strings.HasPrefix(path, "/") || strings.Contains(path, "\n") || !bytes.Contains(raw, []byte(path)) {
				t.Errorf("parseCgroups(%q) has %q", raw, path)
			}
			seen[path] = true
		}
	})
}

func FuzzParseNamespace(f *testing.F) {
	f.Add("pid:[4026531836]")
	f.Add("pid:[")
	f.Add("net:[1]")
	f.Fuzz(func(t *testing.T, link string) {
		if inode, err := parseNamespace(link); err == nil && !strings.Contains(link, fmt.Sprint(inode)) {
			t.Errorf("parseNamespace(%q) = %d", link, inode)
		}
	})
}

func FuzzParseExecStart(f *testing.F) {
	f.Add([]byte("x (1, #threads: 1)\nse.exec_start : 5.5\n"))
	f.Add([]byte("se.exec_start:"))
	f.Add([]byte("se.exec_start : 0x1p9999\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if at, err := parseExecStart(raw); at < 0 || (err != nil && at != 0) {
			t.Errorf("parseExecStart(%q) = %d, %v", raw, at, err)
		}
	})
}

func FuzzParseExecStartIgnoresTheName(f *testing.F) {
	for _, name := range hostileNames {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		raw := kernelName(name) + " (7, #threads: 1)\n---\nse.exec_start                                :       5000.5\nse.vruntime : 1\n"
		if at, err := parseExecStart([]byte(raw)); at != 5000500*time.Microsecond || err != nil {
			t.Errorf("parseExecStart(%q) = %s, %v", raw, at, err)
		}
	})
}

func FuzzParseUptime(f *testing.F) {
	f.Add([]byte("1000.50 1800.25\n"))
	f.Add([]byte(""))
	f.Add([]byte("1e30"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if at, err := parseUptime(raw); at < 0 || (err != nil && at != 0) {
			t.Errorf("parseUptime(%q) = %d, %v", raw, at, err)
		}
	})
}
