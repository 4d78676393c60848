package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// lacking runs an agent beside the installed one that lacks something, and waits until it says so. It must go on scanning,
// must say whether it is ready, and must not write a report that its lack would make wrong.
func lacking(t *testing.T, name string, ready bool, says string, change func(*corev1.PodSpec)) {
	t.Helper()
	installed := agentPod(t, nodeName, "")
	p := pod(operatorNamespace, name)
	p.Spec = *installed.Spec.DeepCopy()
	p.Spec.Affinity, p.Spec.TerminationGracePeriodSeconds = nil, new(int64(1))
	change(&p.Spec)
	create(t, p)
	began := time.Now()
	if log, err := output(kubectl, "logs", "-n", operatorNamespace, installed.Name); err != nil || strings.Contains(log, says) {
		t.Errorf("the installed agent says %q although it lacks nothing, or nothing: %v", says, err)
	}
	eventually(t, patience, func(context.Context) string {
		log, err := output(kubectl, "logs", "-n", operatorNamespace, name)
		if err != nil {
			return err.Error()
		}
		if !strings.Contains(log, says) {
			return fmt.Sprintf("the agent does not say %q:\n%s", says, log)
		}
		return ""
	})
	// Four looks later it still scans: liveness fails after three without one.
	waitSince(t, began.Add(5*scanInterval))
	eventually(t, 2*time.Minute, func(context.Context) string { // its address is known when the kubelet has told it
		if body, err := probe(name, "livez"); err != nil {
			return fmt.Sprintf("the agent stopped scanning: %v %s", err, body)
		}
		return ""
	})
	body, err := probe(name, "readyz")
	if (err == nil) != ready {
		t.Errorf("readiness is %q, error %v; want ready: %t", body, err, ready)
	}
	for _, w := range auditedWrites(t, began) {
		if w.namespace == leaksNamespace {
			t.Errorf("a report was written meanwhile: %+v", w)
		}
	}
}

func probe(pod, path string) (string, error) {
	return output(kubectl, "get", "--raw", "/api/v1/namespaces/"+operatorNamespace+"/pods/"+pod+":8081/proxy/"+path)
}

// lackingAgent is an agent that lacks something.
type lackingAgent struct {
	name   string
	ready  bool
	says   string
	change func(*corev1.PodSpec)
}

var lackingAgents = []lackingAgent{
	{"without-socket", false, "set --cri-socket (chart value agent.criSocket)", func(spec *corev1.PodSpec) {
		args := spec.Containers[0].Args
		for i := range args {
			if strings.HasPrefix(args[i], "--cri-socket=") {
				args[i] = "--cri-socket=/run/elsewhere/runtime.sock"
			}
		}
	}},
	{"without-hostpid", false, "set hostPID: true in its pod", func(spec *corev1.PodSpec) { spec.HostPID = false }},
	{"without-capability", true, "give the agent the capability SYS_PTRACE", func(spec *corev1.PodSpec) {
		spec.Containers[0].SecurityContext.Capabilities.Add = nil
	}},
}

// agentsLack runs them all at once, in a minute in which nothing needs to be written of the lasting leaks.
func agentsLack(t *testing.T) {
	waitBetweenEdges(t, 8*scanInterval)
	t.Run("agents", func(t *testing.T) {
		for _, c := range lackingAgents {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				lacking(t, c.name, c.ready, c.says, c.change)
			})
		}
	})
	for _, c := range lackingAgents {
		waitPodGone(t, operatorNamespace, c.name)
	}
}

func waitPodGone(t *testing.T, namespace, name string) {
	t.Helper()
	eventually(t, time.Minute, func(ctx context.Context) string {
		err := api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &corev1.Pod{})
		switch {
		case apierrors.IsNotFound(err):
			return ""
		case err != nil:
			return err.Error()
		}
		return fmt.Sprintf("pod %s is still there", name)
	})
}
