{{/*
The operator's settings as its environment. What the chart knows by itself comes first; each key of
`settings` is the operator's setting of that name, and what is not given is the operator's default.
*/}}
{{- define "lancemill.environment" -}}
- name: LANCEMILL_OPERATOR_NAMESPACES
  value: {{ toJson .Values.watchNamespaces | quote }}
- name: LANCEMILL_OPERATOR_HTTP_PORT
  value: {{ .Values.port | quote }}
{{- if .Values.lease.enabled }}
- name: LANCEMILL_OPERATOR_LEASE
  value: "true"
- name: LANCEMILL_OPERATOR_LEASE_NAME
  value: {{ include "lancemill.operator" . }}
{{- end }}
{{- range $name, $value := omit .Values.settings "defaults" }}
{{- if not (kindIs "invalid" $value) }}
- name: LANCEMILL_OPERATOR_{{ snakecase $name | upper }}
  value: {{ include "lancemill.text" $value | quote }}
{{- end }}
{{- end }}
- name: LANCEMILL_OPERATOR_DEFAULTS
  value: {{ include "lancemill.defaults" . | quote }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* One JSON for what stands in objects: pods of runs let in the operator that this release is. */}}
{{- define "lancemill.defaults" -}}
{{- $made := dict }}
{{- $network := dict "operator_namespace" .Release.Namespace }}
{{- $_ := set $network "operator_labels" (include "lancemill.selector" . | fromYaml) }}
{{- range $name, $value := .Values.settings.defaults }}
{{- if eq $name "network" }}
{{- range $rule, $what := $value }}
{{- if not (kindIs "invalid" $what) }}{{ $_ := set $network (snakecase $rule) $what }}{{ end }}
{{- end }}
{{- else if not (kindIs "invalid" $value) }}
{{- $_ := set $made (snakecase $name) $value }}
{{- end }}
{{- end }}
{{- $prices := dict }}
{{- range $name, $value := .Values.prices }}
{{- if not (kindIs "invalid" $value) }}{{ $_ := set $prices (snakecase $name) $value }}{{ end }}
{{- end }}
{{- toJson (merge (dict "network" $network "prices" $prices) $made) }}
{{- end }}

{{/* Helm's numbers are floats: large whole ones must not become 1e+06. */}}
{{- define "lancemill.text" -}}
{{- if or (kindIs "map" .) (kindIs "slice" .) }}{{ toJson . }}
{{- else if and (kindIs "float64" .) (eq (floor .) .) }}{{ printf "%.0f" . }}
{{- else }}{{ . }}
{{- end }}
{{- end }}
