import type { KubeObject } from './control-plane.ts';
import type { KubePod } from './kube-pod.ts';
import { checkShape, type Shape } from './shape.ts';

/** The fields of a PodMonitor that the harness implements. */
interface PodMonitorSpec {
  readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
  readonly namespaceSelector: { readonly matchNames: readonly string[] };
  readonly podMetricsEndpoints: readonly {
    readonly port: string;
    readonly path?: string;
    readonly interval?: string;
    readonly scrapeTimeout?: string;
  }[];
}

/** A target with the labels that discovery found, as a file for `file_sd_configs` has it. */
interface DiscoveredTarget {
  readonly targets: readonly [string];
  readonly labels: Readonly<Record<string, string>>;
}

const SHAPE: Shape = {
  selector: { matchLabels: true },
  namespaceSelector: { matchNames: true },
  podMetricsEndpoints: [{ port: true, path: true, interval: true, scrapeTimeout: true }],
};

/**
 * The scrape configuration that Prometheus' operator makes of a PodMonitor, but for where the pods come from: a file
 * with what its `kubernetes_sd_configs` of role `pod` would find ({@link discoveredPods}).
 */
export function scrapeConfigs({ metadata, spec }: KubeObject, file: string): unknown[] {
  checkShape(spec, SHAPE, `PodMonitor ${metadata.name}`);
  const { selector, namespaceSelector, podMetricsEndpoints } = spec as PodMonitorSpec;
  const keep = (labels: readonly string[], regex: string): unknown => ({
    action: 'keep',
    source_labels: labels,
    regex,
  });
  const copy = (from: string, to: string): unknown => ({ source_labels: [from], target_label: to });
  return podMetricsEndpoints.map(({ port, path, interval, scrapeTimeout }, index) => ({
    job_name: `podMonitor/${metadata.namespace}/${metadata.name}/${index}`,
    metrics_path: path ?? '/metrics',
    scrape_interval: interval,
    scrape_timeout: scrapeTimeout,
    file_sd_configs: [{ files: [file] }],
    relabel_configs: [
      keep(['__meta_kubernetes_namespace'], namespaceSelector.matchNames.join('|')),
      {
        action: 'drop',
        source_labels: ['__meta_kubernetes_pod_phase'],
        regex: '(Failed|Succeeded)',
      },
      ...Object.entries(selector.matchLabels).map(([label, value]) => {
        const name = labelName(label);
        const sources = [`pod_label_${name}`, `pod_labelpresent_${name}`];
        return keep(
          sources.map((source) => `__meta_kubernetes_${source}`),
          `(${value});true`,
        );
      }),
      keep(['__meta_kubernetes_pod_container_port_name'], port),
      copy('__meta_kubernetes_namespace', 'namespace'),
      copy('__meta_kubernetes_pod_container_name', 'container'),
      copy('__meta_kubernetes_pod_name', 'pod'),
      { target_label: 'job', replacement: `${metadata.namespace}/${metadata.name}` },
      { target_label: 'endpoint', replacement: port },
    ],
  }));
}

/** What Prometheus would find in the API: a target for each port of each container, with its labels. */
export function discoveredPods(pods: readonly KubePod[]): DiscoveredTarget[] {
  return pods.flatMap(({ init, address, phase, machine }) =>
    init.spec.containers.flatMap((container) =>
      (container.ports ?? []).map((port): DiscoveredTarget => {
        const labels: Record<string, string> = {
          namespace: init.namespace,
          pod_name: init.name,
          pod_ip: address,
          pod_phase: phase,
          pod_node_name: machine.name,
          pod_container_name: container.name,
          pod_container_port_name: port.name ?? '',
          pod_container_port_number: `${port.containerPort}`,
        };
        for (const [label, value] of Object.entries(init.labels)) {
          labels[`pod_label_${labelName(label)}`] = value;
          labels[`pod_labelpresent_${labelName(label)}`] = 'true';
        }
        return {
          targets: [`${address}:${port.containerPort}`],
          labels: Object.fromEntries(
            Object.entries(labels).map(([name, value]) => [`__meta_kubernetes_${name}`, value]),
          ),
        };
      }),
    ),
  );
}

function labelName(label: string): string {
  return label.replaceAll(/[^a-zA-Z0-9_]/g, '_');
}
