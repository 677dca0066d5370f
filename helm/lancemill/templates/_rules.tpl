{{/*
What the operator may do, and nothing else: each line is a call that it makes. A call that is added
to its code needs a line here; tests/kube/test_helm.py has the table of what must not work.
*/}}

{{/* In each namespace that holds pipelines. */}}
{{- define "lancemill.rules.namespaced" -}}
# Its own kinds. The specification is the user's: only the status is written, by server-side apply.
- apiGroups: [lancemill.dev]
  resources: [multimodalpipelines, lancedatasets]
  verbs: [get, list, watch]
- apiGroups: [lancemill.dev]
  resources: [multimodalpipelines/status, lancedatasets/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
# A run: an immutable RayJob for each attempt.
- apiGroups: [ray.io]
  resources: [rayjobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [ray.io]
  resources: [rayclusters]
  verbs: [list]
# What it runs, frozen.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create, delete]
# Who its pods are, and who may speak to them. An apply that makes an object needs both verbs.
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [create, patch]
# Short Jobs that look at a store or at a run's ledger, and their pods' last words.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
- apiGroups: [""]
  resources: [resourcequotas]
  verbs: [list]
# Whether what a manifest names exists. Only metadata is asked for; RBAC cannot say so.
- apiGroups: [""]
  resources: [persistentvolumeclaims{{ if .Values.rbac.readSecrets }}, secrets{{ end }}]
  verbs: [get]
{{- if eq (toString .Values.settings.progressVia) "proxy" }}
# Progress through the API server, where pods cannot be reached.
- apiGroups: [""]
  resources: [services/proxy]
  verbs: [get]
{{- end }}
{{- end }}

{{/* Of the cluster as a whole; a narrow install goes without. */}}
{{- define "lancemill.rules.cluster" -}}
# Whether a node could ever fit a worker group.
- apiGroups: [""]
  resources: [nodes]
  verbs: [list]
- apiGroups: [scheduling.k8s.io]
  resources: [priorityclasses]
  verbs: [get]
{{- end }}
