package nodereport

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// children are old zombies of parents with a command name.
func children(parent string, count int) []Zombie {
	return slices.Repeat([]Zombie{{Since: noon.Add(-time.Hour), ParentCommand: parent}}, count)
}

func TestObserved(t *testing.T) {
	t.Parallel()
	young, old := noon.Add(1-30*time.Second), noon.Add(-30*time.Second)
	pids := &v1alpha1.PIDs{Used: 1, Limit: 2, LimitedBy: v1alpha1.PIDLimitPIDMax, UsedPercent: 50}
	tests := map[string]struct {
		look Look
		want v1alpha1.NodeObserved
	}{
		"nothing is nothing": {},
		"a zombie of less than 30 s does not count": {
			look: Look{Host: []Zombie{{young, "cron"}}, Unattributed: []time.Time{young}},
		},
		"a zombie of 30 s counts": {
			look: Look{Host: []Zombie{{old, "cron"}, {young, "cron"}}, Unattributed: []time.Time{old, young}},
			want: v1alpha1.NodeObserved{HostZombies: 1, Unattributed: 1, Parents: []v1alpha1.HostParent{{Command: "cron", Zombies: 1}}},
		},
		"parents of one name are one, the name with most zombies is first, then the alphabet decides": {
			look: Look{Host: slices.Concat(children("b", 1), children("kubelet", 2), children("a", 1), children("kubelet", 1))},
			want: v1alpha1.NodeObserved{HostZombies: 5, Parents: []v1alpha1.HostParent{
				{Command: "kubelet", Zombies: 3}, {Command: "a", Zombies: 1}, {Command: "b", Zombies: 1},
			}},
		},
		"names that become the same when they are made printable are one": {
			look: Look{Host: slices.Concat(children("\xff", 1), children("\n", 1))},
			want: v1alpha1.NodeObserved{HostZombies: 2, Parents: []v1alpha1.HostParent{{Command: "?", Zombies: 2}}},
		},
		"what is told of PIDs is handed on, the time in whole seconds as it is stored": {
			look: Look{PIDs: pids, BirthsPerHour: new(int32(7)), ExhaustionTime: noon.Add(time.Nanosecond), FullBy: "2026-01-31 12:00Z"},
			want: v1alpha1.NodeObserved{
				PIDs: pids, BirthsPerHour: new(int32(7)), ExhaustionTime: new(metav1.NewTime(noon)), FullBy: "2026-01-31 12:00Z",
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, Observed(tc.look, noon)); diff != "" {
				t.Errorf("observation (-want +got):\n%s", diff)
			}
		})
	}
}

func TestObservedIsBounded(t *testing.T) {
	t.Parallel()
	var look Look
	for i := range v1alpha1.MaxHostParents + 3 {
		look.Host = append(look.Host, children(fmt.Sprintf("%02d", i)+strings.Repeat("x", 100), 20-i)...)
	}
	got := Observed(look, noon)
	if len(got.Parents) != v1alpha1.MaxHostParents || got.ParentsOmitted != 10+9+8 {
		t.Errorf("%d parents and %d zombies of others, want %d and %d", len(got.Parents), got.ParentsOmitted, v1alpha1.MaxHostParents, 10+9+8)
	}
	total := got.ParentsOmitted
	for _, p := range got.Parents {
		total += p.Zombies
		if len(p.Command) != v1alpha1.MaxCommand {
			t.Errorf("command %q has %d characters, want %d", p.Command, len(p.Command), v1alpha1.MaxCommand)
		}
	}
	if total != got.HostZombies || int(total) != len(look.Host) {
		t.Errorf("%d zombies are told of, and %d in all, want %d", total, got.HostZombies, len(look.Host))
	}
}
