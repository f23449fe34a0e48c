import type { Logger } from 'pino';
import pLimit from 'p-limit';

import type { DhtClient } from '../dht/dht-client.ts';
import type { RoutingNode } from './libp2p-node.ts';
import type { DhtPeer, Membership } from './membership.ts';

/** The least interval between two probes. It does not depend on the number of peers. */
const ROUND_MS = 2000;
/** How long a peer may take to answer. A busy node may be late, and look-ups do not wait for it meanwhile. */
const PROBE_TIMEOUT_MS = 10_000;
/** Peers probed at once after one did not answer. */
const PROBED_AFTER_FAILURE = 32;
/** Probes at a time. */
const CONCURRENCY = 16;

export interface LivenessComponents {
  readonly node: Pick<RoutingNode, 'getConnections'> & {
    readonly services: Pick<RoutingNode['services'], 'lastHeard'>;
  };
  readonly client: Pick<DhtClient, 'ping'>;
  readonly membership: Membership;
  readonly logger: Logger;
}

/**
 * Ends connections with peers that do not answer. It finds what TCP keep-alive does not: a process that hangs, a link
 * that went down with bytes in flight. A peer that did not answer a request is probed at once. Each other one is probed
 * when it was not heard from for so many rounds as there are peers: an answer tells both sides that the other works, so
 * that one of them asks, and a peer that talks anyway is not asked. (libp2p's own monitor opens a stream to every peer at each interval, which was most of the load of an idle node.)
 */
export class Liveness {
  readonly #components: LivenessComponents;
  readonly #probing = new Set<string>();
  readonly #limit = pLimit(CONCURRENCY);
  readonly #stopped = new AbortController();
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
      const { length } = this.#components.membership.verified();
      this.#probeSilent(1, length * ROUND_MS);
    }, ROUND_MS);
  }

  stop(): void {
    this.#stopped.abort();
    clearInterval(this.#timer);
  }

  /** Probes some of the connected peers that were not heard from for a time, the longest silent first. */
  #probeSilent(count: number, silentMs: number): void {
    const { node, membership } = this.#components;
    const since = performance.now() - silentMs;
    membership
      .verified()
      .map((peer) => ({ peer, heard: node.services.lastHeard.of(peer.text) ?? Infinity }))
      .filter(({ peer, heard }) => heard <= since && !this.#probing.has(peer.text))
      .sort((one, other) => one.heard - other.heard)
      .slice(0, count)
      .forEach(({ peer }) => void this.#probe(peer));
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
      this.#probeSilent(PROBED_AFTER_FAILURE, 0);
    } finally {
      this.#probing.delete(peer.text);
    }
  }
}
