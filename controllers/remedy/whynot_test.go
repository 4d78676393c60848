package remedy

import (
	"strings"
	"testing"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

var remedies = []v1alpha1.Remedy{
	v1alpha1.RemedySIGCHLD, v1alpha1.RemedySIGCONT, v1alpha1.RemedySIGHUP, v1alpha1.RemedySIGTERM, v1alpha1.RemedySIGKILL,
	v1alpha1.RemedyRestartContainer,
}

// There are words for whatever an agent may write, and each row of the table is the answer to something.
func TestThereAreWordsForEveryCauseAndRemedy(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, cause := range v1alpha1.Causes {
		for _, remedy := range remedies {
			p := parent(4194304, 20)
			p.Cause, p.Command = cause, strings.Repeat("w", v1alpha1.MaxCommand)
			if cause == v1alpha1.CauseParentOutsideContainer {
				p.PID = nil
			}
			sentence := whyNot(remedy, p, v1alpha1.ContainerName(strings.Repeat("c", 63)))
			why := because(cause, remedy)
			used[why] = true
			if why == "" || !strings.HasSuffix(sentence, ": "+why+".") || len(sentence) > maxMessage || !printable.MatchString(sentence) {
				t.Errorf("%s, %s: %d characters: %s", cause, remedy, len(sentence), sentence)
			}
			if says := hindrance(cause); says == "" {
				t.Errorf("%s: no reason", cause)
			}
		}
	}
	for _, row := range whys {
		if !used[row.why] {
			t.Errorf("no cause and remedy has the words %q", row.why)
		}
	}
}

func TestWhyARemedyCannotHelp(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"SIGCHLD cannot help process 7 (sh) of container app: without a handler, or while one is pending, SIGCHLD is discarded there.":                                     say(v1alpha1.RemedySIGCHLD, v1alpha1.CauseParentDoesNotWait),
		"SIGCHLD cannot help process 7 (sh) of container app: it ignores SIGCHLD.":                                                                                         say(v1alpha1.RemedySIGCHLD, v1alpha1.CauseSignalIgnored),
		"SIGCHLD cannot help process 7 (sh) of container app: SIGCHLD is blocked in all of its threads, and nobody reads it.":                                              say(v1alpha1.RemedySIGCHLD, v1alpha1.CauseSignalBlocked),
		"SIGCONT cannot help process 7 (sh) of container app: it is not stopped.":                                                                                          say(v1alpha1.RemedySIGCONT, v1alpha1.CauseHandlerLeavesChildren),
		"SIGTERM cannot help process 7 (sh) of container app: it is stopped, and the signal would wait until it is continued.":                                             say(v1alpha1.RemedySIGTERM, v1alpha1.CauseParentStopped),
		"SIGKILL cannot help process 7 (sh) of container app: its zombies would pass to PID 1, which holds some already.":                                                  say(v1alpha1.RemedySIGKILL, v1alpha1.CauseParentDoesNotWait),
		"SIGHUP cannot help process 7 (sh) of container app: a tracer holds it.":                                                                                           say(v1alpha1.RemedySIGHUP, v1alpha1.CauseParentTraced),
		"A restart cannot help process 7 (sh) of container app: a tracer outside of the container holds it, and the container could not end before that one waits for it.": say(v1alpha1.RemedyRestartContainer, v1alpha1.CauseParentTraced),
		"A restart cannot help process 7 (sh) of container app: it hangs in state D, and a restart may hang with it.":                                                      say(v1alpha1.RemedyRestartContainer, v1alpha1.CauseParentStuckInD),
		"A restart cannot help the parent (sh) of container app: it is outside, and the container cannot end while it does not wait for its dead children.":                say(v1alpha1.RemedyRestartContainer, v1alpha1.CauseParentOutsideContainer),
	} {
		if got != want {
			t.Errorf("says  %s\nwant  %s", got, want)
		}
	}
}

// say is why a remedy cannot help process 7, or its likes outside.
func say(remedy v1alpha1.Remedy, cause v1alpha1.Cause) string {
	p := parent(7, 20)
	p.Command, p.Cause = "sh", cause
	if cause == v1alpha1.CauseParentOutsideContainer {
		p.PID = nil
	}
	return whyNot(remedy, p, "app")
}
