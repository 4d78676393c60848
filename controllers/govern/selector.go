package govern

import (
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// operators are those of the API in the terms of Kubernetes. As there, NotIn selects objects without the label too.
var operators = map[v1alpha1.SelectorOperator]selection.Operator{
	v1alpha1.SelectorOpIn:           selection.In,
	v1alpha1.SelectorOpNotIn:        selection.NotIn,
	v1alpha1.SelectorOpExists:       selection.Exists,
	v1alpha1.SelectorOpDoesNotExist: selection.DoesNotExist,
}

// compile makes a selector ready to match. One that is empty or makes no sense, which the API server accepts from nobody,
// selects nothing: in Kubernetes' own terms an empty one would select everything.
func compile(s v1alpha1.Selector) labels.Selector {
	if s.Match == v1alpha1.MatchEverything && len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0 {
		return labels.Everything()
	}
	requirements, err := requirementsOf(s)
	if err != nil || s.Match != "" || len(requirements) == 0 {
		return labels.Nothing()
	}
	return labels.NewSelector().Add(requirements...)
}

func requirementsOf(s v1alpha1.Selector) (labels.Requirements, error) {
	var requirements labels.Requirements
	add := func(key string, operator selection.Operator, values ...string) error {
		requirement, err := labels.NewRequirement(key, operator, values)
		if err != nil {
			return err
		}
		requirements = append(requirements, *requirement)
		return nil
	}
	for key, value := range s.MatchLabels {
		if err := add(key, selection.Equals, string(value)); err != nil {
			return nil, err
		}
	}
	for _, e := range s.MatchExpressions {
		values := make([]string, 0, len(e.Values))
		for _, value := range e.Values {
			values = append(values, string(value))
		}
		if err := add(e.Key, operators[e.Operator], values...); err != nil {
			return nil, err
		}
	}
	return requirements, nil
}
