package report

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/agentpods"
)

const (
	podUID    = "0b2d5a3e-7f1c-4a52-9d0e-6a1f5b3c2d4e"
	staticUID = "7d1f0a2b3c4d5e6f708192a3b4c5d6e7"
	appID     = "aaaaaaaaaaaaaaaaaaaaaaaa"
)

var (
	now      = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	earlier  = now.Add(-2 * time.Hour)
	settings = Settings{HealedRetention: time.Hour, StaleAfter: 5 * time.Minute, DeleteStaleAfter: 15 * time.Minute}
)

// change makes something of the settled facts different.
type change func(*facts)

// settled are the facts about a leaking pod on which everything was judged before and nothing is left to do.
func settled(changes ...change) facts {
	f := facts{
		report: &v1alpha1.ZombieReport{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "shop", Name: v1alpha1.ReportName("web-0", podUID),
				UID: "report-uid", Generation: 1,
			},
			Spec: v1alpha1.ZombieReportSpec{PodName: "web-0", PodUID: podUID, NodeName: "n1"},
			Status: v1alpha1.ZombieReportStatus{
				Observed: &v1alpha1.Observed{Zombies: 3, Containers: []v1alpha1.ContainerObservation{
					{Name: "app", ContainerID: appID, Zombies: 3},
				}},
				Conditions: []metav1.Condition{
					condition(v1alpha1.ConditionLeaking, metav1.ConditionTrue, v1alpha1.ReasonZombiesCounted, "", earlier),
					verifiedCondition,
					freshCondition,
				},
			},
		},
		pod: &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", UID: podUID},
			Spec:       corev1.PodSpec{NodeName: "n1"},
			Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
				{Name: "app", ContainerID: "containerd://" + appID},
			}},
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

var (
	verifiedCondition = condition(v1alpha1.ConditionVerified, metav1.ConditionTrue, ReasonPodMatches,
		"UID, node and container IDs are those of the Pod.", earlier)
	freshCondition = condition(v1alpha1.ConditionStale, metav1.ConditionFalse, agentpods.ReasonAgentReady,
		`The agent of node "n1" is ready.`, earlier)
	notCurrentCondition = condition(v1alpha1.ConditionVerified, metav1.ConditionFalse, ReasonContainerNotCurrent,
		`The report is about container aaaaaaaaaaaaa of "app"; the Pod's status names bbbb. `+
			"It lags after a container started; otherwise the agent has yet to see the new container.", now)
	notReadyCondition = condition(v1alpha1.ConditionStale, metav1.ConditionTrue, agentpods.ReasonAgentNotReady,
		`Node "n1" has had no ready agent since 2026-03-01T11:55:00Z. Look at: kubectl describe pod -n zombies agent-x`, now)
	missingCondition = condition(v1alpha1.ConditionStale, metav1.ConditionTrue, agentpods.ReasonAgentMissing,
		`Node "n1" has had no ready agent since 2026-03-01T11:55:00Z, and no agent pod is there now. `+
			"Look at: kubectl get node n1; kubectl get daemonsets,pods -n zombies -o wide", now)
)

func podIsGone(f *facts)          { f.pod = nil }
func podIsReplaced(f *facts)      { f.pod.UID = "another" }
func podIsElsewhere(f *facts)     { f.pod.Spec.NodeName = "n2" }
func nameIsMadeUp(f *facts)       { f.report.Name = "web-0-00000000" }
func containerIsNewer(f *facts)   { f.pod.Status.ContainerStatuses[0].ContainerID = "containerd://bbbb" }
func nothingIsObserved(f *facts)  { f.report.Status.Observed = nil }
func conditionsAreUnset(f *facts) { f.report.Status.Conditions = f.report.Status.Conditions[:1] }

func healedFor(d time.Duration) change {
	return func(f *facts) {
		f.report.Status.Observed = &v1alpha1.Observed{}
		f.report.Status.Conditions[0] = condition(v1alpha1.ConditionLeaking, metav1.ConditionFalse,
			v1alpha1.ReasonNoZombies, "", now.Add(-d))
	}
}

// found adds a finding of the agent.
func found(kind string) change {
	return func(f *facts) {
		f.report.Status.Conditions = append(f.report.Status.Conditions, condition(kind, metav1.ConditionTrue, v1alpha1.ReasonObserved, "", earlier))
	}
}

// wrote has a writer last have changed its fields some time ago.
func wrote(manager, subresource string, ago time.Duration) change {
	return func(f *facts) {
		f.report.ManagedFields = append(f.report.ManagedFields, metav1.ManagedFieldsEntry{
			Manager: manager, Subresource: subresource, Time: new(metav1.NewTime(now.Add(-ago))),
		})
	}
}

func agentWroteBefore(ago time.Duration) change {
	return wrote(v1alpha1.FieldManagerAgent, "status", ago)
}

func agentNotReadyFor(d time.Duration) change {
	return func(f *facts) { f.agent.Ready, f.agent.NotReadySince = false, now.Add(-d) }
}

func agentMissingFor(d time.Duration) change {
	return func(f *facts) { f.agent = agentpods.Agent{Namespace: "zombies", NotReadySince: now.Add(-d)} }
}

func markedStaleFor(d time.Duration) change {
	return func(f *facts) {
		c := f.agent.Staleness("n1", nil, 0, settings.DeleteStaleAfter, now).Condition
		f.report.Status.Conditions[2] = condition(c.Type, c.Status, c.Reason, c.Message, now.Add(-d))
	}
}

func isMirrorPod(f *facts) {
	f.report.Spec.PodUID = staticUID
	f.report.Name = v1alpha1.ReportName("web-0", staticUID)
	f.pod.Annotations = map[string]string{"kubernetes.io/config.mirror": staticUID, "kubernetes.io/config.hash": staticUID}
	f.pod.OwnerReferences = []metav1.OwnerReference{
		{APIVersion: "v1", Kind: "Node", Name: "n1", UID: "node-uid", Controller: new(true)},
	}
}

func TestDecideDeletes(t *testing.T) {
	t.Parallel()
	hasOnlyHash := func(f *facts) { delete(f.pod.Annotations, "kubernetes.io/config.mirror") }
	tests := map[string]struct {
		changes []change
		want    string // empty: not deleted
	}{
		"a report of a running pod that leaks is kept":                   {nil, ""},
		"a report whose pod is gone is deleted":                          {[]change{podIsGone}, ReasonPodGone},
		"a report whose pod was replaced under its name is deleted":      {[]change{podIsReplaced}, ReasonPodReplaced},
		"a report that names another node than the pod's is deleted":     {[]change{podIsElsewhere}, ReasonNodeMismatch},
		"a report about a pod without a node is deleted":                 {[]change{func(f *facts) { f.pod.Spec.NodeName = "" }}, ReasonNodeMismatch},
		"a report whose name does not follow from its pod is deleted":    {[]change{nameIsMadeUp}, ReasonNameMismatch},
		"a report about another container is kept":                       {[]change{containerIsNewer}, ""},
		"a report of a static pod is kept while its mirror pod is there": {[]change{isMirrorPod}, ""},
		"a mirror pod with only the older annotation counts too":         {[]change{isMirrorPod, hasOnlyHash}, ""},
		"of two annotations that differ the one of the mirror counts":    {[]change{isMirrorPod, func(f *facts) { f.pod.Annotations["kubernetes.io/config.mirror"] = "other" }}, ReasonPodReplaced},
		"a pod that only claims to be a mirror pod does not match":       {[]change{isMirrorPod, func(f *facts) { f.pod.OwnerReferences = nil }}, ReasonPodReplaced},
		"a mirror pod that a node merely owns does not match":            {[]change{isMirrorPod, func(f *facts) { f.pod.OwnerReferences[0].Controller = nil }}, ReasonPodReplaced},
		"a mirror pod of something called Node elsewhere does not match": {[]change{isMirrorPod, func(f *facts) { f.pod.OwnerReferences[0].APIVersion = "example.com/v1" }}, ReasonPodReplaced},
		"a mirror pod controlled by another kind does not match":         {[]change{isMirrorPod, func(f *facts) { f.pod.OwnerReferences[0].Kind = "ReplicaSet" }}, ReasonPodReplaced},
		"a mirror pod of another static pod does not match":              {[]change{isMirrorPod, func(f *facts) { f.report.Spec.PodUID = "other" }}, ReasonPodReplaced},
		"a report without zombies but with a finding is kept":            {[]change{healedFor(24 * time.Hour), found(v1alpha1.ConditionLeaderExited)}, ""},
		"a report whose finding is over for the retention is deleted":    {[]change{healedFor(24 * time.Hour), agentWroteBefore(time.Hour)}, ReasonHealed},
		"a report whose finding is over is kept a second before":         {[]change{healedFor(24 * time.Hour), agentWroteBefore(time.Hour - time.Second)}, ""},
		"a report that its agent wrote before it healed is deleted":      {[]change{healedFor(time.Hour), agentWroteBefore(2 * time.Hour)}, ReasonHealed},
		"a report that only others wrote since it healed is deleted": {[]change{healedFor(time.Hour),
			wrote(v1alpha1.FieldManagerController, "status", 0), wrote(v1alpha1.FieldManagerRemedy, "status", 0), wrote(v1alpha1.FieldManagerAgent, "", 0)}, ReasonHealed},
		"a report of which nobody knows when it was written is deleted": {[]change{healedFor(time.Hour),
			agentWroteBefore(0), func(f *facts) { f.report.ManagedFields[0].Time = nil }}, ReasonHealed},
		"a report healed for the retention is deleted":                     {[]change{healedFor(time.Hour)}, ReasonHealed},
		"a report healed for a second less is kept":                        {[]change{healedFor(time.Hour - time.Second)}, ""},
		"a report without an observation is unknown and not healed":        {[]change{healedFor(2 * time.Hour), nothingIsObserved}, ""},
		"a report that counts zombies is not healed whatever it says":      {[]change{healedFor(2 * time.Hour), func(f *facts) { f.report.Status.Observed.Zombies = 1 }}, ""},
		"a report that does not say whether it leaks is not healed":        {[]change{healedFor(2 * time.Hour), func(f *facts) { f.report.Status.Conditions = f.report.Status.Conditions[1:] }}, ""},
		"a report whose leaking is unknown is not healed":                  {[]change{healedFor(2 * time.Hour), func(f *facts) { f.report.Status.Conditions[0].Status = metav1.ConditionUnknown }}, ""},
		"a stale report is deleted in the end":                             {[]change{agentNotReadyFor(15 * time.Minute), markedStaleFor(10 * time.Minute)}, ReasonStale},
		"a stale report of a missing agent is deleted in the end":          {[]change{agentMissingFor(15 * time.Minute), markedStaleFor(10 * time.Minute)}, ReasonStale},
		"a stale report is kept a second before":                           {[]change{agentNotReadyFor(15*time.Minute - time.Second), markedStaleFor(10 * time.Minute)}, ""},
		"a report never marked as stale is kept however long it was":       {[]change{agentNotReadyFor(24 * time.Hour)}, ""},
		"a report marked as stale late is kept as long as any other":       {[]change{agentNotReadyFor(24 * time.Hour), markedStaleFor(10*time.Minute - time.Second)}, ""},
		"a report marked as stale whose agent is ready again is kept":      {[]change{agentNotReadyFor(time.Hour), markedStaleFor(time.Hour), func(f *facts) { f.agent.Ready = true }}, ""},
		"a report marked as stale is kept when the clock started anew":     {[]change{agentMissingFor(0), markedStaleFor(time.Hour)}, ""},
		"a pod that is gone comes before everything":                       {[]change{podIsElsewhere, nameIsMadeUp, healedFor(2 * time.Hour), podIsGone}, ReasonPodGone},
		"another pod comes before another node":                            {[]change{podIsElsewhere, podIsReplaced}, ReasonPodReplaced},
		"another node comes before another name":                           {[]change{podIsElsewhere, nameIsMadeUp}, ReasonNodeMismatch},
		"another name comes before healed":                                 {[]change{nameIsMadeUp, healedFor(2 * time.Hour)}, ReasonNameMismatch},
		"healed comes before stale":                                        {[]change{agentNotReadyFor(time.Hour), markedStaleFor(time.Hour), healedFor(2 * time.Hour)}, ReasonHealed},
		"a container that is not current does not keep a report that goes": {[]change{containerIsNewer, healedFor(2 * time.Hour)}, ReasonHealed},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := decide(settled(tc.changes...), settings, now)
			got := ""
			if v.deletion != nil {
				got = v.deletion.reason
				if v.conditions != nil || v.checkAgainAfter != 0 {
					t.Errorf("decide() deletes and also says %+v", v)
				}
				if v.deletion.message == "" {
					t.Error("decide() deletes without a message")
				}
				if want := got == ReasonNodeMismatch || got == ReasonNameMismatch; v.deletion.disbelieved != want {
					t.Errorf("disbelieved = %t, want %t", v.deletion.disbelieved, want)
				}
			}
			if got != tc.want {
				t.Errorf("decide() deletes for %q, want %q", got, tc.want)
			}
		})
	}
}

// at is a condition that came about at another time.
func at(c metav1.Condition, since time.Time) metav1.Condition {
	c.LastTransitionTime = metav1.NewTime(since)
	return c
}

func TestDecideWritesConditions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		changes []change
		want    []metav1.Condition // nil: nothing is written
	}{
		"nothing is written when nothing changed": {nil, nil},
		"a new report gets both conditions":       {[]change{conditionsAreUnset}, []metav1.Condition{at(verifiedCondition, now), at(freshCondition, now)}},
		"a report without an observation agrees with its pod": {
			[]change{conditionsAreUnset, nothingIsObserved}, []metav1.Condition{at(verifiedCondition, now), at(freshCondition, now)},
		},
		"a condition of an older generation is written again without a new time": {
			[]change{func(f *facts) { f.report.Status.Conditions[1].ObservedGeneration = 0 }},
			[]metav1.Condition{verifiedCondition, freshCondition},
		},
		"a condition with another message is written again without a new time": {
			[]change{func(f *facts) { f.report.Status.Conditions[2].Message = "old" }},
			[]metav1.Condition{verifiedCondition, freshCondition},
		},
		"a container that is not current is told, and what else is known stays": {
			[]change{containerIsNewer}, []metav1.Condition{notCurrentCondition, freshCondition},
		},
		"a container that is still not current is not told twice": {
			[]change{containerIsNewer, func(f *facts) { f.report.Status.Conditions[1] = at(notCurrentCondition, earlier) }}, nil,
		},
		"a container that is current again is told": {
			[]change{func(f *facts) { f.report.Status.Conditions[1] = at(notCurrentCondition, earlier) }},
			[]metav1.Condition{at(verifiedCondition, now), freshCondition},
		},
		"an init container counts": {[]change{func(f *facts) {
			f.pod.Status.InitContainerStatuses, f.pod.Status.ContainerStatuses = f.pod.Status.ContainerStatuses, nil
		}}, nil},
		"an ephemeral container counts": {[]change{func(f *facts) {
			f.pod.Status.EphemeralContainerStatuses, f.pod.Status.ContainerStatuses = f.pod.Status.ContainerStatuses, nil
		}}, nil},
		"any runtime's prefix is cut": {[]change{func(f *facts) {
			f.pod.Status.ContainerStatuses[0].ContainerID = "cri-o://" + appID
		}}, nil},
		"an agent that has just stopped being ready changes nothing": {[]change{agentNotReadyFor(5*time.Minute - time.Second)}, nil},
		"a node whose agent is not ready for the time allowed marks its reports": {
			[]change{agentNotReadyFor(5 * time.Minute)}, []metav1.Condition{verifiedCondition, notReadyCondition},
		},
		"a node without an agent for the time allowed marks its reports": {
			[]change{agentMissingFor(5 * time.Minute)}, []metav1.Condition{verifiedCondition, missingCondition},
		},
		"a report marked as stale is not marked twice": {
			[]change{agentNotReadyFor(10 * time.Minute), markedStaleFor(5 * time.Minute)}, nil,
		},
		"a report marked as stale stays so while a new agent has yet to be ready": {
			[]change{agentNotReadyFor(10 * time.Minute), markedStaleFor(5 * time.Minute), agentNotReadyFor(time.Second)}, nil,
		},
		"a report whose agent is ready again is fresh": {
			[]change{agentNotReadyFor(10 * time.Minute), markedStaleFor(5 * time.Minute), func(f *facts) { f.agent.Ready = true }},
			[]metav1.Condition{verifiedCondition, at(freshCondition, now)},
		},
		"a new report of an agent that is not ready yet is only verified": {
			[]change{conditionsAreUnset, agentNotReadyFor(time.Minute)}, []metav1.Condition{at(verifiedCondition, now)},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := decide(settled(tc.changes...), settings, now)
			if v.deletion != nil {
				t.Fatalf("decide() deletes for %q", v.deletion.reason)
			}
			if diff := cmp.Diff(tc.want, v.conditions); diff != "" {
				t.Errorf("decide() writes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecideSaysWhenToCheckAgain(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		changes []change
		want    time.Duration
	}{
		"time changes nothing for a leaking pod with a ready agent":      {nil, 0},
		"a container that is not current is looked at again":             {[]change{containerIsNewer}, 30 * time.Second},
		"a healed report waits for exactly the rest of its time":         {[]change{healedFor(40 * time.Minute)}, 20 * time.Minute},
		"a report whose finding is over waits from then on":              {[]change{healedFor(24 * time.Hour), agentWroteBefore(50 * time.Minute)}, 10 * time.Minute},
		"a report with a finding waits for its agent":                    {[]change{healedFor(24 * time.Hour), found(v1alpha1.ConditionContainerDead)}, 0},
		"an agent that is not ready waits for exactly the mark":          {[]change{agentNotReadyFor(90 * time.Second)}, 210 * time.Second},
		"a report just marked waits for exactly its end":                 {[]change{agentNotReadyFor(5 * time.Minute)}, 10 * time.Minute},
		"a report marked as stale waits for exactly its end":             {[]change{agentNotReadyFor(11 * time.Minute), markedStaleFor(6 * time.Minute)}, 4 * time.Minute},
		"a report marked late waits from its mark on":                    {[]change{agentNotReadyFor(time.Hour), markedStaleFor(time.Minute)}, 9 * time.Minute},
		"of two times the sooner counts when it is that of the healed":   {[]change{healedFor(59 * time.Minute), agentNotReadyFor(time.Minute)}, time.Minute},
		"of two times the sooner counts when it is that of the agent":    {[]change{healedFor(time.Minute), agentNotReadyFor(time.Minute)}, 4 * time.Minute},
		"of two times the sooner counts when it is that of the mismatch": {[]change{containerIsNewer, agentNotReadyFor(time.Minute)}, 30 * time.Second},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := decide(settled(tc.changes...), settings, now).checkAgainAfter; got != tc.want {
				t.Errorf("checkAgainAfter = %s, want %s", got, tc.want)
			}
		})
	}
}

func TestDecideLeavesTheReportAlone(t *testing.T) {
	t.Parallel()
	f := settled(containerIsNewer, agentNotReadyFor(time.Hour))
	before := f.report.DeepCopy()
	decide(f, settings, now)
	if diff := cmp.Diff(before, f.report); diff != "" {
		t.Errorf("decide() changed the report it was given:\n%s", diff)
	}
}

func TestContainersAreCurrentComparesNameAndID(t *testing.T) {
	t.Parallel()
	f := settled(func(f *facts) {
		f.pod.Status.ContainerStatuses = append(f.pod.Status.ContainerStatuses,
			corev1.ContainerStatus{Name: "sidecar", ContainerID: "containerd://ssss"},
			corev1.ContainerStatus{Name: "waiting"})
		f.report.Status.Observed.Containers = append(f.report.Status.Observed.Containers,
			v1alpha1.ContainerObservation{Name: "sidecar", ContainerID: "ssss"})
	})
	if c := containersAreCurrent(f, settings, now).condition; c.Status != metav1.ConditionTrue {
		t.Errorf("two current containers: %s", c.Message)
	}
	f.report.Status.Observed.Containers[1].ContainerID = appID
	if c := containersAreCurrent(f, settings, now).condition; c.Status != metav1.ConditionFalse {
		t.Error("a container with the ID of its neighbour counts as current")
	}
	f.report.Status.Observed.Containers[1] = v1alpha1.ContainerObservation{Name: "waiting", ContainerID: "wwww"}
	c := containersAreCurrent(f, settings, now).condition
	if c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, "names none") {
		t.Errorf("a container that the Pod has without an ID counts as current: %s", c.Message)
	}
}

func TestEveryFindingKeepsAReport(t *testing.T) {
	t.Parallel()
	for _, kind := range v1alpha1.Findings {
		f := settled(healedFor(24*time.Hour), found(kind))
		if v := decide(f, settings, now); v.deletion != nil {
			t.Errorf("%s: deleted for %s", kind, v.deletion.reason)
		}
		f.report.Status.Conditions[3].Status = metav1.ConditionFalse
		if v := decide(f, settings, now); v.deletion == nil {
			t.Errorf("%s=False keeps the report", kind)
		}
	}
}

// The API server refuses the whole apply when a word of it is too long.
func TestWhateverIsToldFitsTheReportOfTheLongestNames(t *testing.T) {
	t.Parallel()
	name, node := v1alpha1.ContainerName(strings.Repeat("c", 63)), strings.Repeat("n", 253)
	longest := func(f *facts) {
		f.report.Spec.NodeName, f.pod.Spec.NodeName = node, node
		f.report.Status.Observed.Containers = []v1alpha1.ContainerObservation{{
			Name: name, ContainerID: strings.Repeat("d", 128), Zombies: 4194304,
			Births:  &v1alpha1.Births{Burst: 4194304, PeriodSeconds: 31622400},
			Parents: []v1alpha1.Parent{{Zombies: 4194304}},
		}}
		f.pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: string(name), ContainerID: "containerd://" + strings.Repeat("d", 128)}}
		probe := execProbe(31622400)
		f.pod.Spec.Containers = []corev1.Container{{Name: string(name), LivenessProbe: probe, ReadinessProbe: probe, StartupProbe: probe}}
	}
	replaced := func(f *facts) {
		f.pod.Status.ContainerStatuses[0].ContainerID = "containerd://" + strings.Repeat("e", 128)
	}
	told := map[string]bool{}
	for _, changes := range [][]change{
		{longest}, {longest, replaced}, {longest, agentNotReadyFor(6 * time.Minute)}, {longest, agentMissingFor(6 * time.Minute)},
	} {
		for _, c := range decide(settled(append(changes, conditionsAreUnset)...), settings, now).conditions {
			told[c.Type+c.Reason] = true
			if len(c.Message) > v1alpha1.MaxConditionMessage || c.Message == "" || len(c.Reason) > 40 || len(c.Type) > 16 {
				t.Errorf("%s, %s: message of %d characters: %s", c.Type, c.Reason, len(c.Message), c.Message)
			}
		}
	}
	if len(told) != 6 {
		t.Errorf("told %v, want all conditions", told)
	}
}
