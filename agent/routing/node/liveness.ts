import type { Logger } from 'pino';
import pLimit from 'p-limit';

import type { DhtClient } from '../dht/dht-client.ts';
import type { RoutingNode } from './libp2p-node.ts';
import type { DhtPeer, Membership } from './membership.ts';

/** Interval between two probes, each of the next peer. It does not depend on the number of peers. */
const ROUND_MS = 2000;
/** How long a peer may take to answer. A busy node may be late, and look-ups do not wait for it meanwhile. */
const PROBE_TIMEOUT_MS = 10_000;
/** Peers probed at once after one did not answer. */
const PROBED_AFTER_FAILURE = 32;
/** Probes at a time. */
const CONCURRENCY = 16;

export interface LivenessComponents {
  readonly node: RoutingNode;
  readonly client: Pick<DhtClient, 'ping'>;
  readonly membership: Membership;
  readonly logger: Logger;
}

/**
 * Ends connections with peers that do not answer. It finds what TCP keep-alive does not: a process that hangs, a link
 * that went down with bytes in flight. A peer that did not answer a request is probed at once, all others in turn.
 * (libp2p's own monitor opens a stream to every peer at each interval, which was most of the load of an idle node.)
 */
export class Liveness {
  readonly #components: LivenessComponents;
  readonly #probing = new Set<string>();
  readonly #limit = pLimit(CONCURRENCY);
  readonly #stopped = new AbortController();
  #turn = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(components: LivenessComponents) {
    this.#components = components;
  }

  start(): void {
    const { membership } = this.#components;
    membership.onUnresponsive((peer) => {
      void this.#probe(peer);
    });
    this.#timer = setInterval(() => {
      this.#probeNext(1);
    }, ROUND_MS);
  }

  stop(): void {
    this.#stopped.abort();
    clearInterval(this.#timer);
  }

  #probeNext(count: number): void {
    const members = this.#components.membership.verified();
    for (let probed = 0; probed < Math.min(count, members.length); probed++) {
      const peer = members[this.#turn++ % members.length];
      if (peer !== undefined) void this.#probe(peer);
    }
  }

  async #probe(peer: DhtPeer): Promise<void> {
    const { node, client, membership, logger } = this.#components;
    const { signal } = this.#stopped;
    if (this.#probing.has(peer.text) || node.getConnections(peer.id).length === 0) return;
    this.#probing.add(peer.text);
    try {
      await this.#limit(() => client.ping(peer, PROBE_TIMEOUT_MS, signal));
      membership.markResponsive(peer);
    } catch (err) {
      if (signal.aborted) return;
      logger.debug({ peerId: peer.text, err }, 'peer does not answer, ending its connection');
      for (const connection of node.getConnections(peer.id)) {
        connection.abort(new Error('the peer does not answer'));
      }
      // It may be the link of this node that is down.
      this.#probeNext(PROBED_AFTER_FAILURE);
    } finally {
      this.#probing.delete(peer.text);
    }
  }
}
