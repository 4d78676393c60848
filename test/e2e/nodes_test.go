package e2e

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/nodereport"
)

// hostZombiesCount is how many zombies a parent leaves on the machine that has more of them than any other.
const hostZombiesCount = 30

// hostParent is whose they are, hostParentShown what is shown of it: 15 bytes, which is what the kernel keeps of a name.
const (
	hostParent      = "fake-kubelet\x1b[m"
	hostParentShown = "fake-kubelet?[m"
)

var (
	// hostParentPID is the process of hostParent.
	hostParentPID int
	// hostParentLives are the pipes whose end ends the parents. Nobody may collect them before.
	hostParentLives []io.Closer
)

// hostileZombies is how many zombies each parent with a hostile name has: less than hostParent, and more than what else the machine
// may have, as only ten names are told.
const hostileZombies = 25

// hostParents are the parents on the machine by name, with how many zombies each has and what is shown of its name.
func hostParents() map[string]v1alpha1.HostParent {
	parents := map[string]v1alpha1.HostParent{hostParent: {Command: hostParentShown, Zombies: hostZombiesCount}}
	for _, c := range hostileNamesOf {
		parents[c.name] = v1alpha1.HostParent{Command: c.shown, Zombies: hostileZombies}
	}
	return parents
}

// leaveHostZombies starts parents on the machine itself, outside of every pod, before there are agents: what is told first of a node is
// told of them, and not of the pods of the other node, which share the kernel and are nobody's for the agent. It returns a function that
// waits until their zombies are old enough to count. The parents end with this process.
func leaveHostZombies() (waitOld func(), err error) {
	program, err := treeText("host")
	if err != nil {
		return nil, err
	}
	for name, parent := range hostParents() {
		cmd := exec.Command("perl", "-e", program, "--", hex.EncodeToString([]byte(name)), strconv.Itoa(int(parent.Zombies)))
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return nil, fmt.Errorf("making a pipe to a parent on the machine: %w", err)
		}
		hostParentLives = append(hostParentLives, stdin)
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			return nil, fmt.Errorf("making a pipe from a parent on the machine: %w", err)
		}
		if err := cmd.Start(); err != nil {
			return nil, fmt.Errorf("starting a parent on the machine: %w", err)
		}
		if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
			return nil, fmt.Errorf("waiting for the zombies of %q: %w", name, err)
		}
		if name == hostParent {
			hostParentPID = cmd.Process.Pid
		}
	}
	old := time.After(firstAge + time.Second)
	return func() { <-old }, nil
}

// nodeZombies shows that zombies outside of every pod are told of, under parents with hostile names too, and nothing is done to them.
// Each node of this cluster sees them, because all share one kernel.
func nodeZombies(t *testing.T) {
	for _, node := range []string{nodeName, secondNode} {
		report := waitNodeReport(t, node)
		if !meta.IsStatusConditionTrue(report.Status.Conditions, v1alpha1.ConditionLeaking) {
			t.Errorf("conditions of node %s are %+v, want Leaking=True", node, report.Status.Conditions)
		}
		if pids := report.Status.Observed.PIDs; pids == nil || pids.Used < hostZombiesCount ||
			(pids.LimitedBy != v1alpha1.PIDLimitPIDMax && pids.LimitedBy != v1alpha1.PIDLimitThreadsMax) {
			t.Errorf("PIDs of node %s are %+v, want those of the machine", node, pids)
		}
		checkNodeEvent(t, node)
	}
	checkNodeTable(t)
	for _, p := range operatorPods(t) {
		if p.Labels["app.kubernetes.io/component"] == "agent" {
			checkNodeMetrics(t, p.Name, scrape(t, &p))
		}
	}
	if f := statFields(hostParentPID); len(f) == 0 || f[0] != "S" || zombiesUnder(t, hostParentPID) != hostZombiesCount {
		t.Errorf("the parent on the host is %v with %d zombies, want it as it was", f, zombiesUnder(t, hostParentPID))
	}
	shown(t, "D acs-engine#521")
}

// waitNodeReport waits until the report of a node tells of the zombies of the host, and of those parents by the names that are shown.
func waitNodeReport(t *testing.T, node string) *v1alpha1.ZombieNodeReport {
	t.Helper()
	var report v1alpha1.ZombieNodeReport
	eventually(t, patience, func(ctx context.Context) string {
		if err := api.Get(ctx, types.NamespacedName{Name: node}, &report); err != nil {
			return err.Error()
		}
		if report.Status.Observed == nil || report.Status.Observed.HostZombies < hostZombiesCount {
			return fmt.Sprintf("the report of node %s says %+v", node, report.Status.Observed)
		}
		for _, want := range hostParents() {
			if !slices.Contains(report.Status.Observed.Parents, want) {
				return fmt.Sprintf("the report of node %s does not tell of %+v: %+v", node, want, report.Status.Observed)
			}
		}
		return ""
	})
	return &report
}

// checkNodeEvent wants one Event that kubectl describe node shows: it must be in the namespace default and bear the Node's UID.
func checkNodeEvent(t *testing.T, name string) {
	t.Helper()
	var node corev1.Node
	if err := api.Get(t.Context(), types.NamespacedName{Name: name}, &node); err != nil {
		t.Fatal(err)
	}
	events := waitTold(t, corev1.NamespaceDefault, "Node", name, nodereport.EventZombiesOnNode)
	if n := countTold(events, nodereport.EventZombiesOnNode); n != 1 {
		t.Errorf("%d Events tell of zombies on node %s, want 1:\n%s", n, name, describeEvents(events))
	}
	for _, e := range events {
		if e.Reason != nodereport.EventZombiesOnNode {
			continue
		}
		checkPrintable(t, "the Event on node "+name, e.Note)
		if e.Regarding.UID != node.UID || e.Type != corev1.EventTypeWarning {
			t.Errorf("the Event on node %s is %s and regards UID %q, want a Warning that regards %q", name, e.Type, e.Regarding.UID, node.UID)
		}
		var zombies int32
		for _, p := range hostParents() {
			zombies += p.Zombies
		}
		told := regexp.MustCompile(`^There are (\d+) zombies outside of every container`).FindStringSubmatch(e.Note)
		if told == nil || parseInt(t, told[1]) < zombies || !strings.Contains(e.Note, fmt.Sprintf("Most are children of %s (%d).", hostParentShown, hostZombiesCount)) {
			t.Errorf("the Event on node %s is %q, want it to tell of %d zombies or more, most of %s", name, e.Note, zombies, hostParentShown)
		}
	}
	text, err := output(kubectl, "describe", "node", name)
	if err != nil {
		t.Fatal(err)
	}
	if _, shown, found := strings.Cut(text, "\nEvents:"); !found || !strings.Contains(shown, nodereport.EventZombiesOnNode) {
		t.Errorf("kubectl describe node %s does not show the Event:\n%s", name, shown)
	}
}

// checkNodeTable wants a line for each node, in which no name breaks anything.
func checkNodeTable(t *testing.T) {
	t.Helper()
	for _, format := range []string{"", "wide"} {
		table, err := output(kubectl, "get", "znr", "-o", format)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("kubectl get znr -o %q:\n%s", format, table)
		if strings.Count(table, "\n") != 3 || !strings.Contains(table, nodeName) || !strings.Contains(table, secondNode) {
			t.Error("the table is not a heading and two nodes")
		}
		for line := range strings.Lines(table) {
			checkPrintable(t, "the table", strings.TrimSuffix(line, "\n"))
		}
	}
}

// checkNodeMetrics wants each parent on the machine to be counted under the name that is shown of it, and the machine's limit on PIDs.
func checkNodeMetrics(t *testing.T, pod, text string) {
	t.Helper()
	checkMetrics(t, text)
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	var wants []string
	for _, p := range hostParents() {
		wants = append(wants, fmt.Sprintf(`zombie_agent_host_zombies{parent_command="%s"} %d`, quoted.Replace(p.Command), p.Zombies))
	}
	limit := min(parsePID(t, readFile(t, "/proc/sys/kernel/pid_max")), parsePID(t, readFile(t, "/proc/sys/kernel/threads-max")))
	for _, want := range append(wants, "zombie_agent_pids_limit "+strconv.FormatFloat(float64(limit), 'g', -1, 64)) {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the metrics of %s do not have %s:\n%s", pod, want, text)
		}
	}
}
