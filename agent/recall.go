package agent

import (
	"sync"
	"time"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Recall hands what earlier agents reported from the publisher, which reads reports, to the scans, which need the ages
// in them. It is safe for concurrent use.
type Recall struct {
	mu       sync.Mutex
	reported map[recallKey]v1alpha1.ContainerObservation
}

type recallKey struct{ podUID, containerID string }

// NewRecall returns a Recall that knows nothing.
func NewRecall() *Recall {
	return &Recall{reported: map[recallKey]v1alpha1.ContainerObservation{}}
}

// Remember keeps what was reported of a pod until a scan asks for it.
func (r *Recall) Remember(podUID string, reported v1alpha1.Observed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range reported.Containers {
		r.reported[recallKey{podUID, c.ContainerID}] = c
	}
}

// take returns what was reported of the ages of a container's zombies, and forgets it.
func (r *Recall) take(podUID, containerID string) (ages []v1alpha1.AgeCount, oldest time.Time, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := recallKey{podUID, containerID}
	c, ok := r.reported[key]
	delete(r.reported, key)
	if !ok || len(c.Parents) == 0 {
		return nil, time.Time{}, false
	}
	oldest = c.Parents[0].OldestZombieTime.Time
	for _, p := range c.Parents {
		if p.OldestZombieTime.Time.Before(oldest) {
			oldest = p.OldestZombieTime.Time
		}
	}
	return c.Ages, oldest, true
}
