package chart

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func agentOf(t *testing.T, rendered objects) appsv1.DaemonSet {
	t.Helper()
	var agent appsv1.DaemonSet
	rendered.get(t, "DaemonSet/zombie-operator-agent", &agent)
	return agent
}

func controllerOf(t *testing.T, rendered objects) appsv1.Deployment {
	t.Helper()
	var controller appsv1.Deployment
	rendered.get(t, "Deployment/zombie-operator-controller", &controller)
	return controller
}

func TestAgentHasOnlyTheDocumentedPrivileges(t *testing.T) {
	t.Parallel()
	pod := agentOf(t, render(t)).Spec.Template.Spec
	if !pod.HostPID || pod.HostNetwork || pod.HostIPC || pod.ShareProcessNamespace != nil {
		t.Errorf("hostPID %t, hostNetwork %t, hostIPC %t: only hostPID is needed", pod.HostPID, pod.HostNetwork, pod.HostIPC)
	}
	if len(pod.Containers) != 1 || len(pod.InitContainers) != 0 {
		t.Fatalf("%d containers and %d init containers, want 1 and 0", len(pod.Containers), len(pod.InitContainers))
	}
	want := &corev1.SecurityContext{
		RunAsUser:                new(int64(0)),
		RunAsGroup:               new(int64(0)),
		AllowPrivilegeEscalation: new(false),
		ReadOnlyRootFilesystem:   new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"DAC_READ_SEARCH", "KILL", "SYS_PTRACE"}},
	}
	if diff := cmp.Diff(want, pod.Containers[0].SecurityContext); diff != "" {
		t.Errorf("security context (-want +got):\n%s", diff)
	}
	wantPod := &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	if diff := cmp.Diff(wantPod, pod.SecurityContext); diff != "" {
		t.Errorf("security context of the pod (-want +got):\n%s", diff)
	}
	if got := pod.Tolerations; len(got) != 1 || got[0] != (corev1.Toleration{Operator: corev1.TolerationOpExists}) {
		t.Errorf("tolerations %v: zombies do not stay away from tainted nodes", got)
	}
}

// An agent that did not know itself would take acts that its forerunner began for its own.
func TestAgentKnowsItsNodeAndItsOwnPod(t *testing.T) {
	t.Parallel()
	known := map[string]string{}
	for _, variable := range agentOf(t, render(t)).Spec.Template.Spec.Containers[0].Env {
		if from := variable.ValueFrom; from != nil && from.FieldRef != nil {
			known[variable.Name] = from.FieldRef.FieldPath
		}
	}
	if diff := cmp.Diff(map[string]string{"NODE_NAME": "spec.nodeName", "POD_UID": "metadata.uid"}, known); diff != "" {
		t.Errorf("variables that are fields of the pod (-want +got):\n%s", diff)
	}
}

func TestAgentMountsTheDirectoriesOfTheSocketTheCgroupsAndItsTokenOnly(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings    []string
		directories []string
		hostPath    corev1.HostPathType
	}{
		"the usual ones, which are made where they are not": {
			nil, []string{"/run/k3s/containerd", "/run/k0s", "/run/crio", "/run/containerd"}, corev1.HostPathDirectoryOrCreate},
		"the one that is set, which must be there": {
			[]string{`agent.criSocket="/run/k3s/containerd/containerd.sock"`}, []string{"/run/k3s/containerd"}, corev1.HostPathDirectory},
		"another that is set": {
			[]string{`agent.criSocket="/var/run/crio/crio.sock"`}, []string{"/var/run/crio"}, corev1.HostPathDirectory},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := agentOf(t, render(t, test.settings...)).Spec.Template.Spec
			mounts := []corev1.VolumeMount{{Name: "kube-api-access", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount", ReadOnly: true}}
			volumes := []corev1.Volume{tokenVolume()}
			for i, directory := range test.directories {
				mounts = append(mounts, corev1.VolumeMount{Name: fmt.Sprint("cri-", i), MountPath: directory, ReadOnly: true})
				volumes = append(volumes, hostVolume(fmt.Sprint("cri-", i), directory, test.hostPath))
			}
			mounts = append(mounts, corev1.VolumeMount{
				Name: "cgroups", MountPath: "/host/sys/fs/cgroup", ReadOnly: true, RecursiveReadOnly: new(corev1.RecursiveReadOnlyIfPossible),
			})
			volumes = append(volumes, hostVolume("cgroups", "/sys/fs/cgroup", corev1.HostPathDirectory))
			if diff := cmp.Diff(mounts, pod.Containers[0].VolumeMounts); diff != "" {
				t.Errorf("mounts (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(volumes, pod.Volumes); diff != "" {
				t.Errorf("volumes (-want +got):\n%s", diff)
			}
		})
	}
}

func hostVolume(name, path string, kind corev1.HostPathType) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path, Type: &kind}}}
}

// An agent whose socket is named looks for no other one.
func TestAgentIsToldOfTheMounts(t *testing.T) {
	t.Parallel()
	const cgroups = "--cgroup-root=/host/sys/fs/cgroup"
	args := agentOf(t, render(t)).Spec.Template.Spec.Containers[0].Args
	if !slices.Contains(args, cgroups) || slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--cri-socket") }) {
		t.Errorf("arguments %v, want the cgroups and no socket", args)
	}
	args = agentOf(t, render(t, `agent.criSocket="/run/crio/crio.sock"`)).Spec.Template.Spec.Containers[0].Args
	if !slices.Contains(args, cgroups) || !slices.Contains(args, "--cri-socket=/run/crio/crio.sock") {
		t.Errorf("arguments %v, want the cgroups and the socket", args)
	}
}

// tokenVolume holds what in-cluster configuration reads, with a token that ends within the hour.
func tokenVolume() corev1.Volume {
	return corev1.Volume{Name: "kube-api-access", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: new(int64(3600))}},
			{ConfigMap: &corev1.ConfigMapProjection{
				LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"},
				Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
			}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
				{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}},
			}}},
		},
	}}}
}

func TestControllerHasNoPrivileges(t *testing.T) {
	t.Parallel()
	pod := controllerOf(t, render(t)).Spec.Template.Spec
	if pod.HostPID || pod.HostNetwork || pod.HostIPC {
		t.Error("the controller never touches a node")
	}
	wantPod := &corev1.PodSecurityContext{
		RunAsNonRoot: new(true), RunAsUser: new(int64(65532)), RunAsGroup: new(int64(65532)),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if diff := cmp.Diff(wantPod, pod.SecurityContext); diff != "" {
		t.Errorf("security context of the pod (-want +got):\n%s", diff)
	}
	want := &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	if diff := cmp.Diff(want, pod.Containers[0].SecurityContext); diff != "" {
		t.Errorf("security context (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]corev1.Volume{tokenVolume()}, pod.Volumes); diff != "" {
		t.Errorf("volumes (-want +got):\n%s", diff)
	}
}

func TestBothPodsKeepTheCommonRules(t *testing.T) {
	t.Parallel()
	rendered := render(t)
	pods := map[string]corev1.PodSpec{
		"agent":      agentOf(t, rendered).Spec.Template.Spec,
		"controller": controllerOf(t, rendered).Spec.Template.Spec,
	}
	for component, pod := range pods {
		if pod.ServiceAccountName != "zombie-operator-"+component || pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
			t.Errorf("%s: account %q, automatic token %v", component, pod.ServiceAccountName, pod.AutomountServiceAccountToken)
		}
		container := pod.Containers[0]
		if container.LivenessProbe == nil || container.ReadinessProbe == nil {
			t.Errorf("%s: no liveness or no readiness probe", component)
		}
		if len(container.Ports) != 1 || container.Ports[0].Name != "health" || container.Ports[0].HostPort != 0 {
			t.Errorf("%s: ports %v, want health only", component, container.Ports)
		}
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			if container.Resources.Requests.Name(name, resource.DecimalSI).IsZero() || container.Resources.Limits.Name(name, resource.DecimalSI).IsZero() {
				t.Errorf("%s: no request or no limit of %s", component, name)
			}
		}
		// The later variable is made of the earlier one.
		limit := slices.IndexFunc(container.Env, func(e corev1.EnvVar) bool { return e.Name == "MEMORY_LIMIT_MIB" })
		goLimit := slices.IndexFunc(container.Env, func(e corev1.EnvVar) bool { return e.Name == "GOMEMLIMIT" })
		if limit < 0 || goLimit < limit {
			t.Errorf("%s: GOMEMLIMIT does not follow from the memory limit: %v", component, container.Env)
		}
	}
}

func TestControllerFindsTheAgentsOfItsOwnRelease(t *testing.T) {
	t.Parallel()
	rendered := render(t)
	controller := controllerOf(t, rendered)
	i := slices.IndexFunc(controller.Spec.Template.Spec.Containers[0].Args, func(arg string) bool {
		return strings.HasPrefix(arg, "--agent-selector=")
	})
	if i < 0 {
		t.Fatal("the controller is not told which pods are agents")
	}
	want := map[string]string{}
	for pair := range strings.SplitSeq(strings.TrimPrefix(controller.Spec.Template.Spec.Containers[0].Args[i], "--agent-selector="), ",") {
		key, value, _ := strings.Cut(pair, "=")
		want[key] = value
	}
	if diff := cmp.Diff(want, agentOf(t, rendered).Spec.Selector.MatchLabels); diff != "" {
		t.Errorf("labels of the agents (-controller's selector +DaemonSet):\n%s", diff)
	}
	if want["app.kubernetes.io/instance"] != release {
		t.Errorf("selector %v would find the agents of other releases", want)
	}
}

func TestArgumentsFollowTheValues(t *testing.T) {
	t.Parallel()
	rendered := render(t, `agent.scanIntervalSeconds=5`, `agent.logLevel="debug"`,
		`controller.healedRetentionSeconds=60`, `controller.staleAfterSeconds=20`, `controller.deleteStaleAfterSeconds=604800`)
	wantAgent := []string{"--node-name=$(NODE_NAME)", "--scan-interval=5s", "--cgroup-root=/host/sys/fs/cgroup",
		"--health-addr=:8081", "--log-level=debug"}
	if diff := cmp.Diff(wantAgent, agentOf(t, rendered).Spec.Template.Spec.Containers[0].Args); diff != "" {
		t.Errorf("arguments of the agent (-want +got):\n%s", diff)
	}
	wantController := []string{"--agent-namespace=$(POD_NAMESPACE)",
		"--agent-selector=app.kubernetes.io/name=zombie-operator,app.kubernetes.io/instance=zombie-operator,app.kubernetes.io/component=agent",
		"--healed-retention=60s", "--stale-after=20s", "--delete-stale-after=604800s", "--leader-elect=true", "--health-addr=:8081", "--log-level=info"}
	if diff := cmp.Diff(wantController, controllerOf(t, rendered).Spec.Template.Spec.Containers[0].Args); diff != "" {
		t.Errorf("arguments of the controller (-want +got):\n%s", diff)
	}
}

func TestImageIsNamedByTagOrDigest(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("0a", 32)
	for _, test := range []struct {
		settings []string
		want     string
	}{
		{nil, "ghcr.io/zombie-operator/zombie-operator:0.1.0"},
		{[]string{`image.repository="localhost/zombie-operator"`, `image.tag="dev"`}, "localhost/zombie-operator:dev"},
		{[]string{`image.tag="dev"`, `image.digest="` + digest + `"`}, "ghcr.io/zombie-operator/zombie-operator@" + digest},
	} {
		rendered := render(t, test.settings...)
		agent := agentOf(t, rendered).Spec.Template.Spec.Containers[0].Image
		controller := controllerOf(t, rendered).Spec.Template.Spec.Containers[0].Image
		if agent != test.want || controller != test.want {
			t.Errorf("with %v the agent runs %s and the controller %s, want %s", test.settings, agent, controller, test.want)
		}
	}
}
