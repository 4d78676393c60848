package observe

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zombie-operator/zombie-operator/agent/diagnose"
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

// stuck is a container whose PID 7 is stuck in D and holds zombies.
func stuck(name string, count int) Container {
	return Container{Name: name, ID: name, Zombies: zombies(count, 7, "java", time.Hour), Evidence: map[scan.Key]diagnose.Evidence{
		{PID: 1007, StartTicks: 1007}: {Command: "java", PID: 7, Zombies: count, Read: true, State: "D", StateNow: "D", Wchan: "nfs_wait"},
	}}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	see := func(kind string) string { return " See " + v1alpha1.DocsURL(kind) }
	tests := map[string]struct {
		containers []Container
		want       []Finding
	}{
		"a process without its main thread is alive": {
			containers: []Container{{Name: "app", LookAlikes: alikes(scan.LeaderExited, time.Minute, time.Hour)}},
			want: []Finding{{
				"LeaderExited", "Container app: 2 alive, though their main thread has exited, such as java (PID 8). No zombies." + see("LeaderExited"), noon.Add(-time.Hour),
			}},
		},
		"a tracer is named by its PID on the node": {
			containers: []Container{{Name: "app", LookAlikes: alikes(scan.HeldByTracer, time.Minute)}},
			want: []Finding{{
				"HeldByTracer", "Container app: 1 dead and held by a tracer, such as java (PID 7) by process 4711 of the node." + see("HeldByTracer"), noon.Add(-time.Minute),
			}},
		},
		"another exit signal is told": {
			containers: []Container{{Name: "app", LookAlikes: alikes(scan.OtherExitSignal, time.Minute)}},
			want: []Finding{{
				"OtherExitSignal", "Container app: 1 dead that a plain wait() passes over, such as java (PID 7) with exit signal 10." + see("OtherExitSignal"), noon.Add(-time.Minute),
			}},
		},
		"a container whose PID 1 is dead is stuck": {
			containers: []Container{{Name: "app", DeadSince: noon.Add(-time.Minute)}},
			want: []Finding{{
				"ContainerDead", "Container app: its PID 1 is a zombie that the container runtime has not waited for. It is stuck; a restart cannot work." + see("ContainerDead"), noon.Add(-time.Minute),
			}},
		},
		"zombies behind a process in D are a pile": {
			containers: []Container{stuck("app", 12)},
			want: []Finding{{
				"PileBehindD", "Container app: 12 zombies pile up behind java (PID 7) in state D. A restart may hang." + see("PileBehindD"), noon.Add(-time.Hour),
			}},
		},
		"the container with most is told of, the others counted": {
			containers: []Container{
				{Name: "few", LookAlikes: alikes(scan.LeaderExited, time.Hour)},
				{Name: "many", LookAlikes: alikes(scan.LeaderExited, time.Minute, time.Minute)},
				{Name: "none"},
			},
			want: []Finding{{
				"LeaderExited", "Container many and 1 more: 3 alive, though their main thread has exited, such as java (PID 8). No zombies." + see("LeaderExited"), noon.Add(-time.Hour),
			}},
		},
		"where not all were looked at there are at least as many": {
			containers: []Container{
				{Name: "few", LookAlikes: alikes(scan.HeldByTracer, time.Minute), MoreLookAlikes: true},
				{Name: "many", LookAlikes: alikes(scan.HeldByTracer, time.Minute, time.Minute), DeadSince: noon.Add(-time.Minute)},
			},
			want: []Finding{
				{
					"HeldByTracer", "Container many and 1 more: at least 3 dead and held by a tracer, such as java (PID 8) by process 4711 of the node." + see("HeldByTracer"), noon.Add(-time.Minute),
				},
				{
					"ContainerDead", "Container many: its PID 1 is a zombie that the container runtime has not waited for. It is stuck; a restart cannot work." + see("ContainerDead"), noon.Add(-time.Minute),
				},
			},
		},
		"what is too young may pass": {
			containers: []Container{
				{Name: "app", LookAlikes: alikes(scan.LeaderExited, 30*time.Second-1), DeadSince: noon.Add(1 - 30*time.Second)},
				{Name: "app", LookAlikes: alikes(scan.HeldByTracer, 30*time.Second-1)},
			},
		},
		"what is old enough does not": {
			containers: []Container{{Name: "app", LookAlikes: alikes(scan.HeldByTracer, 30*time.Second, 29*time.Second)}},
			want: []Finding{{
				"HeldByTracer", "Container app: 1 dead and held by a tracer, such as java (PID 7) by process 4711 of the node." + see("HeldByTracer"), noon.Add(-30 * time.Second),
			}},
		},
		"a parent that is not stuck is no finding": {
			containers: []Container{{Name: "app", Zombies: zombies(3, 1, "java", time.Hour)}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, got := Pod(Seen{Containers: tc.containers}, noon)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
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
		many := stuck(name, 1)
		many.Zombies[0].Parent.Command, many.DeadSince, many.MoreLookAlikes = strings.Repeat("%", 64), noon.Add(-time.Hour), true
		for _, kind := range []scan.LookAlikeKind{scan.LeaderExited, scan.HeldByTracer, scan.OtherExitSignal} {
			for _, l := range alikes(kind, time.Hour) {
				l.PID, l.TracerPID, l.Exit.Signal, l.Command = 4194304, 4194304, 64, strings.Repeat("%", 64)
				for range 1000 {
					many.LookAlikes = append(many.LookAlikes, l)
				}
			}
		}
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
}
