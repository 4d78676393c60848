package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTracersOfAllThreads(t *testing.T) {
	t.Parallel()
	const status = "Name:\tx\nTracerPid:\t%d\nNSpid:\t%d\n"
	traced := func(tid, tracer int) string { return fmt.Sprintf(status, tracer, tid) }
	tests := map[string]struct {
		threads map[string]string
		want    []int
		err     error
	}{
		"of what nobody traces there are none":                 {map[string]string{"7": traced(7, 0), "8": traced(8, 0)}, nil, nil},
		"one that traces another thread than the first counts": {map[string]string{"7": traced(7, 0), "8": traced(8, 99)}, []int{99}, nil},
		"one that traces several threads counts once":          {map[string]string{"7": traced(7, 99), "8": traced(8, 99)}, []int{99}, nil},
		"a thread without a status says nothing sure":          {map[string]string{"7": traced(7, 99), "8": ""}, nil, errMissing},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for tid, text := range tc.threads {
				dir := filepath.Join(root, "7/task", tid)
				if err := os.MkdirAll(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "status"), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := open(t, root).Tracers(7)
			if diff := cmp.Diff(tc.want, got); diff != "" || !errors.Is(err, tc.err) {
				t.Errorf("error = %v, want %v; tracers (-want +got):\n%s", err, tc.err, diff)
			}
			if _, err := open(t, root).Tracers(6); !IsVanished(err) {
				t.Errorf("error for a process that is gone = %v", err)
			}
		})
	}
}
