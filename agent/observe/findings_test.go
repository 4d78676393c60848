package observe

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zombie-operator/zombie-operator/agent/diagnose"
	"github.com/zombie-operator/zombie-operator/agent/headroom"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// alikes makes look-alikes of a kind, first seen as long ago as told, the last of them first.
func alikes(kind scan.LookAlikeKind, ages ...time.Duration) []LookAlike {
	var out []LookAlike
	for i, age := range ages {
		l := LookAlike{PID: 7 + i}
		l.Kind, l.Command, l.Since, l.Key.PID = kind, "java", noon.Add(-age), 100-i
		l.TracerPID, l.Exit.Signal = 4711, 10
		out = append(out, l)
	}
	return out
}

// unsignalled are look-alikes that sent no signal at all.
func unsignalled(ages ...time.Duration) []LookAlike {
	none := alikes(scan.OtherExitSignal, ages...)
	for i := range none {
		none[i].Exit.Signal = 0
	}
	return none
}

// stuck is a container whose PID 7 is stuck in D and holds zombies.
func stuck(name string, count int) Container { return stuckIn("nfs_wait", name, count) }

// stuckIn is a container whose PIDs 7, 8 and so on hang in D in a kernel function and hold so many zombies each.
func stuckIn(wchan, name string, counts ...int) Container {
	c := Container{Name: name, ID: name, Evidence: map[scan.Key]diagnose.Evidence{}}
	for i, count := range counts {
		held := zombies(count, 7+i, "java", time.Hour-time.Duration(i)*time.Minute)
		c.Zombies = append(c.Zombies, held...)
		c.Evidence[held[0].Parent.Key] = diagnose.Evidence{
			Command: "java", PID: 7 + i, Zombies: count, Read: true, State: "D", StateNow: "D", Wchan: wchan,
		}
	}
	return c
}

// using is a container that uses so many percent of its PIDs.
func using(percent int64, c Container) Container {
	c.Limits = []headroom.Limit{{By: v1alpha1.PIDLimitContainer, Used: percent, Max: 100}}
	return c
}

// failing is a container in which forks fail.
func failing(c Container) Container {
	c.ForksFailing = true
	return c
}

// told is a finding without its gist.
type told struct {
	kind, message string
	since         time.Time
}

// see is the end of each message.
func see(kind string) string { return " See " + v1alpha1.DocsURL(kind) }

var findingsOf = map[string]struct {
	containers []Container
	want       []told
}{
	"a process without its main thread is alive": {
		containers: []Container{{Name: "app", LookAlikes: alikes(scan.LeaderExited, time.Minute, time.Hour)}},
		want: []told{{
			"LeaderExited", "Container app: 2 alive, though their main thread has exited, such as java (PID 8). No zombies." + see("LeaderExited"), noon.Add(-time.Hour),
		}},
	},
	"a tracer is named by its PID on the node": {
		containers: []Container{{Name: "app", LookAlikes: alikes(scan.HeldByTracer, time.Minute)}},
		want: []told{{
			"HeldByTracer", "Container app: 1 dead process is held by a tracer; example: java (PID 7), by node PID 4711." + see("HeldByTracer"), noon.Add(-time.Minute),
		}},
	},
	"another exit signal is told": {
		containers: []Container{{Name: "app", LookAlikes: alikes(scan.OtherExitSignal, time.Minute)}},
		want: []told{{
			"OtherExitSignal", "Container app: 1 dead process sent no SIGCHLD, so plain wait() misses it; example: java (PID 7), signal 10." + see("OtherExitSignal"), noon.Add(-time.Minute),
		}},
	},
	"a container whose PID 1 is dead is stuck": {
		containers: []Container{{Name: "app", DeadSince: noon.Add(-time.Minute)}},
		want: []told{{
			"ContainerDead", "Container app: its PID 1 is a zombie that the container runtime has not waited for. It is stuck; a restart cannot work." + see("ContainerDead"), noon.Add(-time.Minute),
		}},
	},
	"zombies behind a process in D are a pile": {
		containers: []Container{stuck("app", 12)},
		want: []told{{
			"PileBehindD", "Container app: 12 zombies pile up behind java (PID 7) in state D. A restart may hang." + see("PileBehindD"), noon.Add(-time.Hour),
		}},
	},
	"a sleep that SIGKILL ends keeps no restart from ending": {
		containers: []Container{stuckIn("kernel_clone", "app", 12)},
		want: []told{{
			"PileBehindD", "Container app: 12 zombies pile up behind java (PID 7) in state D. A restart ends such a sleep." + see("PileBehindD"), noon.Add(-time.Hour),
		}},
	},
	"piles behind two processes of a container are told together": {
		containers: []Container{stuckIn("kernel_clone", "app", 3, 4)},
		want: []told{{
			"PileBehindD", "Container app: 7 zombies pile up behind processes in state D, 4 behind java (PID 8). A restart ends such a sleep." + see("PileBehindD"), noon.Add(-time.Hour),
		}},
	},
	"the worst of several piles says whether a restart may hang": {
		containers: []Container{stuckIn("kernel_clone", "app", 5), stuck("db", 2), stuckIn("kernel_clone", "log", 3)},
		want: []told{{
			"PileBehindD", "Container app and 2 more: 10 zombies pile up behind processes in state D, 5 behind java (PID 7). A restart may hang." + see("PileBehindD"), noon.Add(-time.Hour),
		}},
	},
	"several dead are told by one example": {
		containers: []Container{{Name: "app", LookAlikes: slices.Concat(alikes(scan.HeldByTracer, time.Minute, time.Minute), unsignalled(time.Minute, time.Minute))}},
		want: []told{
			{"HeldByTracer", "Container app: 2 dead processes are held by a tracer; example: java (PID 8), by node PID 4711." + see("HeldByTracer"), noon.Add(-time.Minute)},
			{"OtherExitSignal", "Container app: 2 dead processes sent no SIGCHLD, so plain wait() misses them; example: java (PID 8), no signal." + see("OtherExitSignal"), noon.Add(-time.Minute)},
		},
	},
	"where not all were looked at there are at least as many": {
		containers: []Container{
			{Name: "few", LookAlikes: alikes(scan.HeldByTracer, time.Minute), MoreLookAlikes: true},
			{Name: "many", LookAlikes: alikes(scan.HeldByTracer, time.Minute, time.Minute), DeadSince: noon.Add(-time.Minute)},
		},
		want: []told{
			{"HeldByTracer", "Container many and 1 more: at least 3 dead processes are held by a tracer; example: java (PID 8), by node PID 4711." + see("HeldByTracer"), noon.Add(-time.Minute)},
			{"ContainerDead", "Container many: its PID 1 is a zombie that the container runtime has not waited for. It is stuck; a restart cannot work." + see("ContainerDead"), noon.Add(-time.Minute)},
		},
	},
	"the container with most is told of, the others counted": {
		containers: []Container{
			{Name: "few", LookAlikes: alikes(scan.LeaderExited, time.Hour)},
			{Name: "many", LookAlikes: alikes(scan.LeaderExited, time.Minute, time.Minute)},
			{Name: "none"},
		},
		want: []told{{
			"LeaderExited", "Container many and 1 more: 3 alive, though their main thread has exited, such as java (PID 8). No zombies." + see("LeaderExited"), noon.Add(-time.Hour),
		}},
	},
	"what is too young may pass": {
		containers: []Container{
			{Name: "app", LookAlikes: alikes(scan.LeaderExited, 30*time.Second-1), DeadSince: noon.Add(1 - 30*time.Second)},
			{Name: "app", LookAlikes: alikes(scan.HeldByTracer, 30*time.Second-1)},
		},
	},
	"what is old enough does not": {
		containers: []Container{{Name: "app", LookAlikes: alikes(scan.HeldByTracer, 30*time.Second, 29*time.Second)}},
		want: []told{{
			"HeldByTracer", "Container app: 1 dead process is held by a tracer; example: java (PID 7), by node PID 4711." + see("HeldByTracer"), noon.Add(-30 * time.Second),
		}},
	},
	"that PIDs are scarce is told where the dead do not count as zombies": {
		containers: []Container{using(83, Container{Name: "app", LookAlikes: slices.Concat(
			alikes(scan.LeaderExited, time.Minute), alikes(scan.HeldByTracer, time.Minute), alikes(scan.OtherExitSignal, time.Minute),
		)})},
		want: []told{
			{"LeaderExited", "Container app: 1 alive, though their main thread has exited, such as java (PID 7). No zombies." + see("LeaderExited"), noon.Add(-time.Minute)},
			{"HeldByTracer", "Container app: 1 dead process is held by a tracer; example: java (PID 7), by node PID 4711. PIDs: 83 % used." + see("HeldByTracer"), noon.Add(-time.Minute)},
			{"OtherExitSignal", "Container app: 1 dead process sent no SIGCHLD; example: java (PID 7), signal 10. PIDs: 83 % used." + see("OtherExitSignal"), noon.Add(-time.Minute)},
		},
	},
	"that PIDs suffice is not": {
		containers: []Container{using(49, Container{Name: "app", LookAlikes: alikes(scan.HeldByTracer, time.Minute)})},
		want: []told{{
			"HeldByTracer", "Container app: 1 dead process is held by a tracer; example: java (PID 7), by node PID 4711." + see("HeldByTracer"), noon.Add(-time.Minute),
		}},
	},
	"that forks fail matters more": {
		containers: []Container{failing(using(100, Container{Name: "app", LookAlikes: alikes(scan.HeldByTracer, time.Minute)}))},
		want: []told{{
			"HeldByTracer", "Container app: 1 dead process is held by a tracer; example: java (PID 7), by node PID 4711. Forks fail." + see("HeldByTracer"), noon.Add(-time.Minute),
		}},
	},
	"a parent that is not stuck is no finding": {
		containers: []Container{{Name: "app", Zombies: zombies(3, 1, "java", time.Hour)}},
	},
}

func TestFindings(t *testing.T) {
	t.Parallel()
	for name, tc := range findingsOf {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, found := Pod(Seen{Containers: tc.containers}, noon)
			var got []told
			for _, f := range found {
				got = append(got, told{f.Type, f.Message, f.Since})
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(told{})); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// Counts move all the time: their steps alone, who is told of and by what example make a finding another one.
func TestTheGistOfAFindingIsWhatIsWorthAWrite(t *testing.T) {
	t.Parallel()
	gist := func(containers ...Container) string {
		_, found := Pod(Seen{Containers: containers}, noon)
		if len(found) != 1 {
			t.Fatalf("findings = %+v, want one", found)
		}
		return found[0].Gist
	}
	silent := func(name string, count int, change func(*LookAlike)) Container {
		alike := alikes(scan.OtherExitSignal, slices.Repeat([]time.Duration{time.Hour}, count)...)
		for i := range alike {
			change(&alike[i])
		}
		return Container{Name: name, LookAlikes: alike}
	}
	five := func(change func(*LookAlike)) Container { return silent("app", 5, change) }
	as := func(*LookAlike) {}
	for about, tc := range map[string]struct {
		before, after []Container
		same          bool
	}{
		"nothing changed":                      {[]Container{five(as)}, []Container{five(as)}, true},
		"a count that stays between two steps": {[]Container{stuck("app", 5)}, []Container{stuck("app", 9)}, true},
		"a count that crosses a step":          {[]Container{stuck("app", 9)}, []Container{stuck("app", 10)}, false},
		"another container":                    {[]Container{five(as)}, []Container{silent("db", 5, as)}, false},
		"one container more":                   {[]Container{stuck("app", 9)}, []Container{stuck("app", 8), stuck("db", 1)}, false},
		"an example of another name":           {[]Container{five(as)}, []Container{five(func(l *LookAlike) { l.Command = "perl" })}, false},
		"an example with another PID":          {[]Container{five(as)}, []Container{five(func(l *LookAlike) { l.PID += 9 })}, false},
		"another signal":                       {[]Container{five(as)}, []Container{five(func(l *LookAlike) { l.Exit.Signal = 12 })}, false},
		"a use of PIDs between two marks":      {[]Container{using(80, five(as))}, []Container{using(89, five(as))}, true},
		"a use of PIDs that crosses a mark":    {[]Container{using(89, five(as))}, []Container{using(90, five(as))}, false},
		"forks that fail":                      {[]Container{using(89, five(as))}, []Container{failing(using(89, five(as)))}, false},
		"the PIDs of what lives": {
			[]Container{using(10, Container{Name: "app", LookAlikes: alikes(scan.LeaderExited, time.Hour)})},
			[]Container{failing(using(99, Container{Name: "app", LookAlikes: alikes(scan.LeaderExited, time.Hour)}))}, true,
		},
		"another outlook": {[]Container{stuck("app", 5)}, []Container{stuckIn("kernel_clone", "app", 5)}, false},
		"the example's own share that crosses a step": {
			[]Container{stuckIn("nfs_wait", "app", 9, 2)}, []Container{stuckIn("nfs_wait", "app", 10, 1)}, false,
		},
	} {
		before, after := gist(tc.before...), gist(tc.after...)
		if (before == after) != tc.same || before == "" {
			t.Errorf("%s: gists are %q and %q, want them the same: %t", about, before, after, tc.same)
		}
	}
}

func TestTablesTellTheWorstCauseOrElseTheFirstFinding(t *testing.T) {
	t.Parallel()
	alike := Container{Name: "alike", LookAlikes: alikes(scan.OtherExitSignal, time.Hour), DeadSince: noon.Add(-time.Hour)}
	tests := map[string]struct {
		containers []Container
		want       string
	}{
		"nothing":           {nil, ""},
		"findings alone":    {[]Container{alike}, "OtherExitSignal"},
		"zombies, findings": {[]Container{alike, {Name: "app", Zombies: zombies(1, 7, "app", time.Hour)}}, "ParentDoesNotWait"},
		"most zombies win": {[]Container{
			{Name: "few", Zombies: join(zombies(1, 7, "app", time.Hour), zombies(2, 1, "app", time.Hour))},
			{Name: "most", Zombies: join(zombies(3, 1, "app", time.Hour), zombies(4, 0, "shim", time.Hour))},
		}, "ParentOutsideContainer"},
	}
	for name, tc := range tests {
		if got := observed(tc.containers...).Finding; got != tc.want {
			t.Errorf("%s: finding = %q, want %q", name, got, tc.want)
		}
	}
}

// The longest names, numbers and counts: the name of the container gives way, never the address of what to do.
func TestTheLongestFindingFitsItsCondition(t *testing.T) {
	t.Parallel()
	for _, name := range []string{strings.Repeat("n", 63), "app"} {
		many := stuckIn("kernel_clone", name, 1000, 999)
		for i := range many.Zombies {
			many.Zombies[i].Parent.Command = strings.Repeat("%", 64)
		}
		many.DeadSince = noon.Add(-time.Hour)
		for _, kind := range []scan.LookAlikeKind{scan.LeaderExited, scan.HeldByTracer, scan.OtherExitSignal} {
			for _, l := range alikes(kind, time.Hour) {
				l.PID, l.TracerPID, l.Exit.Signal, l.Command = 4194304, 4194304, 64, strings.Repeat("%", 64)
				for range 1000 {
					many.LookAlikes = append(many.LookAlikes, l)
				}
			}
		}
		for _, c := range []Container{many, using(100, many), failing(many)} {
			checkLongest(t, name, c)
		}
	}
}

func checkLongest(t *testing.T, name string, many Container) {
	t.Helper()
	_, found := Pod(Seen{Containers: []Container{many, many, many}}, noon)
	if len(found) != len(v1alpha1.Findings) {
		t.Errorf("findings = %d, want all %d", len(found), len(v1alpha1.Findings))
	}
	for i, f := range found {
		if f.Type != v1alpha1.Findings[i] {
			t.Errorf("finding %d is %s, want %s", i, f.Type, v1alpha1.Findings[i])
		}
		if len(f.Message) > v1alpha1.MaxConditionMessage || !strings.HasSuffix(f.Message, v1alpha1.DocsURL(f.Type)) {
			t.Errorf("message = %q", f.Message)
		}
		if cut := strings.HasPrefix(f.Message, "Container "+name[:1]) && strings.Contains(f.Message, ".. and 2 more: "); cut != (len(name) > 3) {
			t.Errorf("message = %q, want the name cut: %t", f.Message, len(name) > 3)
		}
	}
}
