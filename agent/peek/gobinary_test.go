package peek

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// image is an ELF program of these segments, followed by the rest.
func image(tb testing.TB, count uint16, progs []elf.Prog64, rest []byte) []byte {
	tb.Helper()
	h := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1}, Type: 2, Machine: 62, Version: 1,
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: count,
	}
	var b bytes.Buffer
	for _, part := range []any{h, progs, rest} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			tb.Fatal(err)
		}
	}
	return b.Bytes()
}

// manySections is a program of a given size with 2000 sections, each of which has a name nearly as long as that.
func manySections(size int) []byte {
	const count, entry = 2000, 64
	raw := bytes.Repeat([]byte{'x'}, size)
	clear(raw[:64])
	copy(raw, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(raw[16:], 2)
	le.PutUint16(raw[18:], 62)
	le.PutUint32(raw[20:], 1)
	le.PutUint64(raw[40:], 64) // e_shoff
	le.PutUint16(raw[52:], 64)
	le.PutUint16(raw[54:], 56)
	le.PutUint16(raw[58:], entry)
	n := min(count, size/2/entry)
	le.PutUint16(raw[60:], uint16(n))
	le.PutUint16(raw[62:], 1)
	for i := range n {
		s := raw[64+i*entry : 64+(i+1)*entry]
		clear(s)
		le.PutUint32(s[4:], 3) // SHT_STRTAB
		le.PutUint64(s[24:], 64+uint64(n*entry))
		le.PutUint64(s[32:], uint64(size-64-n*entry))
	}
	raw[size-1] = 0
	return raw
}

// allocated is how much memory f allocates, about.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestHostileProgramsTakeLittleMemory(t *testing.T) { //nolint:paralleltest // it counts what the whole program allocates
	everything := elf.Prog64{Type: 1, Flags: 6, Off: 0, Filesz: math.MaxUint64, Memsz: math.MaxUint64}
	far := elf.Prog64{Type: 1, Flags: 6, Off: math.MaxInt64 - 8, Vaddr: 1, Filesz: math.MaxUint64}
	farther := elf.Prog64{Type: 1, Flags: 6, Off: math.MaxUint64 - 8, Filesz: math.MaxUint64}
	// The magic, and then the length of a version that is as long as all the rest: a list of modules.
	modules := append([]byte("\xff Go buildinf:\x08\x02"), bytes.Repeat([]byte{0}, 16)...)
	modules = append(modules, "\x04go1.\xff\xff\xff\x07"...)
	modules = append(modules, bytes.Repeat([]byte("dep\tx\ty\n"), 1<<20)...)
	tests := map[string][]byte{
		"sections that share one long name": manySections(1 << 20),
		"a segment without an end":          image(t, 1, []elf.Prog64{everything}, make([]byte, 1<<20)),
		"segments beyond of what is there":  image(t, 2, []elf.Prog64{far, farther}, nil),
		"as many segments as there may be":  image(t, maxSegments, repeated(everything, maxSegments), make([]byte, 1<<20)),
		"more segments than there may be":   image(t, math.MaxUint16, repeated(everything, 100), make([]byte, 8<<20)),
		"a list of many modules":            image(t, 1, []elf.Prog64{everything}, append(make([]byte, 8), modules...)),
	}
	for name, raw := range tests {
		const most = 8 << 20
		if got := allocated(func() { _, _, _ = isGo(bytes.NewReader(raw).ReadAt, soon()) }); got > most {
			t.Errorf("%s: %d MiB are allocated, want at most %d", name, got>>20, most>>20)
		}
	}
}

func repeated(p elf.Prog64, n int) []elf.Prog64 {
	progs := make([]elf.Prog64, n)
	for i := range progs {
		progs[i] = p
	}
	return progs
}

func TestWhatMakesAGoProgram(t *testing.T) {
	t.Parallel()
	const data = 64 + 2*56 // where it begins
	at := func(n int) []byte {
		return append(make([]byte, n), append([]byte("\xff Go buildinf:\x08\x02"), make([]byte, 64)...)...)
	}
	one := func(p elf.Prog64) []elf.Prog64 { return []elf.Prog64{{Type: 1, Flags: 5, Filesz: data}, p} }
	whole := elf.Prog64{Type: 1, Flags: 6, Off: data, Vaddr: 0x1000, Filesz: 1 << 20}
	readOnly, note, odd := whole, whole, whole
	readOnly.Flags, note.Type, odd.Vaddr = 4, 4, 0x1008
	empty, packed := whole, append([]byte("UPX!"), at(12)...)
	empty.Filesz = 0
	const isOne, isNone, notKnown = "a Go program", "none", "not known"
	tests := map[string]struct {
		raw  []byte
		want string
	}{
		"the magic at the beginning":                       {image(t, 2, one(whole), at(0)), isOne},
		"the magic in a later chunk":                       {image(t, 2, one(whole), at(3*chunk+16)), isOne},
		"the magic at the end of a chunk":                  {image(t, 2, one(whole), at(chunk-16)), isOne},
		"the magic where nothing is aligned":               {image(t, 2, one(whole), at(8)), isNone},
		"the magic at an aligned address":                  {image(t, 2, one(odd), at(8)), isOne},
		"a text that is like the magic before it":          {image(t, 2, one(whole), append(at(3), at(5)...)), isNone},
		"the magic after one that is not aligned":          {image(t, 2, one(whole), append(at(3), at(13)...)), isOne},
		"the magic in the second of two writable segments": {image(t, 2, []elf.Prog64{{Type: 1, Flags: 6, Filesz: 64}, whole}, at(0)), isOne},
		"no magic":                         {image(t, 2, one(whole), make([]byte, 4096)), isNone},
		"no data that is writable":         {image(t, 2, one(readOnly), at(0)), notKnown},
		"no data that is loaded":           {image(t, 2, one(note), at(0)), notKnown},
		"no data in the file":              {image(t, 2, one(empty), at(0)), notKnown},
		"no ELF program":                   {append([]byte("MZ"), image(t, 2, one(whole), at(0))[2:]...), notKnown},
		"more segments than are looked at": {image(t, maxSegments+1, repeated(whole, maxSegments+1), at(0)), notKnown},
		"a program that UPX packed":        {image(t, 2, one(whole), append([]byte("UPX!"), make([]byte, 4096)...)), notKnown},
		"that name and the magic":          {image(t, 2, one(whole), packed), isOne},
		"that name far from the beginning": {image(t, 2, one(whole), append(make([]byte, upxWithin), "UPX!"...)), isNone},
	}
	for name, tc := range tests {
		is, known, err := isGo(bytes.NewReader(tc.raw).ReadAt, soon())
		if is != (tc.want == isOne) || known != (tc.want != notKnown) || err != nil {
			t.Errorf("%s: isGo() = %t, %t, %v, want %s", name, is, known, err, tc.want)
		}
	}
}

// A file system may read less than it is asked for, and be interrupted.
func TestAProgramIsReadInPieces(t *testing.T) {
	t.Parallel()
	program := bytes.NewReader(buildInfo(t))
	reads := 0
	pieces := func(p []byte, off int64) (int, error) {
		if reads++; reads%3 == 0 {
			return -1, unix.EINTR
		}
		n, err := program.ReadAt(p[:min(len(p), 5)], off)
		if errors.Is(err, io.EOF) {
			err = nil // as pread says it
		}
		return n, err
	}
	if is, known, err := isGo(pieces, soon()); !is || !known || err != nil {
		t.Errorf("isGo() = %t, %t, %v, want a Go program", is, known, err)
	}
	interrupted := func([]byte, int64) (int, error) { return -1, unix.EINTR }
	if is, known, err := isGo(interrupted, time.Now().Add(time.Millisecond)); is || known || !errors.Is(err, errTooMuch) {
		t.Errorf("isGo() = %t, %t, %v, want that it is given up when it is interrupted for ever", is, known, err)
	}
}

// buildInfo is a program with what this test, a real Go program, carries of how it was built.
func buildInfo(tb testing.TB) []byte {
	tb.Helper()
	test, err := elf.Open("/proc/self/exe")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = test.Close() }()
	section := test.Section(".go.buildinfo")
	info, err := section.Data()
	if err != nil {
		tb.Fatal(err)
	}
	const data = 64 + 56 // where it begins
	return image(tb, 1, []elf.Prog64{{Type: 1, Flags: 6, Off: data, Vaddr: section.Addr, Filesz: uint64(len(info))}}, info)
}

func TestWhatTheGoToolchainBuildsIsAGoProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, of := range map[string]struct{ mode, arch, flags string }{
		"an ordinary program":                {"exe", "amd64", ""},
		"a stripped one":                     {"exe", "amd64", "-s -w"},
		"one that is loaded anywhere":        {"pie", "amd64", ""},
		"a stripped one loaded anywhere":     {"pie", "amd64", "-s -w"},
		"one of another order of bytes":      {"exe", "s390x", "-s -w"},
		"one of another length of addresses": {"exe", "386", "-s -w"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), "program")
			cmd := exec.Command("go", "build", "-buildmode="+of.mode, "-ldflags="+of.flags, "-o", out, source)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+of.arch)
			if said, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			file, err := os.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = file.Close() }()
			if is, known, err := isGo(file.ReadAt, soon()); !is || !known || err != nil {
				t.Errorf("isGo() = %t, %t, %v, want a Go program", is, known, err)
			}
		})
	}
}
