{{/*
The options of the agent that the values give, by the name of the value, as JSON: from `peerglass`, else from `spegel`, else by
the names that `spegel` had formerly, else from the preset. Which options there are says files/options.json, generated from the
agent's own table.
*/}}
{{- define "peerglass.settings" -}}
{{- $table := .Files.Get "files/options.json" | fromJson -}}
{{- $preset := include "peerglass.preset" . | fromYaml -}}
{{- $registries := $.Values.peerglass.registries | empty | ternary dict (dict "registriesYaml" "/etc/peerglass/registries.yaml") -}}
{{- $tls := include "peerglass.tls" . | fromYaml -}}
{{- $swarm := include "peerglass.swarm" . | fromYaml -}}
{{- $users := .Values.basicAuthSecretName | empty | ternary dict (dict "basicAuthDir" "/etc/peerglass-basic-auth") -}}
{{- $former := dict -}}
{{- range $old, $name := $table.formerValues -}}
{{- $value := get $.Values.spegel $old -}}
{{- if not (or (kindIs "invalid" $value) (eq (toString $value) "")) }}{{ $_ := set $former $name $value }}{{ end -}}
{{- end -}}
{{- $settings := dict -}}
{{- range $name, $_ := $table.fallbacks -}}
{{- range $source := list $preset $registries $tls $swarm $users $former $.Values.spegel $.Values.peerglass -}}
{{- $value := get $source $name -}}
{{- if not (or (kindIs "invalid" $value) (eq (toString $value) "")) -}}
{{- $_ := set $settings $name $value -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not .Values.spegel.containerdMirrorAdd }}{{ $_ := unset $settings "configure" }}{{ end -}}
{{- /* While `helm uninstall` cleans up, an agent that has not ended yet would put back what is taken away. */}}
{{- if and (get $settings "configure") (not (hasKey $settings "configureRemoveOnExit")) }}{{ $_ := set $settings "configureRemoveOnExit" true }}{{ end -}}
{{- toJson $settings -}}
{{- end -}}

{{/* An option's value, the agent's default included. Takes root and name. */}}
{{- define "peerglass.setting" -}}
{{- $table := .root.Files.Get "files/options.json" | fromJson -}}
{{- $settings := include "peerglass.settings" .root | fromJson -}}
{{- get (hasKey $settings .name | ternary $settings $table.fallbacks) .name -}}
{{- end -}}

{{/*
The flags of a subcommand for the options that the values give. `$(` is what Kubernetes puts variables in for, and may
stand in a regular expression. Takes root and subcommand.
*/}}
{{- define "peerglass.flags" -}}
{{- $table := .root.Files.Get "files/options.json" | fromJson -}}
{{- $settings := include "peerglass.settings" .root | fromJson -}}
{{- range $flag, $name := get $table.subcommands .subcommand -}}
{{- if hasKey $settings $name -}}
{{- $value := get $settings $name -}}
{{- range (kindIs "slice" $value | ternary $value (list $value)) }}
{{- $text := kindIs "float64" . | ternary (. | toJson) (toString .) }}
- {{ printf "--%s=%s" $flag ($text | replace "$(" "$$(") | quote }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Where distributions have what a containerd of its own has elsewhere. k3s and RKE2 write their own files into certs.d at each
start, so the running agent looks after them.
*/}}
{{- define "peerglass.preset" -}}
{{- $preset := .Values.peerglass.preset -}}
{{- if has $preset (list "k3s" "rke2") -}}
containerdSock: /run/k3s/containerd/containerd.sock
containerdContentPath: /var/lib/rancher/{{ $preset }}/agent/containerd/io.containerd.content.v1.content
containerdRegistryConfigPath: /var/lib/rancher/{{ $preset }}/agent/etc/containerd/certs.d
configure: true
{{- else if eq $preset "k0s" -}}
containerdSock: /run/k0s/containerd.sock
containerdContentPath: /var/lib/k0s/containerd/io.containerd.content.v1.content
{{- else if eq $preset "microk8s" -}}
containerdSock: /var/snap/microk8s/common/run/containerd.sock
containerdContentPath: /var/snap/microk8s/common/var/lib/containerd/io.containerd.content.v1.content
containerdRegistryConfigPath: /var/snap/microk8s/current/args/certs.d
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{/* What the Secret of the mirror's certificate stands for. */}}
{{- define "peerglass.tls" -}}
{{- $tls := .Values.peerglass.tls -}}
{{- if $tls.secretName -}}
registryTlsCert: /etc/peerglass-tls/tls.crt
registryTlsKey: /etc/peerglass-tls/tls.key
{{- with $tls.authority }}
registryTlsCa: /etc/peerglass-tls/{{ . }}
{{- if not $.Values.peerglass.mirrorTargetCa }}
mirrorTargetCaCopy: /etc/peerglass-tls/{{ . }}
{{- end -}}
{{- end -}}
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{/* The mount of that Secret; as a whole, or it would not be renewed. */}}
{{- define "peerglass.tlsMount" -}}
{{- if .Values.peerglass.tls.secretName -}}
- name: tls
  mountPath: /etc/peerglass-tls
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "peerglass.tlsVolume" -}}
{{- with .Values.peerglass.tls.secretName -}}
- name: tls
  secret:
    secretName: {{ . }}
    defaultMode: 256 # 0400
{{- end -}}
{{- end -}}

{{/* The mount of the Secret with the credentials of clients; as a whole, or changed ones would not arrive. */}}
{{- define "peerglass.usersMount" -}}
{{- if .Values.basicAuthSecretName -}}
- name: basic-auth
  mountPath: /etc/peerglass-basic-auth
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "peerglass.usersVolume" -}}
{{- with .Values.basicAuthSecretName -}}
- name: basic-auth
  secret:
    secretName: {{ . }}
    defaultMode: 256 # 0400
{{- end -}}
{{- end -}}

{{/* What the Secret of the swarm key stands for. An open cluster has one only if the values name it. */}}
{{- define "peerglass.swarm" -}}
{{- if include "peerglass.swarmKeySecret" . -}}
swarmKeyFile: /etc/peerglass-swarm/swarm.key
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{/* The name of that Secret; empty in an open cluster, and where the values name a file of the nodes. */}}
{{- define "peerglass.swarmKeySecret" -}}
{{- $peerglass := .Values.peerglass -}}
{{- if $peerglass.swarmKeySecretName -}}
{{- $peerglass.swarmKeySecretName -}}
{{- else if not (or $peerglass.open $peerglass.swarmKeyFile) -}}
{{- include "peerglass.fullname" . }}-swarm-key
{{- end -}}
{{- end -}}

{{- define "peerglass.makesSwarmKey" -}}
{{- if and (include "peerglass.swarmKeySecret" .) (not .Values.peerglass.swarmKeySecretName) }}true{{ end -}}
{{- end -}}

{{/* The mount of that Secret; as a whole, or a changed key would not arrive. */}}
{{- define "peerglass.swarmMount" -}}
{{- if include "peerglass.swarmKeySecret" . -}}
- name: swarm-key
  mountPath: /etc/peerglass-swarm
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "peerglass.swarmVolume" -}}
{{- with include "peerglass.swarmKeySecret" . -}}
- name: swarm-key
  secret:
    secretName: {{ . }}
    defaultMode: 256 # 0400
{{- end -}}
{{- end -}}

{{/* The IP of the node as it stands in a URL. */}}
{{- define "peerglass.nodeHost" -}}
{{- $ip := default "$(NODE_IP)" .Values.service.registry.nodeIp -}}
{{- if or (contains ":" $ip) (and (not .Values.service.registry.nodeIp) (eq (first (append (default list .Values.peerglass.ipFamilies) "")) "IPv6")) -}}
{{- printf "[%s]" $ip -}}
{{- else -}}
{{- $ip -}}
{{- end -}}
{{- end -}}

{{/* Where the mirror listens for containerd: on the network of the node other machines have no business there. */}}
{{- define "peerglass.mirrorHost" -}}
{{- if and .Values.peerglass.hostNetwork (not .Values.service.registry.nodePort) }}127.0.0.1{{ end -}}
{{- end -}}

{{/* The mirrors that containerd is told of, in their order. */}}
{{- define "peerglass.mirrorTargets" -}}
{{- $registry := .Values.service.registry -}}
{{- $host := include "peerglass.nodeHost" . -}}
{{- $scheme := hasKey (include "peerglass.settings" . | fromJson) "registryTlsCert" | ternary "https" "http" -}}
{{- $targets := list -}}
{{- if .Values.peerglass.hostNetwork -}}
{{- $targets = append $targets (printf "%s://127.0.0.1:%d" $scheme (int $registry.mirrorPort)) -}}
{{- else if $registry.hostPort -}}
{{- $local := eq .Values.peerglass.hostIP "127.0.0.1" | ternary "127.0.0.1" $host -}}
{{- $targets = append $targets (printf "%s://%s:%d" $scheme $local (int $registry.hostPort)) -}}
{{- end -}}
{{- if $registry.nodePort -}}
{{- $targets = append $targets (printf "%s://%s:%d" $scheme $host (int $registry.nodePort)) -}}
{{- end -}}
{{- $spegel := .Values.spegel -}}
{{- range list $spegel.additionalMirrorTargets $spegel.additionalMirrorRegistries $spegel.extraMirrorRegistries }}{{ $targets = concat $targets (default list .) }}{{ end -}}
{{- range uniq $targets }}
- {{ printf "--mirror-targets=%s" . | quote }}
{{- end -}}
{{- end -}}

{{/*
The folder of containerd's socket rather than the socket: a containerd that is restarted makes a new one, and what is
mounted is the old one. It is no more than the socket gives: who has that is root on the node.
*/}}
{{- define "peerglass.socketFolder" -}}
{{- dir (include "peerglass.setting" (dict "root" . "name" "containerdSock")) -}}
{{- end -}}

{{/* Whether the agent itself configures containerd, in the place of the init container. */}}
{{- define "peerglass.configures" -}}
{{- if get (include "peerglass.settings" . | fromJson) "configure" }}true{{ end -}}
{{- end -}}
