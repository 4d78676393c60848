package remedy

import (
	"time"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/ledger"
)

// plan turns the choice into an act. The pod was read and verified before.
func (s situation) plan(now time.Time) *act {
	p := s.position
	p.Rung, p.Seen, p.Await = s.choice.index, s.seen(), false
	if s.choice.index != s.position.Rung {
		p.Tries = 0
	}
	p.Attempts++
	p.StoppedAt = time.Time{} // the leak is on
	a := &act{unit: ledger.Unit{
		Target:      s.target(),
		Namespace:   s.report.Namespace,
		PodName:     s.pod.Name,
		ContainerID: s.container.ContainerID,
		Disruptive:  disruptive(s.choice.rung),
		Restart:     s.choice.restart != nil,
		Action:      string(s.choice.action()),
		Word:        s.choice.word(),
		Message:     cut(s.choice.sentence(s.container), maxMessage),
		Attempt:     p.Attempts,
		ReservedAt:  now.UTC(),
		EndsBy:      now.UTC().Add(s.choice.longest()),
	}}
	a.position = p
	if s.choice.restart != nil {
		spec := s.spec(p.Attempts, v1alpha1.RemediationRestartContainer)
		spec.RestartContainer = s.choice.restart
		a.remediations = append(a.remediations, spec)
	}
	for _, parent := range s.choice.parents {
		spec := s.spec(p.Attempts, v1alpha1.RemediationSignalParent)
		spec.SignalParent = &v1alpha1.SignalParentAct{
			Signal: signalOf(s.choice.rung), PID: *parent.PID, StartTicks: parent.StartTicks, Command: parent.Command,
		}
		a.remediations = append(a.remediations, spec)
	}
	for _, spec := range a.remediations {
		a.unit.Remediations = append(a.unit.Remediations, v1alpha1.RemediationName(spec))
	}
	return a
}

// How long an act may take: an agent begins none that is older than 3 min, proves a signal within 30 s of at most 60 s of
// sending, and a restart within 30 s of its grace and 5 min for the new container. Each has some minutes to spare.
const (
	longestSignal  = 10 * time.Minute
	longestRestart = 12 * time.Minute // and the grace
)

// longest is after what time an act has ended for sure, if it was begun at all.
func (ch choice) longest() time.Duration {
	if ch.restart == nil {
		return longestSignal
	}
	return longestRestart + time.Duration(ch.restart.GracePeriodSeconds)*time.Second
}

// spec is what all remediations of an act have in common. The node is the Pod's, not the report's.
func (s situation) spec(attempt int32, action v1alpha1.RemediationAction) v1alpha1.ZombieRemediationSpec {
	return v1alpha1.ZombieRemediationSpec{
		PodName:       s.pod.Name,
		PodUID:        string(s.pod.UID),
		NodeName:      s.pod.Spec.NodeName,
		ContainerName: s.container.Name,
		ContainerID:   s.container.ContainerID,
		Policy:        s.ruling.Reference,
		Attempt:       attempt,
		Action:        action,
	}
}
