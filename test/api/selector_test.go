package api

import (
	"fmt"
	"strings"
)

func selectorSuites() []suite {
	return []suite{
		{about: "the selector of a ZombiePolicy", good: goodPolicy, at: "spec.selector", tries: selectorAttempts},
		{about: "the selector of a ClusterZombiePolicy", good: goodClusterPolicy, at: "spec.selector", tries: selectorAttempts},
		{about: "the namespace selector of a ClusterZombiePolicy", good: goodClusterPolicy, at: "spec.namespaceSelector", tries: selectorAttempts},
	}
}

const (
	nothingSelected = "selects nothing: set matchLabels or matchExpressions, or write match: Everything to select all on purpose"
	standsAlone     = "match: Everything stands alone: remove it, or remove matchLabels and matchExpressions"
	labelKeyForm    = "label key: an optional DNS prefix of at most 253 characters and a slash, then at most 63 letters, digits, '-', '_' or '.', starting and ending with a letter or digit"
	notLabelKeys    = "each key must be a " + labelKeyForm
	notALabelKey    = "must be a " + labelKeyForm
	notALabelValue  = "must be a label value: empty, or letters, digits, '-', '_' or '.', starting and ending with a letter or digit"
	needsValues     = "operators In and NotIn need at least one value"
	takesNoValues   = "operators Exists and DoesNotExist take no values: remove them"
)

// longestKey is a label key of 253 and 63 characters.
var longestKey = strings.Repeat("p", 253) + "/" + strings.Repeat("k", 63)

// Every patch is a whole selector.
var selectorAttempts = attempts{
	"everything, written on purpose, is accepted": {replace: true, patch: `{match: Everything}`},
	"an empty selector is refused with the way to select all": {
		replace: true, patch: `{}`,
		refused: map[string]string{"": nothingSelected},
	},
	"any other word than Everything is refused": {
		replace: true, patch: `{match: all}`,
		refused: map[string]string{".match": `supported values: "Everything"`},
	},
	"an empty match is refused": {
		replace: true, patch: `{match: ""}`,
		refused: map[string]string{".match": `supported values: "Everything"`},
	},
	"everything together with labels is refused": {
		replace: true, patch: `{match: Everything, matchLabels: {app: web}}`,
		refused: map[string]string{"": standsAlone},
	},
	"everything together with expressions is refused": {
		replace: true, patch: `{match: Everything, matchExpressions: [{key: app, operator: Exists}]}`,
		refused: map[string]string{"": standsAlone},
	},
	"labels together with expressions are accepted": {
		replace: true, patch: `{matchLabels: {app: web}, matchExpressions: [{key: tier, operator: Exists}]}`,
	},
	"a selector that is only a word is refused": {
		replace: true, patch: `web`,
		refused: map[string]string{"": `must be of type object: "string"`},
	},
	"an unknown field is refused by its name": {
		replace: true, patch: `{match: Everything, namespaces: [shop]}`,
		refused: map[string]string{".namespaces": "unknown field"},
	},

	"an empty map of labels is refused": {
		replace: true, patch: `{matchLabels: {}}`,
		refused: map[string]string{".matchLabels": "should have at least 1 properties", "": nothingSelected},
	},
	"an empty list of expressions is refused": {
		replace: true, patch: `{matchExpressions: []}`,
		refused: map[string]string{".matchExpressions": "should have at least 1 items", "": nothingSelected},
	},
	"16 labels are accepted": {replace: true, patch: `{matchLabels: ` + labels(16) + `}`},
	"17 labels are refused": {
		replace: true, patch: `{matchLabels: ` + labels(17) + `}`,
		refused: map[string]string{".matchLabels": "must have at most 16 items"},
	},
	"a label key with a prefix is accepted": {replace: true, patch: `{matchLabels: {app.kubernetes.io/name: web}}`},
	"the longest label key is accepted":     {replace: true, patch: fmt.Sprintf(`{matchLabels: {? %s : web}}`, longestKey)},
	"a label key of one letter is accepted": {replace: true, patch: `{matchLabels: {A: web}}`},
	"a label key in mixed case is accepted": {replace: true, patch: `{matchLabels: {my_App.Name: web}}`},
	"an empty label value is accepted":      {replace: true, patch: `{matchLabels: {app: ""}}`},
	"a label value of 63 characters is accepted": {
		replace: true, patch: fmt.Sprintf(`{matchLabels: {app: %s}}`, strings.Repeat("v", 63)),
	},
	"a label value of 64 characters is refused": {
		replace: true, patch: fmt.Sprintf(`{matchLabels: {app: %s}}`, strings.Repeat("v", 64)),
		refused: map[string]string{".matchLabels.app": "may not be more than 63"},
	},
	"a label value with a space is refused": {
		replace: true, patch: `{matchLabels: {app: web shop}}`,
		refused: map[string]string{".matchLabels[app]": notALabelValue},
	},
	"a label value that is a number is refused": {
		replace: true, patch: `{matchLabels: {app: 1}}`,
		refused: map[string]string{".matchLabels.app": `must be of type string: "integer"`},
	},
	"a label key with a space is refused": {
		replace: true, patch: `{matchLabels: {my app: web}}`,
		refused: map[string]string{".matchLabels": notLabelKeys},
	},
	"an empty label key is refused": {
		replace: true, patch: `{matchLabels: {"": web}}`,
		refused: map[string]string{".matchLabels": notLabelKeys},
	},
	"a label key that ends in a slash is refused": {
		replace: true, patch: `{matchLabels: {app/: web}}`,
		refused: map[string]string{".matchLabels": notLabelKeys},
	},
	"a label key with two slashes is refused": {
		replace: true, patch: `{matchLabels: {a/b/c: web}}`,
		refused: map[string]string{".matchLabels": notLabelKeys},
	},
	"a label key whose prefix is in capitals is refused": {
		replace: true, patch: `{matchLabels: {Example.com/app: web}}`,
		refused: map[string]string{".matchLabels": notLabelKeys},
	},
	"a label key of 64 characters is refused": {
		replace: true, patch: fmt.Sprintf(`{matchLabels: {%s: web}}`, strings.Repeat("k", 64)),
		refused: map[string]string{".matchLabels": notLabelKeys},
	},
	"a label key whose prefix has 254 characters is refused": {
		replace: true, patch: fmt.Sprintf(`{matchLabels: {? %s/k : web}}`, strings.Repeat("p", 254)),
		refused: map[string]string{".matchLabels": notLabelKeys},
	},
	"one bad label key among good ones is refused": {
		replace: true, patch: `{matchLabels: {app: web, "b d": x}}`,
		refused: map[string]string{".matchLabels": notLabelKeys},
	},
}

func expressionSuites() []suite {
	const (
		with       = "  selector: {matchExpressions: [{key: app, operator: Exists}]}\n"
		namespaces = "  namespaceSelector: {matchExpressions: [{key: app, operator: Exists}]}\n"
	)
	policy := strings.Replace(goodPolicy, "  selector: {matchLabels: {app: web}}\n", with, 1)
	clusterPolicy := strings.Replace(goodClusterPolicy, "  selector: {match: Everything}\n", with, 1)
	namespacePolicy := strings.Replace(goodClusterPolicy, "  namespaceSelector: {match: Everything}\n", namespaces, 1)
	return []suite{
		{about: "the selector expressions of a ZombiePolicy", good: policy, at: "spec.selector.matchExpressions", tries: expressionAttempts},
		{about: "the selector expressions of a ClusterZombiePolicy", good: clusterPolicy, at: "spec.selector.matchExpressions", tries: expressionAttempts},
		{about: "the namespace selector expressions of a ClusterZombiePolicy", good: namespacePolicy, at: "spec.namespaceSelector.matchExpressions", tries: expressionAttempts},
	}
}

// Every patch is a whole list of requirements.
var expressionAttempts = attempts{
	"16 expressions are accepted": {patch: list(16, `{key: k%d, operator: Exists}`)},
	"17 expressions are refused": {
		patch:   list(17, `{key: k%d, operator: Exists}`),
		refused: map[string]string{"": "must have at most 16 items"},
	},
	"two expressions on one key are accepted": {
		patch: `[{key: app, operator: Exists}, {key: app, operator: NotIn, values: [web]}]`,
	},

	"In with one value is accepted":    {patch: `[{key: app, operator: In, values: [web]}]`},
	"NotIn with one value is accepted": {patch: `[{key: app, operator: NotIn, values: [web]}]`},
	"Exists is accepted":               {patch: `[{key: app, operator: Exists}]`},
	"DoesNotExist is accepted":         {patch: `[{key: app, operator: DoesNotExist}]`},
	"an unknown operator is refused with the list of operators": {
		patch:   `[{key: app, operator: Equals, values: [web]}]`,
		refused: map[string]string{"[0].operator": `supported values: "In", "NotIn", "Exists", "DoesNotExist"`},
	},
	"an expression without an operator is refused": {
		patch:   `[{key: app}]`,
		refused: map[string]string{"[0].operator": required},
	},
	"In without values is refused": {
		patch:   `[{key: app, operator: In}]`,
		refused: map[string]string{"[0].values": needsValues},
	},
	"NotIn without values is refused": {
		patch:   `[{key: app, operator: NotIn}]`,
		refused: map[string]string{"[0].values": needsValues},
	},
	"In with an empty list of values is refused": {
		patch:   `[{key: app, operator: In, values: []}]`,
		refused: map[string]string{"[0].values": needsValues},
	},
	"Exists with values is refused": {
		patch:   `[{key: tier, operator: Exists}, {key: app, operator: Exists, values: [web]}]`,
		refused: map[string]string{"[1].values": takesNoValues},
	},
	"DoesNotExist with values is refused": {
		patch:   `[{key: app, operator: DoesNotExist, values: [web]}]`,
		refused: map[string]string{"[0].values": takesNoValues},
	},

	"an expression without a key is refused": {
		patch:   `[{operator: Exists}]`,
		refused: map[string]string{"[0].key": required},
	},
	"an empty key is refused": {
		patch:   `[{key: "", operator: Exists}]`,
		refused: map[string]string{"[0].key": tooShort},
	},
	"a key of one letter is accepted": {patch: `[{key: a, operator: Exists}]`},
	"the longest key is accepted":     {patch: fmt.Sprintf(`[{key: %s, operator: Exists}]`, longestKey)},
	"a key of 318 characters is refused": {
		patch:   fmt.Sprintf(`[{key: p%s, operator: Exists}]`, longestKey),
		refused: map[string]string{"[0].key": "may not be more than 317"},
	},
	"a key whose prefix has 254 characters is refused": {
		patch:   fmt.Sprintf(`[{key: %s/k, operator: Exists}]`, strings.Repeat("p", 254)),
		refused: map[string]string{"[0].key": notALabelKey},
	},
	"a key with a space is refused": {
		patch:   `[{key: my app, operator: Exists}]`,
		refused: map[string]string{"[0].key": notALabelKey},
	},

	"32 values are accepted": {patch: `[{key: app, operator: In, values: ` + list(32, "v%d") + `}]`},
	"33 values are refused": {
		patch:   `[{key: app, operator: In, values: ` + list(33, "v%d") + `}]`,
		refused: map[string]string{"[0].values": "must have at most 32 items"},
	},
	"a value that is listed twice is refused": {
		patch:   `[{key: app, operator: In, values: [web, web]}]`,
		refused: map[string]string{"[0].values[1]": `Duplicate value: "web"`},
	},
	"an empty value is accepted": {patch: `[{key: app, operator: In, values: [""]}]`},
	"a value of 63 characters is accepted": {
		patch: fmt.Sprintf(`[{key: app, operator: In, values: [%s]}]`, strings.Repeat("v", 63)),
	},
	"a value of 64 characters is refused": {
		patch:   fmt.Sprintf(`[{key: app, operator: In, values: [%s]}]`, strings.Repeat("v", 64)),
		refused: map[string]string{"[0].values[0]": "may not be more than 63"},
	},
	"a value with a slash is refused": {
		patch:   `[{key: app, operator: In, values: [a/b]}]`,
		refused: map[string]string{"[0].values[0]": notALabelValue},
	},
}
