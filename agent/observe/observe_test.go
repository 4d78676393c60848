package observe

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// zombies makes as many zombies of an age under one parent, whose PID in the container is given; 0 is outside.
func zombies(count, parentPID int, command string, age time.Duration) []Zombie {
	out := make([]Zombie, count)
	for i := range out {
		out[i] = Zombie{
			Since: noon.Add(-age), Parent: scan.Key{PID: 1000 + parentPID, StartTicks: uint64(1000 + parentPID)},
			ParentCommand: command, ParentPID: parentPID,
		}
	}
	return out
}

func ago(age time.Duration) metav1.Time { return metav1.NewTime(noon.Add(-age)) }

func join(groups ...[]Zombie) []Zombie {
	var out []Zombie
	for _, g := range groups {
		out = append(out, g...)
	}
	return out
}

func TestPodTellsAllOfALeak(t *testing.T) {
	t.Parallel()
	got := Pod([]Container{
		{Name: "sidecar", ID: "bbbb", Image: "registry/sidecar:1", Zombies: zombies(1, 0, "shim", time.Minute)},
		{Name: "quiet", ID: "cccc"},
		{Name: "app", ID: "aaaa", Image: "registry/app:1", Zombies: join(
			zombies(2, 7, "worker", 2*time.Minute), zombies(3, 1, "app", 2*time.Hour), zombies(9, 1, "app", 29*time.Second),
		)},
	}, noon)
	want := v1alpha1.Observed{
		Zombies:          6,
		OldestZombieTime: new(ago(2 * time.Hour)),
		Containers: []v1alpha1.ContainerObservation{
			{
				Name: "app", ContainerID: "aaaa", Image: "registry/app:1", Zombies: 5,
				Ages: []v1alpha1.AgeCount{
					{MinAgeSeconds: 30, Zombies: 5}, {MinAgeSeconds: 60, Zombies: 5}, {MinAgeSeconds: 300, Zombies: 3},
					{MinAgeSeconds: 900, Zombies: 3}, {MinAgeSeconds: 3600, Zombies: 3},
				},
				Parents: []v1alpha1.Parent{
					{
						PID: new(int32(1)), StartTicks: 1001, Command: "app", Zombies: 3, OldestZombieTime: ago(2 * time.Hour),
						Cause: v1alpha1.CausePID1DoesNotReap,
					},
					{
						PID: new(int32(7)), StartTicks: 1007, Command: "worker", Zombies: 2, OldestZombieTime: ago(2 * time.Minute),
						Cause: v1alpha1.CauseParentDoesNotWait,
					},
				},
			},
			{
				Name: "sidecar", ContainerID: "bbbb", Image: "registry/sidecar:1", Zombies: 1,
				Ages: []v1alpha1.AgeCount{{MinAgeSeconds: 30, Zombies: 1}, {MinAgeSeconds: 60, Zombies: 1}},
				Parents: []v1alpha1.Parent{{
					StartTicks: 1000, Command: "shim", Zombies: 1, OldestZombieTime: ago(time.Minute),
					Cause: v1alpha1.CauseParentOutsideContainer,
				}},
			},
		},
	}
	for _, c := range got.Containers {
		for i := range c.Parents {
			if c.Parents[i].Message == "" || c.Parents[i].Fix == "" {
				t.Errorf("parent = %+v, want a message and a fix", c.Parents[i])
			}
			c.Parents[i].Message, c.Parents[i].Fix = "", ""
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("observation (-want +got):\n%s", diff)
	}
}

func TestPodWithoutCountedZombiesIsEmpty(t *testing.T) {
	t.Parallel()
	for name, containers := range map[string][]Container{
		"no container":      nil,
		"no zombie":         {{Name: "app"}},
		"young ones only":   {{Name: "app", Zombies: zombies(5, 1, "app", 30*time.Second-1)}},
		"one of the future": {{Name: "app", Zombies: zombies(1, 1, "app", -time.Hour)}},
	} {
		if diff := cmp.Diff(v1alpha1.Observed{}, Pod(containers, noon)); diff != "" {
			t.Errorf("%s: observation (-want +got):\n%s", name, diff)
		}
	}
}

func TestPodLeavesItsInputAlone(t *testing.T) {
	t.Parallel()
	in := []Container{{Name: "app", Zombies: join(zombies(2, 1, "a", time.Second), zombies(2, 2, "b", time.Hour))}}
	want := []Container{{Name: "app", Zombies: join(zombies(2, 1, "a", time.Second), zombies(2, 2, "b", time.Hour))}}
	Pod(in, noon)
	if diff := cmp.Diff(want, in); diff != "" {
		t.Errorf("input (-before +after):\n%s", diff)
	}
}

func TestPodCountsAZombieInEveryAgeItReached(t *testing.T) {
	t.Parallel()
	for i, seconds := range v1alpha1.AgeEdgesSeconds {
		edge := time.Duration(seconds) * time.Second
		at := Pod([]Container{{Name: "app", Zombies: zombies(1, 1, "app", edge)}}, noon)
		if got := len(at.Containers[0].Ages); got != i+1 {
			t.Errorf("at the age of %s it is in %d lines, want %d", edge, got, i+1)
		}
		below := Pod([]Container{{Name: "app", Zombies: zombies(1, 1, "app", edge-1)}}, noon)
		switch {
		case i == 0 && below.Zombies != 0:
			t.Errorf("just below the age of %s it counts", edge)
		case i > 0 && len(below.Containers[0].Ages) != i:
			t.Errorf("just below the age of %s it is in %d lines, want %d", edge, len(below.Containers[0].Ages), i)
		}
	}
}

func TestPodCutsAndCountsWhatWasCut(t *testing.T) {
	t.Parallel()
	var containers []Container
	for i := range v1alpha1.MaxContainers + 4 {
		containers = append(containers, Container{Name: fmt.Sprint("c", i), Zombies: zombies(i+1, 1, "app", time.Minute)})
	}
	var held []Zombie
	for i := range v1alpha1.MaxParents + 2 {
		held = append(held, zombies(100+i, i+1, "app", time.Minute)...)
	}
	containers[0].Zombies = held
	got := Pod(containers, noon)
	if len(got.Containers) != v1alpha1.MaxContainers || got.ContainersOmitted != 4 {
		t.Errorf("containers = %d and %d cut, want %d and 4", len(got.Containers), got.ContainersOmitted, v1alpha1.MaxContainers)
	}
	most := got.Containers[0]
	if most.Name != "c0" || len(most.Parents) != v1alpha1.MaxParents || most.ParentsOmitted != 2 {
		t.Errorf("the first has %d parents and %d cut, want %d and 2", len(most.Parents), most.ParentsOmitted, v1alpha1.MaxParents)
	}
	if *most.Parents[0].PID != v1alpha1.MaxParents+2 {
		t.Errorf("the first parent is PID %d, want the one with most zombies", *most.Parents[0].PID)
	}
	var total, ofParents int32
	for _, c := range containers {
		total += int32(len(c.Zombies))
	}
	for i := range v1alpha1.MaxParents + 2 {
		ofParents += int32(100 + i)
	}
	if got.Zombies != total || most.Zombies != ofParents {
		t.Errorf("counts = %d and %d, want %d and %d: what was cut counts", got.Zombies, most.Zombies, total, ofParents)
	}
}

func TestPodSortsWhatIsEqualTheSameWayEveryTime(t *testing.T) {
	t.Parallel()
	held := join(zombies(1, 3, "c", time.Minute), zombies(1, 1, "a", time.Minute), zombies(1, 2, "b", time.Minute))
	// One start for all: only the PID tells them apart, and the one outside comes last.
	held = append(held, zombies(1, 0, "shim", time.Minute)...)
	for i := range held {
		held[i].Parent.StartTicks = 5
	}
	containers := []Container{{Name: "b", Zombies: held}, {Name: "a", Zombies: held}, {Name: "c", Zombies: zombies(9, 1, "x", time.Minute)}}
	for range 20 { // parents come out of a map
		got := Pod(containers, noon)
		var order []string
		for _, c := range got.Containers {
			order = append(order, string(c.Name))
		}
		for _, p := range got.Containers[1].Parents {
			order = append(order, p.Command)
		}
		if diff := cmp.Diff([]string{"c", "a", "b", "a", "b", "c", "shim"}, order); diff != "" {
			t.Fatalf("order (-want +got):\n%s", diff)
		}
	}
}

func TestComparePID(t *testing.T) {
	t.Parallel()
	one, two := new(int32(1)), new(int32(2))
	for name, tc := range map[string]struct {
		a, b *int32
		want int
	}{
		"both are outside":       {nil, nil, 0},
		"the first is outside":   {nil, one, 1},
		"the second is outside":  {one, nil, -1},
		"the first is smaller":   {one, two, -1},
		"the numbers are equal":  {two, two, 0},
		"the second is smaller ": {two, one, 1},
	} {
		if got := comparePID(tc.a, tc.b); got != tc.want {
			t.Errorf("%s: comparePID() = %d, want %d", name, got, tc.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"printable ASCII stays":            {"tmux: server (1)", "tmux: server (1)"},
		"a newline is no line":             {"a\nb", "a?b"},
		"an escape sequence is no colour":  {"\x1b[31mred", "?[31mred"},
		"a tab, NUL and DEL are replaced":  {"\t\x00\x7f", "???"},
		"invalid UTF-8 is replaced":        {"\xff\xfe", "??"},
		"a letter beyond ASCII is one":     {"überd", "?berd"},
		"what turns text around is gone":   {"a\u202eb", "a?b"},
		"what is too long is cut":          {strings.Repeat("x", 50), strings.Repeat("x", 20)},
		"a letter at the cut may be split": {strings.Repeat("x", 19) + "ü", strings.Repeat("x", 19) + "?"},
		"nothing stays nothing":            {"", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Printable(tc.in, 20); got != tc.want {
				t.Errorf("Printable(%q) = %q, want %q", tc.in, got, tc.want)
			}
		})
	}
}
