package observe

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/agent/diagnose"
	"github.com/zombie-operator/zombie-operator/agent/headroom"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/agent/sighting"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// zombies makes as many zombies of an age under one parent, whose PID in the container is given; 0 is outside. They all
// started at one time, which tells nothing of how fast they come.
func zombies(count, parentPID int, command string, age time.Duration) []Zombie {
	out := make([]Zombie, count)
	for i := range out {
		out[i] = Zombie{
			Zombie: &sighting.Zombie{Since: noon.Add(-age), Zombie: &scan.Zombie{
				Command: "sh", StartedAt: noon.Add(-24 * time.Hour), Exit: kernel.Exit{Signal: 17, Readable: true},
			}},
			Parent:    &scan.Parent{Key: scan.Key{PID: 1000 + parentPID, StartTicks: uint64(1000 + parentPID)}, Command: command},
			ParentPID: parentPID,
		}
	}
	return out
}

// observed is the observation of a pod with these containers.
func observed(containers ...Container) v1alpha1.Observed {
	observed, _ := Pod(Seen{Containers: containers, LookBefore: noon.Add(-30 * time.Second)}, noon)
	return observed
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
	got := observed(
		Container{Name: "sidecar", ID: "bbbb", Image: "registry/sidecar:1", Zombies: zombies(1, 0, "shim", time.Minute)},
		Container{Name: "quiet", ID: "cccc"},
		Container{Name: "app", ID: "aaaa", Image: "registry/app:1", Zombies: join(
			zombies(2, 7, "worker", 2*time.Minute), zombies(3, 1, "app", 2*time.Hour), zombies(9, 1, "app", 29*time.Second),
		)},
	)
	want := v1alpha1.Observed{
		Zombies:          6,
		OldestZombieTime: new(ago(2 * time.Hour)),
		Finding:          "PID1DoesNotReap",
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
						Cause: v1alpha1.CausePID1DoesNotReap, Dead: []v1alpha1.DeadGroup{{Command: "sh", Exit: "exit 0", Zombies: 3}},
					},
					{
						PID: new(int32(7)), StartTicks: 1007, Command: "worker", Zombies: 2, OldestZombieTime: ago(2 * time.Minute),
						Cause: v1alpha1.CauseParentDoesNotWait, Dead: []v1alpha1.DeadGroup{{Command: "sh", Exit: "exit 0", Zombies: 2}},
					},
				},
			},
			{
				Name: "sidecar", ContainerID: "bbbb", Image: "registry/sidecar:1", Zombies: 1,
				Ages: []v1alpha1.AgeCount{{MinAgeSeconds: 30, Zombies: 1}, {MinAgeSeconds: 60, Zombies: 1}},
				Parents: []v1alpha1.Parent{{
					StartTicks: 1000, Command: "shim", Zombies: 1, OldestZombieTime: ago(time.Minute),
					Cause: v1alpha1.CauseParentOutsideContainer, Dead: []v1alpha1.DeadGroup{{Command: "sh", Exit: "exit 0", Zombies: 1}},
				}},
			},
		},
	}
	for _, c := range got.Containers {
		for i := range c.Parents {
			p := &c.Parents[i]
			if p.Message == "" || p.Evidence == "" || p.Fix == "" {
				t.Errorf("parent = %+v, want a message, evidence and a fix", p)
			}
			p.Message, p.Evidence, p.Fix, p.CannotHelp = "", "", "", nil
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
		if diff := cmp.Diff(v1alpha1.Observed{}, observed(containers...)); diff != "" {
			t.Errorf("%s: observation (-want +got):\n%s", name, diff)
		}
	}
}

func TestPodTellsWhatWasReadOfAContainer(t *testing.T) {
	t.Parallel()
	app := Container{
		Name: "app", ID: "aaaa", Zombies: zombies(1, 1, "app", time.Hour), InitInImage: "/sbin/tini", ForksFailing: true,
		Limits: []headroom.Limit{{By: v1alpha1.PIDLimitPod, Used: 90, Max: 100}, {By: v1alpha1.PIDLimitPIDMax, Used: 900, Max: 32768}},
		Evidence: map[scan.Key]diagnose.Evidence{
			{PID: 1001, StartTicks: 1001}: {Command: "app", PID: 1, Zombies: 1, Read: true, State: "T", StateNow: "T"},
		},
	}
	got := observed(app).Containers[0]
	want := &v1alpha1.PIDs{Used: 90, Limit: 100, LimitedBy: v1alpha1.PIDLimitPod, UsedPercent: 90, ForksFailing: true}
	if diff := cmp.Diff(want, got.PIDs); diff != "" {
		t.Errorf("PIDs (-want +got):\n%s", diff)
	}
	if got.InitInImage != "/sbin/tini" || got.Parents[0].Cause != v1alpha1.CauseParentStopped {
		t.Errorf("init in image = %q, cause = %q", got.InitInImage, got.Parents[0].Cause)
	}
	if got.Births != nil || got.ExhaustionTime != nil || got.FullBy != "" {
		t.Errorf("births = %v, exhaustion = %v, full by %q, want none of one zombie", got.Births, got.ExhaustionTime, got.FullBy)
	}
	app.Limits = nil
	if got := observed(app).Containers[0].PIDs; got != nil {
		t.Errorf("PIDs = %v, want none: no limit could be read, though forks fail", got)
	}
}

func TestPodLeavesAPathOutThatTheAPIWouldRefuse(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/sbin/tini":                         "/sbin/tini",
		"/usr/bin/dumb-init_1.2":             "/usr/bin/dumb-init_1.2",
		"":                                   "",
		"tini":                               "",
		"/sbin/ti ni":                        "",
		"/sbin/tini\n":                       "",
		"/s\x1b[31m/tini":                    "",
		"/" + strings.Repeat("a", maxPath):   "",
		"/" + strings.Repeat("a", maxPath-1): "/" + strings.Repeat("a", maxPath-1),
	} {
		if got := pathOf(path); got != want {
			t.Errorf("pathOf(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestPodLeavesItsInputAlone(t *testing.T) {
	t.Parallel()
	in := []Container{{Name: "app", Zombies: join(zombies(2, 1, "a", time.Second), zombies(2, 2, "b", time.Hour))}}
	want := []Container{{Name: "app", Zombies: join(zombies(2, 1, "a", time.Second), zombies(2, 2, "b", time.Hour))}}
	observed(in...)
	if diff := cmp.Diff(want, in); diff != "" {
		t.Errorf("input (-before +after):\n%s", diff)
	}
}

func TestPodCountsAZombieInEveryAgeItReached(t *testing.T) {
	t.Parallel()
	for i, seconds := range v1alpha1.AgeEdgesSeconds {
		edge := time.Duration(seconds) * time.Second
		at := observed(Container{Name: "app", Zombies: zombies(1, 1, "app", edge)})
		if got := len(at.Containers[0].Ages); got != i+1 {
			t.Errorf("at the age of %s it is in %d lines, want %d", edge, got, i+1)
		}
		below := observed(Container{Name: "app", Zombies: zombies(1, 1, "app", edge-1)})
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
	got := observed(containers...)
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
		var order []string
		for _, c := range observed(containers...).Containers {
			order = append(order, string(c.Name))
		}
		for _, h := range Holders(held) {
			order = append(order, h.Parent.Command)
		}
		if diff := cmp.Diff([]string{"c", "a", "a", "b", "c", "shim"}, order); diff != "" {
			t.Fatalf("order (-want +got):\n%s", diff)
		}
	}
}

func TestComparePID(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ a, b, want int }{
		"both are outside":       {0, 0, 0},
		"the first is outside":   {0, 1, 1},
		"the second is outside":  {1, 0, -1},
		"the first is smaller":   {1, 2, -1},
		"the numbers are equal":  {2, 2, 0},
		"the second is smaller ": {2, 1, 1},
	} {
		if got := comparePID(tc.a, tc.b); got != tc.want {
			t.Errorf("%s: comparePID() = %d, want %d", name, got, tc.want)
		}
	}
}
