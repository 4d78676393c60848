//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
)

const introduction = `zombie-operator finds the pods that leak zombie processes, says who leaks them and why, and cures them where a policy
lets it. This demo shows it on a real Kubernetes cluster on this machine, with pods that leak real zombies:`

const expectation = `The first run takes minutes, as it builds Kubernetes and the operator; later ones take about three. Everything is in a
cluster named "` + clusterName + `"; make demo-down takes it down. Ctrl-C ends the story at any time, and make demo tells it again.`

// scene is one part of the story.
type scene struct {
	title   string
	play    func(context.Context, *stage) error
	explain [][]string // arguments of kubectl that show why it failed
	mend    string     // what to do then, if there is more to say than the usual
}

// scenes are the story, in order.
var scenes = []scene{
	{title: "A Kubernetes cluster", play: bringUp,
		mend: "what zcluster says above; then run make demo again, or start over: make demo-down demo"},
	{title: "Two images: the operator, and programs that leak", play: buildImages},
	{title: "The operator, by its Helm chart", play: install, explain: operatorState},
	{title: "Eight pods", play: startLeaks, explain: shopState},
	{title: "What the kernel shows", play: watchKernel, explain: shopState},
	{title: "What the agent reports", play: watchReports, explain: operatorState},
	{title: "What it does not report", play: watchAbsence, explain: operatorState},
	{title: "The reports", play: showReports, explain: operatorState},
	{title: "Two policies", play: showPolicies, explain: actState},
	{title: "A signal cures one pod, a restart another", play: watchActs, explain: actState, mend: mendAct},
	{title: "What it leaves alone", play: watchRestraint, explain: actState, mend: mendAct},
	{title: "What a restart does not cure", play: watchReturn, explain: actState, mend: mendAct},
	{title: "The traces, and where to look further", play: finale, explain: actState},
}

var operatorState = [][]string{
	{"get", "daemonsets,deployments,pods", "-n", operatorNamespace},
	{"get", "events", "-n", operatorNamespace, "--field-selector", "type=Warning", "--sort-by", ".lastTimestamp"},
	{"logs", "-n", operatorNamespace, "-l", "app.kubernetes.io/component=agent", "--tail", "10"},
	{"logs", "-n", operatorNamespace, "-l", "app.kubernetes.io/component=controller", "--tail", "10"},
}

var actState = [][]string{
	{"get", "zombiepolicies,zombieremediations", "-n", shop, "-o", "wide"},
	{"get", "zombiereports", "-n", shop, "-o", "wide"},
	{"get", "pods", "-n", shop},
	{"get", "events", "-n", shop, "--sort-by", ".metadata.creationTimestamp", "-o", "custom-columns=ON:.involvedObject.name,REASON:.reason,MESSAGE:.message"},
	{"logs", "-n", operatorNamespace, "-l", "app.kubernetes.io/component=controller", "--tail", "10"},
	{"logs", "-n", operatorNamespace, "-l", "app.kubernetes.io/component=agent", "--tail", "10"},
}

const mendAct = `look at the column DOING of the reports and at the messages of the events, which say why nothing was done or how it ended;
  then run make demo again, or start over: make demo-down demo`

var shopState = [][]string{
	{"get", "pods", "-n", shop, "-o", "wide"},
	{"get", "events", "-n", shop, "--field-selector", "type=Warning", "--sort-by", ".lastTimestamp"},
}

// example is the pod whose report is shown in full: its leak is in the middle, where a look at PID 1 finds nothing.
const example = "builder"

func showReports(ctx context.Context, s *stage) error {
	table, err := s.kubectl(ctx, "get", "zombiereports", "-A")
	if err != nil {
		return err
	}
	reports, err := s.reports(ctx)
	if err != nil {
		return err
	}
	name := reports[example].Metadata.Name
	description, err := s.kubectl(ctx, "describe", "zombiereport", "-n", shop, name)
	if err != nil {
		return err
	}
	// From the left edge, as they come from the cluster and are to be copied.
	s.tell.print("\n$ kubectl get zombiereports -A\n" + table)
	s.tell.print("\n$ kubectl describe zombiereport -n " + shop + " " + name + "\n...\nStatus:\n...\n" + cutDescription(description))
	return nil
}

func finale(ctx context.Context, s *stage) error {
	s.tell.text("All of it can be read later, by somebody who was not there:")
	for _, args := range [][]string{
		{"get", "zombiepolicies", "-n", shop},
		{"get", "zombieremediations", "-n", shop},
		{"get", "zombiereports", "-A"},
	} {
		table, err := s.kubectl(ctx, args...)
		if err != nil {
			return err
		}
		s.tell.print("\n$ kubectl " + strings.Join(args, " ") + "\n" + table)
	}
	for _, e := range endings {
		description, err := s.kubectl(ctx, "describe", "pod", "-n", shop, e.pod)
		if err != nil {
			return err
		}
		s.tell.print("\n$ kubectl describe pod -n " + shop + " " + e.pod + "\n" + cutPod(description))
	}
	s.tell.print(fmt.Sprintf(whereToLook, s.exports["KUBECONFIG"], s.exports["KUBECACHEDIR"], s.exports["KUBEBUILDER_ASSETS"], shop, shop, shop, operatorNamespace, shop))
	s.tell.event("the end")
	return nil
}

const whereToLook = `
Look further. Type this first:
  export KUBECONFIG='%s' KUBECACHEDIR='%s'
  export PATH='%s':"$PATH"
and then, as you like:
  kubectl get zombiereports -A -o wide
  kubectl get zombiereports -A --watch                  # cron-runner and terminal go on leaking
  kubectl describe zombieremediations -n %s
  kubectl events -n %s --for pod/repo-server          # in order, which describe does not keep
  kubectl patch zombiepolicy rehearse -n %s --type merge -p '{"spec":{"mode":"Enforce"}}'
                                                        # cures builder, by ending buildd
  kubectl explain zombiepolicy.spec.ladder
  kubectl logs -n %s -l app.kubernetes.io/component=agent
  kubectl delete pod -n %s invoicer                   # its report goes with it
Take it all down:
  make demo-down

`

// cutPod keeps what tells of an act: how the container ended last, how often it was restarted, and the events.
func cutPod(text string) string {
	text, events, _ := strings.Cut(text, "\nEvents:")
	text += "\n"
	var kept strings.Builder
	keep := false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "    Last State:"), strings.HasPrefix(line, "    Restart Count:"):
			keep = true
		case !strings.HasPrefix(line, "      ") && strings.TrimSpace(line) != "": // a message may hold an empty line
			keep = false
		}
		if keep {
			kept.WriteString(line)
		}
	}
	return "...\n" + kept.String() + "...\nEvents:" + events
}

// cutDescription keeps what the agent saw: neither the metadata and conditions before it nor the events behind it.
func cutDescription(text string) string {
	for _, heading := range []string{"\nSpec:", "\n  Observed:"} {
		if i := strings.Index(text, heading); i >= 0 {
			text = text[i+1:]
		}
	}
	text, _, _ = strings.Cut(text, "\nEvents:")
	return strings.TrimRight(text, "\n") + "\n"
}
