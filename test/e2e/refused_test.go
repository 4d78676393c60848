package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/remedy"
)

// checkNoRungHelps lets a policy try a signal and then a restart on a pod that neither can help, and wants both refused.
func checkNoRungHelps(t *testing.T, p *corev1.Pod, reason, says string) {
	t.Helper()
	policy := policyFor(p, v1alpha1.ModeEnforce, send(v1alpha1.SignalChild), restart)
	policy.Spec.Trigger.Zombies = 1
	apply(t, policy)
	checkRefused(t, p, reason, says, v1alpha1.ActionRestartContainer)
}

// deadBeside: PID 1 of one container is dead and its runtime's shim, which is the whole pod's, does not wait. To restart another
// container would hang at that shim, too.
func deadBeside(t *testing.T) {
	const name = "guard-dead-beside"
	p := guarded(namespace(t, name), name, container("app", "/leaks/sleep", "sleep"))
	p.Spec.Containers = append(p.Spec.Containers, container("leaky", "/leaks/never-waits", "never-waits", "-count=5"))
	create(t, p)
	waitInPlace(t, p, "leaky")
	containerID(t, p, "app")
	killContainer(t, p)
	waitReport(t, p, 5, patience)
	waitFinding(t, p, v1alpha1.ConditionContainerDead)
	enforce(t, p, restart)
	checkRefused(t, p, remedy.ReasonContainerDead, "would hang: PID 1 of a container of the pod is a zombie itself", v1alpha1.ActionRestartContainer)
	shown(t, "D containerd#3781")
}

// heldBeside: beside the zombies that count one is held by a tracer.
func heldBeside(t *testing.T) {
	const name = "guard-held-beside"
	p, _ := leakingPod(t, perl(t, namespace(t, name), name, "held_beside"))
	waitReport(t, p, 3, patience)
	waitFinding(t, p, v1alpha1.ConditionHeldByTracer)
	enforce(t, p, restart)
	checkRefused(t, p, remedy.ReasonHeldByTracer, "held by a tracer", v1alpha1.ActionRestartContainer)
}

// hungStorage: the parent hangs in a sleep that SIGKILL does not end, so a restart would hang with it.
func hungStorage(t *testing.T, namespace string) {
	dir := frozenStorage(t)
	p := perl(t, namespace, "longhorn", "hung", "/hung")
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{
		Name: "hung", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: dir}},
	})
	c := &p.Spec.Containers[0]
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "hung", MountPath: "/hung"})
	p, _ = leakingPod(t, p)
	parent := waitReport(t, p, 4, patience).Status.Observed.Containers[0].Parents[0]
	if parent.Cause != v1alpha1.CauseParentStuckInD || parent.Command != "backup" || !strings.Contains(parent.Message, "a restart may not get through") {
		t.Errorf("the parent is %+v, want backup, which hangs, and that a restart may not get through", parent)
	}
	if want := fmt.Sprint(everything); fmt.Sprint(parent.CannotHelp) != want {
		t.Errorf("what cannot help is %s, want %s", parent.CannotHelp, want)
	}
	checkNoRungHelps(t, p, remedy.ReasonParentStuckInD, "it hangs in state D, and a restart may hang with it")
	message := meta.FindStatusCondition(waitFinding(t, p, v1alpha1.ConditionPileBehindD).Status.Conditions, v1alpha1.ConditionPileBehindD).Message
	if want := "4 zombies pile up behind backup"; !strings.Contains(message, want) || !strings.Contains(message, "A restart may hang.") {
		t.Errorf("condition PileBehindD says %q, want %q and that a restart may hang", message, want)
	}
	shown(t, "E longhorn#6687")
}

// frozenStorage makes a directory of the second node on a file system that holds whoever writes to it, until the test ends, as storage
// that does not answer. Reads go on.
func frozenStorage(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	image, mountPoint := filepath.Join(dir, "image"), filepath.Join(dir, "mount")
	if err := os.Mkdir(mountPoint, 0o700); err != nil {
		t.Fatal(err)
	}
	// It ends at the end of its input, and so also when this test is killed: what hangs would keep the cluster from being taken down.
	const script = `truncate --size=16M "$1" && mkfs.ext4 -q "$1" && mount -o loop "$1" "$2" && fsfreeze --freeze "$2" && echo frozen
read -r _
fsfreeze --unfreeze "$2"; umount --lazy "$2"` // the pod goes a little later
	holder := command(context.Background(), "nsenter", "--mount", "--target", strconv.Itoa(kubeletPID(t, secondNode)), "sh", "-c", script, "sh", image, mountPoint)
	holder.SysProcAttr, holder.Stderr = &syscall.SysProcAttr{Setsid: true}, os.Stderr // no Ctrl-C ends it
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(stdin.Close(), holder.Wait()); err != nil {
			t.Errorf("thawing %s: %v", mountPoint, err)
		}
	})
	if said, err := bufio.NewReader(stdout).ReadString('\n'); said != "frozen\n" {
		t.Fatalf("freezing %s: %q %v", mountPoint, said, err)
	}
	return mountPoint
}

// kubeletPID is the process of a node's kubelet, which lives in the node's mount namespace.
func kubeletPID(t *testing.T, node string) int {
	t.Helper()
	var process struct{ PID int }
	if err := json.Unmarshal([]byte(readFile(t, stateDir+"/pids/"+node+"-kubelet")), &process); err != nil {
		t.Fatal(err)
	}
	return process.PID
}

// lateParentLeftAlone: a parent that waits late always has zombies, which are reported and use nearly all of its PIDs, and never an old
// one. No part of a trigger makes anything of that, for two of its periods.
func lateParentLeftAlone(t *testing.T) {
	const period = time.Minute // a little more than the tree sleeps
	const name = "late-sentinel"
	p, truth := leakingPod(t, perl(t, namespace(t, name), name, "late"))
	id := containerID(t, p, "app")
	fillPIDs(t, pidsCgroup(t, hostPID(t, p)), 1)
	waitContainer(t, p, patience, func(c v1alpha1.ContainerObservation) string {
		if c.Zombies != truth.zombies || c.PIDs == nil || c.PIDs.LimitedBy != v1alpha1.PIDLimitContainer || c.PIDs.UsedPercent < 90 {
			return fmt.Sprintf("want %d zombies and 90 %% of the container's PIDs", truth.zombies)
		}
		return ""
	})
	policy := policyFor(p, v1alpha1.ModeEnforce, restart)
	policy.Spec.Trigger = v1alpha1.Trigger{
		Zombies: 1, PIDUsagePercent: 90, ExhaustionWithinSeconds: 604800, MinAgeSeconds: 60, ForSeconds: new(int32(2)),
	}
	apply(t, policy)
	until := time.Now().Add(2 * period)
	if next := waitRefused(t, p, remedy.ReasonNotTriggered); !strings.Contains(next.Message, "hardly a zombie that is dead for 60 s") {
		t.Errorf("the next step is %+v, want it to say that no zombie gets old", next)
	}
	eventually(t, 3*period, func(ctx context.Context) string {
		acts, err := actsOn(ctx, p)
		switch {
		case err != nil:
			return err.Error()
		case len(acts) > 0:
			t.Fatalf("there were acts on pod %s:\n%s", p.Name, describeActs(acts))
		case time.Now().Before(until):
			return "its periods are not over"
		}
		return ""
	})
	waitNext(t, p, remedy.ReasonNotTriggered)
	checkUntouched(t, p, id)
	shown(t, "B bitnami#34735")
}
