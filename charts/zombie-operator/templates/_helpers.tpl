{{/* Name of everything that is made: short enough for "-controller" and a ReplicaSet's suffix. */}}
{{- define "zombie-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that select pods. Arguments: the root context and the component. Never change one: selectors are immutable. */}}
{{- define "zombie-operator.selectorLabels" -}}
app.kubernetes.io/name: zombie-operator
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of everything. Argument: the root context. */}}
{{- define "zombie-operator.labels" -}}
app.kubernetes.io/name: zombie-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "zombie-operator.componentLabels" -}}
{{ include "zombie-operator.labels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "zombie-operator.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
The directories of the runtime's socket, as a JSON list: of the one that is set, or of the usual ones that are below /run, which is in memory,
so that what is made there is gone with the next boot. A directory that every program of the node writes to would show the agent far
more than the runtime.
*/}}
{{- define "zombie-operator.criDirectories" -}}
{{- if .Values.agent.criSocket -}}
{{- $dir := dir .Values.agent.criSocket -}}
{{- if has $dir (list "/" "/run" "/var" "/var/run" "/tmp") -}}
{{- fail (printf "agent.criSocket is %s, so that all of %s would be mounted: name a socket in a directory of its own, like /run/containerd/containerd.sock" .Values.agent.criSocket $dir) -}}
{{- end -}}
{{- list $dir | toJson -}}
{{- else -}}
{{- list "/run/k3s/containerd" "/run/k0s" "/run/crio" "/run/containerd" | toJson -}}
{{- end -}}
{{- end -}}

{{/* Go's soft memory limit from the container's: the same lines in both pods. */}}
{{- define "zombie-operator.memoryLimitEnv" -}}
# Go collects harder before the kernel kills: the limit in MiB times 1,000,000 bytes is 95 % of the limit.
- name: MEMORY_LIMIT_MIB
  valueFrom:
    resourceFieldRef:
      resource: limits.memory
      divisor: 1Mi
- name: GOMEMLIMIT
  value: $(MEMORY_LIMIT_MIB)000000
{{- end -}}

{{/*
The pod's own token instead of the automatic one: for an hour at most and renewed by the kubelet well before, while the
automatic one is made out for a year. It is bound to the pod, so it ends with the pod.
*/}}
{{- define "zombie-operator.tokenVolume" -}}
- name: kube-api-access
  projected:
    sources:
    - serviceAccountToken:
        path: token
        expirationSeconds: 3600
    - configMap:
        name: kube-root-ca.crt
        items:
        - key: ca.crt
          path: ca.crt
    - downwardAPI:
        items:
        - path: namespace
          fieldRef:
            fieldPath: metadata.namespace
{{- end -}}

{{- define "zombie-operator.tokenMount" -}}
- name: kube-api-access
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end -}}
