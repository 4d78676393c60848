// Package v1alpha1 is the contract between the agent, the controller and their users.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +kubebuilder:ac:output:package=../applyconfiguration
// +groupName=zombie-operator.io
package v1alpha1
