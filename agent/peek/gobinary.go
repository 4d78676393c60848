package peek

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxRead is how much of a program is read. What says that it is a Go program lies in its writable data, near the beginning; of
	// other programs all of that is searched, which is rarely more than some MiB.
	maxRead = 16 << 20
	// maxSegments is how many segments a program may have. Linkers make a dozen.
	maxSegments = 64
	// chunk is how much is read at once, and so about all the memory that a look takes.
	chunk = 64 << 10
)

// goMagic begins what a Go program carries of how it was built, at an address that goAlign divides.
var goMagic = []byte("\xff Go buildinf:")

const goAlign = 16

// upxMagic is near the beginning of a program that UPX packed. What it was before is seen in memory only.
var upxMagic = []byte("UPX!")

// upxWithin is where upxMagic is sought: it comes right after the table of segments.
const upxWithin = 4 << 10

// isGo says whether a program is a Go program, if it is known. Not known is what has no writable data in its file or is packed: it
// may be one, and not tell. It fails where the program could not be read.
//
// Programs are foreign, and debug/buildinfo is not made for hostile ones: a file of 1 MiB has its parsers take gigabytes. So of the
// file nothing is read but its header, a bounded table of segments, and the data itself; section headers are not looked at.
func isGo(program pread, deadline time.Time) (is, known bool, err error) {
	b := &bounded{pread: program, left: maxRead, deadline: deadline}
	segments := writable(b)
	for _, s := range segments {
		if carriesGo(b, s) {
			return true, true, nil
		}
	}
	known = len(segments) > 0 && !packed(b)
	return false, known && b.failed == nil, b.failed
}

func packed(r io.ReaderAt) bool {
	head := make([]byte, upxWithin)
	n, _ := r.ReadAt(head, 0) // an error is remembered by bounded
	return bytes.Contains(head[:n], upxMagic)
}

// segment is the part of a program's file that is loaded at an address.
type segment struct{ offset, size, address uint64 }

// writable are the writable segments of an ELF program that have data in its file; none when it is no such program. The linker puts
// what is sought in the first, unless that is made read-only when the program has started.
func writable(r io.ReaderAt) []segment {
	var ident [elf.EI_NIDENT]byte
	if !readAll(r, ident[:], 0) || !bytes.HasPrefix(ident[:], []byte(elf.ELFMAG)) {
		return nil
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(ident[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	if elf.Class(ident[elf.EI_CLASS]) == elf.ELFCLASS32 {
		var h elf.Header32
		if !decode(r, 0, order, &h) {
			return nil
		}
		return table(r, order, uint64(h.Phoff), h.Phnum, func(p elf.Prog32) (uint32, uint32, segment) {
			return p.Type, p.Flags, segment{uint64(p.Off), uint64(p.Filesz), uint64(p.Vaddr)}
		})
	}
	var h elf.Header64
	if !decode(r, 0, order, &h) {
		return nil
	}
	return table(r, order, h.Phoff, h.Phnum, func(p elf.Prog64) (uint32, uint32, segment) {
		return p.Type, p.Flags, segment{p.Off, p.Filesz, p.Vaddr}
	})
}

// table reads a table of segments, whose entries have the size that the kernel wants of those it runs.
func table[P elf.Prog32 | elf.Prog64](r io.ReaderAt, order binary.ByteOrder, offset uint64, count uint16, of func(P) (kind, flags uint32, s segment)) []segment {
	if count > maxSegments {
		return nil
	}
	progs := make([]P, count)
	if !decode(r, offset, order, progs) {
		return nil
	}
	var segments []segment
	for _, p := range progs {
		if kind, flags, s := of(p); elf.ProgType(kind) == elf.PT_LOAD && elf.ProgFlag(flags)&elf.PF_W != 0 && s.size > 0 {
			segments = append(segments, s)
		}
	}
	return segments
}

// carriesGo searches a segment. What it seeks is aligned, and so never lies in two chunks.
func carriesGo(r io.ReaderAt, s segment) bool {
	buf := make([]byte, chunk)
	for at := -s.address % goAlign; at < s.size && s.offset <= math.MaxInt64-chunk && at <= math.MaxInt64-chunk-s.offset; at += chunk {
		part := buf[:min(chunk, s.size-at)]
		n, err := r.ReadAt(part, int64(s.offset+at)) //nolint:gosec // the loop ends before it is too large
		if magicIn(part[:n]) {
			return true
		}
		if err != nil {
			return false
		}
	}
	return false
}

func magicIn(data []byte) bool {
	for at := 0; ; {
		i := bytes.Index(data[at:], goMagic)
		if i < 0 {
			return false
		}
		if at += i; at%goAlign == 0 {
			return true
		}
		at++
	}
}

func decode(r io.ReaderAt, offset uint64, order binary.ByteOrder, into any) bool {
	raw := make([]byte, binary.Size(into))
	if !readAll(r, raw, offset) {
		return false
	}
	_, err := binary.Decode(raw, order, into)
	return err == nil
}

func readAll(r io.ReaderAt, into []byte, offset uint64) bool {
	if offset > math.MaxInt64/2 {
		return false
	}
	n, _ := r.ReadAt(into, int64(offset)) // an error is seen by what is missing, and remembered by bounded
	return n == len(into)
}

// pread reads from a place of a file. It may read less than is asked for, and nothing at the end.
type pread func(p []byte, off int64) (int, error)

// bounded reads all that is asked for, but so much and so long, and remembers that it failed.
type bounded struct {
	pread    pread
	left     int
	deadline time.Time
	failed   error
}

// ReadAt looks at the time before each read: a file system may give a byte at a time, or say for ever that it was interrupted.
func (b *bounded) ReadAt(p []byte, off int64) (int, error) {
	b.left -= len(p)
	read := 0
	for read < len(p) {
		if b.left < 0 || time.Now().After(b.deadline) {
			b.failed = errTooMuch
			return read, b.failed
		}
		n, err := b.pread(p[read:], off+int64(read))
		read += max(n, 0)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, io.EOF), err == nil && n == 0:
			return read, io.EOF
		case err != nil:
			b.failed = fmt.Errorf("reading a program: %w", err)
			return read, b.failed
		}
	}
	return read, nil
}
