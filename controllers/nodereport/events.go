package nodereport

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Reasons of Events on Nodes. Each goes with a change of a condition of the node's report that is not soon undone.
const (
	// EventZombiesOnNode: Leaking became True.
	EventZombiesOnNode = "ZombiesOnNode"
	// EventNoZombiesOnNode: Leaking has been False for ten minutes.
	EventNoZombiesOnNode = "NoZombiesOnNode"
	// EventPIDsScarce: PIDPressure became True.
	EventPIDsScarce = v1alpha1.ReasonPIDsScarce
	// EventPIDsSuffice: PIDPressure has been False for ten minutes.
	EventPIDsSuffice = v1alpha1.ReasonPIDsSuffice
)

// ConditionTold says what the Events on the Node told of and have not told the end of: it is True while there is something.
// It is the controller's memory, so that a new leader neither tells what was told nor leaves out what happened while
// there was none.
const ConditionTold = "Told"

// Reasons of the condition Told.
const (
	// ReasonNothing goes with Told=False.
	ReasonNothing = "Nothing"
	// ReasonZombies goes with Told=True.
	ReasonZombies = "ZombiesOnNode"
	// ReasonPIDs goes with Told=True.
	ReasonPIDs = "PIDsScarce"
	// ReasonZombiesAndPIDs goes with Told=True.
	ReasonZombiesAndPIDs = "ZombiesOnNodeAndPIDsScarce"
)

// occurrence is what an Event tells.
type occurrence struct {
	// kind is Normal or Warning.
	kind, reason, note string
}

// overTime is how long a condition must be False for its end to be told: a node on which one zombie comes and goes would be told of
// without end. What comes back sooner never ended.
const overTime = 10 * time.Minute

// tell compares a report with what was told of it. It returns the condition Told, nil when there never was anything to tell,
// what is new, and after what time the end of something will be; zero when time alone ends nothing.
func tell(r *v1alpha1.ZombieNodeReport, now time.Time) (*metav1.Condition, []occurrence, time.Duration) {
	last := ""
	if c := meta.FindStatusCondition(r.Status.Conditions, ConditionTold); c != nil {
		last = c.Reason
	}
	wasLeaking := last == ReasonZombies || last == ReasonZombiesAndPIDs
	wasScarce := last == ReasonPIDs || last == ReasonZombiesAndPIDs
	leaking, leakEnds := is(r, v1alpha1.ConditionLeaking, wasLeaking, now)
	scarce, scarcityEnds := is(r, v1alpha1.ConditionPIDPressure, wasScarce, now)
	var news []occurrence
	switch {
	case leaking && !wasLeaking:
		news = append(news, occurrence{corev1.EventTypeWarning, EventZombiesOnNode, zombiesOf(r)})
	case wasLeaking && !leaking:
		news = append(news, occurrence{corev1.EventTypeNormal, EventNoZombiesOnNode, "No zombie is left outside of the containers."})
	}
	switch {
	case scarce && !wasScarce:
		news = append(news, occurrence{corev1.EventTypeWarning, EventPIDsScarce, pidsOf(r) + forecastOf(r)})
	case wasScarce && !scarce:
		news = append(news, occurrence{corev1.EventTypeNormal, EventPIDsSuffice, pidsOf(r)})
	}
	if last == "" && !leaking && !scarce {
		return nil, nil, 0
	}
	return toldCondition(leaking, scarce), news, sooner(leakEnds, scarcityEnds)
}

// is tells whether a condition is True or, once told, was so until not long ago, and after what time that will be long ago. What the
// agent does not know now is as it was.
func is(r *v1alpha1.ZombieNodeReport, kind string, was bool, now time.Time) (bool, time.Duration) {
	c := meta.FindStatusCondition(r.Status.Conditions, kind)
	switch {
	case c == nil || c.Status == metav1.ConditionUnknown:
		return was, 0
	case c.Status == metav1.ConditionTrue:
		return true, 0
	}
	left := overTime - now.Sub(c.LastTransitionTime.Time)
	if !was || left <= 0 {
		return false, 0
	}
	return true, left
}

// Notes are made of numbers and of strings that the API server holds to a pattern, and not of the messages of conditions: a hostile
// agent may write what it likes there.

// zombiesOf says how many zombies there are, and whose children most of them are.
func zombiesOf(r *v1alpha1.ZombieNodeReport) string {
	o := r.Status.Observed
	if o == nil {
		return "There are zombies outside of the containers."
	}
	note := fmt.Sprintf("There are %d zombies outside of every container, and %d that cannot be attributed.", o.HostZombies, o.Unattributed)
	if len(o.Parents) > 0 {
		note += fmt.Sprintf(" Most are children of %s (%d).", o.Parents[0].Command, o.Parents[0].Zombies)
	}
	return note
}

// pidsOf says how many PIDs are in use.
func pidsOf(r *v1alpha1.ZombieNodeReport) string {
	if r.Status.Observed == nil || r.Status.Observed.PIDs == nil {
		return "How many PIDs are in use is not known now."
	}
	pids := r.Status.Observed.PIDs
	return fmt.Sprintf("Of the %d PIDs of the node %d %% are in use.", pids.Limit, pids.UsedPercent)
}

// forecastOf says when no PID is left.
func forecastOf(r *v1alpha1.ZombieNodeReport) string {
	if r.Status.Observed == nil || r.Status.Observed.FullBy == "" {
		return ""
	}
	return fmt.Sprintf(" At this rate none is left by %s.", r.Status.Observed.FullBy)
}

func toldCondition(leaking, scarce bool) *metav1.Condition {
	c := &metav1.Condition{Type: ConditionTold, Status: metav1.ConditionTrue}
	switch {
	case leaking && scarce:
		c.Reason, c.Message = ReasonZombiesAndPIDs, "Events on the Node told of zombies and of scarce PIDs."
	case leaking:
		c.Reason, c.Message = ReasonZombies, "An Event on the Node told of zombies."
	case scarce:
		c.Reason, c.Message = ReasonPIDs, "An Event on the Node told of scarce PIDs."
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, ReasonNothing, "All that Events on the Node told of is over."
	}
	return c
}
