package inventory

import (
	"encoding/json"
	"errors"
	"fmt"
)

var errNoPID = errors.New("no pid in the verbose status")

// initPID reads the PID of a container's first process from the verbose part of its CRI status: a map in which
// the key "info" holds JSON with a number "pid" (containerd and CRI-O both).
func initPID(info map[string]string) (int, error) {
	var verbose struct {
		PID int `json:"pid"`
	}
	raw, ok := info["info"]
	if !ok {
		return 0, errNoPID
	}
	if err := json.Unmarshal([]byte(raw), &verbose); err != nil {
		return 0, fmt.Errorf("parsing the verbose status: %w", err)
	}
	if verbose.PID <= 0 {
		return 0, errNoPID
	}
	return verbose.PID, nil
}
