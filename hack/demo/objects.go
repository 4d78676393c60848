//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// operatorName is who reports the operator's events.
const operatorName = "zombie-operator"

// The parts of objects that the story needs. The product's own types would do as well, but a first run would
// have to download and build half of Kubernetes before it could say its first word.

type meta struct {
	Name              string `json:"name"`
	UID               string `json:"uid"`
	DeletionTimestamp string `json:"deletionTimestamp"`
}

type pod struct {
	Metadata meta `json:"metadata"`
	Status   struct {
		Phase             string            `json:"phase"`
		ContainerStatuses []containerStatus `json:"containerStatuses"`
	} `json:"status"`
}

type containerStatus struct {
	ContainerID string `json:"containerID"`
	ImageID     string `json:"imageID"`
	Ready       bool   `json:"ready"`
	Restarts    int    `json:"restartCount"`
}

type report struct {
	Metadata meta `json:"metadata"`
	Spec     struct {
		PodName string `json:"podName"`
	} `json:"spec"`
	Status struct {
		Observed *struct {
			Zombies    int                    `json:"zombies"`
			Finding    string                 `json:"finding"`
			Containers []containerObservation `json:"containers"`
		} `json:"observed"`
		Conditions []struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"conditions"`
		Judgement struct {
			Next struct {
				Reason  string `json:"reason"`
				Doing   string `json:"doing"`
				Message string `json:"message"`
			} `json:"next"`
		} `json:"judgement"`
	} `json:"status"`
}

type containerObservation struct {
	ContainerID string   `json:"containerID"`
	Parents     []parent `json:"parents"`
}

type parent struct {
	PID     int    `json:"pid"`
	Command string `json:"command"`
	Cause   string `json:"cause"`
	Fix     string `json:"fix"`
}

type policy struct {
	Metadata meta `json:"metadata"`
	Spec     struct {
		Mode string `json:"mode"`
	} `json:"spec"`
	Status struct {
		Conditions []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"conditions"`
		Governed int `json:"governed"`
		Leaking  int `json:"leaking"`
	} `json:"status"`
}

type remediation struct {
	Metadata meta `json:"metadata"`
	Spec     struct {
		PodName string `json:"podName"`
		PodUID  string `json:"podUID"`
		Action  string `json:"action"`
	} `json:"spec"`
	Status struct {
		Outcome string `json:"outcome"`
		Message string `json:"message"`
	} `json:"status"`
}

// event is one of the cluster, not of the story.
type event struct {
	Metadata meta `json:"metadata"`
	About    struct {
		Name string `json:"name"`
		UID  string `json:"uid"`
	} `json:"involvedObject"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	Time    string `json:"eventTime"`
	By      string `json:"reportingComponent"`
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

func parsePolicies(text string) (map[string]policy, error) {
	return parseList(text, func(p policy) string { return p.Metadata.Name })
}

func parseRemediations(text string) (map[string]remediation, error) {
	return parseList(text, func(r remediation) string { return r.Metadata.Name })
}

// parseEvents returns those that the operator wrote, by name.
func parseEvents(text string) (map[string]event, error) {
	events, err := parseList(text, func(e event) string { return e.Metadata.Name })
	maps.DeleteFunc(events, func(_ string, e event) bool { return e.By != operatorName })
	return events, err
}

// ready says whether the controller has taken the policy up.
func (p policy) ready() bool {
	for _, c := range p.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True"
		}
	}
	return false
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

func (p pod) restarts() int {
	if len(p.Status.ContainerStatuses) == 0 {
		return 0
	}
	return p.Status.ContainerStatuses[0].Restarts
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
