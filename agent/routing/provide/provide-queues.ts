import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import pLimit from 'p-limit';

import type { DhtClient } from '../dht/dht-client.ts';
import type { RoutingKey } from '../dht/key.ts';
import type { WithdrawProtocol } from '../dht/withdraw-protocol.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';
import type { RoutingObserver } from '../routing-observer.ts';
import { ProvideQueue } from './provide-queue.ts';

/** Exchanges at a time: as many with connected peers, and as many with contacts. */
const CONCURRENCY = 16;
/** Departed peers whose queue is kept, in case they come back. */
const MAX_DEPARTED = 100;

export interface ProvideQueuesComponents {
  readonly client: Pick<DhtClient, 'addProviders'>;
  readonly withdrawals: Pick<WithdrawProtocol, 'send'>;
  readonly membership: Pick<Membership, 'isContact' | 'dropContact'>;
  readonly logger: Logger;
  readonly observer: RoutingObserver;
}

/**
 * The queue of each peer that has or is to get records of ours. The queue of a peer that leaves is kept for a while: its
 * connection may be lost for a short time only, and keys withdrawn meanwhile must be withdrawn from it too.
 */
export class ProvideQueues {
  readonly #components: ProvideQueuesComponents;
  readonly #refreshMs: number;
  readonly #queues = new Map<string, ProvideQueue>();
  readonly #departed = new LRUCache<string, ProvideQueue>({ max: MAX_DEPARTED });
  readonly #limit = pLimit(CONCURRENCY);
  /** Contacts may not exist at all: the wait for them must not keep the others from their records. */
  readonly #contactLimit = pLimit(CONCURRENCY);

  constructor(components: ProvideQueuesComponents, refreshMs: number) {
    this.#components = components;
    this.#refreshMs = refreshMs;
  }

  /** Assigns a key to these peers, and to no others; their queues. */
  assign(key: RoutingKey, peers: readonly DhtPeer[]): ReadonlySet<ProvideQueue> {
    const assigned = new Set(peers.map((peer) => this.#queueOf(peer)));
    for (const queue of assigned) queue.assign(key);
    // A peer that is no longer among the closest would be sent the record at each refresh.
    for (const queue of this.#queues.values()) if (!assigned.has(queue)) queue.release(key);
    return assigned;
  }

  /** Lets the records of a key expire: it is provided in another way. */
  release(key: RoutingKey): void {
    for (const queue of this.#queues.values()) queue.release(key);
  }

  /** Queues the withdrawal of a key; the queues of the members that may have its record. */
  retract(key: RoutingKey): ProvideQueue[] {
    for (const queue of this.#departed.values()) queue.retract(key);
    return [...this.#queues.values()].filter((queue) => queue.retract(key));
  }

  /** Sends all records again to the peers whose queue passes the test. */
  refresh(isDue: (queue: ProvideQueue) => boolean): void {
    for (const queue of this.#queues.values()) {
      if (!isDue(queue)) continue;
      queue.refresh();
      void queue.run();
    }
  }

  /** Sends all records to a peer again: it may have lost them. */
  renew(peerId: string): void {
    const queue = this.#queues.get(peerId);
    queue?.refresh();
    void queue?.run();
  }

  /** Stops the queues of peers that are no members any more, and resumes those of peers that are members again. */
  follow(members: readonly DhtPeer[]): void {
    const present = new Map(members.map((peer) => [peer.text, peer]));
    for (const [text, queue] of [...this.#departed.entries()]) {
      const peer = present.get(text);
      if (peer === undefined) continue;
      this.#departed.delete(text);
      this.#queues.set(text, queue);
      queue.locate(peer);
      queue.resume();
      void queue.run();
    }
    for (const [text, queue] of this.#queues) {
      const peer = present.get(text);
      if (peer !== undefined) {
        queue.locate(peer);
        continue;
      }
      queue.stop();
      this.#queues.delete(text);
      this.#departed.set(text, queue);
    }
  }

  stop(): void {
    for (const queue of this.#queues.values()) queue.stop();
    this.#queues.clear();
    this.#departed.clear();
  }

  #queueOf(peer: DhtPeer): ProvideQueue {
    let queue = this.#queues.get(peer.text);
    if (queue === undefined) {
      const { client, withdrawals, membership, observer, logger } = this.#components;
      queue = new ProvideQueue(
        peer,
        {
          client,
          withdrawals,
          limit: (task) =>
            (membership.isContact(peer.text) ? this.#contactLimit : this.#limit)(task),
          onProvided: (records, bytes, seconds) => observer.onProvide?.(records, bytes, seconds),
          onWithdrawn: (records) => observer.onWithdrawal?.(records),
          onFailure: ({ text }, err) => {
            observer.onProvideFailure?.();
            logger.debug({ peerId: text, err }, 'peer did not take records, trying again later');
            // The next closest gets them.
            membership.dropContact(text);
          },
        },
        this.#refreshMs,
      );
      this.#queues.set(peer.text, queue);
    } else queue.locate(peer);
    return queue;
  }
}
