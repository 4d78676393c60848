package observe

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	return observed(
		Container{Name: "app", ID: "aaaa", Image: "registry/app:1", Zombies: join(
			zombies(13, 1, "app", 2*time.Hour), zombies(12, 7, "worker", 2*time.Hour),
		)},
		Container{Name: "sidecar", ID: "bbbb", Zombies: zombies(3, 0, "shim", time.Hour)},
	)
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
	"a parent's PID":                               {func(o *v1alpha1.Observed) { *o.Containers[0].Parents[0].PID = 2 }, OtherDetails},
	"a parent that came from outside":              {func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].PID = nil }, OtherDetails},
	"a parent's start":                             {func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].StartTicks++ }, OtherDetails},
	"a parent's command":                           {func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].Command = "x" }, OtherDetails},
	"a parent's cause":                             {func(o *v1alpha1.Observed) { o.Containers[0].Parents[0].Cause = "" }, OtherDetails},
	"a parent that is gone":                        {func(o *v1alpha1.Observed) { o.Containers[0].Parents = o.Containers[0].Parents[:1] }, OtherDetails},
	"two parents that look the same for different": {func(o *v1alpha1.Observed) { o.Containers[0].Parents[1] = o.Containers[0].Parents[0] }, OtherDetails},
	"a parent and a count at the next step":        {func(o *v1alpha1.Observed) { o.Zombies = 50; o.Containers[0].Parents[0].Command = "x" }, OtherNumbers},
	"the finding of tables":                        {func(o *v1alpha1.Observed) { o.Finding = "ParentStopped" }, OtherDetails},
	"no zombie left":                               {func(o *v1alpha1.Observed) { *o = v1alpha1.Observed{} }, OtherNumbers},
}

func TestCompareSeesStepsCrossedAndOthersBlamed(t *testing.T) {
	t.Parallel()
	for name, tc := range differences {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, after := reported(), reported()
			tc.change(&after)
			if got := Compare(before, after, noon); got != tc.want {
				t.Errorf("Compare() = %d, want %d", got, tc.want)
			}
			if got := Compare(after, before, noon); got != tc.want {
				t.Errorf("Compare() the other way = %d, want %d", got, tc.want)
			}
		})
	}
}

// left is an exhaustion as far ahead as told.
func left(ahead time.Duration) *metav1.Time { return new(metav1.NewTime(noon.Add(ahead))) }

// pressed is the report with a use of PIDs in percent, full in as long as told.
func pressed(percent int32, ahead time.Duration) func(*v1alpha1.ContainerObservation) {
	return func(c *v1alpha1.ContainerObservation) {
		c.PIDs = &v1alpha1.PIDs{Used: percent, Limit: 100, LimitedBy: v1alpha1.PIDLimitPod, UsedPercent: percent}
		c.ExhaustionTime = left(ahead)
	}
}

func periodic(perHour, seconds int32) func(*v1alpha1.ContainerObservation) {
	return func(c *v1alpha1.ContainerObservation) {
		c.Births = &v1alpha1.Births{PerHour: perHour, PeriodSeconds: seconds}
	}
}

func forksFailing(c *v1alpha1.ContainerObservation) { c.PIDs = &v1alpha1.PIDs{ForksFailing: true} }

func unknown(*v1alpha1.ContainerObservation) {}

const day = 24 * time.Hour

// developments change a container from one state to a worse one.
var developments = map[string]struct {
	from, to   func(*v1alpha1.ContainerObservation)
	want, back Difference
}{
	"the use reaches 50 %":                    {pressed(49, day*30), pressed(50, day*30), OtherNumbers, OtherDetails},
	"the use reaches 70 %":                    {pressed(69, day*30), pressed(70, day*30), OtherNumbers, OtherDetails},
	"the use reaches 80 %":                    {pressed(79, day*30), pressed(80, day*30), OtherNumbers, OtherDetails},
	"the use reaches 90 %":                    {pressed(89, day*30), pressed(90, day*30), OtherNumbers, OtherDetails},
	"the use reaches 95 %":                    {pressed(94, day*30), pressed(95, day*30), OtherNumbers, OtherDetails},
	"the use moves between two marks":         {pressed(80, day*30), pressed(89, day*30), Same, Same},
	"the use becomes known, and is low":       {unknown, func(c *v1alpha1.ContainerObservation) { c.PIDs = &v1alpha1.PIDs{LimitedBy: "Pod", UsedPercent: 3} }, Same, Same},
	"the use becomes known, and is high":      {unknown, pressed(85, day*300), OtherNumbers, OtherDetails},
	"another limit becomes the tightest":      {pressed(60, day*30), func(c *v1alpha1.ContainerObservation) { pressed(60, day*30)(c); c.PIDs.LimitedBy = "PIDMax" }, OtherDetails, OtherDetails},
	"forks begin to fail":                     {unknown, forksFailing, OtherNumbers, OtherDetails},
	"the forecast comes within 7 days":        {pressed(9, 8*day), pressed(9, 6*day), OtherNumbers, OtherDetails},
	"the forecast comes within a day":         {pressed(9, 25*time.Hour), pressed(9, 23*time.Hour), OtherNumbers, OtherDetails},
	"the forecast comes within 6 hours":       {pressed(9, 7*time.Hour), pressed(9, 5*time.Hour), OtherNumbers, OtherDetails},
	"the forecast comes within an hour":       {pressed(9, 70*time.Minute), pressed(9, 50*time.Minute), OtherNumbers, OtherDetails},
	"the forecast comes within ten minutes":   {pressed(9, 11*time.Minute), pressed(9, 9*time.Minute), OtherNumbers, OtherDetails},
	"the forecast wobbles between two marks":  {pressed(9, 5*day), pressed(9, 3*day), Same, Same},
	"the forecast halves between two marks":   {pressed(9, 6*day), pressed(9, 2*day), OtherDetails, OtherDetails},
	"the forecast wobbles at the very end":    {pressed(9, 9*time.Minute), pressed(9, time.Minute), Same, Same},
	"the forecast stands at now":              {pressed(100, -time.Hour), pressed(100, 0), Same, Same},
	"a forecast of a few days appears":        {unknown, func(c *v1alpha1.ContainerObservation) { c.ExhaustionTime = left(6 * day) }, OtherNumbers, OtherNumbers},
	"a forecast of a month appears":           {unknown, func(c *v1alpha1.ContainerObservation) { c.ExhaustionTime = left(30 * day) }, OtherDetails, OtherDetails},
	"a forecast of most of a year appears":    {unknown, func(c *v1alpha1.ContainerObservation) { c.ExhaustionTime = left(300 * day) }, Same, Same},
	"a forecast of a day is no more":          {pressed(9, day-1), unknown, OtherNumbers, OtherNumbers},
	"births per hour wobble":                  {periodic(360, 10), periodic(900, 10), Same, Same},
	"births become known without a period":    {unknown, periodic(360, 0), Same, Same},
	"a period is found":                       {periodic(360, 0), periodic(360, 10), OtherNumbers, OtherDetails},
	"a period becomes another":                {periodic(360, 10), periodic(360, 12), OtherDetails, OtherDetails},
	"a period wobbles":                        {periodic(360, 30), periodic(360, 33), Same, Same},
	"a short period wobbles by its rounding":  {periodic(360, 5), periodic(360, 6), Same, Same},
	"an init is found in the image":           {unknown, func(c *v1alpha1.ContainerObservation) { c.InitInImage = "/sbin/tini" }, OtherDetails, OtherDetails},
	"a remedy turns out not to help":          {unknown, func(c *v1alpha1.ContainerObservation) { c.Parents[0].CannotHelp = []v1alpha1.Remedy{"SIGHUP"} }, OtherDetails, OtherDetails},
	"the dead are of other kinds":             {unknown, func(c *v1alpha1.ContainerObservation) { c.Parents[0].Dead, c.Parents[0].DeadOmitted = nil, 5 }, Same, Same},
	"the fix is put in other words":           {unknown, func(c *v1alpha1.ContainerObservation) { c.Parents[0].Fix = "other words" }, Same, Same},
	"the message is put in other words":       {unknown, func(c *v1alpha1.ContainerObservation) { c.Parents[0].Message = "other words" }, Same, Same},
	"the evidence is put in other words":      {unknown, func(c *v1alpha1.ContainerObservation) { c.Parents[0].Evidence = "other words" }, Same, Same},
	"full by is put in other words":           {unknown, func(c *v1alpha1.ContainerObservation) { c.FullBy = "2026-12-24" }, Same, Same},
	"two changes count as the more important": {unknown, func(c *v1alpha1.ContainerObservation) { c.InitInImage = "/a"; forksFailing(c) }, OtherNumbers, OtherDetails},
}

func TestCompareTellsSoonOnlyOfWhatGotWorse(t *testing.T) {
	t.Parallel()
	for name, tc := range developments {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range reported().Containers { // each of them matters
				before, after := reported(), reported()
				tc.from(&before.Containers[i])
				tc.to(&after.Containers[i])
				if got := Compare(before, after, noon); got != tc.want {
					t.Errorf("container %d: Compare() = %d, want %d", i, got, tc.want)
				}
				if got := Compare(after, before, noon); got != tc.back {
					t.Errorf("container %d: Compare() the other way = %d, want %d", i, got, tc.back)
				}
			}
		})
	}
}

// What was foretold is no news when it comes.
func TestCompareSeesBothForecastsFromNow(t *testing.T) {
	t.Parallel()
	before, after := reported(), reported()
	pressed(60, 8*day)(&before.Containers[0])
	pressed(60, 8*day)(&after.Containers[0])
	for _, passed := range []time.Duration{0, day, 2 * day, 7*day + time.Hour, 8*day - time.Minute, 9 * day} {
		if got := Compare(before, after, noon.Add(passed)); got != Same {
			t.Errorf("after %s: Compare() = %d, want %d", passed, got, Same)
		}
	}
}

// crowd is the report of a pod of which more containers leak than are told of: app, sidecar and as many more as are cut.
func crowd(omitted int32) v1alpha1.Observed {
	o := reported()
	o.ContainersOmitted = omitted
	return o
}

// instead lets another container, c, be told of in place of sidecar.
func instead(o v1alpha1.Observed, change func(*v1alpha1.ContainerObservation)) v1alpha1.Observed {
	c := &o.Containers[1]
	c.Name, c.ContainerID = "c", "cccc"
	change(c)
	return o
}

func TestContainersThatTakeTurnsCanWait(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		before, after v1alpha1.Observed
		want, back    Difference
	}{
		"another that leaks alike":                    {crowd(1), instead(crowd(1), unknown), OtherDetails, OtherDetails},
		"both are others":                             {crowd(1), instead(instead(crowd(1), unknown), func(c *v1alpha1.ContainerObservation) { c.Name = "d" }), OtherDetails, OtherDetails},
		"where the report tells of all it is another": {crowd(0), instead(crowd(0), unknown), OtherNumbers, OtherNumbers},
		"where one was cut now it is another number":  {crowd(0), instead(crowd(1), unknown), OtherNumbers, OtherNumbers},
		"another number of those that are cut":        {crowd(1), instead(crowd(2), unknown), OtherNumbers, OtherNumbers},
		"another that leaks more":                     {crowd(1), instead(crowd(1), func(c *v1alpha1.ContainerObservation) { c.Zombies = 5 }), OtherNumbers, OtherNumbers},
		"another as pressed as one that is told":      {pressedCrowd(), instead(pressedCrowd(), pressed(75, day*30)), OtherDetails, OtherDetails},
		"another that is pressed more than all told":  {pressedCrowd(), instead(pressedCrowd(), pressed(80, day*30)), OtherNumbers, OtherDetails},
		"the other that stays crosses a step":         {crowd(1), instead(more(crowd(1)), unknown), OtherNumbers, OtherNumbers},
		"the other that stays runs short of PIDs":     {crowd(1), instead(pressedCrowd(), unknown), OtherNumbers, OtherDetails},
		"the container that stays was started anew":   {crowd(1), instead(anew(crowd(1)), unknown), OtherNumbers, OtherNumbers},
		"nothing": {crowd(1), crowd(1), Same, Same},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Compare(tc.before, tc.after, noon); got != tc.want {
				t.Errorf("Compare() = %d, want %d", got, tc.want)
			}
			if got := Compare(tc.after, tc.before, noon); got != tc.back {
				t.Errorf("Compare() the other way = %d, want %d", got, tc.back)
			}
		})
	}
}

// pressedCrowd is a crowd of which app uses 70 % of its PIDs.
func pressedCrowd() v1alpha1.Observed {
	o := crowd(1)
	pressed(70, day*30)(&o.Containers[0])
	return o
}

func more(o v1alpha1.Observed) v1alpha1.Observed {
	o.Containers[0].Ages[0].Zombies = 99
	return o
}

func anew(o v1alpha1.Observed) v1alpha1.Observed {
	o.Containers[0].ContainerID = "eeee"
	return o
}

func TestCompareLeavesItsInputAlone(t *testing.T) {
	t.Parallel()
	before, after := reported(), reported()
	slices.Reverse(before.Containers)
	want := slices.Clone(before.Containers)
	Compare(before, after, noon)
	if diff := cmp.Diff(want, before.Containers); diff != "" {
		t.Errorf("containers (-before +after):\n%s", diff)
	}
}
