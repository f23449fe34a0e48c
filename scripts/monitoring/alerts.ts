/** One alert of the chart's PrometheusRule. Its runbook is the section with its name in docs/TROUBLESHOOTING.md. */
interface AlertRow {
  readonly expr: string;
  /** How long the expression must hold. */
  readonly for: string;
  /** `critical` if pulls suffer immediately, otherwise `warning`. */
  readonly severity: 'critical' | 'warning';
  readonly summary: string;
  /** A template, in which Prometheus replaces labels and value. */
  readonly description: string;
}

/** Minimum number of requests in 15 minutes for which a ratio is meaningful. */
const MIN_REQUESTS = 20;
const REQUESTS = 'sum by (job) (increase(spegel_mirror_requests_total[15m]))';

/** The ratio of a metric to all requests for content that a node did not have, if there were enough. */
function shareOfRequests(metric: string): string {
  return `sum by (job) (increase(${metric}[15m])) / (${REQUESTS} > ${MIN_REQUESTS})`;
}

/**
 * The alerts. Alerts on metrics of the process also require a metric that only agents have, because other programs have
 * `process_*` and `nodejs_*` too.
 */
export const ALERTS = {
  PeerglassNoPeers: {
    // A cluster with one node has no peers.
    expr: 'peerglass_routing_peers == 0 and on (job) count by (job) (peerglass_ready) > 1',
    for: '10m',
    severity: 'warning',
    summary: 'An agent has no peers',
    description: '{{ $labels.instance }} has no peers, and gets nothing from other nodes.',
  },
  PeerglassNotReady: {
    expr: 'peerglass_ready == 0',
    for: '10m',
    severity: 'critical',
    summary: 'A mirror is not ready',
    description: '/readyz of {{ $labels.instance }} does not answer 200. Its body has the reason.',
  },
  PeerglassPullsFallThrough: {
    // no-provider is normal for new images, and not-shared is a decision of the user.
    expr: `${shareOfRequests('peerglass_fall_throughs_total{reason=~"lookup-timeout|memory-busy|providers-.*"}')} > 0.1`,
    for: '15m',
    severity: 'warning',
    summary: 'Pulls go upstream although peers may have the content',
    description: '{{ $value | humanizePercentage }} of the requests went to the registry.',
  },
  PeerglassTransfersFail: {
    expr: `${shareOfRequests('peerglass_peer_failures_total{reason!~"busy|not-found"}')} > 0.2`,
    for: '15m',
    severity: 'warning',
    summary: 'Transfers between peers fail',
    description: 'Failed attempts at a peer are {{ $value | humanizePercentage }} of the requests.',
  },
  PeerglassEachNodeDownloads: {
    // Questions are asked for content only that no node holds, so a cluster that pulls little does not reach the minimum.
    expr: `sum by (job) (increase(peerglass_fan_out_decisions_total{decision="alone"}[15m])) / (sum by (job) (increase(peerglass_fan_out_decisions_total[15m])) > ${MIN_REQUESTS}) > 0.5`,
    for: '15m',
    severity: 'warning',
    summary: 'Each node downloads fresh images for itself',
    description:
      '{{ $value | humanizePercentage }} of the questions who goes upstream had no answer, or that of a registry that refuses.',
  },
  PeerglassUpstreamLimited: {
    expr: 'sum by (job) (increase(peerglass_upstream_failures_total{reason="limited"}[15m])) > 0',
    for: '5m',
    severity: 'warning',
    summary: 'A registry limits the agents',
    description: 'Registries have refused {{ $value }} requests of agents because of a limit.',
  },
  PeerglassBlobsCorrupt: {
    expr: 'peerglass_blobs_corrupt > 0',
    for: '5m',
    severity: 'warning',
    summary: 'A node has corrupt blobs',
    description:
      '{{ $value }} blobs in the content store of {{ $labels.instance }} have wrong bytes.',
  },
  PeerglassPeersBanned: {
    expr: 'peerglass_banned_peers{from="everything"} > 0',
    for: '1m',
    severity: 'warning',
    summary: 'Peers are banned because of wrong bytes',
    description: '{{ $labels.instance }} has blocked {{ $value }} peers, which sent wrong bytes.',
  },
  PeerglassContainerdAway: {
    expr: 'peerglass_store_reachable == 0',
    for: '5m',
    severity: 'critical',
    summary: 'An agent cannot reach containerd',
    description:
      '{{ $labels.instance }} cannot list the content of containerd, and serves little of it.',
  },
  PeerglassEventLoopDelay: {
    // The metric includes the 0.2 s between two measurements.
    expr: 'nodejs_eventloop_lag_p99_seconds - 0.2 > 0.3 and peerglass_ready',
    for: '10m',
    severity: 'warning',
    summary: 'An agent is too busy to answer in time',
    description: 'Tasks of {{ $labels.instance }} wait for {{ $value | humanizeDuration }}.',
  },
  PeerglassMemoryNearLimit: {
    expr: 'process_resident_memory_bytes / (peerglass_memory_limit_bytes > 0) > 0.9',
    for: '10m',
    severity: 'warning',
    summary: 'An agent is about to be killed for its memory',
    description:
      '{{ $labels.instance }} uses {{ $value | humanizePercentage }} of its memory limit.',
  },
  PeerglassCertificateExpires: {
    expr: '(peerglass_tls_certificate_expiry_timestamp_seconds > 0) - time() < 7 * 86400',
    for: '1h',
    severity: 'critical',
    summary: 'The certificate of a mirror expires',
    description:
      'The certificate of {{ $labels.instance }} expires in {{ $value | humanizeDuration }}.',
  },
} as const satisfies Record<string, AlertRow>;

/** Name of an alert. */
export type AlertName = keyof typeof ALERTS;

/**
 * The alerts as rules of Prometheus.
 *
 * @param runbook URL of docs/TROUBLESHOOTING.md
 */
export function alertRules(runbook = ''): Record<string, unknown>[] {
  return Object.entries(ALERTS).map(([alert, row]) => ({
    alert,
    expr: row.expr,
    for: row.for,
    labels: { severity: row.severity },
    annotations: {
      summary: row.summary,
      description: row.description,
      runbook_url: `${runbook}#${alert.toLowerCase()}`,
    },
  }));
}
