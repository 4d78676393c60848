package diagnose

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// switches are what may be true of a parent, each apart from the others. That PID 1 holds zombies is not among them: the table leaves it out.
var switches = []func(*Evidence){
	func(e *Evidence) { e.Caught = true },
	func(e *Evidence) { e.Ignored = true },
	func(e *Evidence) { e.Blocked = true },
	func(e *Evidence) { e.Pending = true },
	func(e *Evidence) { e.SignalFD = true },
	func(e *Evidence) { e.Go = true },
	func(e *Evidence) { e.HandlesHup = true },
	func(e *Evidence) { e.HandlesTerm = true },
	func(e *Evidence) { e.Moved = e.Zombies },
	func(e *Evidence) { e.Waiting, e.WaitsFor, e.Wchan = true, 8, "do_wait" },
}

// situations are where a parent may be when the switches are set.
var situations = []func(*Evidence){
	func(*Evidence) {},
	func(e *Evidence) { e.PID = 1 },
	func(e *Evidence) { e.PID = 0 },
	func(e *Evidence) { e.PID, e.SameNamespace = 0, true },
	func(e *Evidence) { e.State, e.StateNow = stateStopped, stateStopped },
	func(e *Evidence) { e.State, e.StateNow = stateTraced, stateTraced },
	func(e *Evidence) { e.State, e.StateNow, e.TracerOutside = stateTraced, stateTraced, true },
	func(e *Evidence) { e.Frozen = true },
	func(e *Evidence) { e.Frozen, e.State, e.StateNow = true, stateStuck, stateStuck },
	func(e *Evidence) { e.State, e.StateNow, e.Wchan = stateStuck, stateStuck, "io_schedule" },
	func(e *Evidence) { e.State, e.Wchan, e.OthersRun = stateStuck, "io_schedule", true },
	func(e *Evidence) { e.State, e.StateNow, e.Wchan = stateStuck, stateStuck, "kernel_clone" },
	func(e *Evidence) { e.State, e.Wchan, e.OthersRun = stateStuck, "kernel_clone", true },
}

// The table that users read says of each cause and remedy whether it never, sometimes or always helps: blank, x with a condition, x.
func TestTheTableByCauseIsTrue(t *testing.T) {
	t.Parallel()
	seen := map[string]map[bool]bool{} // by cause and remedy: whether one that cannot help (true), or that may, was seen
	for _, situation := range situations {
		for set := range 1 << len(switches) {
			e := with(func(e *Evidence) {
				for i, on := range switches {
					if set&(1<<i) != 0 {
						on(e)
					}
				}
				situation(e)
			})
			d := Diagnose(e)
			if e.PID == 1 && d.Cause != v1alpha1.CausePID1DoesNotReap {
				continue // PID 1 holds the zombies
			}
			for _, c := range cannot {
				cell := string(d.Cause) + " " + string(c.remedy)
				if seen[cell] == nil {
					seen[cell] = map[bool]bool{}
				}
				seen[cell][slices.Contains(d.CannotHelp, c.remedy)] = true
			}
		}
	}
	got := map[string]string{}
	for cell, answers := range seen {
		switch {
		case answers[true] && answers[false]:
			got[cell] = "x if"
		case answers[true]:
			got[cell] = "x"
		default:
			got[cell] = ""
		}
	}
	if diff := cmp.Diff(tableByCause(t), got); diff != "" {
		t.Errorf("docs/policies.md says (-), and the code (+):\n%s", diff)
	}
}

// tableByCause reads the table of docs/policies.md.
func tableByCause(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "policies.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| cause | SIGCHLD | SIGCONT | SIGHUP | SIGTERM | SIGKILL | restart |\n")
	if !found {
		t.Fatal("the table by cause is not there, or has other columns")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	cells := map[string]string{}
	for line := range strings.Lines(table) {
		columns := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for cause := range strings.SplitSeq(columns[0], ",") {
			if cause = strings.TrimSpace(cause); strings.HasPrefix(cause, "---") {
				continue
			}
			for i, c := range cannot {
				cell := strings.TrimSpace(columns[1+i])
				if cell != "" && cell != "x" {
					cell = "x if"
				}
				cells[cause+" "+string(c.remedy)] = cell
			}
		}
	}
	if want := len(v1alpha1.Causes) * len(cannot); len(cells) != want {
		t.Errorf("the table has %d cells, want %d", len(cells), want)
	}
	return cells
}
