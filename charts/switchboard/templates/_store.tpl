{{/* The ObjectStore, and the store for trials. */}}

{{- define "switchboard.store.name" -}}
{{- printf "%s-store" (include "switchboard.fullname" .) -}}
{{- end -}}

{{/* Secret with the store's keys; empty where the chart makes no ObjectStore. */}}
{{- define "switchboard.store.secret" -}}
{{- if .Values.store.enabled -}}
{{- default (include "switchboard.store.name" .) .Values.store.existingSecret -}}
{{- else if .Values.objectStore.endpoint -}}
{{- default (include "switchboard.store.name" .) .Values.objectStore.credentials.existingSecret -}}
{{- end -}}
{{- end -}}

{{/* What of the store for trials is dialled inside the cluster. */}}
{{- define "switchboard.store.host" -}}
{{- default (printf "%s.%s.svc" (include "switchboard.store.name" .) .Release.Namespace) .Values.store.service.clusterIP -}}
{{- end -}}

{{/* Keys and certificate of the store for trials, in YAML: those it has, or new ones. They are made once in a rendering, and kept in
     .Values, so that Secret and ObjectStore say the same. */}}
{{- define "switchboard.store.data" -}}
{{- if not (hasKey .Values.store "made") -}}
{{- $name := include "switchboard.store.name" . -}}
{{- $present := lookup "v1" "Secret" .Release.Namespace (include "switchboard.store.secret" .) -}}
{{- if and $present $present.data -}}
{{- $_ := set .Values.store "made" $present.data -}}
{{- else if .Values.store.existingSecret -}}
{{- $_ := set .Values.store "made" dict -}}
{{- else -}}
{{- $names := list $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) (printf "%s.%s.svc.cluster.local" $name .Release.Namespace) -}}
{{- $addresses := list "127.0.0.1" -}}
{{- range compact (list .Values.store.host .Values.store.service.clusterIP) -}}
{{- if regexMatch "^[0-9.]+$|:" . -}}
{{- $addresses = append $addresses . -}}
{{- else -}}
{{- $names = append $names . -}}
{{- end -}}
{{- end -}}
{{- $authority := genCA "Switchboard store for trials" 3650 -}}
{{- $certificate := genSignedCert $name $addresses $names 3650 $authority -}}
{{- $made := dict "accessKeyId" (printf "trial%s" (randAlphaNum 15)) "secretAccessKey" (randAlphaNum 40) "tls.crt" $certificate.Cert "tls.key" $certificate.Key "ca.crt" $authority.Cert -}}
{{- range $key, $value := $made -}}
{{- $_ := set $made $key ($value | b64enc) -}}
{{- end -}}
{{- $_ := set .Values.store "made" $made -}}
{{- end -}}
{{- end -}}
{{- toYaml .Values.store.made -}}
{{- end -}}

{{/* The ObjectStore's spec. */}}
{{- define "switchboard.objectStore.spec" -}}
{{- $object := .Values.objectStore -}}
{{- $authority := $object.certificateAuthority -}}
{{- $plain := $object.allowPlainHttp -}}
{{- if .Values.store.enabled -}}
{{- $plain = false -}}
{{- if not $authority -}}
{{- $authority = index (include "switchboard.store.data" . | fromYaml) "ca.crt" | default "" | b64dec -}}
{{- end }}
endpoint: https://{{ include "switchboard.store.host" . }}:{{ .Values.store.port }}
{{- $outside := default (ternary (printf "https://%s:%d" .Values.store.host (int .Values.store.port)) "" (ne .Values.store.host "")) $object.systemEndpoint }}
{{- with $outside }}
systemEndpoint: {{ . }}
{{- end }}
bucket: {{ .Values.store.bucket }}
{{- else }}
endpoint: {{ $object.endpoint }}
{{- with $object.systemEndpoint }}
systemEndpoint: {{ . }}
{{- end }}
bucket: {{ $object.bucket }}
{{- end }}
{{- with $object.prefix }}
prefix: {{ . }}
{{- end }}
region: {{ $object.region }}
addressing: {{ $object.addressing }}
allowPlainHttp: {{ $plain }}
credentialsSecret:
  namespace: {{ .Release.Namespace }}
  name: {{ include "switchboard.store.secret" . }}
{{- with $authority }}
certificateAuthority: |
  {{- . | trim | nindent 2 }}
{{- end }}
{{- with $object.encryption }}
encryption:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $object.objectLock }}
objectLock:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
