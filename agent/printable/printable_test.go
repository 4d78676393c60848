package printable

import (
	"strings"
	"testing"
)

func TestPrintable(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		most int
		want string
	}{
		"plain text stays":                          {"tmux: server", 32, "tmux: server"},
		"the longest text stays whole":              {"abcd", 4, "abcd"},
		"longer text is cut":                        {"abcde", 4, "abcd"},
		"terminal escapes lose their teeth":         {"\x1b[31mred", 32, "?[31mred"},
		"a newline cannot begin a line of its own":  {"a\nb", 32, "a?b"},
		"bytes that are no UTF-8 become marks":      {"\xff\xfe", 32, "??"},
		"fifteen bytes of no UTF-8 stay fifteen":    {strings.Repeat("\xff", 15), 32, strings.Repeat("?", 15)},
		"a letter of another script becomes a mark": {"caf\u00e9", 32, "caf?"},
		"a letter cut in two becomes a mark":        {"caf\u00e9", 4, "caf?"},
		"delete is no printable character":          {"\x7f", 32, "?"},
		"nothing stays nothing":                     {"", 32, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Printable(tc.in, tc.most); got != tc.want {
				t.Errorf("Printable(%q, %d) = %q, want %q", tc.in, tc.most, got, tc.want)
			}
		})
	}
}
