//go:build linux

package cgroupv2

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// result is what became of one test of the guest and of its subtests.
type result struct {
	name    string
	outcome string // pass, fail or skip; "" when it did not end
	output  strings.Builder
	skipped []string // those left out
}

// report makes a subtest of each test of a package in the guest.
func report(t *testing.T, side, pkg string, events []Event) {
	t.Helper()
	var raw bytes.Buffer
	var end *Event
	for _, event := range events {
		if event.Side == side && event.Package == pkg {
			raw.WriteString(event.Output)
			if event.Over {
				end = &event
			}
		}
	}
	if end == nil {
		t.Errorf("the guest did not run it to its end; it said:\n%s", raw.String())
	}
	results, rest := parse(t, raw.Bytes())
	failed := false
	for _, r := range results {
		t.Run(r.name, func(t *testing.T) {
			judge(t, r)
		})
		failed = failed || r.outcome != "pass" && r.outcome != "skip"
	}
	if len(results) == 0 {
		t.Errorf("no test ran:\n%s", rest)
	}
	if end != nil && end.Error != "" && !failed {
		t.Errorf("the tests passed, the program did not: %s\n%s", end.Error, rest)
	}
}

// judge fails as a test of the guest did, and where one left itself out though all must run.
func judge(t *testing.T, r *result) {
	t.Helper()
	if len(r.skipped) > 0 {
		t.Logf("left out in the guest: %s\n%s", strings.Join(r.skipped, ", "), r.output.String())
	}
	for _, skipped := range r.skipped {
		if os.Getenv(requireEnv) == "1" {
			t.Errorf("%s=1 makes it a failure to leave %s out", requireEnv, skipped)
		}
	}
	switch r.outcome {
	case "pass":
	case "skip":
		t.SkipNow()
	case "fail":
		t.Errorf("it failed in the guest:\n%s", r.output.String())
	default:
		t.Errorf("it did not end in the guest:\n%s", r.output.String())
	}
}

// parse sorts the output of a test program by its top-level tests, in the order in which they began; rest is of no test.
func parse(t *testing.T, raw []byte) (results []*result, rest string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "tool", "test2json")
	cmd.Stdin = bytes.NewReader(raw)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("running test2json: %v", err)
	}
	byName := map[string]*result{}
	var other strings.Builder
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var line struct{ Action, Test, Output string }
		if err := decoder.Decode(&line); errors.Is(err, io.EOF) {
			return results, other.String()
		} else if err != nil {
			t.Fatalf("parsing the output of test2json: %v", err)
		}
		if line.Test == "" {
			other.WriteString(line.Output)
			continue
		}
		name, _, isSub := strings.Cut(line.Test, "/")
		r := byName[name]
		if r == nil {
			r = &result{name: name}
			byName[name], results = r, append(results, r)
		}
		r.take(line.Action, line.Test, line.Output, isSub)
	}
}

func (r *result) take(action, test, output string, isSub bool) {
	switch action {
	case "output":
		r.output.WriteString(output)
	case "skip":
		r.skipped = append(r.skipped, test)
	}
	if !isSub && (action == "pass" || action == "fail" || action == "skip") {
		r.outcome = action
	}
}
