{{/* Names of values that the chart does not have, one a line. Takes values, known (the default values' shape) and path. */}}
{{- define "peerglass.unknownValues" -}}
{{- $open := .known -}}
{{- range $name, $value := .values -}}
{{- $path := printf "%s%s" $.path $name -}}
{{- if not (hasKey $open $name) }}
{{ $path }}
{{- else if and (kindIs "map" $value) (kindIs "map" (get $open $name)) -}}
{{- include "peerglass.unknownValues" (dict "values" $value "known" (get $open $name) "path" (printf "%s." $path)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Values without effect, or with another effect than in Spegel's chart, one a line. */}}
{{- define "peerglass.warnings" -}}
{{- $values := .Values -}}
{{- if include "peerglass.isSpegelImage" . }}
image: {{ $values.image.repository }} is Spegel's; {{ include "peerglass.image" . }} is run, and image.tag and image.digest are ignored
{{- end -}}
{{- with $values.resources -}}
{{- with dig "limits" "memory" nil . -}}
{{- if lt (include "peerglass.mebibytes" . | int) 192 }}
resources.limits.memory: {{ . }} is little; an agent takes 100Mi when idle, and up to 80Mi more for what it verifies (peerglass.holdBackMemory)
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $values.service.registry.nodePort (ne (get (include "peerglass.settings" . | fromJson) "mirrorClients") "node") }}
service.registry.nodePort: each agent serves any client there, so images are for whoever reaches a node at port {{ $values.service.registry.nodePort }}; with internalTrafficLocal, peerglass.mirrorClients=node restricts it to the node
{{- end -}}
{{- if and $values.service.registry.usePreferSameNodeTrafficDistribution (not (include "peerglass.knowsSameNode" .)) }}
service.registry.usePreferSameNodeTrafficDistribution: ignored, Kubernetes knows it from 1.34 only; internalTrafficLocal is for older ones
{{- end -}}
{{- if and $values.peerglass.configure (not $values.spegel.containerdMirrorAdd) }}
peerglass.configure: ignored, spegel.containerdMirrorAdd says that containerd is to be left alone
{{- end -}}
{{- if and $values.peerglass.hostNetwork $values.networkPolicy.enabled }}
networkPolicy: has no effect on pods on the network of the node
{{- end -}}
{{- if and (eq $values.peerglass.preset "k0s") $values.spegel.containerdMirrorAdd (not (hasKey (include "peerglass.settings" . | fromJson) "containerdRegistryConfigPath")) }}
peerglass.preset: k0s has no folder for hosts.toml by default; name it in /etc/k0s/containerd.d and in peerglass.containerdRegistryConfigPath
{{- end -}}
{{- $known := (.Files.Get "files/options.json" | fromJson).values -}}
{{- range include "peerglass.unknownValues" (dict "values" (omit $values "global") "known" $known "path" "") | trim | splitList "\n" -}}
{{- with trim . }}
{{ . }}: ignored, this chart knows no such value
{{- end -}}
{{- end -}}
{{- end -}}
