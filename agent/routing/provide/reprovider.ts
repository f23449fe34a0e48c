import { setImmediate } from 'node:timers/promises';

import type { Logger } from 'pino';
import pLimit from 'p-limit';

import { Deadline } from '../../timing/deadline.ts';
import { Settling } from '../../timing/settling.ts';
import type { DhtClient } from '../dht/dht-client.ts';
import { closest, K } from '../dht/kademlia.ts';
import { routingKey } from '../dht/key.ts';
import type { RoutingKey } from '../dht/key.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';
import { ProvideQueue } from './provide-queue.ts';
import type { ProviderRecords } from '../dht/provider-records.ts';
import type { RoutingObserver } from '../routing-observer.ts';
import type { WithdrawProtocol } from '../dht/withdraw-protocol.ts';

/** How often a record is placed anew: Spegel's 15 minutes. */
const DEFAULT_REFRESH_MS = 15 * 60_000;
/** Peers served at a time. */
const CONCURRENCY = 16;
/** How long changes of the membership are gathered: all nodes of a cluster may come at once. */
const SETTLING = { quietMs: 100, maxMs: 1000 };
/** How often it is looked whose records are due for a refresh. */
const REFRESH_CHECK_MS = 5000;
/** How long a call waits for the peers concerned: one that says nothing must not hold up the others. */
const PLACEMENT_WAIT_MS = 250;
/** How long the withdrawal of everything may take when the node stops. */
const LEAVE_MS = 2000;
/** Peers that are gone of which it is remembered what they have of us, in case they come back. */
const MAX_AWAY = 100;
/** How long the sweep may keep the event loop from other work. */
const SLICE_MS = 5;

/** What {@link Reprovider} works with. */
export interface ReproviderComponents {
  readonly client: DhtClient;
  readonly membership: Membership;
  readonly records: ProviderRecords;
  readonly withdrawals: WithdrawProtocol;
  readonly logger: Logger;
  readonly observer: RoutingObserver;
}

/** Options of {@link Reprovider}. */
export interface ReproviderInit {
  readonly ownPeerId: string;
  /** Default {@link DEFAULT_REFRESH_MS}. */
  readonly refreshMs?: number;
}

/**
 * Keeps the records of our keys where Kademlia wants them: with the 20 known peers closest to each. kad-dht
 * would look those up over the network for each key; here they are computed from the membership, and all
 * records for a peer go over one stream. When a peer joins that is among the closest of a key it gets the
 * record at once, when one leaves the next closest does, and all are placed again before they expire.
 */
export class Reprovider {
  readonly #components: ReproviderComponents;
  readonly #ownPeerId: string;
  readonly #refreshMs: number;
  readonly #keys = new Map<string, RoutingKey>();
  readonly #peers = new Map<string, ProvideQueue>();
  /** Those that left, the latest last: a connection may be lost for a while only. */
  readonly #away = new Map<string, ProvideQueue>();
  readonly #limit = pLimit(CONCURRENCY);
  readonly #stopped = new AbortController();
  readonly #settling = new Settling(SETTLING, () => {
    this.#followMembers();
    void this.#sweep();
  });
  /** Until it is open, records are with this node only. */
  #open = false;
  #sweeping = false;
  #stale = false;
  #refreshCheck: NodeJS.Timeout | undefined;

  constructor(components: ReproviderComponents, init: ReproviderInit) {
    this.#components = components;
    this.#ownPeerId = init.ownPeerId;
    this.#refreshMs = init.refreshMs ?? DEFAULT_REFRESH_MS;
  }

  /**
   * Begins to follow the members.
   *
   * @param joined when it resolves the first records are placed: at the start of a node peers become known
   *   one by one, and the 20 closest of the first few would not be those that are to keep a record
   */
  start(joined: Promise<void> = Promise.resolve()): void {
    this.#components.membership.onChange(() => {
      if (this.#open) this.#settling.call();
    });
    void joined.then(() => {
      this.#open = true;
      void this.#sweep();
    });
    this.#refreshCheck = setInterval(
      () => {
        const now = performance.now();
        this.#refresh((peer) => peer.isDue(now));
      },
      Math.min(REFRESH_CHECK_MS, this.#refreshMs / 10),
    );
  }

  stop(): void {
    this.#stopped.abort();
    this.#settling.stop();
    clearInterval(this.#refreshCheck);
    for (const peer of this.#peers.values()) peer.stop();
    this.#peers.clear();
    this.#away.clear();
  }

  /** Takes all records back before the node stops, as far as {@link LEAVE_MS} allow it. */
  async leave(): Promise<void> {
    this.#settling.stop();
    await this.#withdraw([...this.#keys.keys()], LEAVE_MS);
  }

  /** Keys that are advertised at present. */
  get size(): number {
    return this.#keys.size;
  }

  /**
   * Advertises keys until they are withdrawn. Resolves when every peer concerned has confirmed its records
   * or failed once, or after {@link PLACEMENT_WAIT_MS}; the others get the records later.
   */
  async advertise(names: readonly string[], signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const added: RoutingKey[] = [];
    for (const name of names) {
      if (this.#keys.has(name)) continue;
      const key = routingKey(name);
      this.#keys.set(name, key);
      this.#components.records.add(key.recordKey, this.#ownPeerId);
      added.push(key);
    }
    if (this.#open) await this.#run(await this.#assign(added), PLACEMENT_WAIT_MS, signal);
  }

  /** Stops advertising keys. Resolves like {@link advertise}. */
  async withdraw(names: readonly string[], signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    await this.#withdraw(names, PLACEMENT_WAIT_MS, signal);
  }

  async #withdraw(names: readonly string[], waitMs: number, signal?: AbortSignal): Promise<void> {
    const concerned = new Set<ProvideQueue>();
    for (const name of names) {
      const key = this.#keys.get(name);
      if (key === undefined) continue;
      this.#keys.delete(name);
      this.#components.records.delete(key.recordKey, this.#ownPeerId);
      for (const peer of this.#peers.values()) if (peer.retract(key)) concerned.add(peer);
      for (const peer of this.#away.values()) peer.retract(key);
    }
    await this.#run(concerned, waitMs, signal);
  }

  /** Places all records again, as they carry addresses that we no longer have. */
  replaceAll(): void {
    this.#refresh(() => true);
  }

  /** Gives the keys to the peers closest to them; those peers. */
  async #assign(keys: readonly RoutingKey[]): Promise<ReadonlySet<ProvideQueue>> {
    const concerned = new Set<ProvideQueue>();
    let slice = performance.now();
    for (const key of keys) {
      // The key may have been withdrawn, and members may have come and gone, since the last slice.
      if (this.#keys.get(key.name) === key) {
        const members = this.#components.membership.members();
        const holders = new Set<ProvideQueue>();
        for (const peer of closest(key.target, members, K)) {
          holders.add(this.#placementOf(peer));
        }
        for (const peer of holders) {
          peer.assign(key);
          concerned.add(peer);
        }
        // Peers that have come since may be closer than some that were: those would be renewed for ever.
        for (const peer of this.#peers.values()) if (!holders.has(peer)) peer.release(key);
      }
      if (performance.now() - slice > SLICE_MS) {
        await setImmediate();
        if (this.#stopped.signal.aborted) return new Set();
        slice = performance.now();
      }
    }
    return concerned;
  }

  #placementOf(peer: DhtPeer): ProvideQueue {
    let placement = this.#peers.get(peer.text);
    if (placement === undefined) {
      const { client, withdrawals, observer, logger } = this.#components;
      placement = new ProvideQueue(
        peer,
        {
          client,
          withdrawals,
          limit: (task) => this.#limit(task),
          onPlaced: (records, bytes, seconds) => observer.onPlacement?.(records, bytes, seconds),
          onWithdrawn: (records) => observer.onWithdrawal?.(records),
          onFailure: ({ text }, err) => {
            observer.onPlacementFailure?.();
            logger.debug({ peerId: text, err }, 'records not placed, trying again later');
          },
        },
        this.#refreshMs,
      );
      this.#peers.set(peer.text, placement);
    }
    return placement;
  }

  /** Resolves when the peers are through, or after `waitMs`: they go on by themselves. */
  async #run(
    peers: ReadonlySet<ProvideQueue>,
    waitMs: number,
    signal?: AbortSignal,
  ): Promise<void> {
    const runs = Promise.all(Array.from(peers, (peer) => peer.run()));
    using deadline = new Deadline(waitMs, signal);
    const over = Promise.withResolvers<undefined>();
    deadline.signal.addEventListener('abort', () => {
      over.resolve(undefined);
    });
    if (deadline.signal.aborted) over.resolve(undefined);
    await Promise.race([runs, over.promise]);
    signal?.throwIfAborted();
  }

  #refresh(isDue: (peer: ProvideQueue) => boolean): void {
    for (const peer of this.#peers.values()) {
      if (!isDue(peer)) continue;
      peer.refresh();
      void peer.run();
    }
  }

  /** One at a time: members that change meanwhile are what the next round is for. */
  async #sweep(): Promise<void> {
    this.#stale = true;
    if (this.#sweeping) return;
    this.#sweeping = true;
    while (this.#stale && !this.#stopped.signal.aborted) {
      this.#stale = false;
      for (const peer of await this.#assign([...this.#keys.values()])) void peer.run();
    }
    this.#sweeping = false;
  }

  #followMembers(): void {
    const members = new Set(this.#components.membership.members().map(({ text }) => text));
    for (const [text, peer] of this.#peers) {
      if (members.has(text)) continue;
      peer.stop();
      this.#peers.delete(text);
      this.#away.set(text, peer);
    }
    for (const [text, peer] of this.#away) {
      if (members.has(text)) {
        this.#away.delete(text);
        this.#peers.set(text, peer);
        peer.resume();
        void peer.run();
      } else if (this.#away.size > MAX_AWAY) this.#away.delete(text);
    }
  }
}
