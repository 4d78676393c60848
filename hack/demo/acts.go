//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	policies = "hack/demo/policies"
	// inForce is what the controller gets to take two policies up: a moment.
	inForce = time.Minute
	// acted is what both cures get. SIGCHLD has 30 s to prove itself before the restart, and a new container has to be ready.
	acted = 4 * time.Minute
)

// ending is what must become of a pod under the policy that acts.
type ending struct {
	pod, action, outcome string
	restarts             int
	lesson               string
}

var endings = []ending{
	{"webhook", "SignalParent", "Cured", 0, `webhook is cured: its SIGCHLD handler is a good one and had only come too late for the first signals.
		One more, and it waited for all of its dead. The container is the one that it was.`},
	{"repo-server", "RestartContainer", "Cleared", 1, `repo-server does not wait for what it inherits, so the signal changed nothing. Only with
		that proven came the next rung: a new container in the same pod, and the kernel reaped the zombies of the old one.`},
}

// showPolicies applies the policies from the files that the viewer sees.
func showPolicies(ctx context.Context, s *stage) error {
	s.tell.text(`So far the operator only looked: without a policy it touches nothing. Here are two, as a team writes them for
		the pods of its own namespace. The first acts:`)
	if err := s.printFile(filepath.Join(policies, "cure.yaml")); err != nil {
		return err
	}
	s.tell.text("The second only tells what it would do:")
	if err := s.printFile(filepath.Join(policies, "rehearse.yaml")); err != nil {
		return err
	}
	var err error
	if s.before, err = s.stateOfShop(ctx); err != nil {
		return err
	}
	if _, err := s.kubectl(ctx, "apply", "-f", policies); err != nil {
		return err
	}
	s.tell.event("applied: kubectl apply -f %s", policies)
	told := map[string]bool{}
	return until(ctx, inForce, func(ctx context.Context) (string, error) {
		all, err := s.policies(ctx)
		if err != nil {
			return "", err
		}
		for _, name := range []string{"cure", "rehearse"} {
			p := all[name]
			if !p.ready() || p.Status.Governed == 0 {
				return fmt.Sprintf("for the controller to take up policy %s, and to count the pods that it governs", name), nil
			}
			if !told[name] {
				told[name] = true
				s.tell.event("%-12s is in force, governs %d of the pods, mode %s", name, p.Status.Governed, p.Spec.Mode)
			}
		}
		return "", nil
	})
}

// policies are those of the namespace, by name.
func (s *stage) policies(ctx context.Context) (map[string]policy, error) {
	out, err := s.kubectl(ctx, "get", "zombiepolicies", "-n", shop, "-o", "json")
	if err != nil {
		return nil, err
	}
	return parsePolicies(out)
}

// printFile shows a file from the left edge, to be copied.
func (s *stage) printFile(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("showing a policy: %w", err)
	}
	s.tell.print(fmt.Sprintf("\n$ cat %s\n%s\n", path, text))
	return nil
}

// state is what there is of the shop at a time.
type state struct {
	pods   map[string]pod
	acts   []remediation
	events []event // in the order of their time
	kernel sight
}

func (s *stage) stateOfShop(ctx context.Context) (state, error) {
	var now state
	out, err := s.kubectl(ctx, "get", "pods", "-n", shop, "-l", partLabel, "-o", "json")
	if err != nil {
		return now, err
	}
	if now.pods, err = parsePods(out); err != nil {
		return now, err
	}
	if out, err = s.kubectl(ctx, "get", "zombieremediations", "-n", shop, "-o", "json"); err != nil {
		return now, err
	}
	acts, err := parseRemediations(out)
	if err != nil {
		return now, err
	}
	if out, err = s.kubectl(ctx, "get", "events", "-n", shop, "-o", "json"); err != nil {
		return now, err
	}
	events, err := parseEvents(out)
	if err != nil {
		return now, err
	}
	now.ofThese(acts, events)
	now.kernel, err = look(now.pods)
	return now, err
}

// ofThese keeps what is about the pods of today: earlier ones had the same names.
func (now *state) ofThese(acts map[string]remediation, events map[string]event) {
	now.acts = slices.Collect(maps.Values(acts))
	now.acts = slices.DeleteFunc(now.acts, func(r remediation) bool { return r.Spec.PodUID != now.pods[r.Spec.PodName].Metadata.UID })
	slices.SortFunc(now.acts, func(a, b remediation) int { return cmp.Compare(a.Metadata.Name, b.Metadata.Name) })
	now.events = slices.Collect(maps.Values(events))
	now.events = slices.DeleteFunc(now.events, func(e event) bool { return e.About.UID != now.pods[e.About.Name].Metadata.UID })
	slices.SortFunc(now.events, func(a, b event) int { return cmp.Compare(a.Time, b.Time) })
}

func watchActs(ctx context.Context, s *stage) error {
	s.tell.text(`The operator writes what it does onto the pods, as events. Here they are as they come. Each act is proven before
		the next one may follow, a signal within 30 s:`)
	s.tell.blank()
	told := map[string]bool{}
	return until(ctx, acted, func(ctx context.Context) (string, error) {
		now, err := s.stateOfShop(ctx)
		if err != nil {
			return "", err
		}
		s.tellEvents(now, told)
		var missing []string
		for _, e := range endings {
			lack := e.lacks(s.before, now)
			if lack != "" {
				missing = append(missing, lack)
			} else if !told[e.pod] {
				told[e.pod] = true
				s.tell.blank()
				s.tell.text(e.lesson)
				if slices.ContainsFunc(endings, func(other ending) bool { return !told[other.pod] }) {
					s.tell.blank()
				}
			}
		}
		s.pods = now.pods
		return strings.Join(missing, "; "), nil
	})
}

// tellEvents tells those that were not told before.
func (s *stage) tellEvents(now state, told map[string]bool) {
	for _, e := range now.events {
		if !told[e.Metadata.Name] {
			told[e.Metadata.Name] = true
			s.tell.quote(e.About.Name, e.Reason+": "+e.Message)
		}
	}
}

// lacks says what is missing still; nothing when all has come as it must. The operator's word is held against the API
// server's and the kernel's.
func (e ending) lacks(before, now state) string {
	if at := e.stands(now.acts); at != e.outcome {
		return fmt.Sprintf("for %s on %s to end %s: %s", e.action, e.pod, e.outcome, at)
	}
	was, is := before.pods[e.pod], now.pods[e.pod]
	switch {
	case !is.running() || is.restarts() != was.restarts()+e.restarts:
		return fmt.Sprintf("for %s to be ready with %d restarts, not %d", e.pod, was.restarts()+e.restarts, is.restarts())
	case is.Metadata.UID != was.Metadata.UID:
		return fmt.Sprintf("for pod %s to be the one that it was: its UID was %s and is %s", e.pod, was.Metadata.UID, is.Metadata.UID)
	case (is.containerID() != was.containerID()) != (e.restarts > 0):
		return fmt.Sprintf("for %s to run in the right container: it was %s and is %s", e.pod, was.containerID(), is.containerID())
	}
	if n := still(before.kernel.was[e.pod].zombies, now.kernel.was[e.pod].zombies); n > 0 {
		return fmt.Sprintf("for the kernel to forget %d of the zombies of %s", n, e.pod)
	}
	for _, reason := range []string{"LeakFound", "ActPlanned", "ActDone"} {
		if !slices.ContainsFunc(now.events, func(v event) bool { return v.About.Name == e.pod && v.Reason == reason }) {
			return fmt.Sprintf("for an event %s on %s", reason, e.pod)
		}
	}
	return ""
}

// stands is the outcome of the act when it is the right one, else a sentence on how far it has come.
func (e ending) stands(acts []remediation) string {
	at := "there is no such act yet"
	for _, act := range acts {
		switch {
		case act.Spec.PodName != e.pod || act.Spec.Action != e.action:
		case act.Status.Outcome == e.outcome:
			return e.outcome
		case act.Status.Outcome == "":
			at = "it is under way"
		default:
			at = "it ended " + act.Status.Outcome + ": " + act.Status.Message
		}
	}
	return at
}
