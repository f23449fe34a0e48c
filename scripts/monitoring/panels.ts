/** One query of a panel; what `legend` says is put together from the labels of each series. */
interface PanelQuery {
  readonly expr: string;
  readonly legend: string;
}

/** One panel of the dashboard. */
interface PanelRow {
  readonly title: string;
  /** What it means, and when to worry. */
  readonly description: string;
  /** `number` is one figure for the time shown, `graph` the course of it. */
  readonly kind: 'number' | 'graph';
  /** As Grafana names units. */
  readonly unit: 'percentunit' | 'bytes' | 'Bps' | 's' | 'short' | 'reqps';
  readonly queries: readonly PanelQuery[];
}

/** Of the agents that are chosen above the dashboard. */
const CHOSEN = 'job=~"$job",instance=~"$instance"';

function of(metric: string, ...matchers: readonly string[]): string {
  return `${metric}{${[CHOSEN, ...matchers].join(',')}}`;
}
function sum(metric: string, ...matchers: readonly string[]): string {
  return `sum(${of(metric, ...matchers)})`;
}
/** How many in the time shown. */
function total(metric: string, ...matchers: readonly string[]): string {
  return `sum(increase(${of(metric, ...matchers)}[$__range]))`;
}
function rate(metric: string, by?: string): string {
  const sums = by === undefined ? 'sum' : `sum by (${by})`;
  return `${sums} (rate(${of(metric)}[$__rate_interval]))`;
}
/** What happens rarely has no series before the first time, and a panel without any says "No data". */
function orZero(expr: string): string {
  return `${expr} or vector(0)`;
}
/** A counter of what should not happen: all of it, and each kind that did. */
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

/** The rows of the dashboard, top down, with their panels. */
export const DASHBOARD_ROWS: Readonly<Record<string, readonly PanelRow[]>> = {
  'Is it working?': [
    {
      title: 'Hit ratio',
      description: 'Requests for content that the node did not have, and that a peer answered.',
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
      description: 'Content that nodes got from each other.',
      kind: 'number',
      unit: 'bytes',
      queries: [
        { expr: total('peerglass_peer_bytes_total', 'direction="received"'), legend: 'saved' },
      ],
    },
    {
      title: 'Requests that failed',
      description:
        'Answered with a 5xx code, or bodies that broke and that no other peer went on with.',
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
      description: 'Long ago when nothing new is pulled, too.',
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
      description: 'For content that the node did not have.',
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
        'no-provider is how new images come in; the others cost what the mirror is to save.',
      kind: 'graph',
      unit: 'reqps',
      queries: troubles('peerglass_fall_throughs_total', 'reason', 'requests'),
    },
    {
      title: 'Failures between peers',
      description: 'Attempts that failed, and bodies that went on from another peer. Pulls go on.',
      kind: 'graph',
      unit: 'reqps',
      queries: [
        ...troubles('peerglass_peer_failures_total', 'reason', 'failures'),
        ...troubles('peerglass_resumes_total', 'result', 'resumes'),
      ],
    },
    {
      title: 'Shared',
      description: 'What the nodes tell each other that they have.',
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
      description: 'Of those that Prometheus finds.',
      kind: 'number',
      unit: 'short',
      queries: [
        { expr: sum('peerglass_ready'), legend: 'ready' },
        { expr: `count(${of('peerglass_ready')})`, legend: 'all' },
      ],
    },
    {
      title: 'Nodes that follow containerd',
      description: 'The others do not see what their containerd has.',
      kind: 'number',
      unit: 'short',
      queries: [{ expr: sum('peerglass_store_reachable'), legend: 'following' }],
    },
    {
      title: 'Corrupt blobs',
      description: 'On the disks of the nodes; neither served nor advertised.',
      kind: 'number',
      unit: 'short',
      queries: [{ expr: sum('peerglass_blobs_corrupt'), legend: 'blobs' }],
    },
    {
      title: 'Bans',
      description: 'Of peers that sent wrong bytes, by each node that saw it.',
      kind: 'number',
      unit: 'short',
      queries: [{ expr: sum('peerglass_banned_peers'), legend: 'bans' }],
    },
    {
      title: 'Peers known',
      description: 'The least of all nodes: 0 is a node that serves itself alone.',
      kind: 'graph',
      unit: 'short',
      queries: [
        { expr: `min(${of('peerglass_routing_peers')})`, legend: 'least' },
        { expr: `max(${of('peerglass_routing_peers')})`, legend: 'most' },
      ],
    },
    {
      title: 'Event lag',
      description: 'From seeing content in the store to telling the directory of it.',
      kind: 'graph',
      unit: 's',
      queries: quantiles('peerglass_advertise_lag_seconds', 'lag'),
    },
    {
      title: 'Content store',
      description: 'Changes followed, and things left out.',
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
        'Blobs read again, blobs passed on before they were verified, wrong bytes of peers.',
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
      description:
        'Records that a peer did not take, and requests of peers that were not taken here.',
      kind: 'graph',
      unit: 'short',
      queries: [
        { expr: orZero(rate('peerglass_placement_failures_total')), legend: 'not placed' },
        ...troubles('peerglass_directory_refusals_total', 'reason', 'refused'),
      ],
    },
    {
      title: 'Configuration and TLS',
      description:
        'hosts.toml files written, certificates read again, connections that came to nothing.',
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
      description: "From a request to the head of the peer's answer, lookup included.",
      kind: 'graph',
      unit: 's',
      queries: quantiles('peerglass_first_byte_seconds', 'first byte'),
    },
    {
      title: 'Throughput',
      description: 'Content between peers.',
      kind: 'graph',
      unit: 'Bps',
      queries: [{ expr: rate('peerglass_peer_bytes_total', 'direction'), legend: '{{direction}}' }],
    },
    {
      title: 'Lookup',
      description: 'Until the first provider, or until it is certain that there is none.',
      kind: 'graph',
      unit: 's',
      queries: [
        ...quantiles('peerglass_lookup_duration_seconds', 'lookup', 'result'),
        ...quantiles('spegel_resolve_duration_seconds', 'resolve'),
      ],
    },
    {
      title: 'Requests, body included',
      description: 'By what was asked for; layers take as long as they are large.',
      kind: 'graph',
      unit: 's',
      queries: quantiles('http_request_duration_seconds', 'request', 'handler'),
    },
    {
      title: 'Placing records',
      description: 'Until a peer has confirmed a batch.',
      kind: 'graph',
      unit: 's',
      queries: quantiles('peerglass_placement_duration_seconds', 'batch'),
    },
    {
      title: 'Late peers',
      description:
        'Requests for which others were asked beside a late one. Many that are won: slow links or disks.',
      kind: 'graph',
      unit: 'reqps',
      queries: troubles('peerglass_hedges_total', 'result', 'hedges'),
    },
    {
      title: 'Way of large blobs',
      description: 'Nodes that move them within the kernel, and those that copy.',
      kind: 'graph',
      unit: 'short',
      queries: [{ expr: `sum by (path) (${of('peerglass_data_plane')})`, legend: '{{path}}' }],
    },
  ],
  'What is it costing?': [
    {
      title: 'CPU',
      description: 'Cores.',
      kind: 'graph',
      unit: 'short',
      queries: [{ expr: rate('process_cpu_seconds_total', 'instance'), legend: '{{instance}}' }],
    },
    {
      title: 'Memory',
      description: 'Resident; the kernel kills at the limit.',
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
      description: 'Sent, by what was asked for; and what the directory takes.',
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
        'Of 99 in 100 looks, without the 0.2 s between two of them, which are part of the metric.',
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
      description: 'Bodies being sent to peers, and requests refused because there were too many.',
      kind: 'graph',
      unit: 'short',
      queries: [
        { expr: sum('peerglass_uploads_inflight'), legend: 'being sent' },
        ...troubles('peerglass_uploads_refused_total', 'reason', 'refused a second'),
      ],
    },
    {
      title: 'Requests being answered',
      description: 'And how they come.',
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
      description: 'Keys advertised, and records kept for others.',
      kind: 'graph',
      unit: 'short',
      queries: [
        { expr: sum('peerglass_advertised_keys'), legend: 'advertised' },
        { expr: sum('peerglass_directory_records'), legend: 'kept' },
      ],
    },
    {
      title: 'Work of the directory',
      description: 'Records placed and withdrawn a second.',
      kind: 'graph',
      unit: 'short',
      queries: [
        { expr: orZero(rate('peerglass_placed_records_total')), legend: 'placed' },
        { expr: orZero(rate('peerglass_withdrawn_records_total')), legend: 'withdrawn' },
      ],
    },
  ],
};
