{{- define "preflight.name" -}}
{{- .Values.name | default .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "preflight.labels" -}}
app.kubernetes.io/name: eks-preflight
app.kubernetes.io/instance: {{ include "preflight.name" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "preflight.image" -}}
{{- if .Values.image.digest -}}
{{ printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{- define "preflight.subject" -}}
- kind: ServiceAccount
  name: {{ include "preflight.name" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
