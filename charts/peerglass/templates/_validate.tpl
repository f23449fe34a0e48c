{{/*
What no values file may say. What the agent would refuse at its start is refused here, since a DaemonSet whose pods do not start is
found later, and on every node.
*/}}
{{- define "peerglass.validate" -}}
{{- $values := .Values -}}
{{- $registry := .Values.service.registry -}}
{{- $settings := include "peerglass.settings" . | fromJson -}}
{{- if and .Values.spegel.containerdMirrorAdd (eq (include "peerglass.mirrorTargets" .) "") -}}
{{- fail "containerd has no way to the mirror: set service.registry.hostPort, service.registry.nodePort or peerglass.hostNetwork" -}}
{{- end -}}
{{- include "peerglass.validatePorts" . -}}
{{- include "peerglass.validateRegistries" (dict "root" . "settings" $settings) -}}
{{- include "peerglass.validateTls" (dict "root" . "settings" $settings) -}}
{{- if and (eq (get $settings "bootstrapKind") "http") (not (hasKey $settings "httpBootstrapPeer")) -}}
{{- fail "peerglass.bootstrapKind: http needs the URL of a peer in peerglass.httpBootstrapPeer" -}}
{{- end -}}
{{- if and (has .Values.peerglass.preset (list "k3s" "rke2")) .Values.peerglass.checkEmbeddedRegistry -}}
{{- range (lookup "v1" "Node" "" "").items -}}
{{- if eq (dig "metadata" "labels" "p2p.k3s.cattle.io/enabled" "" .) "true" -}}
{{- fail (printf "the embedded mirror of k3s is on at node %s, and would configure containerd as well: set embedded-registry to false in its config.yaml and restart it; or run both, with another service.router.port and peerglass.checkEmbeddedRegistry=false, as docs/K3S.md describes" .metadata.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* All listen in one pod, and on the network of the node if peerglass.hostNetwork says so. */}}
{{- define "peerglass.validatePorts" -}}
{{- $service := .Values.service -}}
{{- $seen := dict -}}
{{- range $name, $port := dict "service.registry.port" $service.registry.port "service.registry.mirrorPort" $service.registry.mirrorPort "service.router.port" $service.router.port "service.metrics.port" $service.metrics.port -}}
{{- $key := int $port | toString -}}
{{- if hasKey $seen $key -}}
{{- fail (printf "%s and %s: both are %s; each needs a port of its own" (get $seen $key) $name $key) -}}
{{- end -}}
{{- $_ := set $seen $key $name -}}
{{- end -}}
{{- end -}}

{{/* Takes root and settings. */}}
{{- define "peerglass.validateRegistries" -}}
{{- $file := get .settings "registriesYaml" | toString -}}
{{- $isFile := hasPrefix "/" $file -}}
{{- if and $isFile (not (empty (get .settings "mirroredRegistries"))) -}}
{{- fail "mirroredRegistries and peerglass.registries (or registriesYaml): both say which registries are shared; give only one of them" -}}
{{- end -}}
{{- $given := .root.Values.peerglass.registries -}}
{{- if and $given (eq $file "/etc/peerglass/registries.yaml") (empty (get $given "mirrors")) -}}
{{- fail "peerglass.registries: it mirrors no registry; name the registries under mirrors, \"*\" for all" -}}
{{- end -}}
{{- if and (eq (get .settings "disableDefaultRegistryEndpoint" | toString) "true") .root.Values.spegel.containerdMirrorAdd (not $isFile) -}}
{{- fail "peerglass.disableDefaultRegistryEndpoint: needs the endpoints of peerglass.registries (or registriesYaml), since containerd would have no registry left" -}}
{{- end -}}
{{- end -}}

{{/* Takes root and settings. */}}
{{- define "peerglass.validateTls" -}}
{{- $settings := .settings -}}
{{- range $cert, $key := dict "registryTlsCert" "registryTlsKey" "registryTlsClientCert" "registryTlsClientKey" "mirrorTargetCert" "mirrorTargetKey" -}}
{{- if ne (hasKey $settings $cert) (hasKey $settings $key) -}}
{{- fail (printf "peerglass.%s and peerglass.%s go together; give both" $cert $key) -}}
{{- end -}}
{{- end -}}
{{- if eq (get $settings "registryTls" | toString | lower) "auto" -}}
{{- if .root.Values.peerglass.tls.secretName -}}
{{- fail "peerglass.registryTls: auto makes its own certificates; leave out peerglass.tls.secretName, or auto" -}}
{{- end -}}
{{- range list "registryTlsCert" "registryTlsKey" "registryTlsCa" "registryTlsClientCert" "registryTlsClientKey" "registryTlsClientCa" -}}
{{- if hasKey $settings . -}}
{{- fail (printf "peerglass.registryTls: auto makes its own certificates; leave out peerglass.%s, or auto" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $requires := eq (get $settings "registryTlsClientAuth" | toString | lower) "require" -}}
{{- if and $requires (not (and (hasKey $settings "registryTlsCert") (or (hasKey $settings "registryTlsCa") (hasKey $settings "registryTlsClientCa")))) -}}
{{- fail "peerglass.registryTlsClientAuth: require needs a certificate and an authority; set peerglass.tls.secretName, or registryTlsCert, registryTlsKey and registryTlsCa" -}}
{{- end -}}
{{- if and (hasKey $settings "registryTlsClientCa") (not $requires) -}}
{{- fail "peerglass.registryTlsClientCa: is for clients that need a certificate; set peerglass.registryTlsClientAuth=require" -}}
{{- end -}}
{{- $configures := .root.Values.spegel.containerdMirrorAdd -}}
{{- if and $requires $configures (not (hasKey $settings "mirrorTargetCert")) -}}
{{- fail "peerglass.registryTlsClientAuth: containerd has to show a certificate, and no key is copied to the nodes: name one that is there in peerglass.mirrorTargetCert and mirrorTargetKey" -}}
{{- end -}}
{{- if and (hasKey $settings "mirrorTargetCa") (hasKey $settings "mirrorTargetCaCopy") -}}
{{- fail "peerglass.mirrorTargetCa and peerglass.mirrorTargetCaCopy: give only one of them" -}}
{{- end -}}
{{- $targets := include "peerglass.mirrorTargets" .root -}}
{{- range list "mirrorTargetCa" "mirrorTargetCaCopy" "mirrorTargetCert" -}}
{{- if and $configures (hasKey $settings .) (not (contains "=https:" $targets)) -}}
{{- fail (printf "peerglass.%s is for https:// mirrors, and none is: set peerglass.tls.secretName, or registryTlsCert and registryTlsKey" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
