//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// judged is what the controller gets to have judged a report that is there already: a moment.
	judged = time.Minute
	// leaksAgain is what the report on a restarted container gets: its zombies have to be 30 s old and seen twice.
	leaksAgain = 2 * time.Minute
	rehearsed  = "builder"
	spared     = "sentinel"
	returning  = "repo-server"
)

// watchRestraint holds against the kernel that nothing was done where nothing is to be done.
func watchRestraint(ctx context.Context, s *stage) error {
	var reports map[string]report
	err := until(ctx, judged, func(ctx context.Context) (missing string, err error) {
		if reports, err = s.reports(ctx); err != nil {
			return "", err
		}
		if doing := reports[rehearsed].Status.Judgement.Next.Doing; doing != "DryRun:SIGTERM" {
			missing = fmt.Sprintf("for the report of %s to say DryRun:SIGTERM; it says %q", rehearsed, doing)
		}
		return missing, nil
	})
	if err != nil {
		return err
	}
	now, err := s.stateOfShop(ctx)
	if err != nil {
		return err
	}
	if err := untouched(s.before, now, reports); err != nil {
		return err
	}
	s.tell.event("%-12s under policy cure, and left alone: no report, no event, no act", spared)
	s.tell.text(`It has always some zombies, as many as the trigger wants. But it reaps each within 20 s, and the trigger wants them dead for
		30 s. A signal or a restart would have changed nothing but the peace of its users.`)
	s.tell.blank()
	s.tell.quote(rehearsed, "under policy rehearse, mode DryRun. Its report says what Enforce would do: "+reports[rehearsed].Status.Judgement.Next.Message)
	s.tell.text(fmt.Sprintf("The kernel still shows all %d of its zombies, the same ones, and the same parent.", len(s.before.kernel.was[rehearsed].zombies)))
	s.tell.blank()
	s.tell.event("%s: under no policy, so only reported", strings.Join(ungoverned(), ", "))
	return nil
}

// ungoverned are the pods that leak and that no policy selects.
func ungoverned() []string {
	var pods []string
	for _, r := range leaking() {
		acted := slices.ContainsFunc(endings, func(e ending) bool { return e.pod == r.pod })
		if !acted && r.pod != rehearsed {
			pods = append(pods, r.pod)
		}
	}
	return pods
}

// untouched is an error when anything was done to a pod to which nothing was to be done.
func untouched(before, now state, reports map[string]report) error {
	for _, r := range cast {
		if slices.ContainsFunc(endings, func(e ending) bool { return e.pod == r.pod }) {
			continue
		}
		if slices.ContainsFunc(now.acts, func(a remediation) bool { return a.Spec.PodName == r.pod }) {
			return fmt.Errorf("there is an act on %s, and there must be none", r.pod)
		}
		if now.pods[r.pod].containerID() != before.pods[r.pod].containerID() {
			return fmt.Errorf("%s does not run in the container in which it was", r.pod)
		}
	}
	zombies := before.kernel.was[rehearsed].zombies
	if n := still(zombies, now.kernel.was[rehearsed].zombies); n != len(zombies) {
		return fmt.Errorf("%d of the %d zombies of %s are left, and nobody was to touch them", n, len(zombies), rehearsed)
	}
	_, reported := reports[spared]
	if reported || slices.ContainsFunc(now.events, func(e event) bool { return e.About.Name == spared }) {
		return fmt.Errorf("there is a report or an event of the operator on %s, and there is nothing to tell", spared)
	}
	return nil
}

// watchReturn waits until the restarted pod is seen to leak again: the program is the same.
func watchReturn(ctx context.Context, s *stage) error {
	s.tell.text(fmt.Sprintf(`A restart ends zombies, not their cause. %s makes its zombies when it starts, so it has made as many again.
		They have to be dead for 30 s before the agent reports them:`, returning))
	s.tell.blank()
	var r report
	err := until(ctx, leaksAgain, func(ctx context.Context) (string, error) {
		reports, err := s.reports(ctx)
		if err != nil {
			return "", err
		}
		all, err := s.policies(ctx)
		r = reports[returning]
		return lacksReturn(r, s.pods[returning].containerID(), all["cure"]), err
	})
	if err != nil {
		return err
	}
	line, _ := summarize(r)
	s.tell.quote(returning, line)
	s.tell.quote("", "and what is done about it: "+r.Status.Judgement.Next.Doing+". "+r.Status.Judgement.Next.Message)
	p, _ := r.parent()
	if p.Fix == "" {
		return errors.New("the report does not say what ends the leak for good")
	}
	s.tell.quote("", "What ends it for good, by its report: "+p.Fix)
	s.tell.text("No restart loop comes of it: between two acts that disturb a pod there are 600 s, and a ladder has an end.")
	return nil
}

// lacksReturn says what report and policy lack to tell of the leak in the new container.
func lacksReturn(r report, containerID string, under policy) string {
	if o := r.Status.Observed; o == nil || len(o.Containers) == 0 || o.Containers[0].ContainerID != containerID {
		return fmt.Sprintf("for the report of %s to tell of its new container", returning)
	}
	if next := r.Status.Judgement.Next; next.Reason != "Cooldown" {
		return fmt.Sprintf("for the report of %s to say Cooldown; it says %q: %s", returning, next.Reason, next.Message)
	}
	if under.Status.Leaking == 0 {
		return fmt.Sprintf("for policy %s to count %s as leaking", under.Metadata.Name, returning)
	}
	return ""
}
