package api

import (
	"fmt"
	"strings"
)

// Parts of the API server's own messages.
const (
	required = "Required value"
	tooShort = "should be at least 1 chars long"
)

// join is one table of several. A sentence that stands in two of them is a mistake of the tests.
func join(tables ...attempts) attempts {
	all := attempts{}
	for _, table := range tables {
		for sentence, a := range table {
			if _, twice := all[sentence]; twice {
				panic("two attempts named: " + sentence)
			}
			all[sentence] = a
		}
	}
	return all
}

// needed wants each field to be there.
func needed(fields ...string) attempts {
	table := attempts{}
	for _, field := range fields {
		table[fmt.Sprintf("without %s it is refused", field)] = attempt{
			patch:   fmt.Sprintf(`{%s: null}`, field),
			refused: map[string]string{"." + field: required},
		}
	}
	return table
}

// integer wants a field to take the numbers from low to high.
func integer(field string, low, high int64) attempts {
	number := func(value int64) string { return fmt.Sprintf(`{%s: %d}`, field, value) }
	return attempts{
		fmt.Sprintf("%s %d is accepted", field, low):  {patch: number(low)},
		fmt.Sprintf("%s %d is accepted", field, high): {patch: number(high)},
		fmt.Sprintf("%s %d is refused", field, low-1): {
			patch:   number(low - 1),
			refused: map[string]string{"." + field: fmt.Sprintf("should be greater than or equal to %d", low)},
		},
		fmt.Sprintf("%s %d is refused", field, high+1): {
			patch:   number(high + 1),
			refused: map[string]string{"." + field: fmt.Sprintf("should be less than or equal to %d", high)},
		},
		fmt.Sprintf("%s as text is refused", field): {
			patch:   fmt.Sprintf(`{%s: "%d"}`, field, low),
			refused: map[string]string{"." + field: `must be of type integer: "string"`},
		},
	}
}

// text wants a field to take as many characters, and none at all only if it may be empty.
func text(field string, longest int, mayBeEmpty bool) attempts {
	characters := func(n int) string { return fmt.Sprintf(`{%s: %q}`, field, strings.Repeat("a", n)) }
	table := attempts{
		fmt.Sprintf("a %s of %d characters is accepted", field, longest): {patch: characters(longest)},
		fmt.Sprintf("a %s of %d characters is refused", field, longest+1): {
			patch:   characters(longest + 1),
			refused: map[string]string{"." + field: fmt.Sprintf("may not be more than %d", longest)},
		},
		fmt.Sprintf("a %s that is a number is refused", field): {
			patch:   fmt.Sprintf(`{%s: 99}`, field),
			refused: map[string]string{"." + field: `must be of type string: "integer"`},
		},
	}
	if mayBeEmpty {
		table[fmt.Sprintf("an empty %s is accepted", field)] = attempt{patch: characters(0)}
		return table
	}
	table[fmt.Sprintf("a %s of one character is accepted", field)] = attempt{patch: characters(1)}
	table[fmt.Sprintf("an empty %s is refused", field)] = attempt{
		patch:   characters(0),
		refused: map[string]string{"." + field: tooShort},
	}
	return table
}

// form wants a field to refuse texts that do not have the form of a pattern.
func form(field, pattern string, bad ...string) attempts {
	return malformed(field, "should match '"+pattern+"'", bad...)
}

// malformed wants a field to refuse texts with a message.
func malformed(field, says string, bad ...string) attempts {
	table := attempts{}
	for _, value := range bad {
		table[fmt.Sprintf("a %s %q is refused", field, value)] = attempt{
			patch:   fmt.Sprintf(`{%s: %q}`, field, value),
			refused: map[string]string{"." + field: says},
		}
	}
	return table
}

// choice wants a field to take these words and nothing else, and to list them.
func choice(field string, words ...string) attempts {
	table := attempts{
		fmt.Sprintf("an unknown %s is refused with the list of all", field): {
			patch:   fmt.Sprintf(`{%s: Unheard}`, field),
			refused: map[string]string{"." + field: `supported values: "` + strings.Join(words, `", "`) + `"`},
		},
	}
	for _, word := range words {
		table[fmt.Sprintf("%s %s is accepted", field, word)] = attempt{patch: fmt.Sprintf(`{%s: %s}`, field, word)}
	}
	return table
}

// moment wants a field to take a time.
func moment(field string) attempts {
	return attempts{
		fmt.Sprintf("%s in UTC is accepted", field): {patch: fmt.Sprintf(`{%s: "2026-01-31T12:00:00Z"}`, field)},
		fmt.Sprintf("%s that is no time is refused", field): {
			patch:   fmt.Sprintf(`{%s: yesterday}`, field),
			refused: map[string]string{"." + field: "must be of type date-time"},
		},
	}
}

// items wants a list to take so many entries, which are made from their index, and one less than the fewest to be refused.
func items(field string, fewest, most int, entry string) attempts {
	entries := func(n int) string { return fmt.Sprintf(`{%s: %s}`, field, list(n, entry)) }
	table := attempts{
		fmt.Sprintf("%d %s are accepted", most, field): {patch: entries(most)},
		fmt.Sprintf("%d %s are refused", most+1, field): {
			patch:   entries(most + 1),
			refused: map[string]string{"." + field: fmt.Sprintf("must have at most %d items", most)},
		},
		fmt.Sprintf("%d %s, the fewest, are accepted", fewest, field): {patch: entries(fewest)},
	}
	if fewest > 0 {
		table[fmt.Sprintf("%d %s are refused", fewest-1, field)] = attempt{
			patch:   entries(fewest - 1),
			refused: map[string]string{"." + field: fmt.Sprintf("should have at least %d items", fewest)},
		}
	}
	return table
}

// list is YAML of n entries, each made from its index where the entry has a place for it.
func list(n int, entry string) string {
	entries := make([]string, n)
	for i := range entries {
		entries[i] = strings.ReplaceAll(entry, "%d", fmt.Sprint(i))
	}
	return "[" + strings.Join(entries, ", ") + "]"
}

// labels is YAML of a map of n labels.
func labels(n int) string {
	return "{" + strings.Trim(list(n, "k%d: v"), "[]") + "}"
}
