package e2e

import (
	"context"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/remedy"
)

// guardCase is a pod that leaks and on which a policy that enforces must not act.
type guardCase struct {
	name   string
	pod    string
	reason string
	// says is what the report and the Event must say.
	says string
	// signal is what the policy would send; empty: it would restart the container.
	signal v1alpha1.Signal
	// namespace is made for the pod, if it is not the operator's own.
	namespace string
	annotated bool
	change    func(*corev1.Pod)
	// row is that of the leaks in the field that it shows, if any.
	row string
}

var guardCases = []guardCase{
	{
		name: "a pod in the PID namespace of the node", pod: "host-pid", reason: remedy.ReasonHostPID, says: "hostPID",
		change: func(p *corev1.Pod) { p.Spec.HostPID = true },
		row:    "E s6-overlay#359",
	},
	{
		name: "a pod of system-critical priority", pod: "critical", reason: remedy.ReasonCritical, says: "priority",
		change: func(p *corev1.Pod) { p.Spec.PriorityClassName = "system-cluster-critical" },
		row:    "C cilium#5103",
	},
	{
		name: "a pod that is never restarted", pod: "never", reason: remedy.ReasonRestartPolicy, says: "Never",
		change: func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever },
	},
	{
		name: "a pod that is restarted when it fails", pod: "on-failure", reason: remedy.ReasonRestartPolicy, says: "OnFailure",
		change: func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure },
	},
	{
		name: "a pod that does not run yet", pod: "pending", reason: remedy.ReasonNotRunning, says: "Pending",
		change: func(p *corev1.Pod) {
			sidecar := p.Spec.Containers[0]
			sidecar.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
			p.Spec.InitContainers = []corev1.Container{sidecar, container("endless", "/leaks/sleep", "sleep")}
			p.Spec.Containers = []corev1.Container{container("never", "/leaks/sleep", "sleep")}
		},
	},
	{
		name: "a pod that opts out", pod: "opts-out", reason: remedy.ReasonOptedOut, says: v1alpha1.AnnotationOptOut,
		change: func(p *corev1.Pod) { p.Annotations = map[string]string{v1alpha1.AnnotationOptOut: "true"} },
	},
	{
		name: "a pod of a namespace that opts out", pod: "opted-out", reason: remedy.ReasonOptedOut, says: "Namespace guard-opted-out",
		annotated: true, change: func(*corev1.Pod) {},
	},
	{
		name: "a pod in the operator's own namespace", pod: "own", reason: remedy.ReasonOwnNamespace, says: operatorNamespace,
		namespace: operatorNamespace, change: func(*corev1.Pod) {},
	},
	{
		name: "a container whose preStop hook the agent cannot run", pod: "http-hook", reason: remedy.ReasonPreStopHook, says: "preStop",
		change: func(p *corev1.Pod) {
			get := corev1.HTTPGetAction{Port: intstr.FromInt32(1)}
			p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{HTTPGet: &get}}
		},
	},
	{
		name: "SIGTERM to PID 1", pod: "term-pid-1", reason: remedy.ReasonSignalToPID1, says: "PID 1",
		signal: v1alpha1.SignalTerminate, change: func(*corev1.Pod) {},
	},
	{
		name: "SIGKILL to PID 1", pod: "kill-pid-1", reason: remedy.ReasonSignalToPID1, says: "PID 1",
		signal: v1alpha1.SignalKill, change: func(*corev1.Pod) {},
	},
}

// guards shows that each guard refuses: nothing is done, the report says why, and one Event does. The pods are on the second
// node: an agent writes a report a second, and that of the first has its hands full with those of the other tests.
func guards(t *testing.T) {
	side := func(name string, test func(*testing.T)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
	for _, c := range guardCases {
		side(c.name, c.test)
	}
	side("a pod that is being deleted", terminatingPod)
	side("a static pod", staticPod)
	side("zombies whose parent is outside of the container", parentOutside)
	side("a pod with a container that is dead", deadBeside)
	side("a pod with a process that a tracer holds", heldBeside)
	side("a parent whose tracer is outside of the container", tracerOutside)
}

func (c guardCase) test(t *testing.T) {
	ns := c.namespace
	if ns == "" {
		ns = "guard-" + c.pod
		object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}
		if c.annotated {
			object.Annotations = map[string]string{v1alpha1.AnnotationOptOut: ""}
		}
		createNamespace(t, object)
	}
	p := guarded(ns, c.pod, container("app", "/leaks/start-no-wait", "start-no-wait", "-count=5"))
	c.change(p)
	p, _ = leakingPod(t, p)
	rung := restart
	if c.signal != "" {
		rung = send(c.signal)
	}
	enforce(t, p, rung)
	checkRefused(t, p, c.reason, c.says, rung.Action)
	if c.row != "" {
		shown(t, c.row)
	}
}

// guarded makes a pod on the second node.
func guarded(namespace, name string, c corev1.Container) *corev1.Pod {
	p := pod(namespace, name, c)
	p.Spec.NodeName = secondNode
	return p
}

// checkRefused wants a pod left alone, and told why.
func checkRefused(t *testing.T, p *corev1.Pod, reason, says string, action v1alpha1.Action) {
	t.Helper()
	next := waitNext(t, p, reason)
	if !strings.Contains(next.Message, says) || next.Doing != reason || next.Mode != v1alpha1.ModeEnforce || next.Action != action {
		t.Errorf("the next step is %+v; want action %s and a message that says %q", next, action, says)
	}
	checkNoActs(t, p)
	checkRefusalTold(t, p, reason, says)
	if now := appStatus(t, p); now.RestartCount != 0 || now.State.Running == nil {
		t.Errorf("the container is %+v, want it running and not restarted", now)
	}
}

func terminatingPod(t *testing.T) {
	const name = "guard-terminating"
	p := stubborn(namespace(t, name), name, 30)
	p.Spec.NodeName = secondNode
	p, _ = leakingPod(t, p)
	first := hostPID(t, p)
	waitReport(t, p, 20, 2*time.Minute)
	// The pod would end long after this test: a shorter grace changes nothing at a runtime that was given a longer one.
	t.Cleanup(func() {
		if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	})
	if err := api.Delete(t.Context(), p, client.GracePeriodSeconds(600)); err != nil {
		t.Fatal(err)
	}
	enforce(t, p, restart)
	checkRefused(t, p, remedy.ReasonTerminating, "deleted", v1alpha1.ActionRestartContainer)
}

func staticPod(t *testing.T) {
	const name = "guard-static"
	p := guarded(namespace(t, name), name, container("app", "/leaks/start-no-wait", "start-no-wait", "-count=5"))
	p.APIVersion, p.Kind = "v1", "Pod"
	raw, err := yaml.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	file := manifests(secondNode) + "/" + name + ".yaml"
	writeFile(t, file, string(raw))
	t.Cleanup(func() {
		if err := os.Remove(file); err != nil {
			t.Error(err)
		}
	})
	mirror := waitPod(t, p.Namespace, name+"-"+secondNode, "")
	enforce(t, mirror, restart)
	checkRefused(t, mirror, remedy.ReasonStaticPod, "static pod", v1alpha1.ActionRestartContainer)
}

// parentOutside makes zombies as `nsenter` and the like do: processes in the container's PID namespace whose parent is a
// process of the node. Here that is this test itself.
func parentOutside(t *testing.T) {
	const name = "guard-outside"
	p, _ := leakingPod(t, guarded(namespace(t, name), name, container("app", "/leaks/sleep", "sleep")))
	leaveZombies(t, hostPID(t, p), 4)
	enforce(t, p, send(v1alpha1.SignalChild), restart)
	checkRefused(t, p, remedy.ReasonParentOutside, "outside", v1alpha1.ActionRestartContainer)
	var list v1alpha1.ZombieReportList
	if err := api.List(t.Context(), &list, client.InNamespace(p.Namespace)); err != nil || len(list.Items) != 1 {
		t.Fatalf("there are reports %+v: %v", list.Items, err)
	}
	parents := list.Items[0].Status.Observed.Containers[0].Parents
	if len(parents) != 1 || parents[0].Cause != v1alpha1.CauseParentOutsideContainer || parents[0].Zombies != 4 {
		t.Errorf("parents are %+v, want one outside of the container", parents)
	}
}

// leaveZombies starts processes in the PID namespace of a process, as children of this one, and does not wait for them
// before the test ends. Without that the container could not end.
func leaveZombies(t *testing.T, pid, count int) {
	t.Helper()
	namespaces, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	var children []int
	failed := make(chan error)
	go func() {
		// The thread of a locked goroutine ends with it, and with the thread what was set for its children.
		runtime.LockOSThread()
		err := unix.Setns(namespaces, unix.CLONE_NEWPID)
		for range count {
			if err != nil {
				break
			}
			var child int
			if child, err = syscall.ForkExec("/bin/true", []string{"true"}, &syscall.ProcAttr{}); err == nil {
				children = append(children, child)
			}
		}
		failed <- err
	}()
	err = <-failed
	t.Cleanup(func() {
		_ = unix.Close(namespaces)
		for _, child := range children {
			if _, err := syscall.Wait4(child, nil, 0, nil); err != nil {
				t.Errorf("waiting for process %d: %v", child, err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, func(context.Context) string {
		for _, child := range children {
			if f := statFields(child); len(f) == 0 || f[0] != "Z" {
				return "the processes have not ended"
			}
		}
		return ""
	})
}
