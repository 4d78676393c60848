//go:build linux

package main

import (
	"archive/tar"
	"bytes"
	"strings"
	"testing"
)

func TestParseExports(t *testing.T) {
	t.Parallel()
	const kubeconfig = "export KUBECONFIG='/var/lib/zombie-cluster/demo/kubeconfig'\nexport KUBECACHEDIR='/var/lib/zombie-cluster/demo/kube-cache'\n"
	exports, err := parseExports(kubeconfig + "export KUBEBUILDER_ASSETS='/root/a cache/v1'\nexport PATH='/root/a cache/v1':\"$PATH\"\n")
	if err != nil {
		t.Fatal(err)
	}
	if exports["KUBECONFIG"] != "/var/lib/zombie-cluster/demo/kubeconfig" || exports["KUBEBUILDER_ASSETS"] != "/root/a cache/v1" || len(exports) != 3 {
		t.Errorf("got %q", exports)
	}
	for _, text := range []string{"", kubeconfig, kubeconfig + "export KUBEBUILDER_ASSETS='\n"} {
		if exports, err := parseExports(text); err == nil {
			t.Errorf("%q is read as %q, want an error", text, exports)
		}
	}
}

const podList = `{"apiVersion": "v1", "kind": "List", "items": [
  {"metadata": {"name": "webhook"}, "status": {"phase": "Running", "containerStatuses": [
    {"containerID": "containerd://aaa", "imageID": "sha256:123", "ready": true}]}},
  {"metadata": {"name": "starting"}, "status": {"phase": "Pending"}},
  {"metadata": {"name": "unready"}, "status": {"phase": "Running", "containerStatuses": [
    {"containerID": "containerd://bbb", "imageID": "sha256:123", "ready": false}]}},
  {"metadata": {"name": "ending", "deletionTimestamp": "2026-11-21T18:59:41Z"}, "status": {"phase": "Running", "containerStatuses": [
    {"containerID": "containerd://ccc", "imageID": "sha256:456", "ready": true}]}}]}`

func TestParsePods(t *testing.T) {
	t.Parallel()
	pods, err := parsePods(podList)
	if err != nil {
		t.Fatal(err)
	}
	if len(pods) != 4 {
		t.Errorf("got %d pods, want 4", len(pods))
	}
	for name, want := range map[string]struct {
		running, other bool
		containerID    string
	}{
		"webhook":     {running: true, containerID: "aaa"},
		"starting":    {},
		"unready":     {containerID: "bbb"},
		"ending":      {other: true, containerID: "ccc"},
		"not in list": {},
	} {
		p := pods[name]
		if p.running() != want.running || p.runsOther("123") != want.other || p.containerID() != want.containerID {
			t.Errorf("%s: running %t, of another image %t, container %q; want %+v", name, p.running(), p.runsOther("123"), p.containerID(), want)
		}
	}
	if _, err := parsePods("error: not JSON"); err == nil {
		t.Error("text that is not JSON is read, want an error")
	}
}

func TestParseReports(t *testing.T) {
	t.Parallel()
	reports, err := parseReports(`{"items": [
	  {"metadata": {"name": "builder-e09fbe14"}, "spec": {"podName": "builder"}, "status": {"observed": {"zombies": 15, "containers": [
	    {"name": "builder", "parents": [{"pid": 14, "command": "buildd", "zombies": 15, "cause": "ParentDoesNotWait"}]}]}}},
	  {"metadata": {"name": "healed-c4d316e6"}, "spec": {"podName": "healed"}, "status": {"observed": {"zombies": 0}}},
	  {"metadata": {"name": "new-c4d316e6"}, "spec": {"podName": "new"}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	if len(reports) != 3 || reports["builder"].Metadata.Name != "builder-e09fbe14" {
		t.Errorf("got %+v", reports)
	}
	if line, ok := summarize(reports["builder"]); !ok || line != "15 held by buildd, PID 14 in its container: ParentDoesNotWait" {
		t.Errorf("got %q, %t", line, ok)
	}
	for _, pod := range []string{"healed", "new", "not in list"} {
		if line, ok := summarize(reports[pod]); ok {
			t.Errorf("%s: got %q, want nothing to tell", pod, line)
		}
	}
}

func TestParsePolicies(t *testing.T) {
	t.Parallel()
	policies, err := parsePolicies(`{"items": [
	  {"metadata": {"name": "cure"}, "spec": {"mode": "Enforce"}, "status": {"governed": 3, "leaking": 2, "conditions": [
	    {"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]}},
	  {"metadata": {"name": "invalid"}, "status": {"conditions": [{"type": "Ready", "status": "False"}]}},
	  {"metadata": {"name": "new"}, "spec": {"mode": "DryRun"}, "status": {"observedGeneration": -1}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	if p := policies["cure"]; !p.ready() || p.Status.Governed != 3 || p.Status.Leaking != 2 || p.Spec.Mode != "Enforce" {
		t.Errorf("got %+v", p)
	}
	for _, name := range []string{"invalid", "new"} {
		if policies[name].ready() {
			t.Errorf("%s is ready, want not", name)
		}
	}
}

func TestParseEventsReturnsThoseOfTheOperator(t *testing.T) {
	t.Parallel()
	events, err := parseEvents(`{"items": [
	  {"metadata": {"name": "webhook.1"}, "reason": "Started", "message": "Started container", "reportingComponent": "kubelet", "eventTime": null},
	  {"metadata": {"name": "webhook.2"}, "reason": "ActDone", "message": "Cured: All gone.", "reportingComponent": "zombie-operator",
	   "eventTime": "2026-11-21T18:59:41.123456Z", "involvedObject": {"kind": "Pod", "name": "webhook", "uid": "uid"}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	e := events["webhook.2"]
	if len(events) != 1 || e.Reason != "ActDone" || e.Message != "Cured: All gone." || e.About.Name != "webhook" || e.About.UID != "uid" || e.Time == "" {
		t.Errorf("got %+v", events)
	}
	if _, err := parseEvents("error: not JSON"); err == nil {
		t.Error("text that is not JSON is read, want an error")
	}
}

func TestParseRemediations(t *testing.T) {
	t.Parallel()
	acts, err := parseRemediations(`{"items": [{"metadata": {"name": "webhook-1"}, "spec": {"podName": "webhook", "podUID": "uid", "action": "SignalParent"},
	  "status": {"outcome": "Cured", "message": "All gone."}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := acts["webhook-1"]; got.Spec.PodName != "webhook" || got.Spec.PodUID != "uid" || got.Spec.Action != "SignalParent" ||
		got.Status.Outcome != "Cured" || got.Status.Message != "All gone." {
		t.Errorf("got %+v", got)
	}
}

func TestParseImageID(t *testing.T) {
	t.Parallel()
	archive := func(manifest string) *bytes.Buffer {
		var b bytes.Buffer
		files := tar.NewWriter(&b)
		for _, file := range []struct{ name, text string }{{"0a1b.tar", "a layer"}, {"manifest.json", manifest}} {
			if err := files.WriteHeader(&tar.Header{Name: file.name, Mode: 0o644, Size: int64(len(file.text))}); err != nil {
				t.Fatal(err)
			}
			if _, err := files.Write([]byte(file.text)); err != nil {
				t.Fatal(err)
			}
		}
		if err := files.Close(); err != nil {
			t.Fatal(err)
		}
		return &b
	}
	if id, err := parseImageID(archive(`[{"Config": "78c297d1.json", "RepoTags": ["localhost/zombie-operator:dev"]}]`)); err != nil || id != "78c297d1" {
		t.Errorf("got %q, %v", id, err)
	}
	for _, manifest := range []string{"", "[]", "[{}]", "{"} {
		if id, err := parseImageID(archive(manifest)); err == nil {
			t.Errorf("%q is read as %q, want an error", manifest, id)
		}
	}
	if id, err := parseImageID(strings.NewReader("")); err == nil {
		t.Errorf("an empty archive is read as %q, want an error", id)
	}
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"one\ntwo\n":              "one\ntwo",
		"one\ntwo\nthree\nfour\n": "(2 lines left out)\nthree\nfour",
	} {
		if got := lastLines(text, 2); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestCutDescription(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"only what was seen": {"Name: a\nSpec:\n  Pod: a\nStatus:\n  Conditions:\n  Observed:\n    Zombies:  1\nEvents:  <none>\n", "  Observed:\n    Zombies:  1\n"},
		"spec without it":    {"Name: a\nSpec:\n  Pod: a\nEvents:  <none>\n", "Spec:\n  Pod: a\n"},
		"something else":     {"Name: a\n", "Name: a\n"},
	} {
		if got := cutDescription(test.text); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestCutPod(t *testing.T) {
	t.Parallel()
	const events = "Events:\n  Type    Reason   Message\n  ----    ------   -------\n  Normal  ActDone  Cured\n"
	for name, test := range map[string]struct{ text, want string }{
		"how it ended last, its restarts and the events": {
			"Name: a\nStatus: Running\nContainers:\n  app:\n    Image: a\n    State:          Running\n      Started:      now\n" +
				"    Last State:     Terminated\n      Message:      zombie-operator\n\n      Exit Code:    0\n    Ready:          True\n" +
				"    Restart Count:  1\n    Requests:\n      cpu:        5m\nConditions:\n  Type   Status\n" + events,
			"...\n    Last State:     Terminated\n      Message:      zombie-operator\n\n      Exit Code:    0\n    Restart Count:  1\n...\n" + events,
		},
		"no last state without a restart": {
			"Name: a\nContainers:\n  app:\n    State:          Running\n      Started:      now\n    Ready:          True\n    Restart Count:  0\n" + events,
			"...\n    Restart Count:  0\n...\n" + events,
		},
	} {
		if got := cutPod(test.text); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}
