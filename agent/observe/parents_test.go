package observe

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zombie-operator/zombie-operator/agent/diagnose"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/scan"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// ended makes as many zombies of PID 1 that ended in a way.
func ended(count int, command string, exit kernel.Exit) []Zombie {
	dead := zombies(count, 1, "app", time.Minute)
	for i := range dead {
		dead[i].Command, dead[i].Exit = command, exit
	}
	return dead
}

func exited(code int) kernel.Exit { return kernel.Exit{Signal: 17, Status: code << 8, Readable: true} }

func TestDeadAreGroupedByWhatTheyWereAndHowTheyEnded(t *testing.T) {
	t.Parallel()
	hidden := kernel.Exit{Signal: 17}
	tests := map[string]struct {
		dead    []Zombie
		want    []v1alpha1.DeadGroup
		omitted int32
	}{
		"an exit code is told": {
			dead: ended(3, "git", exited(255)),
			want: []v1alpha1.DeadGroup{{Command: "git", Exit: "exit 255", Zombies: 3}},
		},
		"a signal is told, and not whether there was a core": {
			dead: join(ended(1, "git", kernel.Exit{Status: 9, Readable: true}), ended(2, "git", kernel.Exit{Status: 11 | 0x80, Readable: true})),
			want: []v1alpha1.DeadGroup{{Command: "git", Exit: "killed by 11", Zombies: 2}, {Command: "git", Exit: "killed by 9", Zombies: 1}},
		},
		"what the agent may not read is not told as exit 0": {
			dead: join(ended(1, "git", hidden), ended(2, "git", exited(0))),
			want: []v1alpha1.DeadGroup{{Command: "git", Exit: "exit 0", Zombies: 2}, {Command: "git", Zombies: 1}},
		},
		"the most frequent kinds are told, the others counted": {
			dead:    join(ended(1, "a", exited(0)), ended(5, "b", exited(0)), ended(2, "c", exited(0)), ended(4, "b", exited(1)), ended(3, "d", exited(0))),
			want:    []v1alpha1.DeadGroup{{Command: "b", Exit: "exit 0", Zombies: 5}, {Command: "b", Exit: "exit 1", Zombies: 4}},
			omitted: 6,
		},
		"kinds of equal number have an order": {
			dead: join(ended(1, "b", exited(1)), ended(1, "a", exited(2)), ended(1, "b", exited(0))),
			want: []v1alpha1.DeadGroup{{Command: "a", Exit: "exit 2", Zombies: 1}, {Command: "b", Exit: "exit 0", Zombies: 1}}, omitted: 1,
		},
		"names that look the same when they are fit to print are one kind": {
			dead: join(ended(1, "a\nb", exited(0)), ended(1, "a\x1bb", exited(0)), ended(1, "a?b", exited(0))),
			want: []v1alpha1.DeadGroup{{Command: "a?b", Exit: "exit 0", Zombies: 3}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := observed(Container{Name: "app", ID: "aaaa", Zombies: tc.dead}).Containers[0].Parents[0]
			if diff := cmp.Diff(tc.want, p.Dead); diff != "" || p.DeadOmitted != tc.omitted {
				t.Errorf("omitted = %d, want %d; groups (-want +got):\n%s", p.DeadOmitted, tc.omitted, diff)
			}
		})
	}
}

// pidOf is the PID of a parent; 0 is outside.
func pidOf(p v1alpha1.Parent) int32 {
	if p.PID == nil {
		return 0
	}
	return *p.PID
}

// ofParents is a container of which each parent holds one zombie less than the one before, with what was read of them.
func ofParents(read map[int]diagnose.Evidence, pids ...int) Container {
	c := Container{Name: "app", ID: "aaaa", Evidence: map[scan.Key]diagnose.Evidence{}}
	for i, pid := range pids {
		held := zombies(len(pids)-i, pid, "app", time.Minute)
		c.Zombies = append(c.Zombies, held...)
		if e, ok := read[pid]; ok {
			e.PID, e.Read = pid, true
			c.Evidence[held[0].Parent.Key] = e
		}
	}
	return c
}

func TestOneOfTheParentsThatHinderARestartIsTold(t *testing.T) {
	t.Parallel()
	stuck, sleeps := diagnose.Evidence{State: "D"}, diagnose.Evidence{State: "S"}
	tests := map[string]struct {
		container Container
		want      []int32
	}{
		"where none does, those with most zombies are told": {
			ofParents(map[int]diagnose.Evidence{10: sleeps, 14: sleeps}, 10, 11, 12, 13, 14), []int32{10, 11, 12},
		},
		"one that would be cut takes the last place": {
			ofParents(map[int]diagnose.Evidence{10: sleeps, 13: sleeps, 14: stuck}, 10, 11, 12, 13, 14), []int32{10, 11, 14},
		},
		"of two that would be cut the one with more does": {
			ofParents(map[int]diagnose.Evidence{13: stuck, 14: stuck}, 10, 11, 12, 13, 14), []int32{10, 11, 13},
		},
		"where one is told already the order stays": {
			ofParents(map[int]diagnose.Evidence{11: stuck, 14: stuck}, 10, 11, 12, 13, 14), []int32{10, 11, 12},
		},
		"one outside of the container needs no evidence": {ofParents(nil, 10, 11, 12, 13, 0), []int32{10, 11, 0}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := observed(tc.container).Containers[0]
			var pids []int32
			for _, p := range c.Parents {
				pids = append(pids, pidOf(p))
			}
			if diff := cmp.Diff(tc.want, pids); diff != "" || c.ParentsOmitted != 2 {
				t.Errorf("omitted = %d, want 2; parents (-want +got):\n%s", c.ParentsOmitted, diff)
			}
		})
	}
}
