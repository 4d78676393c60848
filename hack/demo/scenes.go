//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
)

const introduction = `zombie-operator finds the pods that leak zombie processes and says who leaks them and why. This demo shows it on
a real Kubernetes cluster on this machine, with pods that leak real zombies:`

const expectation = `The first run takes minutes, as it builds Kubernetes and the operator; later ones take about one. Everything is in a
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
	{title: "The reports, and where to look further", play: finale, explain: operatorState},
}

var operatorState = [][]string{
	{"get", "daemonsets,deployments,pods", "-n", operatorNamespace},
	{"get", "events", "-n", operatorNamespace, "--field-selector", "type=Warning", "--sort-by", ".lastTimestamp"},
	{"logs", "-n", operatorNamespace, "-l", "app.kubernetes.io/component=agent", "--tail", "10"},
	{"logs", "-n", operatorNamespace, "-l", "app.kubernetes.io/component=controller", "--tail", "10"},
}

var shopState = [][]string{
	{"get", "pods", "-n", shop, "-o", "wide"},
	{"get", "events", "-n", shop, "--field-selector", "type=Warning", "--sort-by", ".lastTimestamp"},
}

// example is the pod whose report is shown in full: its leak is in the middle, where a look at PID 1 finds nothing.
const example = "builder"

func finale(ctx context.Context, s *stage) error {
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
	s.tell.print(fmt.Sprintf(whereToLook, s.exports["KUBECONFIG"], s.exports["KUBECACHEDIR"], s.exports["KUBEBUILDER_ASSETS"], shop, name, operatorNamespace, shop))
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
  kubectl describe zombiereport -n %s %s
  kubectl explain zombiereport.status.observed.containers.parents
  kubectl logs -n %s -l app.kubernetes.io/component=agent
  kubectl delete pod -n %s webhook                    # its report goes with it
Take it all down:
  make demo-down

`

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
