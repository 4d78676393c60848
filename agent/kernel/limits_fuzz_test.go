package kernel

import "testing"

func FuzzParseTasks(f *testing.F) {
	for _, seed := range []string{"", loadavg, "0 0 0 1/2", "0 0 0 /", "0 0 0 1/-2", "0 0 0 1/9223372036854775808", "\xff \xff \xff 1/2/3"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if n, err := parseTasks(raw); (err == nil) != (n > 0) {
			t.Errorf("parseTasks(%q) = %d, %v", raw, n, err)
		}
		if n, err := parseLimit(raw); (err == nil) != (n > 0) {
			t.Errorf("parseLimit(%q) = %d, %v", raw, n, err)
		}
	})
}
