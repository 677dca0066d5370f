{{/* Names: a release called after the chart gives plain ones. */}}
{{- define "lancemill.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 54 | trimSuffix "-" -}}
{{- end }}

{{- define "lancemill.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 54 | trimSuffix "-" -}}
{{- else if contains (include "lancemill.name" .) .Release.Name -}}
{{- .Release.Name | trunc 54 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "lancemill.name" .) | trunc 54 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "lancemill.operator" -}}
{{- include "lancemill.fullname" . }}-operator
{{- end }}

{{- define "lancemill.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "lancemill.operator" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/*
What a selector may hold: it can never be changed afterwards. The NetworkPolicies of runs let pods of
this name in.
*/}}
{{- define "lancemill.selector" -}}
app.kubernetes.io/name: {{ include "lancemill.name" . }}-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "lancemill.labels" -}}
{{ include "lancemill.selector" . }}
app.kubernetes.io/part-of: lancemill
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* An image by tag, and by digest where one is given. Takes [image, default tag]. */}}
{{- define "lancemill.image" -}}
{{- $image := index . 0 -}}
{{- $image.repository }}:{{ default (index . 1) $image.tag }}{{ with $image.digest }}@{{ . }}{{ end -}}
{{- end }}
