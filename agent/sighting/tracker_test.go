package sighting

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func after(d time.Duration) time.Time { return noon.Add(d) }

// untold is a zombie of which the kernel does not tell when it died. It started hours before noon.
func untold(pid int) *scan.Zombie {
	return &scan.Zombie{Key: scan.Key{PID: pid, StartTicks: uint64(pid)}, StartedAt: after(-100 * time.Hour)}
}

func told(pid int, died time.Time) *scan.Zombie {
	z := untold(pid)
	z.DiedAt = died
	return z
}

func look(at time.Time, zombies ...*scan.Zombie) scan.Result {
	return scan.Result{At: at, Zombies: zombies}
}

// since is what a tracker says of the age of each zombie.
func since(zombies []Zombie) map[int]time.Time {
	out := map[int]time.Time{}
	for _, z := range zombies {
		out[z.PID] = z.Since
	}
	return out
}

func TestLook(t *testing.T) {
	t.Parallel()
	reused := untold(1)
	reused.StartTicks = 77
	tests := map[string]struct {
		looks []scan.Result
		want  map[int]time.Time
	}{
		"nothing counts at the first look": {
			looks: []scan.Result{look(noon, told(1, after(-time.Hour)))},
		},
		"a zombie counts that is there a second later": {
			looks: []scan.Result{look(noon, untold(1)), look(after(time.Second), untold(1))},
			want:  map[int]time.Time{1: noon},
		},
		"a zombie does not count that is there less than a second later": {
			looks: []scan.Result{look(noon, untold(1)), look(after(time.Second-1), untold(1))},
		},
		"looks back to back add up to a second": {
			looks: []scan.Result{
				look(noon, untold(1)), look(after(400*time.Millisecond), untold(1)),
				look(after(800*time.Millisecond), untold(1)), look(after(1200*time.Millisecond), untold(1)),
			},
			want: map[int]time.Time{1: noon},
		},
		"the time of death is preferred to the first sight": {
			looks: []scan.Result{look(noon, told(1, after(-time.Hour))), look(after(time.Minute), told(1, after(-time.Hour)))},
			want:  map[int]time.Time{1: after(-time.Hour)},
		},
		"the same PID with another start is another process": {
			looks: []scan.Result{look(noon, untold(1)), look(after(time.Minute), reused)},
		},
		"a zombie that was away between two looks begins anew": {
			looks: []scan.Result{look(noon, untold(1)), look(after(time.Minute)), look(after(2*time.Minute), untold(1))},
		},
		"each zombie has its own first sight": {
			looks: []scan.Result{
				look(noon, untold(1)), look(after(time.Minute), untold(1), untold(2)), look(after(2*time.Minute), untold(1), untold(2)),
			},
			want: map[int]time.Time{1: noon, 2: after(time.Minute)},
		},
		"a clock that was set back makes nothing count early": {
			looks: []scan.Result{look(noon, untold(1)), look(after(-time.Hour), untold(1))},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracker := NewTracker()
			var stayed []Zombie
			for _, l := range tc.looks {
				stayed, _ = tracker.Look(l)
			}
			if tc.want == nil {
				tc.want = map[int]time.Time{}
			}
			if diff := cmp.Diff(tc.want, since(stayed)); diff != "" {
				t.Errorf("zombies that stayed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLookKeepsWhatTheScanSaw(t *testing.T) {
	t.Parallel()
	z := told(1, noon)
	z.ParentPID, z.Command = 5, "sh"
	tracker := NewTracker()
	tracker.Look(look(noon, z))
	moved := *z
	moved.ParentPID = 1 // the newest look's parent
	got, _ := tracker.Look(look(after(time.Minute), &moved))
	if diff := cmp.Diff([]Zombie{{Zombie: &moved, Since: noon}}, got); diff != "" {
		t.Errorf("zombies (-want +got):\n%s", diff)
	}
}

// under is a look at zombie 1 under a parent whose command is a name, or who could not be read.
func under(at time.Time, parent int, name string) scan.Result {
	z := untold(1)
	z.ParentPID = parent
	l := look(at, z)
	if name != "" {
		l.Parents = map[int]*scan.Parent{parent: {Key: scan.Key{PID: parent}, Command: name}}
	}
	return l
}

func TestLookTellsFromWhereAZombieMoved(t *testing.T) {
	t.Parallel()
	at := func(second int) time.Time { return after(time.Duration(second) * time.Second) }
	tests := map[string]struct {
		looks []scan.Result
		want  string
	}{
		"one that never moved has no such place": {looks: []scan.Result{under(at(0), 5, "app"), under(at(1), 5, "app")}},
		"one that moved names the parent before": {
			looks: []scan.Result{under(at(0), 5, "worker"), under(at(1), 1, "app")},
			want:  "worker",
		},
		"it goes on to do so": {
			looks: []scan.Result{under(at(0), 5, "worker"), under(at(1), 1, "app"), under(at(2), 1, "app")},
			want:  "worker",
		},
		"one that moved twice names the first": {
			looks: []scan.Result{under(at(0), 5, "worker"), under(at(1), 4, "master"), under(at(2), 1, "app")},
			want:  "worker",
		},
		"a parent that is renamed is the same one": {looks: []scan.Result{under(at(0), 5, "sh"), under(at(1), 5, "app")}},
		"the newest name of a parent counts": {
			looks: []scan.Result{under(at(0), 5, "sh"), under(at(1), 5, "worker"), under(at(2), 1, "app")},
			want:  "worker",
		},
		"a parent that was unreadable once keeps its name": {
			looks: []scan.Result{under(at(0), 5, "worker"), under(at(1), 5, ""), under(at(2), 1, "app")},
			want:  "worker",
		},
		"a parent without a name is not another one's": {
			looks: []scan.Result{under(at(0), 5, ""), under(at(1), 1, "app")},
		},
		"nor is it the parent that it has now": {
			looks: []scan.Result{under(at(0), 5, ""), under(at(1), 1, "app"), under(at(2), 1, "app")},
		},
		"the name of one parent is not that of the next": {
			looks: []scan.Result{under(at(0), 5, ""), under(at(1), 4, "master"), under(at(2), 3, ""), under(at(3), 1, "app")},
			want:  "master",
		},
		"one that was away between two looks begins anew": {
			looks: []scan.Result{under(at(0), 5, "worker"), look(at(1)), under(at(2), 1, "app"), under(at(3), 1, "app")},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracker := NewTracker()
			var stayed []Zombie
			for _, l := range tc.looks {
				stayed, _ = tracker.Look(l)
			}
			if len(stayed) != 1 || stayed[0].MovedFrom != tc.want {
				t.Errorf("zombies = %+v, want one moved from %q", stayed, tc.want)
			}
		})
	}
}

func TestLookTellsLookAlikesThatStay(t *testing.T) {
	t.Parallel()
	held := scan.LookAlike{Key: scan.Key{PID: 1, StartTicks: 1}, Kind: scan.HeldByTracer, ParentPID: 5, Command: "sh"}
	moved, silent, later := held, held, held
	moved.ParentPID, silent.Kind, later.StartTicks = 1, scan.OtherExitSignal, 77
	alike := func(at time.Time, l ...scan.LookAlike) scan.Result { return scan.Result{At: at, LookAlikes: l} }
	tests := map[string]struct {
		looks []scan.Result
		want  []LookAlike
	}{
		"nothing counts at the first look": {looks: []scan.Result{alike(noon, held)}},
		"one counts that is there a second later, as it is then": {
			looks: []scan.Result{alike(noon, held), alike(after(time.Second), moved)},
			want:  []LookAlike{{LookAlike: moved, Since: noon}},
		},
		"one does not count that is there less than a second later": {
			looks: []scan.Result{alike(noon, held), alike(after(time.Second-1), held)},
		},
		"one that is another kind of look-alike now begins anew": {
			looks: []scan.Result{alike(noon, held), alike(after(time.Minute), silent)},
		},
		"the same PID with another start is another process": {
			looks: []scan.Result{alike(noon, held), alike(after(time.Minute), later)},
		},
		"one that was away between two looks begins anew": {
			looks: []scan.Result{alike(noon, held), alike(after(time.Minute)), alike(after(2*time.Minute), held)},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracker := NewTracker()
			var stayed []LookAlike
			for _, l := range tc.looks {
				_, stayed = tracker.Look(l)
			}
			if diff := cmp.Diff(tc.want, stayed); diff != "" {
				t.Errorf("look-alikes that stayed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestALookAlikeThatBecomesAZombieKeepsNothing(t *testing.T) {
	t.Parallel()
	tracker := NewTracker()
	z := untold(1)
	l := scan.LookAlike{Key: z.Key, ParentPID: 5}
	parents := map[int]*scan.Parent{5: {Command: "worker"}}
	tracker.Look(scan.Result{At: noon, LookAlikes: []scan.LookAlike{l}, Parents: parents})
	tracker.Look(scan.Result{At: after(time.Minute), LookAlikes: []scan.LookAlike{l}, Parents: parents})
	zombies, lookAlikes := tracker.Look(look(after(2*time.Minute), z))
	if len(zombies) != 0 || len(lookAlikes) != 0 {
		t.Errorf("zombies = %+v, look-alikes = %+v, want none at its first sight", zombies, lookAlikes)
	}
	zombies, _ = tracker.Look(look(after(3*time.Minute), z))
	if diff := cmp.Diff([]Zombie{{Zombie: z, Since: after(2 * time.Minute)}}, zombies); diff != "" {
		t.Errorf("zombies (-want +got):\n%s", diff)
	}
}

// pointers are those to zombies.
func pointers(zombies []Zombie) []*Zombie {
	var out []*Zombie
	for i := range zombies {
		out = append(out, &zombies[i])
	}
	return out
}

func ages(pairs ...int32) []v1alpha1.AgeCount {
	var out []v1alpha1.AgeCount
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, v1alpha1.AgeCount{MinAgeSeconds: pairs[i], Zombies: pairs[i+1]})
	}
	return out
}

func TestRemember(t *testing.T) {
	t.Parallel()
	young := untold(1) // replaced a zombie that was reaped since the report
	young.StartedAt = after(-time.Minute)
	oldest, now := after(-2*time.Hour), after(time.Minute)
	seen := now.Add(-time.Minute) // by this agent
	tests := map[string]struct {
		zombies []*scan.Zombie
		ages    []v1alpha1.AgeCount
		want    map[int]time.Time
	}{
		"the one that started first takes the reported time of the oldest": {
			zombies: []*scan.Zombie{untold(2), untold(1)},
			ages:    ages(30, 1),
			want:    map[int]time.Time{1: oldest, 2: seen},
		},
		"as many as were reported to have an age take it": {
			zombies: []*scan.Zombie{untold(4), untold(3), untold(2), untold(1)},
			ages:    ages(30, 3, 60, 3, 300, 2, 900, 2, 3600, 1),
			want:    map[int]time.Time{1: oldest, 2: now.Add(-15 * time.Minute), 3: now.Add(-time.Minute), 4: seen},
		},
		"more zombies reported than are left do not matter": {
			zombies: []*scan.Zombie{untold(1)},
			ages:    ages(30, 500, 86400, 400),
			want:    map[int]time.Time{1: oldest},
		},
		"no age ever shrinks": {
			zombies: []*scan.Zombie{untold(1), untold(2)},
			ages:    ages(30, 2), // a report that was written when this agent had seen them for longer
			want:    map[int]time.Time{1: oldest, 2: seen},
		},
		"a zombie that started after it would have died keeps its age": {
			zombies: []*scan.Zombie{young, untold(2)},
			ages:    ages(30, 2, 300, 2),
			want:    map[int]time.Time{1: seen, 2: now.Add(-5 * time.Minute)},
		},
		"zombies of which the kernel tells when they died are left alone": {
			zombies: []*scan.Zombie{told(1, after(-5*time.Second)), untold(2), told(3, after(-10*time.Hour))},
			ages:    ages(30, 3, 300, 3),
			want:    map[int]time.Time{1: after(-5 * time.Second), 2: oldest, 3: after(-10 * time.Hour)},
		},
		"without reported ages the oldest is all that is known": {
			zombies: []*scan.Zombie{untold(1), untold(2)},
			want:    map[int]time.Time{1: oldest, 2: seen},
		},
		"nothing comes of no zombies": {ages: ages(30, 5), want: map[int]time.Time{}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracker := NewTracker()
			tracker.Look(look(seen, tc.zombies...))
			zombies, _ := tracker.Look(look(now, tc.zombies...))
			tracker.Remember(pointers(zombies), tc.ages, oldest, now)
			if diff := cmp.Diff(tc.want, since(zombies)); diff != "" {
				t.Errorf("now (-want +got):\n%s", diff)
			}
			again, _ := tracker.Look(look(after(time.Hour), tc.zombies...))
			if diff := cmp.Diff(tc.want, since(again)); diff != "" {
				t.Errorf("at the next look (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRememberBringsNoZombieBack(t *testing.T) {
	t.Parallel()
	tracker := NewTracker()
	tracker.Look(look(noon, untold(1)))
	zombies, _ := tracker.Look(look(after(time.Minute), untold(1)))
	tracker.Look(look(after(2 * time.Minute))) // reaped before the report was read
	tracker.Remember(pointers(zombies), nil, after(-time.Hour), after(2*time.Minute))
	if got, _ := tracker.Look(look(after(3*time.Minute), untold(1))); len(got) != 0 {
		t.Errorf("zombies = %v, want none: it was not in the last look", got)
	}
}
