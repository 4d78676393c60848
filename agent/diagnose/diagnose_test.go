package diagnose

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

func TestDiagnoses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ got, want Diagnosis }{
		"a parent outside of the container is the shim's matter": {
			Outside("containerd-shim"),
			Diagnosis{
				v1alpha1.CauseParentOutsideContainer,
				"The parent (containerd-shim) is not a process of this container: nothing inside the container can reap its dead children.",
				"Look at that process on the node, often the container runtime's shim: only its wait() or its end releases them.",
			},
		},
		"PID 1 also inherits orphans, so an init helps": {
			Inside(1, "argocd"),
			Diagnosis{
				v1alpha1.CausePID1DoesNotReap,
				"PID 1 (argocd) does not wait for its dead children; as PID 1 it also inherits every orphan of the container.",
				"Make an init such as tini PID 1 of the container, or set shareProcessNamespace: true, or let PID 1 wait for all children.",
			},
		},
		"any other process must be mended itself": {
			Inside(7, "chrome"),
			Diagnosis{
				v1alpha1.CauseParentDoesNotWait,
				"Process 7 (chrome) does not wait for its dead children. While it lives, nobody else can reap them.",
				"Let chrome wait for every child it starts. An init as PID 1 does not help while that process lives.",
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, tc.got); diff != "" {
				t.Errorf("diagnosis (-want +got):\n%s", diff)
			}
		})
	}
}

// The API bounds messages to 160 characters and fixes to 140; the longest command and PID must fit. That these are the
// API's numbers is checked where an observation is held against the CRD, in package observe.
func TestDiagnosesFitTheAPI(t *testing.T) {
	t.Parallel()
	const maxMessage, maxFix, maxPID = 160, 140, 4194304
	longest := strings.Repeat("W", v1alpha1.MaxCommand)
	for name, d := range map[string]Diagnosis{"outside": Outside(longest), "PID 1": Inside(1, longest), "inside": Inside(maxPID, longest)} {
		if len(d.Message) > maxMessage || len(d.Fix) > maxFix {
			t.Errorf("%s: message has %d and fix %d characters, want %d and %d at most", name, len(d.Message), len(d.Fix), maxMessage, maxFix)
		}
		if d.Message == "" || d.Fix == "" {
			t.Errorf("%s: diagnosis = %+v, want a message and a fix", name, d)
		}
	}
}
