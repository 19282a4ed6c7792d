{{- define "everlog.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 48 | trimSuffix "-" -}}
{{- end -}}

{{- define "everlog.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 48 | trimSuffix "-" -}}
{{- else if contains (include "everlog.name" .) .Release.Name -}}
{{- .Release.Name | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "everlog.name" .) | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "everlog.selector" -}}
app.kubernetes.io/name: {{ include "everlog.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "everlog.labels" -}}
{{ include "everlog.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* The roles that this release runs, as a JSON object with their names. */ -}}
{{- define "everlog.roles" -}}
{{- $roles := list "receiver" "worker" "upkeep" -}}
{{- if .Values.sealer.enabled }}{{ $roles = append $roles "sealer" }}{{ end -}}
{{- if .Values.web.enabled }}{{ $roles = append $roles "web" }}{{ end -}}
{{- dict "names" $roles | toJson -}}
{{- end -}}

{{- /* Of (dict "root" $ "role" NAME): the role's service account. */ -}}
{{- define "everlog.serviceAccount" -}}
{{- $account := (index .root.Values .role).serviceAccount -}}
{{- if $account.create -}}
{{- default (printf "%s-%s" (include "everlog.fullname" .root) .role) $account.name -}}
{{- else -}}
{{- required (printf "%s.serviceAccount.name is required where create is false" .role) $account.name -}}
{{- end -}}
{{- end -}}

{{- define "everlog.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}
