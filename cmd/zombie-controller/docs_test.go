package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The page of the controller has a row for each flag that --help lists.
func TestThePageHasEveryFlag(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/controller.md")
	if err != nil {
		t.Fatal(err)
	}
	var help bytes.Buffer
	_, _ = parseFlags([]string{"--help"}, func(string) string { return "" }, &help) // that help was asked for is told as an error
	flags := regexp.MustCompile(`(?m)^\s+-{1,2}([a-z-]+)`).FindAllStringSubmatch(help.String(), -1)
	if len(flags) < 5 {
		t.Fatalf("--help lists %d flags:\n%s", len(flags), help.String())
	}
	for _, flag := range flags {
		if !strings.Contains(string(page), "\n| `--"+flag[1]+"` |") {
			t.Errorf("docs/controller.md has no row for --%s", flag[1])
		}
	}
}
