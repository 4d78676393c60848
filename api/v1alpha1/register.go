package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion names this API in manifests: apiVersion: zombie-operator.io/v1alpha1.
var GroupVersion = schema.GroupVersion{Group: "zombie-operator.io", Version: "v1alpha1"}

// SchemeGroupVersion is the name under which generated code looks for GroupVersion.
var SchemeGroupVersion = GroupVersion

// AddToScheme registers every kind of this package with a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&ZombiePolicy{}, &ZombiePolicyList{},
		&ClusterZombiePolicy{}, &ClusterZombiePolicyList{},
		&ZombieReport{}, &ZombieReportList{},
		&ZombieNodeReport{}, &ZombieNodeReportList{},
		&ZombieRemediation{}, &ZombieRemediationList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
