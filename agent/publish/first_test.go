package publish

import (
	"testing"
	"time"
)

// Five of a burst of eight were old enough for the first report. Five and eight are the same step.
func TestPublishMakesTheFirstReportOfALeakExactOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, _ := newPublisher(s, memories{})
	publishAt(t, p, noon, web(5))
	s.calls = nil
	publishAt(t, p, noon.Add(RewriteInterval-time.Second), web(8))
	s.want(t)
	publishAt(t, p, later(1), web(8))
	s.want(t, "status web")
	if report, _ := s.stored(t, web(8)); report.Status.Observed.Zombies != 8 {
		t.Errorf("the report tells of %d zombies, want 8", report.Status.Observed.Zombies)
	}
	publishAt(t, p, later(2), web(9))
	publishAt(t, p, later(3), web(7))
	s.want(t)
}
