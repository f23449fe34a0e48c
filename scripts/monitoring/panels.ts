/** One query of a panel. `legend` is a template for the labels of each series. */
interface PanelQuery {
  readonly expr: string;
  readonly legend: string;
}

/** One panel of the dashboard. */
interface PanelRow {
  readonly title: string;
  /** The meaning of the figures, and when they are a problem. */
  readonly description: string;
  /** `number` is one figure for the shown period, `graph` is its course. */
  readonly kind: 'number' | 'graph';
  /** Unit by its name in Grafana. */
  readonly unit: 'percentunit' | 'bytes' | 'Bps' | 's' | 'short' | 'reqps';
  readonly queries: readonly PanelQuery[];
}

/** Label matchers of the agents that are selected above the dashboard. */
const SELECTED = 'job=~"$job",instance=~"$instance"';

function of(metric: string, ...matchers: readonly string[]): string {
  return `${metric}{${[SELECTED, ...matchers].join(',')}}`;
}
function sum(metric: string, ...matchers: readonly string[]): string {
  return `sum(${of(metric, ...matchers)})`;
}
/** The increase in the shown period. */
function total(metric: string, ...matchers: readonly string[]): string {
  return `sum(increase(${of(metric, ...matchers)}[$__range]))`;
}
function rate(metric: string, by?: string): string {
  const sums = by === undefined ? 'sum' : `sum by (${by})`;
  return `${sums} (rate(${of(metric)}[$__rate_interval]))`;
}
/** A rare event has no series before it happens. Without a series a panel would show "No data". */
function orZero(expr: string): string {
  return `${expr} or vector(0)`;
}
/** Queries for a counter of failures: the total, and each kind that happened. */
function troubles(metric: string, by: string, what: string): readonly PanelQuery[] {
  return [
    { expr: orZero(rate(metric)), legend: `${what}: all` },
    { expr: rate(metric, by), legend: `${what}: {{${by}}}` },
  ];
}
function quantiles(metric: string, what: string, by?: string): readonly PanelQuery[] {
  const labels = by === undefined ? 'le' : `le, ${by}`;
  const suffix = by === undefined ? '' : ` {{${by}}}`;
  return [0.5, 0.99].map((quantile) => ({
    expr: `histogram_quantile(${quantile}, ${rate(`${metric}_bucket`, labels)})`,
    legend: `${what}${suffix} p${quantile * 100}`,
  }));
}

/** The rows of the dashboard, from top to bottom, with their panels. */
export const DASHBOARD_ROWS: Readonly<Record<string, readonly PanelRow[]>> = {
  'Is it working?': [
    {
      title: 'Hit ratio',
      description: 'Requests for content that the node did not have, and that a peer served.',
      kind: 'number',
      unit: 'percentunit',
      queries: [
        {
          expr: `${total('spegel_mirror_requests_total', 'cache="hit"')} / ${total('spegel_mirror_requests_total')}`,
          legend: 'hits',
        },
      ],
    },
    {
      title: 'Bytes not pulled from registries',
      description: 'Content that nodes received from each other.',
      kind: 'number',
      unit: 'bytes',
      queries: [
        { expr: total('peerglass_peer_bytes_total', 'direction="received"'), legend: 'saved' },
      ],
    },
    {
      title: 'Requests that failed',
      description:
        'Answers with a 5xx code, and bodies that broke and that no other peer could continue.',
      kind: 'number',
      unit: 'short',
      queries: [
        {
          expr: orZero(total('http_request_duration_seconds_count', 'code=~"5.."')),
          legend: '5xx',
        },
        { expr: orZero(total('peerglass_resumes_total', 'result="broken"')), legend: 'broken' },
      ],
    },
    {
      title: 'Last answer of a peer',
      description: 'It may be long ago if nothing new was pulled.',
      kind: 'number',
      unit: 's',
      queries: [
        {
          expr: `time() - max(${of('spegel_mirror_last_success_timestamp_seconds')})`,
          legend: 'ago',
        },
      ],
    },
    {
      title: 'Requests by registry',
      description: 'Requests for content that the node did not have.',
      kind: 'graph',
      unit: 'reqps',
      queries: [
        {
          expr: rate('spegel_mirror_requests_total', 'registry, cache'),
          legend: '{{registry}} {{cache}}',
        },
      ],
    },
    {
      title: 'Left to the registries',
      description:
        'no-provider is normal for new images. The other reasons cost traffic that the mirror should save.',
      kind: 'graph',
      unit: 'reqps',
      queries: troubles('peerglass_fall_throughs_total', 'reason', 'requests'),
    },
    {
      title: 'Failures between peers',
      description:
        'Failed attempts, and bodies that continued from another peer. Pulls are not affected.',
      kind: 'graph',
      unit: 'reqps',
      queries: [
        ...troubles('peerglass_peer_failures_total', 'reason', 'failures'),
        ...troubles('peerglass_resumes_total', 'result', 'resumes'),
      ],
    },
    {
      title: 'Shared',
      description: 'Content that the nodes advertise.',
      kind: 'graph',
      unit: 'short',
      queries: [
        { expr: sum('spegel_advertised_images'), legend: 'images' },
        { expr: sum('spegel_advertised_image_tags'), legend: 'tags' },
        { expr: sum('spegel_advertised_image_digests'), legend: 'digests of images' },
        { expr: sum('spegel_advertised_content_digests'), legend: 'digests' },
      ],
    },
  ],
  'Is it healthy?': [
    {
      title: 'Nodes ready',
      description: 'Agents that are ready, of those that Prometheus finds.',
      kind: 'number',
      unit: 'short',
      queries: [
        { expr: sum('peerglass_ready'), legend: 'ready' },
        { expr: `count(${of('peerglass_ready')})`, legend: 'all' },
      ],
    },
    {
      title: 'Nodes that follow containerd',
      description: 'The other agents cannot list the content of their containerd.',
      kind: 'number',
      unit: 'short',
      queries: [{ expr: sum('peerglass_store_reachable'), legend: 'following' }],
    },
    {
      title: 'Corrupt blobs',
      description: 'Corrupt blobs on the disks of nodes. They are neither served nor advertised.',
      kind: 'number',
      unit: 'short',
      queries: [{ expr: sum('peerglass_blobs_corrupt'), legend: 'blobs' }],
    },
    {
      title: 'Bans',
      description: 'Peers that sent wrong bytes, counted by each node that detected it.',
      kind: 'number',
      unit: 'short',
      queries: [{ expr: sum('peerglass_banned_peers'), legend: 'bans' }],
    },
    {
      title: 'Peers known',
      description: 'The minimum of all nodes. A node with 0 peers serves only itself.',
      kind: 'graph',
      unit: 'short',
      queries: [
        { expr: `min(${of('peerglass_routing_peers')})`, legend: 'least' },
        { expr: `max(${of('peerglass_routing_peers')})`, legend: 'most' },
      ],
    },
    {
      title: 'Event lag',
      description: 'Time from content in the store to its record in the DHT.',
      kind: 'graph',
      unit: 's',
      queries: quantiles('peerglass_advertise_lag_seconds', 'lag'),
    },
    {
      title: 'Content store',
      description: 'Changes of the store that were processed, and content that was left out.',
      kind: 'graph',
      unit: 'short',
      queries: [
        { expr: rate('peerglass_store_changes_total', 'kind'), legend: '{{kind}}' },
        ...troubles('peerglass_store_problems_total', 'reason', 'problems'),
      ],
    },
    {
      title: 'Integrity',
      description:
        'Blobs read again, blobs forwarded before they were verified, and wrong bytes from peers.',
      kind: 'graph',
      unit: 'short',
      queries: [
        ...troubles('peerglass_blobs_verified_total', 'result', 'verified'),
        ...troubles('peerglass_verdicts_total', 'result', 'passed on'),
        ...troubles('peerglass_peer_offences_total', 'noticed', 'wrong bytes'),
      ],
    },
    {
      title: 'Directory problems',
      description: 'Records that a peer refused, and requests of peers that were refused here.',
      kind: 'graph',
      unit: 'short',
      queries: [
        { expr: orZero(rate('peerglass_placement_failures_total')), legend: 'not placed' },
        ...troubles('peerglass_directory_refusals_total', 'reason', 'refused'),
      ],
    },
    {
      title: 'Configuration and TLS',
      description: 'hosts.toml files written, certificates reloaded, and failed TLS handshakes.',
      kind: 'graph',
      unit: 'short',
      queries: [
        { expr: orZero(rate('peerglass_hosts_files_written_total')), legend: 'hosts.toml written' },
        { expr: orZero(rate('peerglass_hosts_failures_total')), legend: 'hosts.toml failed' },
        ...troubles('peerglass_tls_reloads_total', 'result', 'certificates'),
        ...troubles('peerglass_tls_handshake_failures_total', 'reason', 'handshakes'),
      ],
    },
  ],
  'Is it fast?': [
    {
      title: 'First byte',
      description: "Time from a request to the header of the peer's answer, including the lookup.",
      kind: 'graph',
      unit: 's',
      queries: quantiles('peerglass_first_byte_seconds', 'first byte'),
    },
    {
      title: 'Throughput',
      description: 'Content transferred between peers.',
      kind: 'graph',
      unit: 'Bps',
      queries: [{ expr: rate('peerglass_peer_bytes_total', 'direction'), legend: '{{direction}}' }],
    },
    {
      title: 'Lookup',
      description: 'Time to the first provider, or to the certainty that there is none.',
      kind: 'graph',
      unit: 's',
      queries: [
        ...quantiles('peerglass_lookup_duration_seconds', 'lookup', 'result'),
        ...quantiles('spegel_resolve_duration_seconds', 'resolve'),
      ],
    },
    {
      title: 'Requests, body included',
      description: 'By kind of request. The time of a layer depends on its size.',
      kind: 'graph',
      unit: 's',
      queries: quantiles('http_request_duration_seconds', 'request', 'handler'),
    },
    {
      title: 'Placing records',
      description: 'Time until a peer confirms a batch.',
      kind: 'graph',
      unit: 's',
      queries: quantiles('peerglass_placement_duration_seconds', 'batch'),
    },
    {
      title: 'Late peers',
      description:
        'Requests for which a second peer was asked because the first was late. Many wins mean slow links or disks.',
      kind: 'graph',
      unit: 'reqps',
      queries: troubles('peerglass_hedges_total', 'result', 'hedges'),
    },
    {
      title: 'Way of large blobs',
      description: 'Nodes that move bodies within the kernel, and nodes that copy them.',
      kind: 'graph',
      unit: 'short',
      queries: [{ expr: `sum by (path) (${of('peerglass_data_plane')})`, legend: '{{path}}' }],
    },
  ],
  'What is it costing?': [
    {
      title: 'CPU',
      description: 'CPU cores.',
      kind: 'graph',
      unit: 'short',
      queries: [{ expr: rate('process_cpu_seconds_total', 'instance'), legend: '{{instance}}' }],
    },
    {
      title: 'Memory',
      description: 'Resident memory. The kernel kills the process at the limit.',
      kind: 'graph',
      unit: 'bytes',
      queries: [
        { expr: of('process_resident_memory_bytes'), legend: '{{instance}}' },
        { expr: `max(${of('nodejs_heap_size_used_bytes')})`, legend: 'largest heap' },
        { expr: `min(${of('peerglass_memory_limit_bytes')} > 0)`, legend: 'least limit' },
      ],
    },
    {
      title: 'Bandwidth',
      description: 'Bytes sent, by kind of request, and the traffic of the DHT.',
      kind: 'graph',
      unit: 'Bps',
      queries: [
        { expr: rate('http_response_size_bytes_sum', 'handler'), legend: '{{handler}}' },
        { expr: orZero(rate('peerglass_placed_bytes_total')), legend: 'placing records' },
      ],
    },
    {
      title: 'Event-loop delay',
      description:
        'The 99th percentile, without the 0.2 s between two measurements, which the metric includes.',
      kind: 'graph',
      unit: 's',
      queries: [
        {
          expr: `clamp_min(${of('nodejs_eventloop_lag_p99_seconds')} - 0.2, 0)`,
          legend: '{{instance}}',
        },
      ],
    },
    {
      title: 'Uploads',
      description:
        'Bodies that are being sent to peers, and requests refused because of the limit.',
      kind: 'graph',
      unit: 'short',
      queries: [
        { expr: sum('peerglass_uploads_inflight'), legend: 'being sent' },
        ...troubles('peerglass_uploads_refused_total', 'reason', 'refused a second'),
      ],
    },
    {
      title: 'Requests being answered',
      description: 'Open connections, and their directions.',
      kind: 'graph',
      unit: 'short',
      queries: [
        { expr: `sum by (handler) (${of('http_requests_inflight')})`, legend: '{{handler}}' },
        {
          expr: rate('peerglass_http_requests_total', 'protocol'),
          legend: '{{protocol}} a second',
        },
      ],
    },
    {
      title: 'Records',
      description: 'Advertised keys, and records stored for others.',
      kind: 'graph',
      unit: 'short',
      queries: [
        { expr: sum('peerglass_advertised_keys'), legend: 'advertised' },
        { expr: sum('peerglass_directory_records'), legend: 'kept' },
      ],
    },
    {
      title: 'Work of the directory',
      description: 'Records provided and withdrawn per second.',
      kind: 'graph',
      unit: 'short',
      queries: [
        { expr: orZero(rate('peerglass_placed_records_total')), legend: 'placed' },
        { expr: orZero(rate('peerglass_withdrawn_records_total')), legend: 'withdrawn' },
      ],
    },
  ],
};
