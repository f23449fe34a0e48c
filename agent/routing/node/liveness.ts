import type { Logger } from 'pino';
import pLimit from 'p-limit';

import type { DhtClient } from '../dht/dht-client.ts';
import type { RoutingNode } from './libp2p-node.ts';
import type { DhtPeer, Membership } from './membership.ts';

/** How often one peer is asked whether it is there, the next one each time: constant, whatever their number. */
const ROUND_MS = 2000;
/** How long a peer may take; a busy node may be late, and look-ups do not wait for it meanwhile. */
const PROBE_TIMEOUT_MS = 10_000;
/** Peers asked at once when one did not answer. */
const ASKED_AFTER_FAILURE = 32;
/** Peers asked at a time. */
const CONCURRENCY = 16;

/** What {@link Liveness} works with. */
export interface LivenessComponents {
  readonly node: RoutingNode;
  readonly client: Pick<DhtClient, 'ping'>;
  readonly membership: Membership;
  readonly logger: Logger;
}

/**
 * Ends connections with peers that are no longer there, for what the kernel does not notice: a process that
 * hangs, a link that went down with bytes in flight. A peer that did not answer somebody's question is asked at
 * once, all others in turn. (libp2p's own monitor opens a stream to every peer each time, which was most of what
 * an idle node did.)
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
    const members = this.#components.membership.members();
    for (let asked = 0; asked < Math.min(count, members.length); asked++) {
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
      // It may be our own link that is down.
      this.#probeNext(ASKED_AFTER_FAILURE);
    } finally {
      this.#probing.delete(peer.text);
    }
  }
}
