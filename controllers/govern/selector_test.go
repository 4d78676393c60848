package govern

import (
	"testing"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

func TestCompile(t *testing.T) {
	t.Parallel()
	type values = []v1alpha1.LabelValue
	expression := func(key string, operator v1alpha1.SelectorOperator, v ...v1alpha1.LabelValue) v1alpha1.Selector {
		return v1alpha1.Selector{MatchExpressions: []v1alpha1.SelectorRequirement{{Key: key, Operator: operator, Values: v}}}
	}
	both := labelled("app", "web")
	both.MatchExpressions = expression("tier", v1alpha1.SelectorOpExists).MatchExpressions
	two := labelled("app", "web")
	two.MatchLabels["tier"] = "front"
	contradictory := labelled("app", "web")
	contradictory.Match = v1alpha1.MatchEverything
	halfWrong := both
	halfWrong.MatchExpressions = append(halfWrong.MatchExpressions[:1:1], expression("app", "Like", "web").MatchExpressions...)
	tests := map[string]struct {
		selector v1alpha1.Selector
		labels   labels.Set
		want     bool
	}{
		"Everything selects what has no labels":          {v1alpha1.Selector{Match: v1alpha1.MatchEverything}, nil, true},
		"an empty selector selects nothing":              {v1alpha1.Selector{}, nil, false},
		"an empty selector does not select labels":       {v1alpha1.Selector{}, labels.Set{"app": "web"}, false},
		"another word than Everything selects nothing":   {v1alpha1.Selector{Match: "All"}, nil, false},
		"Everything with labels beside selects nothing":  {contradictory, labels.Set{"app": "web"}, false},
		"a label that is there selects":                  {labelled("app", "web"), labels.Set{"app": "web", "x": "y"}, true},
		"a label of another value does not":              {labelled("app", "web"), labels.Set{"app": "db"}, false},
		"a label that is not there does not":             {labelled("app", ""), labels.Set{"x": "y"}, false},
		"an empty value selects an empty label":          {labelled("app", ""), labels.Set{"app": ""}, true},
		"all labels must be there":                       {two, labels.Set{"app": "web"}, false},
		"all labels that are there select":               {two, labels.Set{"app": "web", "tier": "front"}, true},
		"labels and expressions must both hold":          {both, labels.Set{"app": "web"}, false},
		"labels and expressions that both hold select":   {both, labels.Set{"app": "web", "tier": ""}, true},
		"In selects one of the values":                   {expression("app", v1alpha1.SelectorOpIn, "db", "web"), labels.Set{"app": "web"}, true},
		"In does not select another value":               {expression("app", v1alpha1.SelectorOpIn, "db"), labels.Set{"app": "web"}, false},
		"In does not select what lacks the label":        {expression("app", v1alpha1.SelectorOpIn, ""), nil, false},
		"NotIn selects another value":                    {expression("app", v1alpha1.SelectorOpNotIn, "db"), labels.Set{"app": "web"}, true},
		"NotIn does not select one of the values":        {expression("app", v1alpha1.SelectorOpNotIn, "db", "web"), labels.Set{"app": "web"}, false},
		"NotIn selects what lacks the label":             {expression("app", v1alpha1.SelectorOpNotIn, "db"), nil, true},
		"Exists selects whatever the value":              {expression("app", v1alpha1.SelectorOpExists), labels.Set{"app": ""}, true},
		"Exists does not select what lacks the label":    {expression("app", v1alpha1.SelectorOpExists), labels.Set{"x": "y"}, false},
		"DoesNotExist selects what lacks the label":      {expression("app", v1alpha1.SelectorOpDoesNotExist), labels.Set{"x": "y"}, true},
		"DoesNotExist does not select what has it":       {expression("app", v1alpha1.SelectorOpDoesNotExist), labels.Set{"app": ""}, false},
		"a key that is none selects nothing":             {labelled("not a key", "web"), labels.Set{"not a key": "web"}, false},
		"a value that is none selects nothing":           {labelled("app", "a b"), labels.Set{"app": "a b"}, false},
		"an unknown operator selects nothing":            {expression("app", "Like", "web"), labels.Set{"app": "web"}, false},
		"NotIn without values selects nothing":           {expression("app", v1alpha1.SelectorOpNotIn, values{}...), nil, false},
		"one wrong expression spoils the right ones too": {halfWrong, labels.Set{"app": "web", "tier": ""}, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := compile(tc.selector).Matches(tc.labels); got != tc.want {
				t.Errorf("Matches(%v) = %t, want %t", tc.labels, got, tc.want)
			}
		})
	}
}
