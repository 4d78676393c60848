package v1alpha1

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

const remediationHashLen = 16

// RemediationName is the name of the ZombieRemediation with this spec: the pod's name, cut where needed, and sixteen hex
// digits of a SHA-256 over the target, the action and the attempt. Whoever decides the same act twice makes one object.
func RemediationName(spec ZombieRemediationSpec) string {
	var pid, startTicks int64
	if s := spec.SignalParent; s != nil {
		pid, startTicks = int64(s.PID), s.StartTicks
	}
	// None of the parts can hold a newline, so no two targets read the same.
	target := fmt.Sprintf("%s\n%s\n%s\n%d\n%d\n%d", spec.PodUID, spec.ContainerID, spec.Action, pid, startTicks, spec.Attempt)
	sum := sha256.Sum256([]byte(target))
	return cutTo(spec.PodName, remediationHashLen) + "-" + hex.EncodeToString(sum[:])[:remediationHashLen]
}
