import { failures, of, sum, rate, orZero, type PanelRow } from '../queries.ts';

/** Panels of the row "What is it costing?". */
export const COST: readonly PanelRow[] = [
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
    description: 'Bodies that are being sent to peers, and requests refused because of the limit.',
    kind: 'graph',
    unit: 'short',
    queries: [
      { expr: sum('peerglass_uploads_inflight'), legend: 'being sent' },
      ...failures('peerglass_uploads_refused_total', 'reason', 'refused a second'),
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
];
