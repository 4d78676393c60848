package v1alpha1

// Everything is the one value of a selector's match field.
//
// +kubebuilder:validation:Enum=Everything
type Everything string

// MatchEverything selects all objects. It must be written on purpose: a selector that names nothing is refused.
const MatchEverything Everything = "Everything"

// Selector chooses objects by their labels. Unlike the standard label selector it refuses to be empty,
// knows only the four operators, and checks keys and values when it is applied.
//
// +kubebuilder:validation:XValidation:rule="has(self.match) || (has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="selects nothing: set matchLabels or matchExpressions, or write match: Everything to select all on purpose"
// +kubebuilder:validation:XValidation:rule="!has(self.match) || (!has(self.matchLabels) && !has(self.matchExpressions))",message="match: Everything stands alone: remove it, or remove matchLabels and matchExpressions"
type Selector struct {
	// match is Everything to select all objects on purpose. It excludes the other two fields.
	// +optional
	Match Everything `json:"match,omitempty"`

	// matchLabels are labels that an object must carry, all of them.
	// A key is a label key such as app or app.kubernetes.io/name.
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() <= 317 && k.indexOf('/') <= 253 && k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",message="each key must be a label key: an optional DNS prefix of at most 253 characters and a slash, then at most 63 letters, digits, '-', '_' or '.', starting and ending with a letter or digit"
	// +optional
	MatchLabels map[string]LabelValue `json:"matchLabels,omitempty"`

	// matchExpressions are requirements that an object's labels must meet, all of them.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +listType=atomic
	// +optional
	MatchExpressions []SelectorRequirement `json:"matchExpressions,omitempty"`
}

// LabelValue is the value of a label: at most 63 letters, digits, '-', '_' or '.', or nothing.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",message="must be a label value: empty, or letters, digits, '-', '_' or '.', starting and ending with a letter or digit"
type LabelValue string

// SelectorOperator relates a label to the values of a requirement.
//
// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
type SelectorOperator string

const (
	// SelectorOpIn wants the label to have one of the values.
	SelectorOpIn SelectorOperator = "In"
	// SelectorOpNotIn wants the label to be absent or to have none of the values.
	SelectorOpNotIn SelectorOperator = "NotIn"
	// SelectorOpExists wants the label to be there.
	SelectorOpExists SelectorOperator = "Exists"
	// SelectorOpDoesNotExist wants the label to be absent.
	SelectorOpDoesNotExist SelectorOperator = "DoesNotExist"
)

// SelectorRequirement is one condition on an object's labels.
//
// +kubebuilder:validation:XValidation:rule="self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 : true",fieldPath=".values",reason="FieldValueRequired",message="operators In and NotIn need at least one value"
// +kubebuilder:validation:XValidation:rule="self.operator in ['Exists', 'DoesNotExist'] ? !has(self.values) || size(self.values) == 0 : true",fieldPath=".values",message="operators Exists and DoesNotExist take no values: remove them"
type SelectorRequirement struct {
	// key is the label key.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="self.indexOf('/') <= 253 && self.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$')",message="must be a label key: an optional DNS prefix of at most 253 characters and a slash, then at most 63 letters, digits, '-', '_' or '.', starting and ending with a letter or digit"
	Key string `json:"key"`

	// operator relates the label to the values: In, NotIn, Exists or DoesNotExist.
	// +required
	Operator SelectorOperator `json:"operator"`

	// values are what In and NotIn compare with.
	// +kubebuilder:validation:MaxItems=32
	// +listType=set
	// +optional
	Values []LabelValue `json:"values,omitempty"`
}
