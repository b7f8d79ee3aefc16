{{- define "fxcast.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* The names of the objects; what is appended to them still fits into 63 characters. */}}
{{- define "fxcast.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "fxcast.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "fxcast.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels by which objects find the pods. They never change. */}}
{{- define "fxcast.selector" -}}
app.kubernetes.io/name: {{ include "fxcast.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "fxcast.labels" -}}
{{ include "fxcast.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "fxcast.image" -}}
{{- $_ := required "image.repository: name the image that you have pushed" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* A value of an environment variable. Helm reads whole numbers as floats, and would write 1e+06. */}}
{{- define "fxcast.value" -}}
{{- if kindIs "float64" . -}}{{ int64 . | toString | quote }}{{- else -}}{{ toString . | quote }}{{- end -}}
{{- end -}}

{{/* The program takes up to 5 s for its last requests after both drains; 5 s more are spare. */}}
{{- define "fxcast.gracePeriod" -}}
{{- add .Values.drain.delay .Values.drain.timeout 10 -}}
{{- end -}}

{{/* The ports of Redis: those of its addresses, of the masters that sentinels name, and more. */}}
{{- define "fxcast.redisPorts" -}}
{{- $ports := .Values.networkPolicy.redisPorts -}}
{{- if ne .Values.redis.mode "cluster" -}}{{- $ports = append $ports .Values.redis.port -}}{{- end -}}
{{- range .Values.redis.addrs -}}{{- $ports = append $ports (last (splitList ":" .)) -}}{{- end -}}
{{- $texts := list -}}
{{- range $ports -}}{{- $texts = append $texts (int64 . | toString) -}}{{- end -}}
{{- $texts | uniq | join "," -}}
{{- end -}}
