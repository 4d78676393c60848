package v1alpha1

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	maxNameLength = 253 // of an object whose name is a DNS subdomain
	reportHashLen = 8
)

// ReportName is the name of the ZombieReport of a pod: the pod's name, cut where needed, and eight hex digits of
// the SHA-256 of its UID. The UID keeps anybody from squatting on another pod's report, and gives a pod that was
// replaced under its name a report of its own.
func ReportName(podName, podUID string) string {
	sum := sha256.Sum256([]byte(podUID))
	hash := hex.EncodeToString(sum[:])[:reportHashLen]
	return cutTo(podName, reportHashLen) + "-" + hash
}

// cutTo shortens a pod's name so that a hyphen and a hash of this length fit behind it.
func cutTo(podName string, hashLen int) string {
	room := maxNameLength - hashLen - 1
	if len(podName) <= room {
		return podName
	}
	return strings.TrimRight(podName[:room], "-.")
}
