{{/* What no schema can refuse: values that contradict each other, or that would not do what they look like. Each says why, and what to do. */}}

{{- define "switchboard.refuse" -}}
{{- include "switchboard.refuse.image" . -}}
{{- include "switchboard.refuse.gateway" . -}}
{{- include "switchboard.refuse.disruption" . -}}
{{- include "switchboard.refuse.stores" . -}}
{{- include "switchboard.refuse.network" . -}}
{{- include "switchboard.refuse.rights" . -}}
{{- include "switchboard.refuse.arguments" . -}}
{{- end -}}

{{- define "switchboard.refuse.image" -}}
{{- if and (eq .Values.image.tag "latest") (not .Values.image.digest) -}}
{{- fail "image.tag is latest, so that replicas of one release could run different programs: name a version, or a digest" -}}
{{- end -}}
{{- end -}}

{{- define "switchboard.refuse.gateway" -}}
{{- $gateway := .Values.gateway -}}
{{- $service := $gateway.service -}}
{{- if and (not $gateway.host) (ne $service.type "ClusterIP") -}}
{{- fail (printf "gateway.service.type is %s, but gateway.host is empty, so that systems outside would be told an address inside the cluster: set gateway.host to what they dial" $service.type) -}}
{{- end -}}
{{- if and (not $gateway.host) (ne $gateway.tls.mode "operator") -}}
{{- fail (printf "gateway.tls.mode is %s, but gateway.host is empty: a certificate needs the name that systems dial; set gateway.host" $gateway.tls.mode) -}}
{{- end -}}
{{- if and (eq $service.type "NodePort") (not $service.nodePort) -}}
{{- fail "gateway.service.type is NodePort, but gateway.service.nodePort is empty, so that systems could not be told what to dial: choose one of the cluster's node ports, for example 30443" -}}
{{- end -}}
{{- if and $service.nodePort (ne $service.type "NodePort") -}}
{{- fail (printf "gateway.service.nodePort is set, but gateway.service.type is %s: remove it, or set the type to NodePort" $service.type) -}}
{{- end -}}
{{- if and (or $service.loadBalancerClass $service.loadBalancerSourceRanges) (ne $service.type "LoadBalancer") -}}
{{- fail (printf "gateway.service.loadBalancerClass and loadBalancerSourceRanges limit nothing while gateway.service.type is %s: remove them, or set the type to LoadBalancer; NetworkPolicies limit too" $service.type) -}}
{{- end -}}
{{- if and (eq $gateway.tls.mode "secret") (not $gateway.tls.secretName) -}}
{{- fail "gateway.tls.mode is secret, but gateway.tls.secretName is empty: name the Secret with tls.crt, tls.key and ca.crt" -}}
{{- end -}}
{{- if and $gateway.tls.secretName (ne $gateway.tls.mode "secret") -}}
{{- fail (printf "gateway.tls.secretName is set, but gateway.tls.mode is %s, so that it would not be used: set the mode to secret, or remove the name" $gateway.tls.mode) -}}
{{- end -}}
{{- if and (eq $gateway.tls.mode "certManager") (not $gateway.tls.certManager.issuerRef.name) -}}
{{- fail "gateway.tls.mode is certManager, but gateway.tls.certManager.issuerRef.name is empty: name the issuer" -}}
{{- end -}}
{{- $ports := list (int $gateway.port) (int .Values.metrics.port) (int .Values.peers.port) -}}
{{- if ne (len ($ports | uniq)) 3 -}}
{{- fail "gateway.port, metrics.port and peers.port are ports of one pod: give each a number of its own" -}}
{{- end -}}
{{- end -}}

{{- define "switchboard.refuse.disruption" -}}
{{- $budget := .Values.podDisruptionBudget -}}
{{- $replicas := int .Values.replicas -}}
{{- if $budget.enabled -}}
{{- $most := $budget.maxUnavailable -}}
{{- $least := $budget.minAvailable -}}
{{- if and (not (kindIs "invalid" $most)) (not (kindIs "invalid" $least)) -}}
{{- fail "podDisruptionBudget.maxUnavailable and minAvailable are both set, and Kubernetes takes one: set the other to null" -}}
{{- end -}}
{{- if and (kindIs "invalid" $most) (kindIs "invalid" $least) -}}
{{- fail "podDisruptionBudget has neither maxUnavailable nor minAvailable, and would protect nothing: set one, or podDisruptionBudget.enabled=false" -}}
{{- end -}}
{{- if or (eq (toString $most) "0") (eq (toString $most) "0%") -}}
{{- fail "podDisruptionBudget.maxUnavailable is 0, so that no node could ever be drained: set 1" -}}
{{- end -}}
{{- if not (kindIs "invalid" $least) -}}
{{- $needed := toString $least | atoi -}}
{{- if hasSuffix "%" (toString $least) -}}
{{- $needed = ceil (divf (mulf (trimSuffix "%" (toString $least) | atoi) $replicas) 100) | int -}}
{{- end -}}
{{- if ge $needed $replicas -}}
{{- fail (printf "podDisruptionBudget.minAvailable (%v) asks for all of %d replicas, so that no node could ever be drained: lower it, raise replicas, or set maxUnavailable: 1 in its place" $least $replicas) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "switchboard.refuse.stores" -}}
{{- $object := .Values.objectStore -}}
{{- $credentials := $object.credentials -}}
{{- if and .Values.store.enabled $object.endpoint -}}
{{- fail "store.enabled and objectStore.endpoint name two stores for one ObjectStore: choose one" -}}
{{- end -}}
{{- if and .Values.store.enabled (or $credentials.existingSecret $credentials.accessKeyId $credentials.secretAccessKey) -}}
{{- fail "store.enabled makes its own keys, so that objectStore.credentials would not be used: remove them, or give store.existingSecret" -}}
{{- end -}}
{{- if and .Values.store.enabled (ne .Values.store.service.type "ClusterIP") (not .Values.store.host) -}}
{{- fail (printf "store.service.type is %s, but store.host is empty: systems outside dial that name, and the certificate must hold it" .Values.store.service.type) -}}
{{- end -}}
{{- if $object.endpoint -}}
{{- if not $object.bucket -}}
{{- fail "objectStore.endpoint is set, but objectStore.bucket is empty: name the bucket; it must exist" -}}
{{- end -}}
{{- if not (or $credentials.existingSecret (and $credentials.accessKeyId $credentials.secretAccessKey)) -}}
{{- fail "objectStore.endpoint is set without credentials: name objectStore.credentials.existingSecret, or give accessKeyId and secretAccessKey" -}}
{{- end -}}
{{- if and $credentials.existingSecret (or $credentials.accessKeyId $credentials.secretAccessKey) -}}
{{- fail "objectStore.credentials has an existingSecret and keys, and only one can be used: remove the other" -}}
{{- end -}}
{{- $plain := or (hasPrefix "http://" $object.endpoint) (hasPrefix "http://" $object.systemEndpoint) -}}
{{- if and $plain (not $object.allowPlainHttp) -}}
{{- fail "objectStore.endpoint and systemEndpoint must begin with https://, because whoever listens would read the backups; for a store on a trusted network set objectStore.allowPlainHttp=true" -}}
{{- end -}}
{{- else if and (not .Values.store.enabled) (or $object.bucket $credentials.existingSecret $credentials.accessKeyId $credentials.secretAccessKey $object.systemEndpoint) -}}
{{- fail "objectStore has values but no endpoint, so that no ObjectStore would be made: set objectStore.endpoint, or store.enabled=true for a trial" -}}
{{- end -}}
{{- if contains "PRIVATE KEY" $object.certificateAuthority -}}
{{- fail "objectStore.certificateAuthority holds a private key, and everybody who may read the object would have it: give certificates alone, and make a new key" -}}
{{- end -}}
{{- end -}}

{{- define "switchboard.refuse.network" -}}
{{- $policy := .Values.networkPolicy -}}
{{- if and $policy.enabled .Values.metrics.serviceMonitor.enabled (not $policy.metricsFrom) -}}
{{- fail "networkPolicy.enabled keeps everybody from the metrics while networkPolicy.metricsFrom is empty, and metrics.serviceMonitor.enabled asks Prometheus to read them: say in metricsFrom where Prometheus is" -}}
{{- end -}}
{{- if and (not $policy.enabled) (or $policy.egress.enabled $policy.gatewayFrom $policy.metricsFrom $policy.storeFrom) -}}
{{- fail "networkPolicy has rules, but networkPolicy.enabled is false, so that they would limit nothing: set it to true, or remove them" -}}
{{- end -}}
{{- if and $policy.enabled $policy.egress.enabled (not $policy.egress.rules) -}}
{{- fail "networkPolicy.egress.enabled without rules cuts the operator off from the API server: allow it, and the object store, in networkPolicy.egress.rules" -}}
{{- end -}}
{{- if gt (int .Values.operator.drainSeconds) (sub (int .Values.terminationGracePeriodSeconds) 15 | int) -}}
{{- fail (printf "operator.drainSeconds (%d) leaves less than 15 of %d s of terminationGracePeriodSeconds for ending in order: lower it, or raise the other" (int .Values.operator.drainSeconds) (int .Values.terminationGracePeriodSeconds)) -}}
{{- end -}}
{{- end -}}

{{- define "switchboard.refuse.rights" -}}
{{- $context := .Values.securityContext -}}
{{- if or $context.privileged $context.allowPrivilegeEscalation -}}
{{- fail "securityContext makes the operator privileged, and nothing in it needs that: remove privileged and allowPrivilegeEscalation" -}}
{{- end -}}
{{- if and (hasKey .Values.podSecurityContext "runAsUser") (eq (toString .Values.podSecurityContext.runAsUser) "0") -}}
{{- fail "podSecurityContext.runAsUser is 0, and nothing in the operator needs root: choose another user" -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.create is false and serviceAccount.name is empty, so that pods would run as the namespace's default account with the operator's rights: name the account" -}}
{{- end -}}
{{- if and (not .Values.crds.install) .Values.simulator.enabled (not (.Capabilities.APIVersions.Has "simulation.switchboard.dev/v1alpha1")) -}}
{{- fail "simulator.enabled needs the kind SimulatedSystem, which the cluster does not have and crds.install=false does not bring: apply crds/ first, or set crds.install=true" -}}
{{- end -}}
{{- end -}}

{{- define "switchboard.refuse.arguments" -}}
{{- $set := dict "listen" "the chart" "gateway-host" "gateway.host" "gateway-port" "gateway.port" "gateway-public-port" "gateway.publicPort" "metrics-port" "metrics.port" "peer-port" "peers.port" "data" "the chart" "namespace" "the chart" "replica" "the chart" "name" "fullnameOverride" "gateway-certificate" "gateway.tls" "simulated-systems" "simulator.enabled" "simulator-image" "simulator.image" "give-up-after" "operator.giveUpAfter" "log-level" "operator.logLevel" "log-format" "operator.logFormat" "tenancy" "operator.tenancies" -}}
{{- range .Values.operator.extraArgs -}}
{{- $flag := regexReplaceAll "^--([a-z-]+).*$" . "${1}" -}}
{{- if hasKey $set $flag -}}
{{- fail (printf "operator.extraArgs has --%s, which is set by %s: change it there" $flag (get $set $flag)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
