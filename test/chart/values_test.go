package chart

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

func TestWrongValuesAreRefusedWithAMessageThatNamesThem(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings []string
		want     []string // parts of the message
	}{
		"an unknown value": {
			[]string{`agent.scanInterval="30s"`}, []string{"/agent", "scanInterval", "not allowed"}},
		"an unknown value at the top": {
			[]string{`agents={}`}, []string{"agents", "not allowed"}},
		"a scan every 0 seconds": {
			[]string{`agent.scanIntervalSeconds=0`}, []string{"/agent/scanIntervalSeconds", "1"}},
		"a scan every 601 seconds": {
			[]string{`agent.scanIntervalSeconds=601`}, []string{"/agent/scanIntervalSeconds", "600"}},
		"a duration with a unit": {
			[]string{`controller.staleAfterSeconds="5m"`}, []string{"/controller/staleAfterSeconds", "integer"}},
		"deletion before a report is marked stale": {
			[]string{`controller.staleAfterSeconds=900`}, []string{"deleteStaleAfterSeconds", "900"}},
		"no replica": {
			[]string{`controller.replicas=0`}, []string{"/controller/replicas"}},
		"a socket whose directory everybody uses": {
			[]string{`agent.criSocket="/var/run/containerd.sock"`}, []string{"agent.criSocket", "/var/run", "directory of its own"}},
		"a socket that climbs up": {
			[]string{`agent.criSocket="/run/x/../../etc/x.sock"`}, []string{"/agent/criSocket"}},
		"a socket with a scheme": {
			[]string{`agent.criSocket="unix:///run/containerd/containerd.sock"`}, []string{"/agent/criSocket"}},
		"a digest that is none": {
			[]string{`image.digest="sha256:abc"`}, []string{"/image/digest"}},
		"an unknown log level": {
			[]string{`agent.logLevel="verbose"`}, []string{"/agent/logLevel", "debug", "error"}},
		"an unknown field of a toleration": {
			[]string{`agent.tolerations=[{"op":"Exists"}]`}, []string{"/agent/tolerations/0", "op"}},
		"metrics on the port of the probes": {
			[]string{`metrics.port=8081`}, []string{"/metrics/port"}},
		"a ServiceMonitor without metrics": {
			[]string{`metrics.serviceMonitor.enabled=true`}, []string{"metrics.serviceMonitor.enabled", "set metrics.enabled=true"}},
		"a scraper that is no peer of a network policy": {
			[]string{`metrics.scrapers=[{"namespace":"monitoring"}]`}, []string{"/metrics/scrapers/0", "namespace"}},
		"a scraper that is everybody, by mistake": {
			[]string{`metrics.scrapers=[{}]`}, []string{"/metrics/scrapers/0"}},
		"a port that is none": {
			[]string{`networkPolicy.apiServerPorts=[70000]`}, []string{"/networkPolicy/apiServerPorts/0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			message := templateError(t, test.settings...)
			for _, part := range test.want {
				if !strings.Contains(message, part) {
					t.Errorf("the message does not say %q:\n%s", part, message)
				}
			}
		})
	}
}

// schema is the part of JSON schema that says which values there are.
type schema struct {
	Properties           map[string]schema `json:"properties"`
	AdditionalProperties any               `json:"additionalProperties"`
}

// paths returns every value that can be set. Objects of Kubernetes itself count as one.
func (s schema) paths(prefix string) []string {
	if s.Properties == nil || prefix == "agent.seLinuxOptions" {
		return []string{prefix}
	}
	var all []string
	for name, property := range s.Properties {
		all = append(all, property.paths(strings.TrimPrefix(prefix+"."+name, "."))...)
	}
	return all
}

func TestEveryValueHasADefaultAndADescription(t *testing.T) {
	t.Parallel()
	var values schema
	if err := json.Unmarshal(readFile(t, chartDir+"/values.schema.json"), &values); err != nil {
		t.Fatal(err)
	}
	delete(values.Properties, "global")
	want := slices.Sorted(slices.Values(values.paths("")))
	var described []string
	for line := range strings.Lines(string(readFile(t, chartDir+"/README.md"))) {
		if rest, found := strings.CutPrefix(line, "| `"); found && strings.Count(line, "|") >= 4 {
			path, _, _ := strings.Cut(rest, "`")
			described = append(described, path)
		}
	}
	slices.Sort(described)
	if diff := cmp.Diff(want, described); diff != "" {
		t.Errorf("values (-in values.schema.json +in README.md, made of the comments in values.yaml):\n%s", diff)
	}
	var defaults map[string]any
	if err := yaml.Unmarshal(readFile(t, chartDir+"/values.yaml"), &defaults); err != nil {
		t.Fatal(err)
	}
	for _, path := range want {
		at := defaults
		keys := strings.Split(path, ".")
		for _, key := range keys[:len(keys)-1] {
			at, _ = at[key].(map[string]any)
		}
		if _, found := at[keys[len(keys)-1]]; !found {
			t.Errorf("%s has no default in values.yaml", path)
		}
	}
}

func TestOptionalObjects(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings []string
		kind     string
		want     int
	}{
		"one replica has no disruption budget":       {nil, "PodDisruptionBudget", 0},
		"two replicas have a disruption budget":      {[]string{`controller.replicas=2`}, "PodDisruptionBudget", 1},
		"a network policy is there by default":       {nil, "NetworkPolicy", 1},
		"the network policy can be left out":         {[]string{`networkPolicy.enabled=false`}, "NetworkPolicy", 0},
		"all five kinds are defined":                 {nil, "CustomResourceDefinition", 5},
		"somebody else may install the definitions":  {[]string{`crds.enabled=false`}, "CustomResourceDefinition", 0},
		"no secret is ever made":                     {nil, "Secret", 0},
		"the namespace is the user's":                {nil, "Namespace", 0},
		"the chart makes no policy of its own":       {nil, "ZombiePolicy", 0},
		"the chart makes no cluster policy either":   {nil, "ClusterZombiePolicy", 0},
		"nothing is validated by a webhook":          {nil, "ValidatingWebhookConfiguration", 0},
		"there is no Service, as nobody calls there": {nil, "Service", 0},
		"metrics have a Service for each program":    {[]string{`metrics.enabled=true`}, "Service", 2},
		"a ServiceMonitor has to be asked for":       {[]string{`metrics.enabled=true`}, "ServiceMonitor", 0},
		"it is made where it is asked for":           {[]string{`metrics.enabled=true`, `metrics.serviceMonitor.enabled=true`}, "ServiceMonitor", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := 0
			for _, object := range render(t, test.settings...) {
				if object.GetKind() == test.kind {
					got++
				}
			}
			if got != test.want {
				t.Errorf("%d of kind %s, want %d", got, test.kind, test.want)
			}
		})
	}
}

func TestDefinitionsAreKeptUnlessAskedOtherwise(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{true, false} {
		setting := map[bool]string{true: `crds.keep=true`, false: `crds.keep=false`}[keep]
		for key, object := range render(t, setting) {
			if object.GetKind() != "CustomResourceDefinition" {
				continue
			}
			annotations := object.GetAnnotations()
			if got := annotations["helm.sh/resource-policy"] == "keep"; got != keep {
				t.Errorf("with %s: %s kept: %t", setting, key, got)
			}
			if annotations["controller-gen.kubebuilder.io/version"] == "" {
				t.Errorf("%s lost its own annotations: %v", key, slices.Collect(maps.Keys(annotations)))
			}
		}
	}
}

func TestNotesSayWhatToDoNext(t *testing.T) {
	t.Parallel()
	notes, err := runHelm(t, "install", release, chartDir, "--namespace", "ops", "--dry-run=client")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"kubectl get zombiereports -A\n",
		"kubectl get zombienodereports\n",
		"kubectl label namespace ops pod-security.kubernetes.io/enforce=privileged\n",
		"kubectl --namespace ops rollout status daemonset/zombie-operator-agent\n",
		"kubectl --namespace <namespace> apply -f - <<EOF\napiVersion: zombie-operator.io/v1alpha1\nkind: ZombiePolicy\n",
		"mode: DryRun\n",
		"kubectl --namespace <namespace> describe zombiereports\n",
		v1alpha1.AnnotationOptOut,
	} {
		if !strings.Contains(notes, part) {
			t.Errorf("the notes do not say %q", part)
		}
	}
}
