package diagnose

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/zombie-operator/zombie-operator/agent/printable"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// combinations are all values of evidence that a rule or a sentence asks for, with the longest texts there are.
func combinations(yield func(Evidence) bool) {
	const maxPID = 4194304
	longest := strings.Repeat("\xff", 100)
	always := []func(e *Evidence, i int) int{ // each sets its choice i and returns how many it has
		func(e *Evidence, i int) int { e.PID, e.SameNamespace = []int{0, 0, 1, maxPID}[i], i == 1; return 4 },
		func(e *Evidence, i int) int { e.Command = []string{longest, "tail"}[i]; return 2 },
		func(e *Evidence, i int) int {
			e.Zombies, e.Moved, e.MovedFrom = maxPID, []int{0, maxPID, 0}[i], longest
			e.Reaped = []int{0, 0, math.MaxInt32}[i]
			return 3
		},
		func(e *Evidence, i int) int { e.InitInImage = []string{"", "/" + strings.Repeat("x", 47)}[i]; return 2 },
	}
	unread := append(slices.Clone(always), func(e *Evidence, i int) int { e.Frozen = i > 0; return 2 })
	read := append(slices.Clone(always),
		func(e *Evidence, i int) int {
			e.State, e.OthersRun, e.Wchan = []string{"", "S", "D", "D", "T", "t", "D", "D", "D"}[i], i == 2 || i == 6, longest
			if i == 6 || i == 7 {
				e.Wchan = "rpc_wait_bit_killable"
			}
			e.Frozen = i == 8
			return 9
		},
		func(e *Evidence, i int) int {
			e.Waiting, e.WaitsFor, e.OneThread = i > 1, []int{0, 0, 0, maxPID, 0, maxPID}[i], i == 1 || i > 3
			return 6
		},
		func(e *Evidence, i int) int { e.Blocked, e.Pending = i > 0, i > 1; return 3 },
		func(e *Evidence, i int) int {
			e.Ignored, e.Caught, e.Go, e.ProgramUnread, e.AtTimes = i == 1, i > 1, i == 3, i == 4, i == 5
			return 6
		},
		func(e *Evidence, i int) int { e.SignalFD, e.SigWait = i == 1, i == 2; return 3 },
	)
	_ = combine(Evidence{Read: true, StateNow: "S"}, read, yield) && combine(Evidence{}, unread, yield)
}

func combine(e Evidence, choices []func(*Evidence, int) int, yield func(Evidence) bool) bool {
	if len(choices) == 0 {
		return yield(e)
	}
	for i, most := 0, 1; i < most; i++ {
		most = choices[0](&e, i)
		if !combine(e, choices[1:], yield) {
			return false
		}
	}
	return true
}

// That these are the API's bounds is checked where an observation is held against the CRD, in package observe.
func TestEveryDiagnosisFitsTheAPI(t *testing.T) {
	t.Parallel()
	seen := map[v1alpha1.Cause]bool{}
	for e := range combinations {
		d := Diagnose(e)
		seen[d.Cause] = true
		for i, text := range []string{d.Message, d.Evidence, d.Fix} {
			most := []int{160, 100, 180}[i]
			if len(text) > most || text == "" || printable.Printable(text, most) != text {
				t.Fatalf("text of %+v = %q of %d characters, want printable text of 1 to %d", e, text, len(text), most)
			}
		}
		if len(d.CannotHelp) > 6 || !slices.Contains(v1alpha1.Causes, d.Cause) {
			t.Fatalf("diagnosis of %+v = %+v", e, d)
		}
	}
	if len(seen) != len(v1alpha1.Causes) {
		t.Errorf("causes = %v, want all of %v", seen, v1alpha1.Causes)
	}
}
