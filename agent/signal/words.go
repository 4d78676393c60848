package signal

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"github.com/zombie-operator/zombie-operator/agent/act"
	"github.com/zombie-operator/zombie-operator/agent/inventory"
	"github.com/zombie-operator/zombie-operator/agent/kernel"
	"github.com/zombie-operator/zombie-operator/agent/printable"
	"github.com/zombie-operator/zombie-operator/agent/target"
	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// maxMessage is the longest message that the API takes.
const maxMessage = 512

func sentence(format string, args ...any) string {
	return printable.Printable(fmt.Sprintf(format, args...), maxMessage)
}

func stale(format string, args ...any) *act.NotDoneError {
	return &act.NotDoneError{Outcome: v1alpha1.OutcomeStale, Message: sentence(format, args...)}
}

func refused(format string, args ...any) *act.NotDoneError {
	return &act.NotDoneError{Outcome: v1alpha1.OutcomeRefused, Message: sentence(format, args...)}
}

// tooFew refuses a SIGCHLD where one zombie and a live child are left.
func tooFew(parent *target.Parent) *act.NotDoneError {
	return refused("No SIGCHLD is sent to %s, which has one zombie and a live child: were the zombie reaped just then, a handler that waits once would hang until that child ends.", who(parent))
}

// who names a parent as people inside the container know it.
func who(parent *target.Parent) string { return named(parent.PID(), parent.Process.Command) }

func named(pid int, command string) string {
	return fmt.Sprintf("process %d (%s)", pid, printable.Printable(command, v1alpha1.MaxCommand))
}

func zombiesIn(n int) string {
	if n == 1 {
		return "1 zombie"
	}
	return fmt.Sprintf("%d zombies", n)
}

func count(n int) int32 { return int32(min(n, math.MaxInt32)) } //nolint:gosec // it was just bounded

// sentTo says what was sent, and to whom.
func (p *prepared) sentTo(s sending) string {
	times := "1 time"
	if s.sent != 1 {
		times = fmt.Sprintf("%d times", s.sent)
	}
	return fmt.Sprintf("%s %s to %s", unix.SignalName(p.signal), times, who(p.parent))
}

// story tells what was done and what came of it.
func (p *prepared) story(s sending, v view) string {
	story := fmt.Sprintf("Sent %s: %s before, %d after.", p.sentTo(s), zombiesIn(len(p.zombies)), v.after())
	if more := p.more(s, v); more != "" {
		story += " " + more
	}
	return sentence("%s", story)
}

// more tells what the figures do not.
func (p *prepared) more(s sending, v view) string {
	switch {
	case v.after() == 0 && p.ended():
		return "The container ended."
	case v.after() == 0:
		return ""
	case len(v.left) > 0 && len(v.corpse) > 0:
		return fmt.Sprintf("They passed to %s, which does not reap them, and the signalled process is a zombie, too.", p.holder(v.left[0]))
	case len(v.left) > 0 && !v.alive:
		return fmt.Sprintf("They passed to %s, which does not reap them.", p.holder(v.left[0]))
	case len(v.corpse) > 0:
		return fmt.Sprintf("What is left is the signalled process itself, which %s does not reap.", p.holder(v.corpse[0]))
	case s.end == spared:
		return "One is left alone: while the process has a live child, a signal more could hang it."
	case s.end == contended:
		return "More of them went than signals were sent, so no more were sent: one too many could hang the process."
	case s.end == enough:
		return "No more are sent in one act."
	}
	return ""
}

// holder names the present parent of a zombie.
func (p *prepared) holder(zombie kernel.Process) string {
	process, err := p.finder.Proc.Process(zombie.ParentPID)
	if err != nil {
		return "another process"
	}
	identity, err := p.finder.Proc.Identity(zombie.ParentPID)
	if depth := p.parent.Container.Depth; err == nil && len(identity.NamespacePIDs) >= depth {
		return named(identity.NamespacePIDs[depth-1], process.Command)
	}
	return "a process outside of the container"
}

// ended says whether the container ended.
func (p *prepared) ended() bool {
	lives, err := inventory.Lives(p.finder.Proc, p.parent.Container)
	return err == nil && !lives
}
