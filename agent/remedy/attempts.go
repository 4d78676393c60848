package remedy

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// attempts are what this process did, by remediation. It is safe for concurrent use; nobody works on one remediation
// twice at the same time.
type attempts struct {
	mu    sync.Mutex
	byKey map[types.NamespacedName]attempt
}

func newAttempts() *attempts { return &attempts{byKey: map[types.NamespacedName]attempt{}} }

// of returns the attempt at a remediation; that at another one of the same name counts for nothing.
func (a *attempts) of(key types.NamespacedName, uid types.UID) attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	if mine := a.byKey[key]; mine.uid == uid {
		return mine
	}
	return attempt{uid: uid}
}

func (a *attempts) keep(key types.NamespacedName, mine attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.byKey[key] = mine
}

func (a *attempts) forget(key types.NamespacedName) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.byKey, key)
}
