import { setImmediate } from 'node:timers/promises';

import { Deadline } from '../../timing/deadline.ts';
import { raceSignal } from '../../timing/race-signal.ts';
import { Settling } from '../../timing/settling.ts';
import { closest, K } from '../dht/kademlia.ts';
import { routingKey } from '../dht/key.ts';
import type { RoutingKey } from '../dht/key.ts';
import type { ProviderRecords } from '../dht/provider-records.ts';
import type { Membership } from '../node/membership.ts';
import type { ProvideQueue } from './provide-queue.ts';
import { ProvideQueues } from './provide-queues.ts';
import type { ProvideQueuesComponents } from './provide-queues.ts';

/** How often a record is provided again: Spegel's 15 minutes. */
const DEFAULT_REFRESH_MS = 15 * 60_000;
/** How long changes of the membership are gathered: all nodes of a cluster may join at once. */
const SETTLING = { quietMs: 100, maxMs: 1000 };
/** How often the reprovider checks whose records are due for a refresh. */
const REFRESH_CHECK_MS = 5000;
/** How long a call waits for the peers concerned: one that does not answer must not delay the others. */
const PROVIDE_WAIT_MS = 250;
/** How long the withdrawal of all records may take when the node stops. */
const LEAVE_MS = 2000;
/** How long a sweep may keep the event loop from other work. */
const SLICE_MS = 5;

export interface ReproviderComponents extends ProvideQueuesComponents {
  readonly membership: Pick<Membership, 'members' | 'onChange' | 'isContact' | 'dropContact'>;
  /** Requests of other nodes for our own keys are answered from here. */
  readonly records: Pick<ProviderRecords, 'add' | 'delete'>;
}

/** Options of {@link Reprovider}. */
export interface ReproviderInit {
  readonly ownPeerId: string;
  /** Default {@link DEFAULT_REFRESH_MS}. */
  readonly refreshMs?: number;
}

/**
 * Provides our keys, and provides them again before the records expire: with the {@link K} known peers closest to
 * each. kad-dht would look those up over the network for each key. Here they are computed from the membership, and
 * all records for a peer go over one stream. A peer that joins gets the records of the keys it is close to at once.
 * When a peer leaves, the next closest gets them.
 *
 * Its keys, by name, are the one set of advertised keys of this node. The own entries of `ProviderRecords` stay beside
 * it: requests of the DHT carry the hash of a name, so that they cannot be answered from an index by name.
 */
export class Reprovider {
  readonly #membership: ReproviderComponents['membership'];
  readonly #records: ReproviderComponents['records'];
  readonly #queues: ProvideQueues;
  readonly #ownPeerId: string;
  readonly #refreshMs: number;
  readonly #keys = new Map<string, RoutingKey>();
  readonly #stopped = new AbortController();
  readonly #settling = new Settling(SETTLING, () => {
    this.#queues.follow(this.#membership.members());
    void this.#sweep();
  });
  /** While it is false, records are with this node only. */
  #joined = false;
  #sweeping = false;
  #sweepAgain = false;
  #refreshCheck: NodeJS.Timeout | undefined;

  constructor(components: ReproviderComponents, init: ReproviderInit) {
    this.#membership = components.membership;
    this.#records = components.records;
    this.#ownPeerId = init.ownPeerId;
    this.#refreshMs = init.refreshMs ?? DEFAULT_REFRESH_MS;
    this.#queues = new ProvideQueues(components, this.#refreshMs);
  }

  /**
   * Begins to follow the members.
   *
   * @param joined the first records are sent when it resolves. A node that starts meets its peers one by one, and
   *   the 20 closest of the first few are not the 20 closest of all.
   */
  start(joined: Promise<void> = Promise.resolve()): void {
    this.#membership.onChange(() => {
      if (this.#joined) this.#settling.call();
    });
    void joined.then(() => {
      this.#joined = true;
      void this.#sweep();
    });
    this.#refreshCheck = setInterval(
      () => {
        const now = performance.now();
        this.#queues.refresh((queue) => queue.isDue(now));
      },
      Math.min(REFRESH_CHECK_MS, this.#refreshMs / 10),
    );
  }

  stop(): void {
    this.#stopped.abort();
    this.#settling.stop();
    clearInterval(this.#refreshCheck);
    this.#queues.stop();
  }

  /** Withdraws all keys before the node stops, for up to {@link LEAVE_MS}. */
  async leave(): Promise<void> {
    this.#settling.stop();
    await this.#withdraw([...this.#keys.keys()], LEAVE_MS);
  }

  /**
   * Ends advertising without withdrawing the records, which belong to another node with the same identity.
   *
   * @returns the keys that were advertised
   */
  abandon(): string[] {
    const names = [...this.#keys.keys()];
    this.#keys.clear();
    return names;
  }

  /** One of the advertised keys, if there are any. */
  anyKey(): RoutingKey | undefined {
    return this.#keys.values().next().value;
  }

  /** Number of advertised keys. */
  get size(): number {
    return this.#keys.size;
  }

  /** Whether the key is advertised. */
  has(name: string): boolean {
    return this.#keys.has(name);
  }

  /**
   * Advertises keys until they are withdrawn. Resolves when every peer concerned has confirmed its records
   * or failed once, or after {@link PROVIDE_WAIT_MS}; the other peers get the records later.
   */
  async advertise(names: readonly string[], signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const added: RoutingKey[] = [];
    for (const name of names) {
      if (this.#keys.has(name)) continue;
      const key = routingKey(name);
      this.#keys.set(name, key);
      this.#records.add(key.recordKey, this.#ownPeerId);
      added.push(key);
    }
    if (this.#joined) await this.#run(await this.#assign(added), PROVIDE_WAIT_MS, signal);
  }

  /** Stops advertising keys. Resolves like {@link advertise}. */
  async withdraw(names: readonly string[], signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    await this.#withdraw(names, PROVIDE_WAIT_MS, signal);
  }

  async #withdraw(names: readonly string[], waitMs: number, signal?: AbortSignal): Promise<void> {
    const concerned = new Set<ProvideQueue>();
    for (const name of names) {
      const key = this.#keys.get(name);
      if (key === undefined) continue;
      this.#keys.delete(name);
      this.#records.delete(key.recordKey, this.#ownPeerId);
      for (const queue of this.#queues.retract(key)) concerned.add(queue);
    }
    await this.#run(concerned, waitMs, signal);
  }

  /** Provides all records again: they carry addresses that this node no longer has. */
  reprovideAll(): void {
    this.#queues.refresh(() => true);
  }

  /** Assigns the keys to the peers closest to them; the queues of those peers. */
  async #assign(keys: readonly RoutingKey[]): Promise<ReadonlySet<ProvideQueue>> {
    const concerned = new Set<ProvideQueue>();
    let sliceStart = performance.now();
    for (const key of keys) {
      // The key may have been withdrawn, and members may have come and gone, since the last slice.
      if (this.#keys.get(key.name) === key) {
        const peers = closest(key.target, this.#membership.members(), K);
        for (const queue of this.#queues.assign(key, peers)) concerned.add(queue);
      }
      if (performance.now() - sliceStart > SLICE_MS) {
        await setImmediate();
        if (this.#stopped.signal.aborted) return new Set();
        sliceStart = performance.now();
      }
    }
    return concerned;
  }

  /** Resolves when the queues are done, or after `waitMs`: they go on without the caller. */
  async #run(
    queues: ReadonlySet<ProvideQueue>,
    waitMs: number,
    signal?: AbortSignal,
  ): Promise<void> {
    const runs = Promise.all(Array.from(queues, (queue) => queue.run()));
    using deadline = new Deadline(waitMs, signal);
    // A queue never rejects, so only the deadline or the signal can end the wait early.
    await raceSignal(runs, deadline.signal).catch(() => undefined);
    signal?.throwIfAborted();
  }

  /** Assigns all keys. There is one sweep at a time, and another when members have changed during it. */
  async #sweep(): Promise<void> {
    this.#sweepAgain = true;
    if (this.#sweeping) return;
    this.#sweeping = true;
    while (this.#sweepAgain && !this.#stopped.signal.aborted) {
      this.#sweepAgain = false;
      for (const queue of await this.#assign([...this.#keys.values()])) void queue.run();
    }
    this.#sweeping = false;
  }
}
