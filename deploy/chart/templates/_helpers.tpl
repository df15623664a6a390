{{- define "preflight.name" -}}
{{- .Values.name | default .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "preflight.labels" -}}
app.kubernetes.io/name: eks-preflight
app.kubernetes.io/instance: {{ include "preflight.name" . | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
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
  name: {{ include "preflight.name" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
{{- end }}

{{/* Where others may have an installation of the same name the namespace tells them apart. */}}
{{- define "preflight.role" -}}
{{- if eq .namespace .own }}{{ .name }}{{ else }}{{ printf "%s.%s" .name .own }}{{ end -}}
{{- end }}
