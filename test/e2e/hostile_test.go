package e2e

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
	"github.com/zombie-operator/zombie-operator/controllers/remedy"
)

// hostileNamesOf are names that a process may give itself, and what is shown of them. A pod is called by the key.
var hostileNamesOf = map[string]struct{ name, shown string }{
	"newline":   {"a\nb Z 1", "a?b Z 1"},
	"paren":     {")", ")"},
	"stat-line": {") Z 1 (", ") Z 1 ("},
	"not-utf8":  {"caf\xe9\x80\xfe", "caf???"},
	"ff":        {strings.Repeat("\xff", 15), strings.Repeat("?", 15)},
	"escapes":   {"\x1b[31m\x1b]0;x\a", "?[31m?]0;x?"},
	"quotes":    {`"\},{"'` + "`$(", `"\},{"'` + "`$("},
	"unicode":   {"日本\u202e", "???"},
}

// hostileNames shows that no name of a process breaks what people and programs read: report, Event, log, metrics and table.
func hostileNames(t *testing.T) {
	ns := namespace(t, "hostile")
	pods := map[string]*corev1.Pod{}
	for name, c := range hostileNamesOf {
		pods[name] = perl(t, ns, name, "hostile", hex.EncodeToString([]byte(c.name)))
		create(t, pods[name])
	}
	// First told as a plan that names processes, then alerted of.
	policy := alertOf(ns)
	ladder := policy.Spec.Ladder
	policy.Spec.Mode, policy.Spec.Ladder = v1alpha1.ModeDryRun, []v1alpha1.Rung{send(v1alpha1.SignalHangup)}
	apply(t, policy)
	for name, c := range hostileNamesOf {
		parent := waitReport(t, pods[name], 3, patience).Status.Observed.Containers[0].Parents[0]
		if parent.Command != c.shown || len(parent.Dead) != 1 || parent.Dead[0].Command != c.shown || parent.Cause != v1alpha1.CausePID1DoesNotReap {
			t.Errorf("of pod %s the report says %+v, want the command %q", name, parent, c.shown)
		}
		for _, e := range waitTold(t, ns, "Pod", name, remedy.EventLeakFound, remedy.EventActNotDone) {
			checkPrintable(t, "the Event on pod "+name, e.Note)
			if says := "(" + c.shown + ")"; !strings.Contains(e.Note, says) {
				t.Errorf("the Event %s on pod %s is %q, want %q in it", e.Reason, name, e.Note, says)
			}
		}
	}
	before := policy.DeepCopy()
	policy.Spec.Mode, policy.Spec.Ladder = v1alpha1.ModeEnforce, ladder
	if err := api.Patch(t.Context(), policy, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	checkHostileTable(t, ns)
	checkAlertsCounted(t, policy, len(hostileNamesOf))
	for _, p := range operatorPods(t) {
		log, err := output(kubectl, "logs", "-n", operatorNamespace, p.Name)
		if err != nil {
			t.Fatal(err)
		}
		checkJSONLines(t, p.Name, log)
		checkMetrics(t, scrape(t, &p))
	}
}

// checkAlertsCounted wants the leader, and no other replica, to count the pods of a namespace of which a policy alerts.
func checkAlertsCounted(t *testing.T, policy *v1alpha1.ZombiePolicy, pods int) {
	t.Helper()
	want := fmt.Sprintf(`zombie_controller_alerts{cause="PID1DoesNotReap",namespace="%s",policy="%s"} %d`, policy.Namespace, policy.Name, pods)
	token := tokenOf(t, scraperName)
	var controllers []*metricsPort
	for _, p := range operatorPods(t) {
		if p.Labels["app.kubernetes.io/component"] == "controller" {
			controllers = append(controllers, &metricsPort{pod: &p})
		}
	}
	eventually(t, time.Minute, func(context.Context) string {
		leaders := 0
		for _, port := range controllers {
			switch text := port.get(t, token, http.StatusOK); {
			case strings.Contains(text, want+"\n") && strings.Contains(text, `zombie_controller_reports{cause="PID1DoesNotReap"} `):
				leaders++
			case strings.Contains(text, "zombie_controller_alerts{"):
				return fmt.Sprintf("the metrics of %s do not have %s:\n%s", port.pod.Name, want, text)
			}
		}
		if leaders != 1 {
			return fmt.Sprintf("%d of %d controllers say %s", leaders, len(controllers), want)
		}
		return ""
	})
}

// alertOf alerts of every leak of a namespace: an Event is told for each.
func alertOf(namespace string) *v1alpha1.ZombiePolicy {
	return &v1alpha1.ZombiePolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "alert"},
		Spec: v1alpha1.ZombiePolicySpec{
			Mode: v1alpha1.ModeEnforce, Selector: v1alpha1.Selector{Match: v1alpha1.MatchEverything},
			Trigger: v1alpha1.Trigger{Zombies: 3, MinAgeSeconds: 30, ForSeconds: new(int32(2))},
			Ladder:  []v1alpha1.Rung{{Action: v1alpha1.ActionAlert}},
		},
	}
}

// checkHostileTable wants the table to have one line for each report, below the heading.
func checkHostileTable(t *testing.T, namespace string) {
	t.Helper()
	for _, format := range []string{"", "wide"} {
		table, err := output(kubectl, "get", "zombiereports", "-n", namespace, "-o", format)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("kubectl get zombiereports -o %q:\n%s", format, table)
		if lines := strings.Count(table, "\n"); lines != len(hostileNamesOf)+1 {
			t.Errorf("the table has %d lines, want %d", lines, len(hostileNamesOf)+1)
		}
		for line := range strings.Lines(table) {
			checkPrintable(t, "the table", strings.TrimSuffix(line, "\n"))
		}
	}
}

// checkPrintable wants nothing but printable ASCII.
func checkPrintable(t *testing.T, what, text string) {
	t.Helper()
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
		t.Errorf("%s holds what is not printable ASCII: %q", what, text)
	}
}

// checkJSONLines wants each line of a log to be JSON that a terminal can show.
func checkJSONLines(t *testing.T, pod, log string) {
	t.Helper()
	for line := range strings.Lines(log) {
		line = strings.TrimSuffix(line, "\n")
		if !json.Valid([]byte(line)) || !utf8.ValidString(line) || strings.ContainsFunc(line, unicode.IsControl) {
			t.Errorf("the log of %s has a line that is no JSON or not printable: %q", pod, line)
		}
	}
}

// operatorPods are the agents and the controller.
func operatorPods(t *testing.T) []corev1.Pod {
	t.Helper()
	var list corev1.PodList
	if err := api.List(t.Context(), &list, client.InNamespace(operatorNamespace), client.HasLabels{"app.kubernetes.io/component"}); err != nil {
		t.Fatal(err)
	}
	running := slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return !podReady(p) })
	if len(running) < 3 {
		t.Fatalf("%d pods of the operator are ready, want two agents and a controller", len(running))
	}
	return running
}
