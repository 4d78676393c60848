package scan

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkScan compares a look at many zombies with the least that any look at the same files must do, opening,
// reading and closing the stat of every process, in one run: the ratio is what to watch, not the time.
func BenchmarkScan(b *testing.B) {
	const live, dead = 200, 2000
	p := newProc(b)
	for pid := 1; pid <= live; pid++ {
		p.process(b, pid, 1, "S")
	}
	for pid := live + 1; pid <= live+dead; pid++ {
		p.process(b, pid, pid%live+1, "Z")
	}
	scanner := New(p.open(b))
	look := func() {
		if result, err := scanner.Scan(noon); err != nil || len(result.Zombies) != dead {
			b.Fatalf("Scan() = %d zombies, %v", len(result.Zombies), err)
		}
	}
	look() // the first look reads more
	var scanned, bare time.Duration
	for b.Loop() {
		began := time.Now()
		look()
		middle := time.Now()
		readAll(b, p.root, live+dead)
		scanned += middle.Sub(began)
		bare += time.Since(middle)
	}
	b.ReportMetric(float64(scanned)/float64(bare), "x-of-bare-reads")
	b.ReportMetric(float64(scanned.Nanoseconds())/float64(b.N)/(live+dead), "ns/process")
}

// BenchmarkFirstScan is the look that reads the identity of every zombie.
func BenchmarkFirstScan(b *testing.B) {
	const dead = 500
	p := newProc(b)
	p.process(b, 1, 0, "S")
	for pid := 2; pid < dead+2; pid++ {
		p.process(b, pid, 1, "Z")
	}
	reader := p.open(b)
	for b.Loop() {
		if result, err := New(reader).Scan(noon); err != nil || len(result.Zombies) != dead {
			b.Fatalf("Scan() = %d zombies, %v", len(result.Zombies), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/dead, "ns/zombie")
}

func readAll(b *testing.B, root string, n int) {
	b.Helper()
	buffer := make([]byte, 1024)
	for pid := 1; pid <= n; pid++ {
		file, err := os.Open(filepath.Join(root, fmt.Sprint(pid), "stat"))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := file.Read(buffer); err != nil && err != io.EOF {
			b.Fatal(err)
		}
		_ = file.Close()
	}
}
