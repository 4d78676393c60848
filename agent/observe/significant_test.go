package observe

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

func TestMagnitudeStepsAtOneTwoFive(t *testing.T) {
	t.Parallel()
	step := 0
	for _, edge := range []int32{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 1000000, 2000000} {
		if edge == 1000000 {
			step += 5 // 20000 to 500000 are left out
		}
		if below, at := magnitude(edge-1), magnitude(edge); below != step || at != step+1 {
			t.Errorf("magnitude(%d) = %d, magnitude(%d) = %d, want %d and one more", edge-1, below, edge, at, step)
		}
		step++
	}
	if got, want := magnitude(1<<31-1), magnitude(2000000000); got != want {
		t.Errorf("magnitude of the largest number = %d, want %d", got, want)
	}
	if got := magnitude(-5); got != 0 {
		t.Errorf("magnitude(-5) = %d, want 0", got)
	}
}

// reported is a report of two containers, the first with two parents.
func reported() v1alpha1.Observed {
	return Pod([]Container{
		{Name: "app", ID: "aaaa", Image: "registry/app:1", Zombies: join(
			zombies(13, 1, "app", 2*time.Hour), zombies(12, 7, "worker", 2*time.Hour),
		)},
		{Name: "sidecar", ID: "bbbb", Zombies: zombies(3, 0, "shim", time.Hour)},
	}, noon)
}

var differences = map[string]struct {
	change func(*v1alpha1.Observed)
	want   Difference
}{
	"nothing":                                      {func(*v1alpha1.Observed) {}, Same},
	"a total within its step":                      {func(o *v1alpha1.Observed) { o.Zombies = 49 }, Same},
	"a total at the next step":                     {func(o *v1alpha1.Observed) { o.Zombies = 50 }, OtherNumbers},
	"a total below its step":                       {func(o *v1alpha1.Observed) { o.Zombies = 19 }, OtherNumbers},
	"the time of the oldest":                       {func(o *v1alpha1.Observed) { o.OldestZombieTime = nil }, Same},
	"a container's count within its step":          {func(o *v1alpha1.Observed) { o.Containers[0].Zombies = 21 }, Same},
	"a container's count at the next step":         {func(o *v1alpha1.Observed) { o.Containers[0].Zombies = 50 }, OtherNumbers},
	"a container's ID":                             {func(o *v1alpha1.Observed) { o.Containers[0].ContainerID = "cccc" }, OtherNumbers},
	"a container's name":                           {func(o *v1alpha1.Observed) { o.Containers[0].Name = "web" }, OtherNumbers},
	"the order of containers":                      {func(o *v1alpha1.Observed) { slices.Reverse(o.Containers) }, Same},
	"a container that no longer leaks":             {func(o *v1alpha1.Observed) { o.Containers = o.Containers[:1] }, OtherNumbers},
	"containers that were cut":                     {func(o *v1alpha1.Observed) { o.ContainersOmitted = 1 }, OtherNumbers},
	"parents that were cut":                        {func(o *v1alpha1.Observed) { o.Containers[0].ParentsOmitted = 1 }, OtherNumbers},
	"an age that no zombie has any more":           {func(o *v1alpha1.Observed) { o.Containers[0].Ages = o.Containers[0].Ages[:4] }, OtherNumbers},
	"a count of an age within its step":            {func(o *v1alpha1.Observed) { o.Containers[0].Ages[1].Zombies = 21 }, Same},
	"a count of an age at the next step":           {func(o *v1alpha1.Observed) { o.Containers[0].Ages[1].Zombies = 7 }, OtherNumbers},
	"the order of parents":                         {func(o *v1alpha1.Observed) { slices.Reverse(o.Containers[0].Parents) }, Same},
	"a parent's count, whatever it is":             {func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].Zombies = 9999 }, Same},
	"a parent's PID":                               {func(o *v1alpha1.Observed) { *o.Containers[0].Parents[0].PID = 2 }, OtherParents},
	"a parent that came from outside":              {func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].PID = nil }, OtherParents},
	"a parent's start":                             {func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].StartTicks++ }, OtherParents},
	"a parent's command":                           {func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].Command = "x" }, OtherParents},
	"a parent's cause":                             {func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].Cause = "" }, OtherParents},
	"a parent that is gone":                        {func(o *v1alpha1.Observed) { o.Containers[0].Parents = o.Containers[0].Parents[:1] }, OtherParents},
	"two parents that look the same for different": {func(o *v1alpha1.Observed) { o.Containers[0].Parents[1] = o.Containers[0].Parents[0] }, OtherParents},
	"a parent and a count at the next step":        {func(o *v1alpha1.Observed) { o.Zombies = 50; o.Containers[0].Parents[0].Command = "x" }, OtherNumbers},
	"no zombie left":                               {func(o *v1alpha1.Observed) { *o = v1alpha1.Observed{} }, OtherNumbers},
}

func TestCompareSeesStepsCrossedAndOthersBlamed(t *testing.T) {
	t.Parallel()
	for name, tc := range differences {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, after := reported(), reported()
			tc.change(&after)
			if got := Compare(before, after); got != tc.want {
				t.Errorf("Compare() = %d, want %d", got, tc.want)
			}
			if got := Compare(after, before); got != tc.want {
				t.Errorf("Compare() the other way = %d, want %d", got, tc.want)
			}
		})
	}
}

func TestCompareLeavesItsInputAlone(t *testing.T) {
	t.Parallel()
	before, after := reported(), reported()
	slices.Reverse(before.Containers)
	want := slices.Clone(before.Containers)
	Compare(before, after)
	if diff := cmp.Diff(want, before.Containers); diff != "" {
		t.Errorf("containers (-before +after):\n%s", diff)
	}
}
