//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	shop      = "shop"
	manifests = "hack/leaks/manifests"
	partLabel = "app.kubernetes.io/part-of=zombie-leaks"
	// podsReady is what eight small pods get to start in: seconds on a quiet machine.
	podsReady = 2 * time.Minute
	// zombiesSeen is what the slowest leak gets to leave its first zombie: a readiness probe every 5 s.
	zombiesSeen = time.Minute
	// reported is what the slowest report gets: its zombie has to be 30 s old and seen twice.
	reported = 2 * time.Minute
	// leaderExited is the condition of a report that tells of a process whose main thread alone has ended.
	leaderExited = "LeaderExited"
	// absence is how long a pod without a report is watched: well beyond the age at which others get theirs.
	absence = 45 * time.Second
)

func startLeaks(ctx context.Context, s *stage) error {
	s.tell.lines(castTable())
	s.tell.blank()
	if err := s.clearLastShow(ctx); err != nil {
		return err
	}
	for _, file := range []string{filepath.Join(manifests, "namespace.yaml"), manifests} {
		if _, err := s.kubectl(ctx, "apply", "-f", file); err != nil {
			return err
		}
	}
	return until(ctx, podsReady, func(ctx context.Context) (string, error) {
		out, err := s.kubectl(ctx, "get", "pods", "-n", shop, "-l", partLabel, "-o", "json")
		if err != nil {
			return "", err
		}
		if s.pods, err = parsePods(out); err != nil {
			return "", err
		}
		var missing []string
		for _, r := range cast {
			if !s.pods[r.pod].running() {
				missing = append(missing, r.pod)
			}
		}
		if len(missing) > 0 {
			return "for these pods to be ready: " + strings.Join(missing, ", "), nil
		}
		s.tell.event("all %d pods run and are Ready: Kubernetes sees nothing wrong", len(cast))
		return "", nil
	})
}

// clearLastShow removes the pods of an earlier run, so that each run tells of fresh ones and of the current image.
func (s *stage) clearLastShow(ctx context.Context) error {
	// First the policies: nobody may act before the story has come to it.
	if _, err := s.kubectl(ctx, "delete", "-f", policies, "--ignore-not-found"); err != nil {
		return err
	}
	old, err := s.kubectl(ctx, "get", "pods", "-n", shop, "-l", partLabel, "-o", "name")
	if err != nil || strings.TrimSpace(old) == "" {
		return err
	}
	s.tell.event("removing the pods of the last run; their reports should go with them")
	if _, err := s.kubectl(ctx, "delete", "pods", "-n", shop, "-l", partLabel, "--wait", "--timeout", podsReady.String()); err != nil {
		return err
	}
	err = until(ctx, podsReady, func(ctx context.Context) (string, error) {
		reports, err := s.reports(ctx)
		if err != nil {
			return "", err
		}
		if len(reports) > 0 {
			return "for the controller to delete the reports of deleted pods: " + strings.Join(slices.Sorted(maps.Keys(reports)), ", "), nil
		}
		s.tell.event("gone, pods and reports")
		return "", nil
	})
	if err != nil {
		return err
	}
	_, err = s.kubectl(ctx, "delete", "zombieremediations", "-n", shop, "--all")
	return err
}

// reports are those of the namespace, by pod.
func (s *stage) reports(ctx context.Context) (map[string]report, error) {
	out, err := s.kubectl(ctx, "get", "zombiereports", "-n", shop, "-o", "json")
	if err != nil {
		return nil, err
	}
	return parseReports(out)
}

// look reads /proc of this machine, on which the node's processes run.
func look(pods map[string]pod) (sight, error) {
	containers := map[string]string{}
	for name, p := range pods {
		containers[name] = p.containerID()
	}
	was, err := find("/proc", containers)
	return sight{at: time.Now(), was: was}, err
}

func watchKernel(ctx context.Context, s *stage) error {
	s.tell.text(`A zombie is a process that has ended and waits for its parent to ask how. It cannot be killed; only its
		parent's wait() releases it. Until then it holds a PID. Here is what /proc of this machine shows, read without the operator:`)
	s.tell.blank()
	s.first = sight{was: map[string]finding{}}
	return until(ctx, zombiesSeen, func(context.Context) (string, error) {
		now, err := look(s.pods)
		if err != nil {
			return "", err
		}
		var missing []string
		for _, r := range cast {
			if _, told := s.first.was[r.pod]; told {
				continue
			}
			f := now.was[r.pod]
			if len(f.zombies) < r.zombies || len(f.zombies)+len(f.alive) == 0 {
				missing = append(missing, r.pod)
				continue
			}
			s.first.was[r.pod], s.first.at = f, now.at
			s.tell.event("%-12s %s", r.pod, describe(f))
		}
		if len(missing) > 0 {
			return "for processes in state Z in the pods " + strings.Join(missing, ", "), nil
		}
		return "", nil
	})
}

// describe tells of one pod's dead in half a line.
func describe(f finding) string {
	if len(f.zombies) == 0 && len(f.alive) > 0 {
		return fmt.Sprintf("%s (PID %d) is in state Z too, but has %d threads", f.alive[0].command, f.alive[0].pid, f.alive[0].threads)
	}
	if len(f.zombies) == 0 {
		return "no zombies"
	}
	s := ""
	if len(f.zombies) > 1 {
		s = "s"
	}
	return fmt.Sprintf("%2d zombie%s named %s, parent %s (PID %d here)", len(f.zombies), s, f.zombies[0].command, f.parent.command, f.parent.pid)
}

func watchReports(ctx context.Context, s *stage) error {
	s.tell.text(`Not every zombie is a leak: most parents are about to wait. So the agent counts a zombie only when it has
		seen it twice and when it has been dead for 30 s. Each report, as it appears:`)
	s.tell.blank()
	told := map[string]bool{}
	return until(ctx, reported, func(ctx context.Context) (string, error) {
		reports, err := s.reports(ctx)
		if err != nil {
			return "", err
		}
		var missing []string
		for _, r := range leaking() {
			if told[r.pod] {
				continue
			}
			line, ok := summarize(reports[r.pod])
			if !ok {
				missing = append(missing, r.pod)
				continue
			}
			told[r.pod] = true
			s.tell.event("%-12s %s", r.pod, line)
		}
		if len(missing) > 0 {
			return "for reports of " + strings.Join(missing, ", "), nil
		}
		return "", nil
	})
}

// finding is what a report says in one of its conditions; "" when it has none of that type.
func (r report) finding(condition string) string {
	for _, c := range r.Status.Conditions {
		if c.Type == condition {
			return c.Message
		}
	}
	return ""
}

// summarize tells of a report in half a line; there is nothing to tell before the agent has written who holds the zombies.
func summarize(r report) (string, bool) {
	p, ok := r.parent()
	if !ok {
		return "", false
	}
	return fmt.Sprintf("%2d held by %s, PID %d in its container: %s", r.Status.Observed.Zombies, p.Command, p.PID, p.Cause), true
}

// watchAbsence waits until the absence of a leak in the reports means something, and says why it is right.
func watchAbsence(ctx context.Context, s *stage) error {
	s.tell.text(`Two pods look like the others and must be left alone. To be sure, they are watched for longer than the
		others needed for their reports.`)
	s.tell.blank()
	var now sight
	var reports map[string]report
	err := until(ctx, reported, func(context.Context) (missing string, err error) {
		if now, err = look(s.pods); err != nil {
			return "", err
		}
		if now.at.Sub(s.first.at) < absence {
			return "for time to pass", nil
		}
		if n := still(s.first.was["sentinel"].zombies, now.was["sentinel"].zombies); n > 0 {
			return fmt.Sprintf("for sentinel to reap the %d it has left of its first zombies", n), nil
		}
		if reports, err = s.reports(ctx); err != nil {
			return "", err
		}
		if reports["search"].finding(leaderExited) == "" {
			return "for the report of search to say " + leaderExited, nil
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	if _, there := reports["sentinel"]; there {
		return errors.New("sentinel has a report and does not leak")
	}
	if n := reports["search"].Status.Observed.Zombies; n != 0 {
		return fmt.Errorf("the report of search counts %d zombies, and there is none", n)
	}
	sentinel, java := now.was["sentinel"], now.was["search"].alive
	if len(java) == 0 {
		return errors.New("the process of search that only looks like a zombie is gone")
	}
	s.tell.event("sentinel has no report, and that of search counts no zombie, which is right")
	s.tell.text(fmt.Sprintf(`sentinel has %d zombies now and had %d at first, %.0f s ago, and not one is the same: it does wait, only late.
		Killing it would cure nothing.`, len(sentinel.zombies), len(s.first.was["sentinel"].zombies), now.at.Sub(s.first.at).Seconds()))
	s.tell.text(fmt.Sprintf(`search: only the main thread of %s has ended; the kernel shows state Z and %d threads, of which %d live
		and work. It is no zombie, and its report says so:`, java[0].command, java[0].threads, java[0].threads-1))
	s.tell.quote("search", reports["search"].finding(leaderExited))
	return nil
}
