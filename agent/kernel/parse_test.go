package kernel

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseStatus(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		raw     string
		want    Status
		refused bool
	}{
		"lines may come in any order":                          {raw: "NSpid:\t5\t1\nTracerPid:\t3\nTgid:\t4\n", want: Status{ThreadGroup: 4, TracerPID: 3, NamespacePIDs: []int{5, 1}}},
		"a last line without its end counts":                   {raw: "NSpid:\t5", want: Status{NamespacePIDs: []int{5}}},
		"a name that looks like a line after an escape is one": {raw: "Name:\t\\nTracerPid: 9\nNSpid:\t5\n", want: Status{NamespacePIDs: []int{5}}},
		"a name that holds a carriage return forges no line":   {raw: "Name:\ta\rTracerPid:\t9\nNSpid:\t5\n", want: Status{NamespacePIDs: []int{5}}},
		"the state is its letter, without the word for it":     {raw: "State:\tZ (zombie)\nNSpid:\t5\nThreads:\t2\n", want: Status{NamespacePIDs: []int{5}, State: "Z", Threads: 2}},
		"a count of threads that is no number is refused":      {raw: "NSpid:\t5\nThreads:\tmany\n", refused: true},
		"a status without NSpid is refused":                    {raw: "TracerPid:\t0\n", refused: true},
		"an NSpid without a number is refused":                 {raw: "NSpid:\t\n", refused: true},
		"an NSpid that is no number is refused":                {raw: "NSpid:\t1\tx\n", refused: true},
		"a tracer that is no number is refused":                {raw: "TracerPid:\t-\nNSpid:\t1\n", refused: true},
		"a thread group that is no number is refused":          {raw: "Tgid:\t-\nNSpid:\t1\n", refused: true},
		"a number too large is refused":                        {raw: "NSpid:\t99999999999999999999\n", refused: true},
		"an empty file is refused":                             {raw: "", refused: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseStatus([]byte(tc.raw))
			if (err != nil) != tc.refused {
				t.Fatalf("error = %v, refused = %t wanted", err, tc.refused)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseCgroups(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		raw  string
		want []string
	}{
		"controllers mounted together are one line": {"4:cpu,cpuacct:/a\n", []string{"/a"}},
		"paths that differ are all kept, in order":  {"2:pids:/b\n1:cpu:/a\n0::/b\n", []string{"/b", "/a"}},
		"a path may hold colons":                    {"0::/kubepods/crio:x:y\n", []string{"/kubepods/crio:x:y"}},
		"a removed path equals the live one":        {"1:pids:/a\n0::/a (deleted)\n", []string{"/a"}},
		"a removed root says nothing":               {"0::/ (deleted)\n", nil},
		"a cgroup above the agent's own is kept":    {"0::/..\n", []string{"/.."}},
		"a line without its end counts":             {"0::/a", []string{"/a"}},
		"a relative path is none":                   {"0::a\n", nil},
		"an empty path is none":                     {"0::\n", nil},
		"an empty file has none":                    {"", nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, parseCgroups([]byte(tc.raw))); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseNamespace(t *testing.T) {
	t.Parallel()
	if got, err := parseNamespace("pid:[4026531836]"); got != 4026531836 || err != nil {
		t.Errorf("parseNamespace() = %d, %v", got, err)
	}
	for _, link := range []string{"", "pid:[", "pid:[]", "pid:[-1]", "pid:[1", "user:[1]", "pid:[18446744073709551616]", "pid:[1] "} {
		if got, err := parseNamespace(link); err == nil {
			t.Errorf("parseNamespace(%q) = %d, want an error", link, got)
		}
	}
}

func TestParseExecStart(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		raw     string
		want    time.Duration
		refused bool
	}{
		"milliseconds with a fraction":                    {raw: "x (1, #threads: 1)\nse.exec_start    :   1234.567891\n", want: 1234567891},
		"a name that looks like the line does not count":  {raw: "\nse.exec_start: (1, #threads: 1)\nse.exec_start : 5.5\n", want: 5500000},
		"a name that ends the line early does not count":  {raw: "se.exec_start:9\n (1, #threads: 1)\nse.exec_start : 5\n", want: 5000000},
		"a kernel that tells other things only":           {raw: "x (1, #threads: 1)\nse.vruntime : 5\n", refused: true},
		"a value that is no number":                       {raw: "se.exec_start : never\n", refused: true},
		"a value that is not a number, by its IEEE name":  {raw: "se.exec_start : NaN\n", refused: true},
		"a value beyond all time":                         {raw: "se.exec_start : 1e300\n", refused: true},
		"an endless value":                                {raw: "se.exec_start : +Inf\n", refused: true},
		"a negative value":                                {raw: "se.exec_start : -1\n", refused: true},
		"a line without a value":                          {raw: "se.exec_start :\n", refused: true},
		"an empty file, of a process that has just ended": {raw: "", refused: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseExecStart([]byte(tc.raw))
			if (err != nil) != tc.refused || got != tc.want {
				t.Errorf("parseExecStart() = %d, %v, want %d, refused %t", got, err, tc.want, tc.refused)
			}
		})
	}
}

func TestParseUptime(t *testing.T) {
	t.Parallel()
	if got, err := parseUptime([]byte("1000.50 1800.25\n")); got != 1000500*time.Millisecond || err != nil {
		t.Errorf("parseUptime() = %s, %v", got, err)
	}
	for _, raw := range []string{"", "\n", "x 1\n", "-1 1\n", "nan 1\n", "9223372036.9 1\n"} {
		if got, err := parseUptime([]byte(raw)); err == nil {
			t.Errorf("parseUptime(%q) = %s, want an error", raw, got)
		}
	}
	if _, err := parseUptime([]byte("1e9999")); !errors.Is(err, strconv.ErrRange) {
		t.Errorf("error = %v, want %v", err, strconv.ErrRange)
	}
}
