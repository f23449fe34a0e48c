import { of, rate, failures, quantiles, type PanelRow } from '../queries.ts';

/** Panels of the row "Is it fast?". */
export const FAST: readonly PanelRow[] = [
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
    queries: failures('peerglass_hedges_total', 'result', 'hedges'),
  },
  {
    title: 'Way of large blobs',
    description: 'Nodes that move bodies within the kernel, and nodes that copy them.',
    kind: 'graph',
    unit: 'short',
    queries: [{ expr: `sum by (path) (${of('peerglass_data_plane')})`, legend: '{{path}}' }],
  },
];
