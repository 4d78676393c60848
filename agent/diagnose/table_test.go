package diagnose

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// cells are the texts that a cell of the table of docs/policies.md may have, and when each says that the remedy is never tried.
var cells = map[string]func(Evidence) bool{
	"":                                func(Evidence) bool { return false },
	"x":                               func(Evidence) bool { return true },
	"x if deaf":                       isDeaf,
	"x unless SIGKILL ends the sleep": func(e Evidence) bool { return !isKillable(e) },
	"x unless SIGKILL ends the sleep and SIGHUP is not handled":  func(e Evidence) bool { return !isKillable(e) || e.HandlesHup },
	"x unless SIGKILL ends the sleep and SIGTERM is not handled": func(e Evidence) bool { return !isKillable(e) || e.HandlesTerm },
	"x unless the tracer ends with the container":                func(e Evidence) bool { return e.TracerOutside },
	"x with cgroup v1": func(e Evidence) bool { return e.State == "D" }, // so it shows what is frozen
	"x unless it is in the container's PID namespace": func(e Evidence) bool { return !e.SameNamespace },
}

func isDeaf(e Evidence) bool {
	pendingForever := e.Blocked && e.Pending
	return pendingForever || (!e.Caught && !e.Blocked && !e.SignalFD)
}

func isKillable(e Evidence) bool { return e.Wchan == "kernel_clone" }

// always says what the text before the table rules out whatever the cause.
func always(e Evidence, remedy v1alpha1.Remedy) bool {
	switch remedy {
	case v1alpha1.RemedySIGTERM, v1alpha1.RemedySIGKILL:
		return e.PID == 1 || e.ReaperHolds
	case v1alpha1.RemedySIGHUP:
		return e.State == "D" && !e.OthersRun && (e.PID == 1 || e.ReaperHolds)
	case v1alpha1.RemedyRestartContainer:
		return e.TracerOutside || e.Frozen || (e.State == "D" && !isKillable(e))
	case v1alpha1.RemedySIGCHLD, v1alpha1.RemedySIGCONT:
	}
	return false
}

// switches are what may be true of a parent, each apart from the others.
var switches = []func(*Evidence){
	func(e *Evidence) { e.Caught = true },
	func(e *Evidence) { e.Ignored = true },
	func(e *Evidence) { e.Blocked = true },
	func(e *Evidence) { e.Pending = true },
	func(e *Evidence) { e.SignalFD = true },
	func(e *Evidence) { e.HandlesHup = true },
	func(e *Evidence) { e.HandlesTerm = true },
	func(e *Evidence) { e.Moved = e.Zombies },
	func(e *Evidence) { e.Waiting, e.WaitsFor, e.Wchan = true, 8, "do_wait" },
	func(e *Evidence) { e.ReaperHolds = true },
	func(e *Evidence) { e.TracerOutside = true },
}

// situations are where a parent may be, whatever the switches.
var situations = []func(*Evidence){
	func(*Evidence) {},
	func(e *Evidence) { e.Caught, e.Go = true, true },
	func(e *Evidence) { e.PID = 1 },
	func(e *Evidence) { e.PID, e.State, e.StateNow, e.Wchan = 1, "D", "D", "kernel_clone" },
	func(e *Evidence) { e.PID = 0 },
	func(e *Evidence) { e.PID, e.SameNamespace = 0, true },
	func(e *Evidence) { e.PID, e.SameNamespace, e.Frozen = 0, true, true },
	func(e *Evidence) { e.PID, e.SameNamespace, e.State, e.Wchan = 0, true, "D", "io_schedule" },
	func(e *Evidence) { e.State, e.StateNow = "T", "T" },
	func(e *Evidence) { e.State, e.StateNow = "t", "t" },
	func(e *Evidence) { e.State, e.StateNow, e.Frozen = "t", "t", true },
	func(e *Evidence) { e.Frozen = true },
	func(e *Evidence) { e.Frozen, e.State, e.StateNow = true, "D", "D" },
	func(e *Evidence) { e.State, e.StateNow, e.Wchan = "D", "D", "io_schedule" },
	func(e *Evidence) { e.State, e.Wchan, e.OthersRun = "D", "io_schedule", true },
	func(e *Evidence) { e.State, e.StateNow, e.Wchan = "D", "D", "kernel_clone" },
	func(e *Evidence) { e.State, e.Wchan, e.OthersRun = "D", "kernel_clone", true },
}

// The table that users read says of each cause which remedies are never tried, whatever else is true of the parent.
func TestTheTableByCauseIsTrue(t *testing.T) {
	t.Parallel()
	table := tableByCause(t)
	wrong, met := map[string]bool{}, map[string]bool{}
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
			row := rowOf(d.Cause, e)
			met[row] = true
			if table[row] == nil {
				t.Fatalf("the table has no row %s", row)
			}
			for i, c := range cannot {
				cell := table[row][i]
				if never := cells[cell](e) || always(e, c.remedy); never != slices.Contains(d.CannotHelp, c.remedy) {
					wrong[fmt.Sprintf("%s, %s: %q", row, c.remedy, cell)] = true
				}
			}
		}
	}
	for cell := range wrong {
		t.Errorf("the table is wrong about %s", cell)
	}
	for row := range table {
		if !met[row] {
			t.Errorf("no evidence is of %s", row)
		}
	}
}

// rowOf is the row of the table for a parent.
func rowOf(cause v1alpha1.Cause, e Evidence) string {
	switch {
	case cause != v1alpha1.CauseParentStuckInD:
		return string(cause)
	case e.OthersRun:
		return string(cause) + ", other threads run"
	}
	return string(cause) + ", all threads"
}

// tableByCause reads the rows of the table, each with its cells by the order of the remedies.
func tableByCause(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "policies.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| cause | SIGCHLD | SIGCONT | SIGHUP | SIGTERM | SIGKILL | restart |\n|---|---|---|---|---|---|---|\n")
	if !found {
		t.Fatal("the table by cause is not there, or has other columns")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	rows := map[string][]string{}
	for line := range strings.Lines(table) {
		columns := strings.Split(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line), "|"), "|"), "|")
		if len(columns) != 1+len(cannot) {
			t.Fatalf("a row of the table has %d columns: %s", len(columns), line)
		}
		for i := range columns {
			columns[i] = strings.TrimSpace(columns[i])
			if i > 0 && cells[columns[i]] == nil {
				t.Fatalf("this test does not know the cell %q", columns[i])
			}
		}
		if rows[columns[0]] != nil {
			t.Errorf("the table has %s twice", columns[0])
		}
		rows[columns[0]] = columns[1:]
	}
	if want := len(v1alpha1.Causes) + 1; len(rows) != want { // ParentStuckInD has two
		t.Errorf("the table has %d rows, want %d", len(rows), want)
	}
	return rows
}
