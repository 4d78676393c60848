package nodereport

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/agentpods"
	"github.com/zombie-operator/zombie-operator/controllers/report"
)

var (
	now      = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	earlier  = now.Add(-2 * time.Hour)
	settings = report.Settings{HealedRetention: time.Hour, StaleAfter: 5 * time.Minute, DeleteStaleAfter: 15 * time.Minute}
)

// change makes something of the settled facts different.
type change func(*facts)

// Places of the conditions of the settled report.
const (
	leakingAt = iota
	pressureAt
	staleAt
	toldAt
)

// settled are the facts about a node with zombies on which everything was judged and told before and nothing is left to do.
func settled(changes ...change) facts {
	f := facts{
		report: &v1alpha1.ZombieNodeReport{
			ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "report-uid", Generation: 1},
			Spec:       v1alpha1.ZombieNodeReportSpec{NodeName: "n1"},
			Status: v1alpha1.ZombieNodeReportStatus{
				Observed: &v1alpha1.NodeObserved{
					HostZombies: 12, Parents: []v1alpha1.HostParent{{Command: "cron", Zombies: 9}, {Command: "sshd", Zombies: 3}},
					FullBy: "2026-03-02 14hZ", PIDs: &v1alpha1.PIDs{Used: 20000, Limit: 32768, UsedPercent: 61, LimitedBy: v1alpha1.PIDLimitPIDMax},
				},
				Conditions: []metav1.Condition{
					leakingAt:  condition(v1alpha1.ConditionLeaking, metav1.ConditionTrue, v1alpha1.ReasonZombiesCounted, "12 zombies.", earlier),
					pressureAt: condition(v1alpha1.ConditionPIDPressure, metav1.ConditionFalse, v1alpha1.ReasonPIDsSuffice, "5 % in use.", earlier),
					staleAt: condition(v1alpha1.ConditionStale, metav1.ConditionFalse, agentpods.ReasonAgentReady,
						`The agent of node "n1" is ready.`, earlier),
					toldAt: condition(ConditionTold, metav1.ConditionTrue, ReasonZombies, "An Event on the Node told of zombies.", earlier),
				},
			},
		},
		node: &metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
			ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "node-uid"},
		},
		agent: agentpods.Agent{Namespace: "zombies", PodName: "agent-x", Ready: true},
	}
	for _, c := range changes {
		c(&f)
	}
	return f
}

func condition(kind string, status metav1.ConditionStatus, reason, message string, since time.Time) metav1.Condition {
	return metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message,
		ObservedGeneration: 1, LastTransitionTime: metav1.NewTime(since),
	}
}

func nodeIsGone(f *facts)         { f.node = nil }
func nothingIsObserved(f *facts)  { f.report.Status.Observed = nil }
func conditionsAreUnset(f *facts) { f.report.Status.Conditions = f.report.Status.Conditions[:staleAt] }
func noPressure(f *facts)         { f.report.Status.Conditions[pressureAt].Type = "Other" }
func neverTold(f *facts)          { f.report.Status.Conditions = f.report.Status.Conditions[:toldAt] }

// observed changes what the agent saw.
func observed(change func(*v1alpha1.NodeObserved)) change {
	return func(f *facts) { change(f.report.Status.Observed) }
}

// shows changes the status of a condition of the agent, some time ago.
func shows(at int, status metav1.ConditionStatus, message string, ago time.Duration) change {
	return func(f *facts) {
		c := &f.report.Status.Conditions[at]
		c.Status, c.Message, c.LastTransitionTime = status, message, metav1.NewTime(now.Add(-ago))
	}
}

// healedFor lets the zombies end some time ago.
func healedFor(d time.Duration) change {
	return func(f *facts) {
		f.report.Status.Observed = &v1alpha1.NodeObserved{}
		shows(leakingAt, metav1.ConditionFalse, "No zombie is left.", d)(f)
		told(ReasonNothing)(f)
	}
}

// told makes Told what it was when a reason of it was written.
func told(reason string) change {
	return func(f *facts) {
		c := toldCondition(strings.HasPrefix(reason, ReasonZombies), strings.HasSuffix(reason, ReasonPIDs))
		if c.Reason != reason {
			panic(c.Reason + " is not " + reason)
		}
		f.report.Status.Conditions[toldAt] = condition(ConditionTold, c.Status, c.Reason, c.Message, earlier)
	}
}

func agentNotReadyFor(d time.Duration) change {
	return func(f *facts) { f.agent.Ready, f.agent.NotReadySince = false, now.Add(-d) }
}

func markedStaleFor(d time.Duration) change {
	return func(f *facts) {
		c := f.agent.Staleness("n1", nil, settings.StaleAfter, settings.DeleteStaleAfter, now).Condition
		f.report.Status.Conditions[staleAt] = condition(c.Type, c.Status, c.Reason, c.Message, now.Add(-d))
	}
}

func TestDecideDeletes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		changes []change
		want    string // empty: not deleted
	}{
		"a report of a node that leaks is kept":                     {nil, ""},
		"a report whose node is gone is deleted":                    {[]change{nodeIsGone}, ReasonNodeGone},
		"a report healed for the retention is deleted":              {[]change{healedFor(time.Hour)}, ReasonHealed},
		"a report healed for a second less is kept":                 {[]change{healedFor(time.Hour - time.Second)}, ""},
		"the pressure must be over for as long":                     {[]change{healedFor(2 * time.Hour), shows(pressureAt, metav1.ConditionFalse, "", time.Minute)}, ""},
		"the pressure over, the zombies must be gone for as long":   {[]change{healedFor(time.Minute), shows(pressureAt, metav1.ConditionFalse, "", 2*time.Hour)}, ""},
		"a node under pressure is not healed":                       {[]change{healedFor(2 * time.Hour), shows(pressureAt, metav1.ConditionTrue, "", 2*time.Hour)}, ""},
		"a node whose pressure is unknown is not healed":            {[]change{healedFor(2 * time.Hour), shows(pressureAt, metav1.ConditionUnknown, "", 2*time.Hour)}, ""},
		"a report that does not tell the pressure is not healed":    {[]change{healedFor(2 * time.Hour), noPressure, observed(func(o *v1alpha1.NodeObserved) { o.PIDs = &v1alpha1.PIDs{} })}, ""},
		"one that knows no limit on PIDs heals of zombies alone":    {[]change{healedFor(time.Hour), noPressure}, ReasonHealed},
		"one that knows no limit on PIDs is kept as long":           {[]change{healedFor(time.Hour - time.Second), noPressure}, ""},
		"a report that does not tell whether it leaks is no healed": {[]change{healedFor(2 * time.Hour), func(f *facts) { f.report.Status.Conditions[leakingAt].Type = "Other" }}, ""},
		"a report without an observation is unknown and not healed": {[]change{healedFor(2 * time.Hour), nothingIsObserved}, ""},
		"a report that counts zombies is not healed at all":         {[]change{healedFor(2 * time.Hour), observed(func(o *v1alpha1.NodeObserved) { o.HostZombies = 1 })}, ""},
		"nor is one that counts unattributed ones":                  {[]change{healedFor(2 * time.Hour), observed(func(o *v1alpha1.NodeObserved) { o.Unattributed = 1 })}, ""},
		"a stale report is deleted in the end":                      {[]change{told(ReasonNothing), agentNotReadyFor(15 * time.Minute), markedStaleFor(10 * time.Minute)}, ReasonStale},
		"a stale report is kept a second before":                    {[]change{told(ReasonNothing), agentNotReadyFor(15*time.Minute - time.Second), markedStaleFor(10 * time.Minute)}, ""},
		"a stale report of what was told and is not over is kept":   {[]change{agentNotReadyFor(24 * time.Hour), markedStaleFor(24 * time.Hour)}, ""},
		"until its node is gone":                                    {[]change{agentNotReadyFor(24 * time.Hour), markedStaleFor(24 * time.Hour), nodeIsGone}, ReasonNodeGone},
		"a healed report is kept while its end is not told":         {[]change{healedFor(2 * time.Hour), told(ReasonZombies)}, ""},
		"a report never marked as stale is kept however long it is": {[]change{agentNotReadyFor(24 * time.Hour)}, ""},
		"a node that is gone comes before everything":               {[]change{healedFor(2 * time.Hour), nodeIsGone}, ReasonNodeGone},
		"healed comes before stale":                                 {[]change{agentNotReadyFor(time.Hour), markedStaleFor(time.Hour), healedFor(2 * time.Hour)}, ReasonHealed},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := decide(settled(tc.changes...), settings, now)
			got := ""
			if v.deletion != nil {
				got = v.deletion.reason
				if v.conditions != nil || v.news != nil || v.checkAgainAfter != 0 {
					t.Errorf("decide() deletes and also says %+v", v)
				}
				if v.deletion.message == "" {
					t.Error("decide() deletes without a message")
				}
			}
			if got != tc.want {
				t.Errorf("decide() deletes for %q, want %q", got, tc.want)
			}
		})
	}
}

func TestDecideWritesConditions(t *testing.T) {
	t.Parallel()
	fresh, toldOfZombies := settled().report.Status.Conditions[staleAt], settled().report.Status.Conditions[toldAt]
	at := func(c metav1.Condition, since time.Time) metav1.Condition {
		c.LastTransitionTime = metav1.NewTime(since)
		return c
	}
	notReady := condition(v1alpha1.ConditionStale, metav1.ConditionTrue, agentpods.ReasonAgentNotReady,
		`Node "n1" has had no ready agent since 2026-03-01T11:55:00Z. Look at: kubectl describe pod -n zombies agent-x`, now)
	tests := map[string]struct {
		changes []change
		want    []metav1.Condition // nil: none changed
	}{
		"nothing is written when nothing changed": {},
		"a new report gets both":                  {[]change{conditionsAreUnset}, []metav1.Condition{at(fresh, now), at(toldOfZombies, now)}},
		"a new report with nothing to tell gets one": {
			[]change{healedFor(0), conditionsAreUnset}, []metav1.Condition{at(fresh, now)},
		},
		"an agent that is not ready is marked, and what was told stays": {
			[]change{agentNotReadyFor(5 * time.Minute)}, []metav1.Condition{notReady, toldOfZombies},
		},
		"an agent that is not ready for a second less is not": {[]change{agentNotReadyFor(5*time.Minute - time.Second)}, nil},
		"a spell that goes on is not written again":           {[]change{agentNotReadyFor(9 * time.Minute), markedStaleFor(4 * time.Minute)}, nil},
		"an agent that is ready again is fresh": {
			[]change{agentNotReadyFor(9 * time.Minute), markedStaleFor(4 * time.Minute), func(f *facts) { f.agent.Ready = true }},
			[]metav1.Condition{at(fresh, now), toldOfZombies},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, decide(settled(tc.changes...), settings, now).conditions); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecideCutsAMessageThatDoesNotFit(t *testing.T) {
	t.Parallel()
	v := decide(settled(func(f *facts) {
		f.report.Spec.NodeName = strings.Repeat("n", 253)
		f.agent = agentpods.Agent{Namespace: "zombies", NotReadySince: now.Add(-6 * time.Minute)}
	}), settings, now)
	for _, c := range v.conditions {
		if len(c.Message) > v1alpha1.MaxConditionMessage {
			t.Errorf("%s has a message of %d bytes", c.Type, len(c.Message))
		}
	}
	if len(v.conditions) != 2 {
		t.Errorf("conditions = %+v, want two", v.conditions)
	}
}

func TestDecideSaysWhenToCheckAgain(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		changes []change
		want    time.Duration
	}{
		"never when all is settled":                     {nil, 0},
		"when a healed report goes":                     {[]change{healedFor(20 * time.Minute)}, 40 * time.Minute},
		"when the node of a stale report may be gone":   {[]change{agentNotReadyFor(24 * time.Hour), markedStaleFor(24 * time.Hour)}, 15 * time.Minute},
		"when an agent was not ready for long enough":   {[]change{agentNotReadyFor(time.Minute)}, 4 * time.Minute},
		"when a stale report goes":                      {[]change{agentNotReadyFor(7 * time.Minute), markedStaleFor(2 * time.Minute)}, 8 * time.Minute},
		"when the end of zombies is to be told":         {[]change{shows(leakingAt, metav1.ConditionFalse, "", 4*time.Minute)}, 6 * time.Minute},
		"when the end of pressure is to be told":        {[]change{told(ReasonZombiesAndPIDs), shows(pressureAt, metav1.ConditionFalse, "", 3*time.Minute)}, 7 * time.Minute},
		"the sooner of two ends":                        {[]change{told(ReasonZombiesAndPIDs), shows(leakingAt, metav1.ConditionFalse, "", 9*time.Minute), shows(pressureAt, metav1.ConditionFalse, "", 3*time.Minute)}, time.Minute},
		"the sooner of healed and stale":                {[]change{agentNotReadyFor(time.Minute), healedFor(20 * time.Minute)}, 4 * time.Minute},
		"the sooner of healed and stale, the other way": {[]change{agentNotReadyFor(time.Minute), healedFor(59 * time.Minute)}, time.Minute},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := decide(settled(tc.changes...), settings, now).checkAgainAfter; got != tc.want {
				t.Errorf("check again after %s, want %s", got, tc.want)
			}
		})
	}
}

// A zombie that comes every six minutes, with a retention below the ten minutes after which an end is told.
func TestAShortRetentionForgetsNothingThatWasTold(t *testing.T) {
	t.Parallel()
	short := settings
	short.HealedRetention = 5 * time.Minute
	f := settled(healedFor(6*time.Minute), told(ReasonZombies))
	if v := decide(f, short, now); v.deletion != nil || v.checkAgainAfter != 4*time.Minute {
		t.Errorf("decide() deletes %+v or checks again after %s, want it kept until its end is told", v.deletion, v.checkAgainAfter)
	}
	later := now.Add(4 * time.Minute)
	v := decide(f, short, later)
	if len(v.news) != 1 || v.news[0].reason != EventNoZombiesOnNode {
		t.Fatalf("news %+v, want the end", v.news)
	}
	f.report.Status.Conditions = append(f.report.Status.Conditions[:staleAt:staleAt], v.conditions...)
	if v := decide(f, short, later); v.deletion == nil || v.deletion.reason != ReasonHealed {
		t.Errorf("decide() = %+v once it is told, want it deleted", v)
	}
}

func TestDecideTellsNews(t *testing.T) {
	t.Parallel()
	const zombies, inUse = "There are 12 zombies outside of every container, and 0 that cannot be attributed.", "Of the 32768 PIDs of the node 61 % are in use."
	leaks := occurrence{"Warning", EventZombiesOnNode, zombies + " Most are children of cron (9)."}
	clean := occurrence{"Normal", EventNoZombiesOnNode, "No zombie is left outside of the containers."}
	scarce := occurrence{"Warning", EventPIDsScarce, inUse + " At this rate none is left by 2026-03-02 14hZ."}
	suffice := occurrence{"Normal", EventPIDsSuffice, inUse}
	underPressure := shows(pressureAt, metav1.ConditionTrue, "\x1b[2J hostile", time.Minute)
	noParents := observed(func(o *v1alpha1.NodeObserved) { o.Parents = nil })
	noForecast := observed(func(o *v1alpha1.NodeObserved) { o.FullBy = "" })
	noPIDs := observed(func(o *v1alpha1.NodeObserved) { o.PIDs = nil })
	isClean := shows(leakingAt, metav1.ConditionFalse, "No zombie is left.", overTime)
	isCleanSince := shows(leakingAt, metav1.ConditionFalse, "No zombie is left.", overTime-time.Second)
	sufficesSince := shows(pressureAt, metav1.ConditionFalse, "", overTime-time.Second)
	tests := map[string]struct {
		changes []change
		want    []occurrence
	}{
		"nothing that was told":                          {nil, nil},
		"zombies that were never told":                   {[]change{neverTold}, []occurrence{leaks}},
		"zombies that came again":                        {[]change{told(ReasonNothing)}, []occurrence{leaks}},
		"zombies beside scarce PIDs":                     {[]change{told(ReasonPIDs), underPressure}, []occurrence{leaks}},
		"zombies of which no parent is known":            {[]change{neverTold, noParents}, []occurrence{{"Warning", EventZombiesOnNode, zombies}}},
		"zombies of which nothing is observed yet":       {[]change{neverTold, nothingIsObserved}, []occurrence{{"Warning", EventZombiesOnNode, "There are zombies outside of the containers."}}},
		"the end of zombies":                             {[]change{isClean}, []occurrence{clean}},
		"no end of zombies that may come back":           {[]change{isCleanSince}, nil},
		"no news of zombies that came back soon":         {[]change{shows(leakingAt, metav1.ConditionTrue, "", 0)}, nil},
		"zombies that come after none were told of":      {[]change{told(ReasonNothing), isCleanSince}, nil},
		"no end of pressure that may come back":          {[]change{told(ReasonZombiesAndPIDs), sufficesSince}, nil},
		"the end of one, and not of the other":           {[]change{told(ReasonZombiesAndPIDs), isCleanSince}, []occurrence{suffice}},
		"the end of zombies beside scarce PIDs":          {[]change{told(ReasonZombiesAndPIDs), isClean, underPressure}, []occurrence{clean}},
		"PIDs that got scarce":                           {[]change{underPressure}, []occurrence{scarce}},
		"PIDs that got scarce without a forecast":        {[]change{underPressure, noForecast}, []occurrence{{"Warning", EventPIDsScarce, inUse}}},
		"PIDs that got scarce and are not counted now":   {[]change{underPressure, noForecast, noPIDs}, []occurrence{{"Warning", EventPIDsScarce, "How many PIDs are in use is not known now."}}},
		"PIDs that suffice again":                        {[]change{told(ReasonZombiesAndPIDs)}, []occurrence{suffice}},
		"both at once":                                   {[]change{neverTold, underPressure}, []occurrence{leaks, scarce}},
		"the end of both at once":                        {[]change{told(ReasonZombiesAndPIDs), isClean}, []occurrence{clean, suffice}},
		"nothing of a node that never had anything":      {[]change{neverTold, isClean}, nil},
		"no end of zombies that the agent lost sight of": {[]change{shows(leakingAt, metav1.ConditionUnknown, "", 0)}, nil},
		"no end of pressure that it does not tell":       {[]change{told(ReasonZombiesAndPIDs), noPressure}, nil},
		"nothing twice while the agent is not ready":     {[]change{agentNotReadyFor(6 * time.Minute)}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := settled(tc.changes...)
			v := decide(f, settings, now)
			if diff := cmp.Diff(tc.want, v.news, cmp.AllowUnexported(occurrence{})); diff != "" {
				t.Errorf("news (-want +got):\n%s", diff)
			}
			if v.conditions != nil {
				f.report.Status.Conditions = append(f.report.Status.Conditions[:staleAt:staleAt], v.conditions...)
			}
			if again := decide(f, settings, now); again.news != nil || again.conditions != nil {
				t.Errorf("once written it tells %+v and writes %+v", again.news, again.conditions)
			}
		})
	}
}
