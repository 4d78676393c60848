package ledger

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	now = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	app = Target{PodUID: "web", Container: "app"}
	log = Target{PodUID: "web", Container: "log"}
	db  = Target{PodUID: "db", Container: "db"}
)

func unit(t Target, disruptive bool) Unit {
	return Unit{Target: t, Namespace: "shop", PodName: t.PodUID + "-0", ContainerID: "id", Remediations: []string{"r"}, Disruptive: disruptive, ReservedAt: now}
}

func position(t Target, ended time.Duration) Position {
	return Position{Target: t, Policy: "ZombiePolicy/web@1", ContainerID: "id", Attempts: 1, EndedAt: now.Add(-ended)}
}

func TestAnEmptyBookSaysNothing(t *testing.T) {
	t.Parallel()
	var b Book
	if b.Unit("web") != nil || b.Disruptive() != nil || b.Full() || !b.DisruptedAt("web").IsZero() {
		t.Errorf("book %+v", b)
	}
	if diff := cmp.Diff(Position{Target: app}, b.Position(app)); diff != "" {
		t.Errorf("position (-want +got):\n%s", diff)
	}
}

func TestReserveEntersAUnitAndItsPosition(t *testing.T) {
	t.Parallel()
	before := Book{Units: []Unit{unit(db, false)}, Positions: []Position{position(app, time.Hour), position(db, time.Hour)}}
	next := position(app, time.Hour)
	next.Rung, next.Attempts = 2, 7
	after := before.Reserve(unit(app, true), next)
	want := Book{Units: []Unit{unit(db, false), unit(app, true)}, Positions: []Position{position(db, time.Hour), next}}
	if diff := cmp.Diff(want, after); diff != "" {
		t.Errorf("book (-want +got):\n%s", diff)
	}
	if len(before.Units) != 1 || before.Position(app).Rung != 0 {
		t.Errorf("the book before was changed: %+v", before)
	}
	if got := after.Unit("web"); got == nil || got.Container != "app" {
		t.Errorf("unit of the pod: %+v", got)
	}
	if got := after.Disruptive(); got == nil || got.PodUID != "web" {
		t.Errorf("disruptive unit: %+v", got)
	}
	if after.Unit("other") != nil {
		t.Error("a unit of a pod without one")
	}
}

func TestSettleTakesOutOneUnit(t *testing.T) {
	t.Parallel()
	before := Book{Units: []Unit{unit(app, true), unit(log, false), unit(db, false)}}
	next := position(app, 0)
	after := before.Settle(unit(app, true), next)
	want := Book{Units: []Unit{unit(log, false), unit(db, false)}, Positions: []Position{next}}
	if diff := cmp.Diff(want, after); diff != "" {
		t.Errorf("book (-want +got):\n%s", diff)
	}
	if len(before.Units) != 3 || before.Units[0].Container != "app" {
		t.Errorf("the book before was changed: %+v", before)
	}
	if after.Disruptive() != nil {
		t.Error("the disruptive unit is still there")
	}
}

func TestAPodWasDisruptedWhenAContainerOfItWasLast(t *testing.T) {
	t.Parallel()
	b := Book{Positions: []Position{position(app, 0), position(log, 0), position(db, 0)}}
	b.Positions[0].DisruptedAt, b.Positions[1].DisruptedAt, b.Positions[2].DisruptedAt = now.Add(-2*time.Hour), now.Add(-time.Hour), now
	if got, want := b.DisruptedAt("web"), now.Add(-time.Hour); !got.Equal(want) {
		t.Errorf("disrupted at %s, want %s", got, want)
	}
}

func TestABookIsFullAtItsBound(t *testing.T) {
	t.Parallel()
	var b Book
	for i := range MaxUnits {
		if b.Full() {
			t.Fatalf("full with %d units", i)
		}
		b = b.Reserve(unit(Target{PodUID: fmt.Sprint(i)}, false), Position{})
	}
	if !b.Full() {
		t.Errorf("not full with %d units", len(b.Units))
	}
}

func TestTrimForgets(t *testing.T) {
	t.Parallel()
	many := func(n int) []Position {
		var all []Position
		for i := range n {
			all = append(all, position(Target{PodUID: fmt.Sprint(i)}, time.Duration(i)*time.Second))
		}
		return all
	}
	neverEnded := Position{Target: app, Attempts: 1}
	tests := map[string]struct {
		book Book
		// want are the positions that stay.
		want []Position
	}{
		"nothing whose last act is younger than the retention": {Book{Positions: []Position{position(app, Retention-time.Nanosecond)}}, []Position{position(app, Retention-time.Nanosecond)}},
		"what is as old as the retention":                      {Book{Positions: []Position{position(app, Retention), position(db, 0)}}, []Position{position(db, 0)}},
		"nothing that is under way, however old":               {Book{Units: []Unit{unit(app, false)}, Positions: []Position{position(app, 99*time.Hour)}}, []Position{position(app, 99*time.Hour)}},
		"nothing whose first act is under way":                 {Book{Units: []Unit{unit(app, false)}, Positions: []Position{neverEnded}}, []Position{neverEnded}},
		"another container of the pod of what is under way":    {Book{Units: []Unit{unit(app, false)}, Positions: []Position{position(log, Retention)}}, nil},
		"those longest ago where there are too many":           {Book{Positions: many(MaxTargets + 3)}, many(MaxTargets)},
		"one more for each that is under way":                  {Book{Units: []Unit{unit(app, false)}, Positions: append([]Position{neverEnded}, many(MaxTargets)...)}, append([]Position{neverEnded}, many(MaxTargets-1)...)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := tc.book.Trim(now)
			if !slices.Equal(tc.want, got.Positions) { // cmp takes seconds for a thousand
				t.Errorf("positions (-want +got):\n%s", cmp.Diff(tc.want, got.Positions))
			}
			if len(got.Units) != len(tc.book.Units) {
				t.Errorf("units %+v", got.Units)
			}
			if !slices.Equal(got.Positions, got.Trim(now).Positions) {
				t.Error("trimmed twice, it is another")
			}
		})
	}
}

func TestStoppedDatesWhatWasActedOn(t *testing.T) {
	t.Parallel()
	before := Book{Units: []Unit{unit(db, false)}, Positions: []Position{position(app, time.Hour), position(db, time.Hour)}, Dropped: 3}
	after, found := before.Stopped([]Target{app, log}, now)
	want := position(app, time.Hour)
	want.StoppedAt = now
	if diff := cmp.Diff(Book{Units: before.Units, Positions: []Position{want, position(db, time.Hour)}, Dropped: 3}, after); diff != "" || !found {
		t.Errorf("found: %t; book (-want +got):\n%s", found, diff)
	}
	if !before.Positions[0].StoppedAt.IsZero() {
		t.Error("the book before was changed")
	}
	for name, targets := range map[string][]Target{"nothing": nil, "what was never acted on": {log}} {
		if after, found := before.Stopped(targets, now); found || !cmp.Equal(before, after) {
			t.Errorf("%s: found: %t, book %+v", name, found, after)
		}
	}
}

func TestWhatIsForgottenEarlyIsCounted(t *testing.T) {
	t.Parallel()
	var b Book
	for i := range MaxTargets + 2 {
		b.Positions = append(b.Positions, position(Target{PodUID: fmt.Sprint(i)}, time.Second))
	}
	b.Positions = append(b.Positions, position(app, Retention)) // in its time
	b = b.Trim(now)
	if b.Dropped != 2 {
		t.Errorf("dropped %d, want 2", b.Dropped)
	}
	b = b.Reserve(unit(app, true), position(app, 0)).Trim(now) // which takes the place of another
	b = b.Settle(unit(app, true), position(app, 0)).Trim(now)
	if b.Dropped != 3 {
		t.Errorf("dropped %d in all, want 3", b.Dropped)
	}
}

// A remediation is kept for a day, and its name must not be given again while it is there.
func TestTheRetentionExceedsThatOfRemediations(t *testing.T) {
	t.Parallel()
	if Retention <= 24*time.Hour {
		t.Errorf("retention %s", Retention)
	}
}

func TestWhatIsUnsetIsNotWrittenDown(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(Book{Positions: []Position{{Target: app}}})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"positions":[{"podUID":"web","container":"app","policy":"","containerID":"","rung":0,"tries":0,"attempts":0}]}`
	if string(raw) != want {
		t.Errorf("book %s, want %s", raw, want)
	}
}
