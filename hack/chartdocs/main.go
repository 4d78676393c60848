// Command chartdocs writes the table of values in a chart's README.md from the comments in its values.yaml.
//
// A comment that starts with "# --" describes the key below it. Keys without one are only the way to their children.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

const (
	begin = "<!-- values: begin, written by make update-chart-readme -->\n"
	end   = "<!-- values: end -->\n"
	mark  = "# -- "
)

// keyLine is an indentation and a key. A list's items have no descriptions, so they never match.
var keyLine = regexp.MustCompile(`^( *)([A-Za-z][A-Za-z0-9]*):`)

// value is one row of the table.
type value struct{ path, fallback, description string }

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: chartdocs CHART-DIRECTORY")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "chartdocs:", err)
		os.Exit(1)
	}
}

func run(chart string) error {
	source, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	if err != nil {
		return fmt.Errorf("reading the values: %w", err)
	}
	values, err := parse(source)
	if err != nil {
		return fmt.Errorf("reading the values: %w", err)
	}
	path := filepath.Join(chart, "README.md")
	readme, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the README: %w", err)
	}
	readme, err = replace(readme, table(values))
	if err != nil {
		return fmt.Errorf("writing the table into %s: %w", path, err)
	}
	return os.WriteFile(path, readme, 0o644)
}

// parse returns the described values in the order of the file.
func parse(source []byte) ([]value, error) {
	var defaults map[string]any
	if err := yaml.Unmarshal(source, &defaults); err != nil {
		return nil, err
	}
	var values []value
	var parents []string
	description := ""
	for line := range strings.Lines(string(source)) {
		if text, found := strings.CutPrefix(strings.TrimSpace(line), mark); found {
			description = text
			continue
		}
		match := keyLine.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		depth := len(match[1]) / 2
		if depth > len(parents) {
			continue // below a value that is described as a whole
		}
		parents = append(parents[:depth], match[2])
		if description == "" {
			continue
		}
		fallback, err := lookUp(defaults, parents)
		if err != nil {
			return nil, err
		}
		values = append(values, value{strings.Join(parents, "."), fallback, description})
		description, parents = "", parents[:depth]
	}
	return values, nil
}

// lookUp returns a default as JSON, which shows what is a string and what is not.
func lookUp(defaults map[string]any, path []string) (string, error) {
	var found any = defaults
	for _, key := range path {
		object, ok := found.(map[string]any)
		if !ok {
			return "", fmt.Errorf("%s is not where its indentation says", strings.Join(path, "."))
		}
		found = object[key]
	}
	text, err := json.Marshal(found)
	return string(text), err
}

func table(values []value) []byte {
	var out bytes.Buffer
	out.WriteString("| value | default | meaning |\n|---|---|---|\n")
	for _, v := range values {
		fmt.Fprintf(&out, "| `%s` | `%s` | %s |\n", v.path, v.fallback, strings.ReplaceAll(v.description, "|", `\|`))
	}
	return out.Bytes()
}

// replace puts the table between the two marks.
func replace(readme, table []byte) ([]byte, error) {
	before, rest, found := bytes.Cut(readme, []byte(begin))
	if !found {
		return nil, errors.New("the line that begins the table is missing: " + strings.TrimSpace(begin))
	}
	_, after, found := bytes.Cut(rest, []byte(end))
	if !found {
		return nil, errors.New("the line that ends the table is missing: " + strings.TrimSpace(end))
	}
	return bytes.Join([][]byte{before, []byte(begin), table, []byte(end), after}, nil), nil
}
