{{- define "peerglass.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 50 characters: what is added for the names of objects is up to 13. */}}
{{- define "peerglass.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "peerglass.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "peerglass.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "peerglass.selectorLabels" -}}
app.kubernetes.io/name: {{ include "peerglass.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "peerglass.labels" -}}
{{- include "peerglass.labelsWith" (list . dict) -}}
{{- end -}}

{{/*
Labels of an object beside its own. A name that stands twice would be an error of YAML, so all are put into one map; by ours objects are
found, so these win, and of those of the user the closer ones. Takes root and a map.
*/}}
{{- define "peerglass.labelsWith" -}}
{{- $root := first . -}}
{{- $chart := printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- $ours := dict "helm.sh/chart" $chart "app.kubernetes.io/version" $root.Chart.AppVersion "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- merge $ours (include "peerglass.selectorLabels" $root | fromYaml) (default dict (last .)) (default dict $root.Values.commonLabels) | toYaml -}}
{{- end -}}

{{/* Labels of a pod, or of a hook. Takes root and the labels by which it is found, as YAML. */}}
{{- define "peerglass.foundBy" -}}
{{- merge (last . | fromYaml) (default dict (first .).Values.commonLabels) | toYaml -}}
{{- end -}}

{{/*
Labels of the pods of a hook: those of the agent's would put them behind its Services. A label has at most 63 characters, and a
component up to 13 with its dash. Takes root and component.
*/}}
{{- define "peerglass.hookLabels" -}}
app.kubernetes.io/name: {{ include "peerglass.name" .root | trunc 50 | trimSuffix "-" }}-{{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{- define "peerglass.serviceAccountName" -}}
{{- default (include "peerglass.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{/* A values file of Spegel's may name Spegel's image, its tag and digest. */}}
{{- define "peerglass.isSpegelImage" -}}
{{- if regexMatch "(^|/)spegel$" .Values.image.repository }}true{{ end -}}
{{- end -}}

{{- define "peerglass.image" -}}
{{- $image := .Values.image -}}
{{- if include "peerglass.isSpegelImage" . -}}
{{- printf "localhost/peerglass:%s" .Chart.AppVersion -}}
{{- else if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What Services have in common. */}}
{{- define "peerglass.ipFamilies" -}}
ipFamilyPolicy: {{ .Values.peerglass.ipFamilyPolicy }}
{{- with .Values.peerglass.ipFamilies }}
ipFamilies: {{ toJson . }}
{{- end }}
{{- end -}}

{{/* A Kubernetes quantity of memory in whole mebibytes. */}}
{{- define "peerglass.mebibytes" -}}
{{- $text := toString . -}}
{{- if kindIs "float64" . }}{{ $text = int64 . | toString }}{{ end -}}
{{- if not (regexMatch "^[0-9]+(\\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$" $text) -}}
{{- fail (printf "resources.limits.memory: %q cannot be understood; write for example 256Mi" $text) -}}
{{- end -}}
{{- $amount := regexFind "^[0-9.]+" $text | float64 -}}
{{- $factors := dict "" 1 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 -}}
{{- $factor := get $factors (regexFind "[A-Za-z]*$" $text) -}}
{{- divf (mulf $amount $factor) 1048576 | floor | int64 -}}
{{- end -}}

{{/* The bound of the heap by the memory limit of these resources; empty without one. */}}
{{- define "peerglass.heapOption" -}}
{{- with . -}}
{{- with dig "limits" "memory" nil . -}}
{{- printf "--max-old-space-size=%d" (div (include "peerglass.mebibytes" . | int64) 2) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
NODE_OPTIONS. The heap gets half of the memory limit: the rest is for code, threads, buffers of transfers
(holdBackMemory) and the page tables. V8 then collects before the kernel kills.
*/}}
{{- define "peerglass.nodeOptions" -}}
{{- $words := list -}}
{{- with include "peerglass.heapOption" .Values.resources }}{{ $words = append $words . }}{{ end -}}
{{- with .Values.peerglass.nodeOptions }}{{ $words = append $words . }}{{ end -}}
{{- join " " $words -}}
{{- end -}}

{{/*
Variables of every container of the agent's. The zone comes from the label that Kubernetes copies from the node to the
pod (1.35, and 1.33 with the feature gate PodTopologyLabelsAdmission); without it the variable is empty, which counts as
not set. Reading the node's own labels would take the API and a ClusterRole.
*/}}
{{- define "peerglass.env" -}}
- name: NODE_IP
  valueFrom:
    fieldRef:
      fieldPath: status.hostIP
- name: ZONE
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['topology.kubernetes.io/zone']
- name: MALLOC_ARENA_MAX
  value: '1'
{{- with include "peerglass.nodeOptions" . }}
- name: NODE_OPTIONS
  value: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Whether Kubernetes knows trafficDistribution: PreferSameNode. It refuses the Service otherwise. */}}
{{- define "peerglass.knowsSameNode" -}}
{{- if semverCompare ">=1.34-0" .Capabilities.KubeVersion.Version }}true{{ end -}}
{{- end -}}

{{/* The agents come before the taint that they remove goes, and so does the clean-up. */}}
{{- define "peerglass.tolerations" -}}
{{- $taint := .Values.peerglass.startupTaint -}}
{{- $own := $taint.enabled | ternary (list (dict "key" $taint.key "operator" "Exists")) list -}}
{{- with concat (default list .Values.tolerations) $own }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* The folder above, from which alone one can be made and removed; itself where that would be all of the node. Takes a path. */}}
{{- define "peerglass.folderAbove" -}}
{{- $path := clean . -}}
{{- dir $path | eq "/" | ternary $path (dir $path) -}}
{{- end -}}
