package nodereport

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/agent/publish"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// quiet is a node on which nothing is wrong and a tenth of the PIDs is used.
func quiet() v1alpha1.NodeObserved { return using(10) }

// using is a node without zombies of its own that uses so many percent of its PIDs.
func using(percent int32) v1alpha1.NodeObserved {
	return v1alpha1.NodeObserved{PIDs: &v1alpha1.PIDs{
		Used: percent * 10, Limit: 1000, LimitedBy: v1alpha1.PIDLimitPIDMax, UsedPercent: percent,
	}}
}

// leak is a node on which a command left so many zombies.
func leak(zombies int32) v1alpha1.NodeObserved {
	o := quiet()
	o.HostZombies, o.Parents = zombies, []v1alpha1.HostParent{{Command: "kubelet", Zombies: zombies}}
	return o
}

// with changes an observation.
func with(o v1alpha1.NodeObserved, change func(*v1alpha1.NodeObserved)) v1alpha1.NodeObserved {
	if o.PIDs != nil {
		o.PIDs = new(*o.PIDs)
	}
	change(&o)
	return o
}

// lost is a node on which so many zombies cannot be attributed.
func lost(zombies int32) v1alpha1.NodeObserved {
	return with(quiet(), func(o *v1alpha1.NodeObserved) { o.Unattributed = zombies })
}

func fullIn(left time.Duration) v1alpha1.NodeObserved {
	return with(leak(5), func(o *v1alpha1.NodeObserved) { o.ExhaustionTime = new(metav1.NewTime(noon.Add(left))) })
}

// after is the memory of a report that was written so long before noon.
func after(ago time.Duration, reported v1alpha1.NodeObserved) memory {
	since := noon.Add(-24 * time.Hour)
	return memory{
		comparedAt: noon, stored: true, reported: &reported, writtenAt: noon.Add(-ago),
		leaking: state{isLeaking(reported), since}, pressure: state{isPressed(reported, false), since},
	}
}

var plans = map[string]struct {
	memory   memory
	observed v1alpha1.NodeObserved
	want     step
}{
	"a report that was never read is read first, whatever is seen": {memory{}, quiet(), compare},
	"a quiet node needs no report":                                 {memory{comparedAt: noon}, quiet(), nothing},
	"a node at 49 % needs no report":                               {memory{comparedAt: noon}, using(49), nothing},
	"a node at 50 % gets one":                                      {memory{comparedAt: noon}, using(50), write},
	"a node with a zombie gets one":                                {memory{comparedAt: noon}, leak(1), write},
	"a node with an unattributed zombie gets one": {
		memory{comparedAt: noon}, with(quiet(), func(o *v1alpha1.NodeObserved) { o.Unattributed = 1 }), write,
	},
	"a node whose limits cannot be read and that leaks gets one": {
		memory{comparedAt: noon}, with(leak(1), func(o *v1alpha1.NodeObserved) { o.PIDs = nil }), write,
	},
	"a report that says nothing yet is completed even when nothing is wrong": {memory{comparedAt: noon, stored: true}, quiet(), write},
	"a report that says what is seen is left alone":                          {after(time.Hour, leak(5)), leak(9), nothing},
	"a count that crosses a step is written":                                 {after(time.Hour, leak(5)), leak(10), write},
	"unattributed zombies that cross a step are written": {
		after(time.Hour, leak(5)), with(leak(5), func(o *v1alpha1.NodeObserved) { o.Unattributed = 1 }), write,
	},
	"a node that healed is told of":                                {after(publish.ReblameInterval, leak(5)), quiet(), write},
	"a node that healed waits":                                     {after(publish.ReblameInterval-1, leak(5)), quiet(), nothing},
	"a count that falls over a step is written later":              {after(publish.ReblameInterval, leak(10)), leak(5), write},
	"a count that falls over a step waits":                         {after(publish.ReblameInterval-1, leak(10)), leak(5), nothing},
	"unattributed zombies that fell over a step wait":              {after(publish.ReblameInterval-1, lost(2)), lost(1), nothing},
	"unattributed zombies that fell over a step are written later": {after(publish.ReblameInterval, lost(2)), lost(1), write},
	"a count that rises while the other falls is written": {
		after(publish.RewriteInterval, leak(5)), lost(1), write,
	},
	"a node that stays healed is not again": {after(24*time.Hour, quiet()), quiet(), nothing},
	"nothing is written twice within the interval": {
		after(publish.RewriteInterval-1, leak(5)), leak(10), nothing,
	},
	"it is written after it": {after(publish.RewriteInterval, leak(5)), leak(10), write},
	"other parents wait longer": {
		after(publish.ReblameInterval-1, leak(5)), with(leak(5), func(o *v1alpha1.NodeObserved) { o.Parents[0].Command = "cron" }), nothing,
	},
	"other parents are written after that": {
		after(publish.ReblameInterval, leak(5)), with(leak(5), func(o *v1alpha1.NodeObserved) { o.Parents[0].Command = "cron" }), write,
	},
	"the report of a node that leaks is read again after a while":         {readAt(-publish.CompareInterval, leak(5)), leak(5), compare},
	"it is not read again sooner":                                         {readAt(1-publish.CompareInterval, leak(5)), leak(5), nothing},
	"the report of a quiet node is not read again":                        {readAt(-24*time.Hour, quiet()), quiet(), nothing},
	"a use that rises over a mark is written":                             {after(publish.RewriteInterval, using(69)), using(70), write},
	"a use that rises between two marks is not":                           {after(time.Hour, using(50)), using(69), nothing},
	"a use that falls just below a mark is not":                           {after(time.Hour, using(70)), using(65), nothing},
	"a use that falls well below a mark is, later":                        {after(publish.ReblameInterval, using(70)), using(64), write},
	"a use that falls well below a mark waits":                            {after(publish.ReblameInterval-1, using(70)), using(64), nothing},
	"pressure does not end at 45 %":                                       {after(time.Hour, using(50)), using(45), nothing},
	"pressure ends below 45 %":                                            {after(publish.RewriteInterval, using(50)), using(44), write},
	"another limit that is tighter is written later":                      {after(publish.ReblameInterval, leak(5)), limited(leak(5)), write},
	"another limit that is tighter waits":                                 {after(publish.ReblameInterval-1, leak(5)), limited(leak(5)), nothing},
	"limits that can be read no more wait":                                {after(publish.ReblameInterval-1, using(60)), unread(leak(0)), nothing},
	"limits that can be read no more are written later":                   {after(publish.ReblameInterval, using(60)), unread(leak(0)), write},
	"an exhaustion that comes nearer is written":                          {after(publish.RewriteInterval, fullIn(25*time.Hour)), fullIn(23 * time.Hour), write},
	"an exhaustion that comes into sight is written":                      {after(publish.RewriteInterval, leak(5)), fullIn(time.Hour), write},
	"an exhaustion that stays as near is not":                             {after(time.Hour, fullIn(23*time.Hour)), fullIn(20 * time.Hour), nothing},
	"an exhaustion that goes further away waits":                          {after(publish.ReblameInterval-1, fullIn(23*time.Hour)), fullIn(25 * time.Hour), nothing},
	"an exhaustion that goes further away is written later":               {after(publish.ReblameInterval, fullIn(23*time.Hour)), fullIn(25 * time.Hour), write},
	"an exhaustion out of sight that leaves the report's waits":           {after(publish.ReblameInterval-1, fullIn(time.Hour)), leak(5), nothing},
	"an exhaustion out of sight that leaves the report's is written then": {after(publish.ReblameInterval, fullIn(time.Hour)), leak(5), write},
}

func readAt(ago time.Duration, reported v1alpha1.NodeObserved) memory {
	m := after(time.Hour, reported)
	m.comparedAt = noon.Add(ago)
	return m
}

func limited(o v1alpha1.NodeObserved) v1alpha1.NodeObserved {
	return with(o, func(o *v1alpha1.NodeObserved) { o.PIDs.LimitedBy = v1alpha1.PIDLimitThreadsMax })
}

func unread(o v1alpha1.NodeObserved) v1alpha1.NodeObserved {
	return with(o, func(o *v1alpha1.NodeObserved) { o.PIDs = nil })
}

func TestPlan(t *testing.T) {
	t.Parallel()
	for name, tc := range plans {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := plan(tc.memory, tc.observed, noon); got != tc.want {
				t.Errorf("plan() = %d, want %d", got, tc.want)
			}
		})
	}
}

func TestTurned(t *testing.T) {
	t.Parallel()
	since := noon.Add(-time.Hour)
	tests := map[string]struct {
		state state
		on    bool
		want  state
	}{
		"a condition that is not there begins now": {state{}, false, state{false, noon}},
		"one that stays keeps its time":            {state{true, since}, true, state{true, since}},
		"one that changes does so now":             {state{true, since}, false, state{false, noon}},
		"one that comes back begins anew":          {state{false, since}, true, state{true, noon}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tc.state.turned(tc.on, noon); got != tc.want {
				t.Errorf("turned() = %+v, want %+v", got, tc.want)
			}
		})
	}
}
