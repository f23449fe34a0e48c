/** One alert of the chart's PrometheusRule. Its runbook is the section of its name in docs/TROUBLESHOOTING.md. */
interface AlertRow {
  readonly expr: string;
  /** How long that must hold. */
  readonly for: string;
  /** `critical` when pulls suffer at once, else `warning`. */
  readonly severity: 'critical' | 'warning';
  readonly summary: string;
  /** Prometheus puts labels and value in. */
  readonly description: string;
}

/** Below this many requests in a quarter of an hour a share says nothing. */
const FEW = 20;
const REQUESTS = 'sum by (job) (increase(spegel_mirror_requests_total[15m]))';

/** Of all requests for content that a node did not have; only where there were some. */
function shareOfRequests(metric: string): string {
  return `sum by (job) (increase(${metric}[15m])) / (${REQUESTS} > ${FEW})`;
}

/**
 * The alerts. Those about the process are bound to agents by a metric that only agents have: others have `process_*`
 * and `nodejs_*` too.
 */
export const ALERTS = {
  PeerglassNoPeers: {
    // A cluster of one node has none.
    expr: 'peerglass_routing_peers == 0 and on (job) count by (job) (peerglass_ready) > 1',
    for: '10m',
    severity: 'warning',
    summary: 'An agent knows no other',
    description: '{{ $labels.instance }} knows no peer, and gets nothing from the other nodes.',
  },
  PeerglassNotReady: {
    expr: 'peerglass_ready == 0',
    for: '10m',
    severity: 'critical',
    summary: 'A mirror is not ready',
    description: '/readyz of {{ $labels.instance }} does not answer 200; it says why.',
  },
  PeerglassPullsFallThrough: {
    // no-provider is how new images come into the cluster, not-shared is a decision.
    expr: `${shareOfRequests('peerglass_fall_throughs_total{reason=~"lookup-timeout|providers-.*"}')} > 0.1`,
    for: '15m',
    severity: 'warning',
    summary: 'Pulls go upstream although peers may have the content',
    description: '{{ $value | humanizePercentage }} of the requests were left to the registry.',
  },
  PeerglassTransfersFail: {
    expr: `${shareOfRequests('peerglass_peer_failures_total{reason!~"busy|not-found"}')} > 0.2`,
    for: '15m',
    severity: 'warning',
    summary: 'Transfers between peers fail',
    description: 'Failed attempts at a peer are {{ $value | humanizePercentage }} of the requests.',
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
    description:
      '{{ $labels.instance }} no longer asks {{ $value }} peers, which sent wrong bytes.',
  },
  PeerglassContainerdAway: {
    expr: 'peerglass_store_reachable == 0',
    for: '5m',
    severity: 'critical',
    summary: 'An agent cannot reach containerd',
    description:
      '{{ $labels.instance }} does not see what containerd has, and serves little of it.',
  },
  PeerglassEventLoopDelay: {
    // The 0.2 s between two looks are part of the metric.
    expr: 'nodejs_eventloop_lag_p99_seconds - 0.2 > 0.3 and peerglass_ready',
    for: '10m',
    severity: 'warning',
    summary: 'An agent is too busy to answer in time',
    description: 'What {{ $labels.instance }} is to do waits for {{ $value | humanizeDuration }}.',
  },
  PeerglassMemoryNearLimit: {
    expr: 'process_resident_memory_bytes / (peerglass_memory_limit_bytes > 0) > 0.9',
    for: '10m',
    severity: 'warning',
    summary: 'An agent is about to be killed for its memory',
    description:
      '{{ $labels.instance }} has {{ $value | humanizePercentage }} of its memory limit.',
  },
  PeerglassCertificateExpires: {
    expr: '(peerglass_tls_certificate_expiry_timestamp_seconds > 0) - time() < 7 * 86400',
    for: '1h',
    severity: 'critical',
    summary: 'The certificate of a mirror expires',
    description:
      'The one that {{ $labels.instance }} serves has {{ $value | humanizeDuration }} left.',
  },
} as const satisfies Record<string, AlertRow>;

/** The name of an alert of the table. */
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
