package agentpods

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

// NodeNameIndex is the index by which a View finds the pods of a node.
const NodeNameIndex = "spec.nodeName"

// NewCache adds to a manager a cache of the pods of one namespace that a selector selects, indexed by node. It is a
// cache of its own because the manager's holds one view of a kind, and there that is the metadata of every pod.
func NewCache(ctx context.Context, mgr manager.Manager, namespace string, selector labels.Selector) (cache.Cache, error) {
	pods, err := cache.New(mgr.GetConfig(), cache.Options{
		HTTPClient:           mgr.GetHTTPClient(),
		Scheme:               mgr.GetScheme(),
		Mapper:               mgr.GetRESTMapper(),
		DefaultNamespaces:    map[string]cache.Config{namespace: {}},
		DefaultLabelSelector: selector,
		DefaultTransform:     stripToReadiness,
	})
	if err != nil {
		return nil, fmt.Errorf("creating the cache of agent pods: %w", err)
	}
	if err := pods.IndexField(ctx, &corev1.Pod{}, NodeNameIndex, IndexByNodeName); err != nil {
		return nil, fmt.Errorf("indexing agent pods by node: %w", err)
	}
	if err := mgr.Add(started{pods}); err != nil {
		return nil, fmt.Errorf("adding the cache of agent pods to the manager: %w", err)
	}
	return pods, nil
}

// started makes a manager start a cache together with its own, before any controller and before it is the leader.
type started struct{ cache.Cache }

// GetCache is what a manager recognises a cache by.
func (s started) GetCache() cache.Cache { return s.Cache }

// IndexByNodeName is the function of the index NodeNameIndex.
func IndexByNodeName(obj client.Object) []string {
	pod, ok := obj.(*corev1.Pod)
	if !ok || pod.Spec.NodeName == "" {
		return nil
	}
	return []string{pod.Spec.NodeName}
}

// stripToReadiness reduces a pod to what a View reads. The resource version stays: an informer takes an update that
// does not change it for a resync and keeps it from handlers.
func stripToReadiness(in any) (any, error) {
	pod, ok := in.(*corev1.Pod)
	if !ok {
		return in, nil
	}
	stripped := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:              pod.Name,
			Namespace:         pod.Namespace,
			UID:               pod.UID,
			ResourceVersion:   pod.ResourceVersion,
			CreationTimestamp: pod.CreationTimestamp,
		},
		Spec: corev1.PodSpec{NodeName: pod.Spec.NodeName},
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			stripped.Status.Conditions = []corev1.PodCondition{
				{Type: c.Type, Status: c.Status, LastTransitionTime: c.LastTransitionTime},
			}
		}
	}
	return stripped, nil
}

// ReadinessChanged passes the events after which OnNode may answer differently.
func ReadinessChanged() predicate.TypedPredicate[*corev1.Pod] {
	return predicate.TypedFuncs[*corev1.Pod]{
		UpdateFunc: func(e event.TypedUpdateEvent[*corev1.Pod]) bool {
			before, _ := readiness(e.ObjectOld)
			after, _ := readiness(e.ObjectNew)
			return before != after || e.ObjectOld.Spec.NodeName != e.ObjectNew.Spec.NodeName
		},
	}
}
