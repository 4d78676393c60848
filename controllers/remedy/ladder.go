package remedy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

const (
	// maxTries is how often one rung is tried before the next: a cure that did not last three times will not the fourth.
	maxTries = 3
	// quietTime is how long a container must have stopped leaking for its ladder to start from the bottom again.
	quietTime = time.Hour
	// targetShare: a parent with less than a tenth of the zombies is not worth a signal.
	targetShare = 10
)

// choice is the rung of a ladder that is on.
type choice struct {
	// rung is nil when none is left or none can be taken.
	rung *v1alpha1.Rung
	// index is the rung's place in the ladder.
	index int
	// parents are the processes to signal, for action SignalParent.
	parents []v1alpha1.Parent
	// restart is how to stop the container, for action RestartContainer.
	restart *v1alpha1.RestartContainerAct
	// alerts says that the ladder has come to a rung that alerts people.
	alerts bool
	// obstacle is why the last of the rungs that are left cannot be taken; nil when none is left.
	obstacle *obstacle
}

// obstacle is why a rung cannot be taken.
type obstacle struct {
	action          v1alpha1.Action
	reason, message string
}

// choose takes the first rung from the position on that can be taken. An Alert is over as soon as it is raised, so the ladder goes on
// to the rung after it. Where the pod was not read, every hook is taken for one that can be run.
func choose(ladder []v1alpha1.Rung, p ledger.Position, c v1alpha1.ContainerObservation, f facts) choice {
	var ch choice
	for i := range ladder {
		rung := &ladder[i]
		if rung.Action == v1alpha1.ActionAlert {
			ch.alerts = true
			continue
		}
		if i < p.Rung {
			continue
		}
		ch.parents, ch.restart, ch.obstacle = nil, nil, nil
		switch rung.Action {
		case v1alpha1.ActionSignalParent:
			ch.parents, ch.obstacle = parentsToSignal(signalOf(rung), c)
		case v1alpha1.ActionRestartContainer:
			ch.restart, ch.obstacle = howToRestart(rung, c, f)
		case v1alpha1.ActionAlert:
		}
		if ch.obstacle == nil {
			ch.rung, ch.index = rung, i
			return ch
		}
		ch.obstacle.action = rung.Action
	}
	return ch
}

// cameByAlert is whether the ladder has an Alert below the rung that is on.
func (s situation) cameByAlert() bool {
	ladder := s.ruling.Spec.Ladder
	return slices.ContainsFunc(ladder[:min(s.position.Rung, len(ladder))], func(r v1alpha1.Rung) bool { return r.Action == v1alpha1.ActionAlert })
}

func signalOf(rung *v1alpha1.Rung) v1alpha1.Signal {
	if rung.SignalParent == nil {
		return v1alpha1.SignalChild
	}
	return cmp.Or(rung.SignalParent.Signal, v1alpha1.SignalChild)
}

// disruptive is whether an act can disturb the workload. SIGCHLD and SIGCONT cannot.
func disruptive(rung *v1alpha1.Rung) bool {
	switch rung.Action {
	case v1alpha1.ActionSignalParent:
		signal := signalOf(rung)
		return signal != v1alpha1.SignalChild && signal != v1alpha1.SignalContinue
	case v1alpha1.ActionRestartContainer:
		return true
	case v1alpha1.ActionAlert:
	}
	return false
}

// parentsToSignal are the parents that hold a tenth of the container's zombies or more, may get the signal, and are not known to be
// beyond its help. When there is none, the one with most zombies says why.
func parentsToSignal(signal v1alpha1.Signal, c v1alpha1.ContainerObservation) ([]v1alpha1.Parent, *obstacle) {
	var parents []v1alpha1.Parent
	var why *obstacle
	for _, p := range c.Parents {
		if p.Zombies*targetShare < c.Zombies {
			continue
		}
		if o := notToSignal(signal, p, c.Name); o == nil {
			parents = append(parents, p)
		} else if why == nil {
			why = o
		}
	}
	switch {
	case len(parents) > 0:
		return parents, nil
	case why == nil:
		why = &obstacle{reason: ReasonManyParents, message: fmt.Sprintf(
			"No parent holds a tenth of the zombies of container %s: no signal would help much.", c.Name)}
	}
	return nil, why
}

// notToSignal is why a parent does not get a signal; nil when it may.
func notToSignal(signal v1alpha1.Signal, p v1alpha1.Parent, container v1alpha1.ContainerName) *obstacle {
	ends := signal == v1alpha1.SignalTerminate || signal == v1alpha1.SignalKill
	switch remedy := v1alpha1.Remedy(signal); {
	case p.PID == nil:
		return &obstacle{reason: ReasonParentOutside, message: fmt.Sprintf(
			"Zombies of container %s have a parent outside of it (%s): no signal goes there.", container, p.Command)}
	case ends && *p.PID == 1:
		return &obstacle{reason: ReasonSignalToPID1, message: fmt.Sprintf(
			"%s never goes to PID 1 of a container: use RestartContainer to end %s.", signal, container)}
	case slices.Contains(p.CannotHelp, remedy):
		return &obstacle{reason: hindrance(p.Cause), message: whyNot(remedy, p, container)}
	}
	return nil
}

// notToRestart is why a restart of a container could not finish; nil when nothing is known against it. What the pod's other containers
// suffer from counts too: its findings do not tell containers apart. PileBehindD says nothing more: it is of parents in state D, each of
// which says itself whether a restart may hang with it, and one that does is always among those told of.
func notToRestart(c v1alpha1.ContainerObservation, report *v1alpha1.ZombieReport) *obstacle {
	const remedy = v1alpha1.RemedyRestartContainer
	outside := slices.IndexFunc(c.Parents, func(p v1alpha1.Parent) bool { return p.PID == nil })
	beyond := slices.IndexFunc(c.Parents, func(p v1alpha1.Parent) bool { return slices.Contains(p.CannotHelp, remedy) })
	switch {
	case outside >= 0:
		return &obstacle{reason: ReasonParentOutside, message: fmt.Sprintf(
			"Zombies of container %s have a parent outside of it (%s): a restart could not finish while it does not wait for them.",
			c.Name, c.Parents[outside].Command)}
	case conditionIsTrue(report, v1alpha1.ConditionContainerDead):
		return &obstacle{reason: ReasonContainerDead, message: fmt.Sprintf(
			"A restart of container %s would hang: PID 1 of a container of the pod is a zombie itself.", c.Name)}
	case beyond >= 0:
		p := c.Parents[beyond]
		return &obstacle{reason: hindrance(p.Cause), message: whyNot(remedy, p, c.Name)}
	case conditionIsTrue(report, v1alpha1.ConditionHeldByTracer):
		return &obstacle{reason: ReasonHeldByTracer, message: fmt.Sprintf(
			"Zombies of the pod are held by a tracer, which may be outside of container %s: a restart could not finish.", c.Name)}
	}
	return nil
}

// howToRestart is how the container is to be stopped, by the policy and the pod's own words.
func howToRestart(rung *v1alpha1.Rung, c v1alpha1.ContainerObservation, f facts) (*v1alpha1.RestartContainerAct, *obstacle) {
	if why := notToRestart(c, f.report); why != nil {
		return nil, why
	}
	how := &v1alpha1.RestartContainerAct{GracePeriodSeconds: gracePeriod(rung, f.pod)}
	hook := preStopHook(f.pod, string(c.Name))
	switch {
	case hook == nil:
	case hook.Exec != nil && fits(hook.Exec.Command):
		how.PreStopExec = hook.Exec.Command
	case hook.Sleep != nil:
		if seconds := clampSeconds(hook.Sleep.Seconds); hook.Sleep.Seconds > 0 {
			how.PreStopSleepSeconds = &seconds
		}
	default:
		return nil, &obstacle{reason: ReasonPreStopHook, message: fmt.Sprintf(
			"The preStop hook of container %s cannot be run by the agent: only exec, of at most %d words, and sleep can.",
			c.Name, maxHookWords)}
	}
	return how, nil
}

// Bounds of a ZombieRemediation's spec; the tests hold them against the CRD.
const (
	maxHookWords  = 64
	maxHookWord   = 4096
	mostSeconds   = 3600
	defaultPeriod = 30 // seconds; Kubernetes' own default of terminationGracePeriodSeconds
)

func fits(command []string) bool {
	return len(command) > 0 && len(command) <= maxHookWords &&
		!slices.ContainsFunc(command, func(word string) bool { return len(word) > maxHookWord })
}

func gracePeriod(rung *v1alpha1.Rung, pod *corev1.Pod) int32 {
	switch {
	case rung.RestartContainer != nil && rung.RestartContainer.GracePeriodSeconds != nil:
		return *rung.RestartContainer.GracePeriodSeconds
	case pod != nil && pod.Spec.TerminationGracePeriodSeconds != nil:
		return clampSeconds(*pod.Spec.TerminationGracePeriodSeconds)
	}
	return defaultPeriod
}

func clampSeconds(seconds int64) int32 {
	return int32(min(max(seconds, 1), mostSeconds))
}

func preStopHook(pod *corev1.Pod, container string) *corev1.LifecycleHandler {
	if pod == nil {
		return nil
	}
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers {
			if containers[i].Name == container && containers[i].Lifecycle != nil {
				return containers[i].Lifecycle.PreStop
			}
		}
	}
	return nil
}

// sentence tells the choice as a plan. It is the same in every mode.
func (ch choice) sentence(c v1alpha1.ContainerObservation) string {
	var plan string
	switch {
	case ch.rung == nil:
		return fmt.Sprintf("Alert people of the %d zombies of container %s.", c.Zombies, c.Name)
	case ch.restart != nil:
		plan = fmt.Sprintf("Restart container %s, with %d s of grace, to end its %d zombies.", c.Name, ch.restart.GracePeriodSeconds, c.Zombies)
	default:
		plan = fmt.Sprintf("Send %s to %s of container %s (%d zombies).", signalOf(ch.rung), processes(ch.parents), c.Name, c.Zombies)
	}
	if ch.alerts {
		plan = "Alert people. " + plan
	}
	return plan
}

// processes names parents; of many only the first two with their command, to stay below the length of a message.
func processes(parents []v1alpha1.Parent) string {
	names := make([]string, 0, len(parents))
	for i, p := range parents {
		if i < 2 {
			names = append(names, fmt.Sprintf("%d (%s)", *p.PID, p.Command))
		} else {
			names = append(names, fmt.Sprint(*p.PID))
		}
	}
	if len(names) == 1 {
		return "process " + names[0]
	}
	return "processes " + strings.Join(names, ", ")
}

// word is the choice for a table.
func (ch choice) word() string {
	switch {
	case ch.rung == nil:
		return string(v1alpha1.ActionAlert)
	case ch.restart != nil:
		return "Restart"
	}
	return string(signalOf(ch.rung))
}

// action is the rung's action, or Alert when that is all the ladder has come to.
func (ch choice) action() v1alpha1.Action {
	switch {
	case ch.rung != nil:
		return ch.rung.Action
	case ch.alerts:
		return v1alpha1.ActionAlert
	}
	return ""
}
