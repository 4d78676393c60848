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
	if room := maxNameLength - reportHashLen - 1; len(podName) > room {
		podName = strings.TrimRight(podName[:room], "-.")
	}
	return podName + "-" + hash
}
