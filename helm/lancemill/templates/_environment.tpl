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
{{- range $name, $value := .Values.settings }}
{{- if not (kindIs "invalid" $value) }}
- name: LANCEMILL_OPERATOR_{{ snakecase $name | upper }}
  value: {{ if or (kindIs "map" $value) (kindIs "slice" $value) }}{{ toJson $value | quote }}{{ else if kindIs "float64" $value }}{{ if eq (floor $value) $value }}{{ printf "%.0f" $value | quote }}{{ else }}{{ $value | quote }}{{ end }}{{ else }}{{ $value | quote }}{{ end }}
{{- end }}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}
