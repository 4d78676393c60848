package kernel

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func FuzzParseThreadStatus(f *testing.F) {
	f.Add([]byte(threadText("sh", "S (sleeping)", "0", "0", "10000", "0", "10000")))
	f.Add([]byte("State:\nSigPnd:\tx\n"))
	f.Add([]byte("SigBlk:\tffffffffffffffffff\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		status, err := parseThreadStatus(raw)
		if (err == nil) != (len(status.State) == 1) {
			t.Errorf("parseThreadStatus(%q) = %+v, %v: a thread has a state, or is refused", raw, status, err)
		}
	})
}

func FuzzParseThreadStatusIgnoresTheName(f *testing.F) {
	for _, name := range append(hostileNames, "\nSigBlk:\t10000", "\nState:\tT", "SigCgt:") {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		// The kernel writes a name with backslashes and newlines escaped.
		name = strings.NewReplacer("\\", "\\\\", "\n", "\\n").Replace(kernelName(name))
		got, err := parseThreadStatus([]byte(threadText(name, "S (sleeping)", "0", "0", "0", "0", "10000")))
		want := threadStatus{Thread: Thread{State: "S", Switches: 27}, caught: true}
		if got != want || err != nil {
			t.Errorf("thread named %q = %+v, %v", name, got, err)
		}
	})
}

func FuzzParseWchan(f *testing.F) {
	f.Add([]byte("do_wait"))
	f.Add([]byte("do_sigtimedwait.isra.0"))
	f.Add([]byte("0"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		name := parseWchan(raw)
		if !strings.HasPrefix(string(raw), name) || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("parseWchan(%q) = %q", raw, name)
		}
	})
}

func FuzzParseWait(f *testing.F) {
	f.Add(fmt.Appendf(nil, "%d 0xffffffff 0x0 0x0\n", unix.SYS_WAIT4))
	f.Add(fmt.Appendf(nil, "%d 0x1 0x4d2 0x0\n", unix.SYS_WAITID))
	f.Add([]byte("running\n"))
	f.Add(fmt.Appendf(nil, "%d 0x1\n", unix.SYS_WAIT4))
	f.Add([]byte("-1 0x0 0x0"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		wait, err := parseWait(raw)
		if wait.Child < 0 || (wait.Any && wait.Child != 0) || (err != nil && wait != Wait{}) {
			t.Errorf("parseWait(%q) = %+v, %v", raw, wait, err)
		}
	})
}

func FuzzParseSignalFD(f *testing.F) {
	f.Add([]byte("pos:\t0\nsigmask:\t0000000000010000\n"))
	f.Add([]byte("sigmask:"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if mask, err := parseSignalFD(raw); err != nil && mask != 0 {
			t.Errorf("parseSignalFD(%q) = %x, %v", raw, mask, err)
		}
	})
}
