package diagnose

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// killable lets a process hang in a sleep that SIGKILL ends.
func killable(change func(*Evidence)) func(*Evidence) {
	return func(e *Evidence) {
		e.State, e.StateNow, e.Wchan = "D", "D", "kernel_clone"
		change(e)
	}
}

func TestRemediesThatCannotHelp(t *testing.T) {
	t.Parallel()
	const (
		child, cont, hup = v1alpha1.RemedySIGCHLD, v1alpha1.RemedySIGCONT, v1alpha1.RemedySIGHUP
		term, kill       = v1alpha1.RemedySIGTERM, v1alpha1.RemedySIGKILL
		restart          = v1alpha1.RemedyRestartContainer
	)
	tests := map[string]struct {
		evidence Evidence
		want     []v1alpha1.Remedy
	}{
		"with the default disposition SIGCHLD is discarded":             {with(nil), []v1alpha1.Remedy{child, cont}},
		"an ignored SIGCHLD is discarded":                               {with(func(e *Evidence) { e.Ignored = true }), []v1alpha1.Remedy{child, cont}},
		"a handler may take SIGCHLD":                                    {with(func(e *Evidence) { e.Caught = true }), []v1alpha1.Remedy{cont}},
		"a Go program may take SIGCHLD":                                 {with(func(e *Evidence) { e.Caught, e.Go = true, true }), []v1alpha1.Remedy{cont}},
		"a signalfd may take SIGCHLD":                                   {with(func(e *Evidence) { e.Blocked, e.SignalFD = true, true }), []v1alpha1.Remedy{cont}},
		"a signalfd in a program that blocks it in some threads may":    {with(func(e *Evidence) { e.SignalFD = true }), []v1alpha1.Remedy{cont}},
		"a thread in sigwait may take SIGCHLD":                          {with(func(e *Evidence) { e.SigWait = true }), []v1alpha1.Remedy{cont}},
		"a blocked SIGCHLD that is not pending may have a reader":       {with(func(e *Evidence) { e.Blocked = true }), []v1alpha1.Remedy{cont}},
		"a file that could not be looked at may take SIGCHLD":           {with(func(e *Evidence) { e.FilesUnread = true }), []v1alpha1.Remedy{cont}},
		"while SIGCHLD is pending one more is discarded":                {with(func(e *Evidence) { e.Blocked, e.Pending = true, true }), []v1alpha1.Remedy{child, cont}},
		"while SIGCHLD is pending for a handler one more is discarded":  {with(func(e *Evidence) { e.Blocked, e.Pending, e.Caught = true, true, true }), []v1alpha1.Remedy{child, cont}},
		"a pending SIGCHLD that is not blocked is about to be taken":    {with(func(e *Evidence) { e.Pending, e.Caught = true, true }), []v1alpha1.Remedy{cont}},
		"what stopped takes SIGCONT, SIGKILL and a restart only":        {with(func(e *Evidence) { e.State, e.StateNow, e.Caught = "T", "T", true }), []v1alpha1.Remedy{child, hup, term}},
		"what just stopped may take SIGCONT":                            {with(func(e *Evidence) { e.State, e.StateNow = "", "T" }), []v1alpha1.Remedy{child}},
		"what does not stay in one state is not stopped":                {with(func(e *Evidence) { e.State, e.StateNow = "", "R" }), []v1alpha1.Remedy{child, cont}},
		"what cgroup v2 froze takes SIGKILL only":                       {with(func(e *Evidence) { e.Frozen, e.Caught = true, true }), []v1alpha1.Remedy{child, cont, hup, term, restart}},
		"what cgroup v1 froze takes nothing":                            {with(func(e *Evidence) { e.Frozen, e.Caught, e.State, e.StateNow = true, true, "D", "D" }), []v1alpha1.Remedy{child, cont, hup, term, kill, restart}},
		"a frozen process that is stopped too must be thawed first":     {with(func(e *Evidence) { e.Frozen, e.State, e.StateNow = true, "T", "T" }), []v1alpha1.Remedy{child, cont, hup, term, restart}},
		"what hangs in D takes nothing":                                 {with(func(e *Evidence) { e.State, e.StateNow, e.Caught = "D", "D", true }), []v1alpha1.Remedy{child, cont, hup, term, kill, restart}},
		"beside a thread that hangs in D another may take SIGCHLD":      {with(func(e *Evidence) { e.State, e.OthersRun, e.Caught = "D", true, true }), []v1alpha1.Remedy{cont, term, kill, restart}},
		"what a tracer holds takes SIGKILL and a restart only":          {with(func(e *Evidence) { e.State, e.StateNow, e.Caught = "t", "t", true }), []v1alpha1.Remedy{child, cont, hup, term}},
		"what a tracer outside holds takes SIGKILL only":                {with(func(e *Evidence) { e.State, e.StateNow, e.TracerOutside = "t", "t", true }), []v1alpha1.Remedy{child, cont, hup, term, restart}},
		"what runs under a tracer outside is not restarted":             {with(func(e *Evidence) { e.Caught, e.TracerOutside = true, true }), []v1alpha1.Remedy{cont, restart}},
		"nothing inside the container helps against an outside parent":  {with(func(e *Evidence) { e.PID, e.Caught = 0, true }), []v1alpha1.Remedy{child, cont, hup, term, kill, restart}},
		"an outside parent that could not be read is outside as well":   {Evidence{}, []v1alpha1.Remedy{child, cont, hup, term, kill, restart}},
		"what waits for a child of vfork() takes what ends it":          {with(func(e *Evidence) { e.State, e.StateNow, e.Wchan = "D", "D", "kernel_clone" }), []v1alpha1.Remedy{child, cont}},
		"what hangs in a killable sleep takes what ends it":             {with(func(e *Evidence) { e.State, e.StateNow, e.Wchan = "D", "D", "rpc_wait_bit_killable" }), []v1alpha1.Remedy{child, cont}},
		"SIGHUP and SIGTERM that are handled end no killable sleep":     {with(killable(func(e *Evidence) { e.HandlesHup, e.HandlesTerm = true, true })), []v1alpha1.Remedy{child, cont, hup, term}},
		"a SIGTERM that is not handled does":                            {with(killable(func(e *Evidence) { e.HandlesHup = true })), []v1alpha1.Remedy{child, cont, hup}},
		"a SIGHUP that is not handled does":                             {with(killable(func(e *Evidence) { e.HandlesTerm = true })), []v1alpha1.Remedy{child, cont, term}},
		"beside a thread in a killable sleep another may take SIGTERM":  {with(killable(func(e *Evidence) { e.OthersRun, e.HandlesHup, e.HandlesTerm = true, true, true })), []v1alpha1.Remedy{child, cont}},
		"the end of what hangs is no use to a PID 1 that holds some":    {with(killable(func(e *Evidence) { e.ReaperHolds = true })), []v1alpha1.Remedy{child, cont, hup, term, kill}},
		"what cgroup v1 froze in a killable sleep takes nothing":        {with(func(e *Evidence) { e.Frozen, e.State, e.StateNow, e.Wchan = true, "D", "D", "kernel_clone" }), []v1alpha1.Remedy{child, cont, hup, term, kill, restart}},
		"a PID 1 in a killable sleep is ended by a restart alone":       {pid1(func(e *Evidence) { e.State, e.StateNow, e.Wchan = "D", "D", "kernel_clone" }), []v1alpha1.Remedy{child, cont, hup, term, kill}},
		"that a restart hangs is not known in the same namespace":       {Evidence{SameNamespace: true}, []v1alpha1.Remedy{child, cont, hup, term, kill}},
		"PID 1 is ended by a restart alone":                             {pid1(func(e *Evidence) { e.Caught = true }), []v1alpha1.Remedy{cont, term, kill}},
		"zombies of a parent that ends move to a PID 1 that holds some": {with(func(e *Evidence) { e.Caught, e.ReaperHolds = true, true }), []v1alpha1.Remedy{cont, term, kill}},
		"of a parent that could not be read nothing is known":           {Evidence{PID: 7, StateNow: "S"}, nil},
		"of an unread parent it is known whether it is frozen":          {Evidence{PID: 7, Frozen: true}, []v1alpha1.Remedy{child, cont, hup, term, restart}},
		"of an unread parent it is known who traces it":                 {Evidence{PID: 7, TracerOutside: true}, []v1alpha1.Remedy{restart}},
		"of an unread parent it is known where its zombies move":        {Evidence{PID: 7, ReaperHolds: true}, []v1alpha1.Remedy{term, kill}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, Diagnose(tc.evidence).CannotHelp); diff != "" {
				t.Errorf("remedies that cannot help (-want +got):\n%s", diff)
			}
		})
	}
}
