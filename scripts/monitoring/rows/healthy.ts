import { failures, of, sum, rate, orZero, quantiles, type PanelRow } from '../queries.ts';

/** Panels of the row "Is it healthy?". */
export const HEALTHY: readonly PanelRow[] = [
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
      ...failures('peerglass_store_problems_total', 'reason', 'problems'),
      { expr: rate('peerglass_tag_disagreements_total'), legend: 'tags with two digests' },
    ],
  },
  {
    title: 'Integrity',
    description:
      'Blobs read again, blobs forwarded before they were verified, and wrong bytes from peers.',
    kind: 'graph',
    unit: 'short',
    queries: [
      ...failures('peerglass_blobs_verified_total', 'result', 'verified'),
      ...failures('peerglass_verdicts_total', 'result', 'passed on'),
      ...failures('peerglass_peer_offences_total', 'noticed', 'wrong bytes'),
    ],
  },
  {
    title: 'Refused',
    description:
      'Nodes with another swarm key or without one, addresses at which no node can be, and hosts with too many connections. Agents that are open let in nodes without a key.',
    kind: 'graph',
    unit: 'short',
    queries: [
      ...failures('peerglass_refused_total', 'reason', 'refused'),
      { expr: sum('peerglass_open'), legend: 'open agents' },
    ],
  },
  {
    title: 'Directory problems',
    description: 'Records that a peer refused, and requests of peers that were refused here.',
    kind: 'graph',
    unit: 'short',
    queries: [
      { expr: orZero(rate('peerglass_placement_failures_total')), legend: 'not placed' },
      ...failures('peerglass_directory_refusals_total', 'reason', 'refused'),
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
      ...failures('peerglass_tls_reloads_total', 'result', 'certificates'),
      ...failures('peerglass_tls_handshake_failures_total', 'reason', 'handshakes'),
    ],
  },
];
