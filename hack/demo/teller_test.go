//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTellerPrintsTimesAndMargins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		tell := &teller{out: &out, begin: time.Now()}
		time.Sleep(83 * time.Second)
		tell.heading(2, 13, "A title")
		tell.text("One\n\t\tparagraph.\n\nAnother.")
		tell.event("%d zombies", 3)
		want := "\n  1:23  2/13  A title\n        -------------\n        One paragraph.\n        Another.\n  1:23  3 zombies\n"
		if got := out.String(); got != want {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
	})
}

func TestQuoteGoesOnBelowWhereItBegan(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	tell := &teller{out: &out, begin: time.Now()}
	words := strings.TrimSpace(strings.Repeat("word ", 20))
	tell.quote("webhook", words)
	tell.quote("", "Short.")
	want := "  0:00  webhook      " + words[:79] + "\n" + strings.Repeat(" ", 21) + words[80:] + "\n  0:00               Short.\n"
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                     "",
		"one two":              "one two",
		"one two three":        "one two\nthree",
		"longer-than-a-line a": "longer-than-a-line\na",
		"1234567890 a":         "1234567890\na",
	} {
		if got := wrap(text, 10); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestColumns(t *testing.T) {
	t.Parallel()
	if got, want := columns([][]string{{"A", "B"}, {"longer", "b"}}), "A       B\nlonger  b\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTailKeepsLastLines(t *testing.T) {
	t.Parallel()
	words := &tail{keep: 2}
	for _, piece := range []string{"one\ntwo\nth", "ree\nfour"} {
		if _, err := words.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	if got := words.text(); got != "two\nthree\nfour" {
		t.Errorf("got %q, want two whole lines and the one that has not ended", got)
	}
	if got := words.last(); got != "four" {
		t.Errorf("got %q as last line, want four", got)
	}
}

func TestUntil(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		look func(tries int) (string, error)
		want string // of the error
	}{
		"ends when nothing is missing":         {func(tries int) (string, error) { return strings.Repeat("x", 3-min(tries, 3)), nil }, ""},
		"looks again after an error":           {func(tries int) (string, error) { return "", map[int]error{1: errors.New("busy")}[tries] }, ""},
		"says what is missing when time is up": {func(int) (string, error) { return "for webhook", nil }, "after 10s still waiting: for webhook"},
		"says what fails when time is up":      {func(int) (string, error) { return "", errors.New("busy") }, "after 10s still waiting: busy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				err := until(t.Context(), 10*time.Second, func(context.Context) (string, error) { tries++; return test.look(tries) })
				if got := errorText(err); got != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
			})
		})
	}
}

func TestUntilEndsWhenInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	err := until(ctx, time.Hour, func(context.Context) (string, error) { cancel(); return "something", nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestRunUnderstandsItsArguments(t *testing.T) {
	t.Parallel()
	for _, help := range []string{"help", "-h", "-help", "--help"} {
		var out, problems bytes.Buffer
		if code := run(t.Context(), []string{help}, &out, &problems); code != 0 || out.String() != usage || problems.Len() > 0 {
			t.Errorf("%s: code %d, said %q and %q", help, code, &out, &problems)
		}
	}
	for _, args := range [][]string{{"up"}, {"down", "now"}, {""}} {
		var out, problems bytes.Buffer
		if code := run(t.Context(), args, &out, &problems); code != 2 || !strings.Contains(problems.String(), "not understood") {
			t.Errorf("%q: code %d, said %q", args, code, &problems)
		}
	}
}

// Tests run in their package's directory, which is not the top of the repository.
func TestRunRefusesWithTheMend(t *testing.T) {
	t.Parallel()
	var out, problems bytes.Buffer
	if code := run(t.Context(), nil, &out, &problems); code != 1 || !strings.Contains(problems.String(), "make demo") {
		t.Errorf("code %d, said %q, want a refusal that says what to do", code, &problems)
	}
}
