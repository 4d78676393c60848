package inventory

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

func FuzzInitPID(f *testing.F) {
	for _, seed := range []string{
		`{"sandboxID":"5f3b","pid":4711,"removing":false,"runtimeSpec":{"process":{"args":["sh"]}}}`, `{"pid": 10, "PID": 11, "pid": 12}`,
		"", "{", "null", "7", `"7"`, "[]", `{"pid":null}`, `{"pid":"7"}`, `{"pid":-7}`, `{"pid":0}`, `{"pid":7.5}`, `{"pid":7e3}`, `{"pid":9223372036854775808}`,
		`{"config":{"pid":7}}`, `{"x":{"pid":7},"pid":{"pid":8}}`, "{\"pid\":7}\x00", "{\"\xff\":1,\"pid\":7}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		pid, err := initPID(map[string]string{"info": raw})
		if (err == nil) != (pid > 0) || pid < 0 || (err == nil && !strings.Contains(raw, strconv.Itoa(pid))) {
			t.Errorf("initPID(%q) = %d, %v", raw, pid, err)
		}
	})
}

// Whatever a tenant may have put into the configuration that the runtime shows beside it, the PID is the runtime's.
func FuzzInitPIDIsTheRuntimes(f *testing.F) {
	for _, value := range []string{"sh", `"`, `","pid":9,"x":"`, `"}},"pid":9,"x":{"y":{"z":"`, "\\", "\x00", "\xff\xfe", "\u2028"} {
		f.Add(value, int32(7))
	}
	f.Fuzz(func(t *testing.T, value string, pid int32) {
		if pid <= 0 {
			return
		}
		raw, err := json.Marshal(map[string]any{"config": map[string]any{value: value, "pid": 9}, "pid": pid, "runtimeSpec": []string{value}})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := initPID(map[string]string{"info": string(raw)}); got != int(pid) || err != nil {
			t.Errorf("initPID(%q) = %d, %v, want %d", raw, got, err, pid)
		}
	})
}
