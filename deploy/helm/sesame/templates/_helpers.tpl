{{- define "sesame.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "sesame.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sesame.labels" -}}
{{ include "sesame.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "sesame.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* The environment of the server and of the Job. It is in the pod, and not in a ConfigMap, so that
an upgrade changes no pod of the previous version, and the Job can run before anything else. */ -}}
{{- define "sesame.env" -}}
- name: GOMAXPROCS
  value: {{ .Values.processors | quote }}
{{- if eq .Values.database "sqlite" }}
- name: SESAME_DATA_DIR
  value: /data/sesame
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- if .Values.existingSecret }}
{{- $sqlite := eq .Values.database "sqlite" }}
{{- $secrets := dict "SESAME_SECRET" (not $sqlite) "SESAME_SECRET_PREVIOUS" false }}
{{- if not $sqlite }}
{{- $_ := set $secrets "SESAME_DATABASE_URL" true }}
{{- end }}
{{- if .Values.smtp }}
{{- $_ := set $secrets "SESAME_SMTP_URL" true }}
{{- end }}
{{- range $name, $required := $secrets }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $.Values.existingSecret }}
      key: {{ $name }}
      optional: {{ not $required }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sesame.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch # otherwise each start makes the files readable for the group
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "sesame.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "sesame.volumeMounts" -}}
{{- if eq .Values.database "sqlite" }}
- name: data
  mountPath: /data
{{- end }}
{{- if .Values.caConfigMap }}
- name: ca
  mountPath: /etc/sesame/ca
  readOnly: true
{{- end }}
{{- end -}}

{{- define "sesame.volumes" -}}
{{- if eq .Values.database "sqlite" }}
- name: data
  persistentVolumeClaim:
    claimName: {{ .Values.persistence.existingClaim | default (include "sesame.name" .) }}
{{- end }}
{{- if .Values.caConfigMap }}
- name: ca
  configMap:
    name: {{ .Values.caConfigMap }}
{{- end }}
{{- end -}}
