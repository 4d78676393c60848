//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// The parts of objects that the story needs. The product's own types would do as well, but a first run would
// have to download and build half of Kubernetes before it could say its first word.

type meta struct {
	Name              string `json:"name"`
	DeletionTimestamp string `json:"deletionTimestamp"`
}

type pod struct {
	Metadata meta `json:"metadata"`
	Status   struct {
		Phase             string `json:"phase"`
		ContainerStatuses []struct {
			ContainerID string `json:"containerID"`
			ImageID     string `json:"imageID"`
			Ready       bool   `json:"ready"`
		} `json:"containerStatuses"`
	} `json:"status"`
}

type report struct {
	Metadata meta `json:"metadata"`
	Spec     struct {
		PodName string `json:"podName"`
	} `json:"spec"`
	Status struct {
		Observed *struct {
			Zombies    int                    `json:"zombies"`
			Containers []containerObservation `json:"containers"`
		} `json:"observed"`
	} `json:"status"`
}

type containerObservation struct {
	Parents []parent `json:"parents"`
}

type parent struct {
	PID     int    `json:"pid"`
	Command string `json:"command"`
	Cause   string `json:"cause"`
}

// parseList reads what kubectl get -o json prints of several objects, by name.
func parseList[T any](text string, name func(T) string) (map[string]T, error) {
	var list struct {
		Items []T `json:"items"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("reading a list of objects: %w", err)
	}
	byName := make(map[string]T, len(list.Items))
	for _, item := range list.Items {
		byName[name(item)] = item
	}
	return byName, nil
}

func parsePods(text string) (map[string]pod, error) {
	return parseList(text, func(p pod) string { return p.Metadata.Name })
}

// parseReports returns reports by the name of the pod they are about.
func parseReports(text string) (map[string]report, error) {
	return parseList(text, func(r report) string { return r.Spec.PodName })
}

// running says whether the pod's only container is ready.
func (p pod) running() bool {
	statuses := p.Status.ContainerStatuses
	return p.Metadata.DeletionTimestamp == "" && p.Status.Phase == "Running" && len(statuses) > 0 && statuses[0].Ready && p.containerID() != ""
}

// runsOther says whether the pod is known to be of another image. Before it runs, nothing is known.
func (p pod) runsOther(imageID string) bool {
	statuses := p.Status.ContainerStatuses
	return len(statuses) > 0 && statuses[0].ImageID != "" && !strings.Contains(statuses[0].ImageID, imageID)
}

// containerID is that of the first container, without the runtime's name before it.
func (p pod) containerID() string {
	if len(p.Status.ContainerStatuses) == 0 {
		return ""
	}
	_, id, _ := strings.Cut(p.Status.ContainerStatuses[0].ContainerID, "://")
	return id
}

// parent is the one that holds most zombies, if the report names any.
func (r report) parent() (parent, bool) {
	if o := r.Status.Observed; o != nil && len(o.Containers) > 0 && len(o.Containers[0].Parents) > 0 {
		return o.Containers[0].Parents[0], true
	}
	return parent{}, false
}
