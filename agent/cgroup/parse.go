package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// idLength is the length of a container ID: containerd, CRI-O and cri-dockerd all make them of 64 hexadecimal digits.
const idLength = 64

// namePrefixes stand before the ID in the name of a container's cgroup, if any: with the cgroup driver systemd in each
// runtime, with the driver cgroupfs in CRI-O only. crio-conmon- is not among them: it is the cgroup of CRI-O's monitor of
// the container, which carries the container's ID too.
var namePrefixes = []string{"cri-containerd-", "crio-", "docker-"}

// containerOf returns the ID of the container that owns the cgroup of this name, if it is one's.
func containerOf(name string) string {
	name = strings.TrimSuffix(name, ".scope")
	// A runtime that is set to cgroupfs below a kubelet that is set to systemd takes slice:prefix:ID for one name.
	name = name[strings.LastIndexByte(name, ':')+1:]
	for _, prefix := range namePrefixes {
		if id, ok := strings.CutPrefix(name, prefix); ok {
			return id
		}
	}
	return name
}

// ofContainer says whether a cgroup is of some container, known or not, or of something that belongs to one: nothing
// else has so long a hexadecimal number in its name.
func ofContainer(name string) bool {
	digits := 0
	for _, c := range []byte(name) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			digits = 0
			continue
		}
		if digits++; digits == idLength {
			return true
		}
	}
	return false
}

// below cuts from the cgroup path of a process what is below the cgroup of its container: after the outermost part that carries
// the container's ID. It is "" when there is nothing, or nothing that stays below: these names are a tenant's.
func below(containerID, path string) string {
	_, rest, _ := strings.Cut(path, containerID)
	_, inner, _ := strings.Cut(rest, "/")
	if !filepath.IsLocal(inner) {
		return ""
	}
	return inner
}

var (
	errMissing  = errors.New("missing")
	errNegative = errors.New("below 0")
)

// parseNumber reads a file with one number, such as pids.current.
func parseNumber(raw []byte) (int64, error) {
	n, err := strconv.ParseInt(string(bytes.TrimSpace(raw)), 10, 64)
	switch {
	case err != nil:
		return 0, fmt.Errorf("parsing number: %w", err)
	case n < 0:
		return 0, fmt.Errorf("number %d: %w", n, errNegative)
	}
	return n, nil
}

// parseMax reads pids.max, in which "max" is no limit. A limit of 0, with which nothing may be forked, is told as 1, as 0
// is no limit to us; the first process of a container is more than either.
func parseMax(raw []byte) (int64, error) {
	if string(bytes.TrimSpace(raw)) == "max" {
		return 0, nil
	}
	n, err := parseNumber(raw)
	if err != nil {
		return 0, err
	}
	return max(1, n), nil
}

// parseRefused reads from pids.events how many forks were refused.
func parseRefused(raw []byte) (uint64, error) {
	value, err := parseKey(raw, "max")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("parsing max: %w", err)
	}
	return n, nil
}

// parseFrozen reads from cgroup.events of cgroup v2 whether the cgroup is frozen. Before Linux 5.2 none can be, and the
// file does not tell.
func parseFrozen(raw []byte) (bool, error) {
	value, err := parseKey(raw, "frozen")
	if errors.Is(err, errMissing) {
		return false, nil
	}
	return value == "1", err
}

// parseState reads freezer.state of cgroup v1.
func parseState(raw []byte) (bool, error) {
	return string(bytes.TrimSpace(raw)) == "FROZEN", nil
}

// parseKey reads the value of a key from lines of a key and a value.
func parseKey(raw []byte, key string) (string, error) {
	for line := range bytes.Lines(raw) {
		if k, value, ok := strings.Cut(strings.TrimSpace(string(line)), " "); ok && k == key {
			return value, nil
		}
	}
	return "", fmt.Errorf("%s: %w", key, errMissing)
}
