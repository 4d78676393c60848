package chart

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
)

func rule(group string, verbs string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: strings.Fields(verbs)}
}

// The rights are written down once more, by hand: a wider one has to be asked for in two places.
func TestRolesAreExactlyWhatIsNeeded(t *testing.T) {
	t.Parallel()
	rendered := render(t)
	for key, want := range map[string][]rbacv1.PolicyRule{
		"ClusterRole/zombie-operator-agent": {
			rule("zombie-operator.io", "create get patch", "zombienodereports", "zombiereports"),
			rule("zombie-operator.io", "patch", "zombienodereports/status", "zombiereports/status"),
			rule("zombie-operator.io", "get list watch", "zombieremediations"),
			rule("zombie-operator.io", "update", "zombieremediations/status"),
		},
		"ClusterRole/zombie-operator-controller": {
			rule("", "get list watch", "namespaces", "pods"),
			rule("", "get", "nodes"),
			rule("events.k8s.io", "create patch", "events"),
			rule("zombie-operator.io", "list watch", "clusterzombiepolicies", "zombiepolicies"),
			rule("zombie-operator.io", "patch", "clusterzombiepolicies/status", "zombienodereports/status", "zombiepolicies/status", "zombiereports/status"),
			rule("zombie-operator.io", "delete list watch", "zombienodereports", "zombiereports"),
			rule("zombie-operator.io", "create delete get list watch", "zombieremediations"),
			rule("zombie-operator.io", "update", "zombieremediations/status"),
		},
		"Role/zombie-operator-controller": {
			rule("", "create", "configmaps"),
			{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"zombie-operator-ledger"}, Verbs: []string{"get", "update"}},
			rule("", "create patch", "events"),
			rule("coordination.k8s.io", "create get update", "leases"),
		},
		"ClusterRole/zombie-operator-view": {
			rule("zombie-operator.io", "get list watch", "zombiepolicies", "zombieremediations", "zombiereports"),
		},
		"ClusterRole/zombie-operator-edit": {
			rule("zombie-operator.io", "create delete deletecollection patch update", "zombiepolicies"),
		},
	} {
		var got struct {
			rbacv1.Role     `json:",inline"`
			AggregationRule *rbacv1.AggregationRule `json:"aggregationRule,omitempty"`
		}
		rendered.get(t, key, &got)
		if diff := cmp.Diff(want, got.Rules); diff != "" {
			t.Errorf("rules of %s (-want +got):\n%s", key, diff)
		}
	}
	for key := range rendered {
		if strings.Contains(key, "Role/") && !strings.HasPrefix(key, "ClusterRole/zombie-operator-") && key != "Role/zombie-operator-controller" {
			t.Errorf("unexpected role %s", key)
		}
	}
}

// A ZombieRemediation has a process signalled or a container stopped, with no guard of the controller before it.
func TestOnlyTheControllerMakesRemediations(t *testing.T) {
	t.Parallel()
	rendered := render(t)
	for key := range rendered {
		if !strings.Contains(key, "Role/") || key == "ClusterRole/zombie-operator-controller" {
			continue
		}
		var role struct {
			rbacv1.Role     `json:",inline"`
			AggregationRule *rbacv1.AggregationRule `json:"aggregationRule,omitempty"`
		}
		rendered.get(t, key, &role)
		for _, r := range role.Rules {
			if !slices.Contains(r.Resources, "zombieremediations") && !slices.Contains(r.Resources, "*") {
				continue
			}
			for _, verb := range r.Verbs {
				if !slices.Contains([]string{"get", "list", "watch"}, verb) {
					t.Errorf("%s may %s zombieremediations", key, verb)
				}
			}
		}
	}
}

// What the code says it needs, in its kubebuilder:rbac markers, is what the chart gives.
func TestRolesMatchTheMarkers(t *testing.T) {
	t.Parallel()
	rendered := render(t)
	for _, component := range []string{"agent", "controller"} {
		generated := parse(t, readFile(t, "config/rbac/"+component+"_role.yaml"))
		if len(generated) != 1 {
			t.Errorf("the markers of the %s make %d roles, want a ClusterRole only", component, len(generated))
		}
		var want, got rbacv1.ClusterRole
		generated.get(t, "ClusterRole/"+component, &want)
		rendered.get(t, "ClusterRole/zombie-operator-"+component, &got)
		if diff := cmp.Diff(want.Rules, got.Rules); diff != "" {
			t.Errorf("rules of the %s (-markers +chart):\n%s", component, diff)
		}
	}
}

func TestAccountsAreApartAndBoundToTheirOwnRoleOnly(t *testing.T) {
	t.Parallel()
	rendered := render(t)
	for key, object := range rendered {
		if object.GetKind() != "ClusterRoleBinding" && object.GetKind() != "RoleBinding" {
			continue
		}
		var binding struct {
			rbacv1.RoleBinding `json:",inline"`
		}
		rendered.get(t, key, &binding)
		want := []rbacv1.Subject{{Kind: "ServiceAccount", Name: binding.RoleRef.Name, Namespace: namespace}}
		if diff := cmp.Diff(want, binding.Subjects); diff != "" {
			t.Errorf("subjects of %s (-want +got):\n%s", key, diff)
		}
		if binding.Name != binding.RoleRef.Name {
			t.Errorf("%s binds role %s", key, binding.RoleRef.Name)
		}
	}
	for _, component := range []string{"agent", "controller"} {
		account := rendered["ServiceAccount/zombie-operator-"+component]
		if account == nil {
			t.Fatalf("the %s has no ServiceAccount", component)
		}
		if automount, found := account.Object["automountServiceAccountToken"]; !found || automount != false {
			t.Errorf("the token of the %s is mounted into any pod of the account: automountServiceAccountToken is %v", component, automount)
		}
	}
}
