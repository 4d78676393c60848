package v1alpha1

// AnnotationOptOut, on a pod or on a namespace, keeps the operator from acting on the pod or on all pods of the namespace.
// They are reported all the same. Every value opts out but "false", so that nobody's typing error is taken for a yes.
const AnnotationOptOut = "zombie-operator.io/opt-out"
