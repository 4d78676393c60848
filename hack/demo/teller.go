//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

const (
	// width is a terminal's that most people have, and what a page of documentation shows without scrolling.
	width = 100
	// margin holds the time.
	margin = "        "
)

// teller prints the story, with the minutes and seconds since it began.
type teller struct {
	out   io.Writer
	begin time.Time
	mu    sync.Mutex
}

func (t *teller) elapsed() time.Duration { return time.Since(t.begin) }

// heading begins a scene.
func (t *teller) heading(number, of int, title string) {
	line := fmt.Sprintf("%d/%d  %s", number, of, title)
	t.print("\n" + stamp(t.elapsed()) + line + "\n" + margin + strings.Repeat("-", len(line)) + "\n")
}

// event tells what has just happened, in one line.
func (t *teller) event(format string, args ...any) {
	t.print(stamp(t.elapsed()) + fmt.Sprintf(format, args...) + "\n")
}

// quote tells in one event what is said of a pod. What is too long for the line goes on below where it began.
func (t *teller) quote(pod, text string) {
	head := stamp(t.elapsed()) + fmt.Sprintf("%-12s ", pod)
	t.print(head + strings.ReplaceAll(wrap(text, width-len(head)), "\n", "\n"+strings.Repeat(" ", len(head))) + "\n")
}

// text tells at length. An empty line parts paragraphs.
func (t *teller) text(paragraphs string) {
	for p := range strings.SplitSeq(paragraphs, "\n\n") {
		t.lines(wrap(p, width-len(margin)))
	}
}

// lines prints what is laid out already.
func (t *teller) lines(text string) {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		b.WriteString(strings.TrimRight(margin+line, " ") + "\n")
	}
	t.print(b.String())
}

func (t *teller) blank() { t.print("\n") }

func (t *teller) print(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprint(t.out, s)
}

// stamp fills the margin.
func stamp(d time.Duration) string {
	seconds := int(d.Seconds())
	return fmt.Sprintf("%3d:%02d  ", seconds/60, seconds%60)
}

// wrap breaks a paragraph into lines of at most so many characters, where its words allow it.
func wrap(paragraph string, limit int) string {
	var b strings.Builder
	length := 0
	for word := range strings.FieldsSeq(paragraph) {
		switch {
		case length == 0:
		case length+1+len(word) > limit:
			b.WriteByte('\n')
			length = 0
		default:
			b.WriteByte(' ')
			length++
		}
		b.WriteString(word)
		length += len(word)
	}
	return b.String()
}

// columns lays rows out in columns of the width of their widest cell.
func columns(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			fmt.Fprintf(&line, "%-*s  ", widths[i], cell)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}
