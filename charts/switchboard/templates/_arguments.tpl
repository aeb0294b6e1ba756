{{/* The operator's command line. */}}

{{- define "switchboard.arguments" -}}
- operator
- --listen=$(POD_IP)
- --gateway-host={{ include "switchboard.gateway.host" . }}
- --gateway-port={{ .Values.gateway.port }}
{{- if ne (include "switchboard.gateway.port" .) (toString .Values.gateway.port) }}
- --gateway-public-port={{ include "switchboard.gateway.port" . }}
{{- end }}
- --metrics-port={{ .Values.metrics.port }}
- --peer-port={{ .Values.peers.port }}
- --data=/var/lib/switchboard
- --namespace=$(POD_NAMESPACE)
- --replica=$(POD_NAME)
- --name={{ include "switchboard.fullname" . }}
{{- if ne .Values.gateway.tls.mode "operator" }}
- --gateway-certificate=/etc/switchboard/gateway
{{- end }}
- --simulated-systems={{ .Values.simulator.enabled }}
{{- if .Values.simulator.enabled }}
- --simulator-image={{ default (include "switchboard.image" .) .Values.simulator.image }}
{{- end }}
- --give-up-after={{ .Values.operator.giveUpAfter }}
- --log-level={{ .Values.operator.logLevel }}
- --log-format={{ .Values.operator.logFormat }}
{{- range .Values.operator.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- range .Values.operator.tenancies }}
- --tenancy={{ . }}
{{- end }}
{{- end -}}

{{- define "switchboard.gateway.name" -}}
{{- printf "%s-gateway" (include "switchboard.fullname" .) -}}
{{- end -}}

{{/* What systems dial. Without a name: the Service's address, which the kubelet tells every pod that starts after it. */}}
{{- define "switchboard.gateway.host" -}}
{{- if .Values.gateway.host -}}
{{- .Values.gateway.host -}}
{{- else -}}
{{- printf "$(%s_SERVICE_HOST)" (include "switchboard.gateway.name" . | upper | replace "-" "_" | replace "." "_") -}}
{{- end -}}
{{- end -}}

{{/* Port that systems dial. */}}
{{- define "switchboard.gateway.port" -}}
{{- coalesce .Values.gateway.publicPort .Values.gateway.service.nodePort .Values.gateway.port -}}
{{- end -}}

{{/* Secret with the gateway's certificate, where the operator does not make it. */}}
{{- define "switchboard.gateway.certificate" -}}
{{- if eq .Values.gateway.tls.mode "secret" -}}
{{- .Values.gateway.tls.secretName -}}
{{- else -}}
{{- printf "%s-tls" (include "switchboard.gateway.name" .) -}}
{{- end -}}
{{- end -}}
