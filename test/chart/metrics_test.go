package chart

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// withMetrics renders the chart with metrics on a port of their own.
func withMetrics(t *testing.T, settings ...string) objects {
	t.Helper()
	return render(t, append(settings, `metrics.enabled=true`, `metrics.port=9999`)...)
}

func TestNothingOfMetricsIsThereByDefault(t *testing.T) {
	t.Parallel()
	rendered := render(t)
	for key := range rendered {
		if strings.Contains(key, "metrics") {
			t.Errorf("%s is there", key)
		}
	}
	for _, container := range []corev1.Container{
		agentOf(t, rendered).Spec.Template.Spec.Containers[0], controllerOf(t, rendered).Spec.Template.Spec.Containers[0],
	} {
		if slices.ContainsFunc(container.Args, func(a string) bool { return strings.HasPrefix(a, "--metrics-addr") }) {
			t.Errorf("the %s serves metrics: %v", container.Name, container.Args)
		}
	}
	var policy networkingv1.NetworkPolicy
	rendered.get(t, "NetworkPolicy/zombie-operator-api-server-only", &policy)
	if len(policy.Spec.Ingress) != 0 {
		t.Errorf("the network policy lets in %v", policy.Spec.Ingress)
	}
}

func TestMetricsAreServedFoundAndLetInOnTheSamePort(t *testing.T) {
	t.Parallel()
	rendered := withMetrics(t)
	for component, container := range map[string]corev1.Container{
		"agent":      agentOf(t, rendered).Spec.Template.Spec.Containers[0],
		"controller": controllerOf(t, rendered).Spec.Template.Spec.Containers[0],
	} {
		if !slices.Contains(container.Args, "--metrics-addr=:9999") {
			t.Errorf("arguments of the %s: %v", component, container.Args)
		}
		want := []corev1.ContainerPort{{Name: "health", ContainerPort: 8081}, {Name: "metrics", ContainerPort: 9999}}
		if diff := cmp.Diff(want, container.Ports); diff != "" {
			t.Errorf("ports of the %s (-want +got):\n%s", component, diff)
		}
		var service corev1.Service
		rendered.get(t, "Service/zombie-operator-"+component+"-metrics", &service)
		wantSpec := corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone, PublishNotReadyAddresses: true,
			Selector: map[string]string{
				"app.kubernetes.io/name": "zombie-operator", "app.kubernetes.io/instance": release, "app.kubernetes.io/component": component,
			},
			Ports: []corev1.ServicePort{{Name: "metrics", Port: 9999, TargetPort: intstr.FromString("metrics")}},
		}
		if diff := cmp.Diff(wantSpec, service.Spec); diff != "" {
			t.Errorf("Service of the %s (-want +got):\n%s", component, diff)
		}
	}
	port := []networkingv1.NetworkPolicyPort{{Protocol: new(corev1.ProtocolTCP), Port: new(intstr.FromInt32(9999))}}
	monitoring := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"name": "monitoring"}}}
	for setting, want := range map[string]networkingv1.NetworkPolicyIngressRule{
		`metrics.scrapers=[]`: {Ports: port},
		`metrics.scrapers=[{"namespaceSelector":{"matchLabels":{"name":"monitoring"}}}]`: {Ports: port, From: []networkingv1.NetworkPolicyPeer{monitoring}},
	} {
		var policy networkingv1.NetworkPolicy
		withMetrics(t, setting).get(t, "NetworkPolicy/zombie-operator-api-server-only", &policy)
		if diff := cmp.Diff([]networkingv1.NetworkPolicyIngressRule{want}, policy.Spec.Ingress); diff != "" {
			t.Errorf("%s: what is let in (-want +got):\n%s", setting, diff)
		}
	}
}

// What comes with metrics is no more than to ask who somebody is and what he may do. Nobody gets to read them by default.
func TestMetricsNeedNoOtherRights(t *testing.T) {
	t.Parallel()
	without, with := render(t), withMetrics(t)
	added := map[string][]rbacv1.PolicyRule{}
	for key := range with {
		if _, there := without[key]; there || !strings.Contains(key, "Role/") {
			continue
		}
		var role rbacv1.ClusterRole
		with.get(t, key, &role)
		if role.AggregationRule != nil || len(role.Labels) != 5 {
			t.Errorf("%s aggregates, or is aggregated: %v", key, role.Labels)
		}
		added[key] = role.Rules
	}
	want := map[string][]rbacv1.PolicyRule{
		"ClusterRole/zombie-operator-metrics-auth": {
			rule("authentication.k8s.io", "create", "tokenreviews"), rule("authorization.k8s.io", "create", "subjectaccessreviews"),
		},
		"ClusterRole/zombie-operator-metrics-reader": {{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}},
	}
	if diff := cmp.Diff(want, added); diff != "" {
		t.Errorf("roles that come with metrics (-want +got):\n%s", diff)
	}
	for key := range with {
		if _, there := without[key]; there || !strings.Contains(key, "RoleBinding/") {
			continue
		}
		var binding rbacv1.ClusterRoleBinding
		with.get(t, key, &binding)
		want := []rbacv1.Subject{
			{Kind: "ServiceAccount", Name: "zombie-operator-agent", Namespace: namespace},
			{Kind: "ServiceAccount", Name: "zombie-operator-controller", Namespace: namespace},
		}
		if diff := cmp.Diff(want, binding.Subjects); diff != "" || binding.RoleRef.Name != "zombie-operator-metrics-auth" {
			t.Errorf("%s binds %s to (-want +got):\n%s", key, binding.RoleRef.Name, diff)
		}
	}
}

func TestServiceMonitorFindsBothServicesAndSendsAToken(t *testing.T) {
	t.Parallel()
	rendered := withMetrics(t, `metrics.serviceMonitor={"enabled":true,"labels":{"release":"prometheus"}}`)
	monitor := rendered["ServiceMonitor/zombie-operator"]
	if monitor == nil || monitor.GetLabels()["release"] != "prometheus" {
		t.Fatalf("ServiceMonitor = %v, want one with the label", monitor)
	}
	selector, _, _ := unstructured.NestedStringMap(monitor.Object, "spec", "selector", "matchLabels")
	for _, component := range []string{"agent", "controller"} {
		labels := rendered["Service/zombie-operator-"+component+"-metrics"].GetLabels()
		for key, value := range selector {
			if labels[key] != value {
				t.Errorf("the Service of the %s has %s=%s, want %s", component, key, labels[key], value)
			}
		}
	}
	endpoints, _, _ := unstructured.NestedSlice(monitor.Object, "spec", "endpoints")
	if len(endpoints) != 1 {
		t.Fatalf("%d endpoints, want 1", len(endpoints))
	}
	endpoint, _ := endpoints[0].(map[string]any)
	if endpoint["port"] != "metrics" || endpoint["scheme"] != "https" || endpoint["bearerTokenFile"] == nil {
		t.Errorf("endpoint %v, want port metrics over HTTPS with a token", endpoint)
	}
}

func TestNotesSayHowToReadMetrics(t *testing.T) {
	t.Parallel()
	for _, enabled := range []bool{true, false} {
		setting := map[bool]string{true: "metrics.enabled=true", false: "metrics.enabled=false"}[enabled]
		notes, err := runHelm(t, "install", release, chartDir, "--namespace", "ops", "--dry-run=client", "--set", setting)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(notes, "--clusterrole=zombie-operator-metrics-reader"); got != enabled {
			t.Errorf("with %s the notes tell of metrics: %t", setting, got)
		}
	}
}
