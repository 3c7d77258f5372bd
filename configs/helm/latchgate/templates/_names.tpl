{{- define "latchgate.name" -}}
{{- printf "%s" .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- end }}

{{- define "latchgate.selector" -}}
app.kubernetes.io/name: latchgate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "latchgate.labels" -}}
{{ include "latchgate.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
