import type { Logger } from 'pino';

import { hostOfIp } from '../membership/host-of-ip.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { ExpiringSet } from '../timing/expiring-set.ts';

/** How long a host is not named again for the same reason, in milliseconds. */
const QUIET_MS = 10 * 60_000;
/** Maximum number of hosts that are remembered. */
const MAX_HOSTS = 1000;
/** Least time between two lines for one reason, in milliseconds, whatever number of hosts there are. */
const PAUSE_MS = 1000;

/** Meaning and remedy of each reason. The reasons are labels of `peerglass_refused_total`. */
const MEANINGS = {
  'swarm-key':
    'a node with another swarm key, or without one, was refused; if it belongs to the cluster, give it the key of --swarm-key-file',
  address:
    'a peer named an address at which no node can be, and it was not connected with; if nodes are there, see --refused-networks',
  client:
    'a client that is not on this node was refused at the port of --mirror-addr; if it is the containerd of this node, add its address to --node-ip (in the chart peerglass.extraNodeIPs); if others are to pull there, see --mirror-clients',
  connections:
    'a host has too many connections with the port of --router-addr, so that a further one was refused',
  unsigned:
    'a client that is not on this node asked for content without the signature of a node of the cluster, and got none; if it is the containerd of this node, name its address in --node-ip',
  signature:
    'a request was refused whose signature is of another swarm key or of another identity; if it came from a node of the cluster, give it the key of --swarm-key-file',
  stale:
    'a request was refused because its signature was used before, or its time differs by more than 30 seconds; a node of the cluster asks again with the right time, so that nothing is to be done unless it recurs without end',
  unverified:
    'a request was refused without a look at its signature, since more requests of nodes unknown so far came within a second than are verified: 64 of one host; nodes of the cluster ask again',
} as const;

/** Why something was refused. */
export type RefusalReason = keyof typeof MEANINGS;

/** Components of {@link RefusalLog}. */
export interface RefusalLogComponents {
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/**
 * Counts what is refused, and logs each reason once for each host in ten minutes. Strangers decide how often that is, so
 * that both bounds are needed.
 */
export class RefusalLog {
  readonly #components: RefusalLogComponents;
  readonly #quiet = new ExpiringSet(MAX_HOSTS);
  readonly #loggedAt = new Map<RefusalReason, number>();

  constructor(components: RefusalLogComponents) {
    this.#components = components;
  }

  /** @param address of who was refused: a multiaddr, or an IP address and a port, which changes with each connection */
  refused(reason: RefusalReason, address: string): void {
    const { metrics, logger } = this.#components;
    metrics.refused.inc({ reason });
    const host = hostOf(address);
    const now = performance.now();
    if (this.#quiet.has(`${reason} ${host}`)) return;
    if (now - (this.#loggedAt.get(reason) ?? -PAUSE_MS) < PAUSE_MS) return;
    this.#quiet.add(`${reason} ${host}`, QUIET_MS);
    this.#loggedAt.set(reason, now);
    logger.warn({ reason, address }, MEANINGS[reason]);
  }
}

/** Without the port, so that each host is named once. */
function hostOf(address: string): string {
  const ip = address.replace(/\/tcp\/.*$|:\d+$/, '').replace(/^\/ip[46]\/|[[\]]/g, '');
  return hostOfIp(ip);
}
