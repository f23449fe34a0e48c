import { setImmediate } from 'node:timers/promises';

import { Deadline } from '../../timing/deadline.ts';
import { raceSignal } from '../../timing/race-signal.ts';
import { Settling } from '../../timing/settling.ts';
import { closest, K } from '../dht/kademlia.ts';
import type { RoutingKey } from '../dht/key.ts';
import type { LookupKeys } from '../dht/lookup-keys.ts';
import type { ProviderRecords } from '../dht/provider-records.ts';
import type { NetworkScale } from '../discovery/network-size.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';
import { AdvertisedKeys } from './advertised-keys.ts';
import { MembershipChange } from './membership-change.ts';
import type { ProvideQueue } from './provide-queue.ts';
import { ProvideQueues } from './provide-queues.ts';
import type { ProvideQueuesComponents } from './provide-queues.ts';
import type { RegionAnnouncer } from './region-announcer.ts';

/** How often a record is provided again: Spegel's 15 minutes. */
export const DEFAULT_REFRESH_MS = 15 * 60_000;
/** How long changes of the membership are gathered: all nodes of a cluster may join at once. */
const SETTLING = { quietMs: 100, maxMs: 1000 };
/** How often the reprovider checks whose records are due for a refresh. */
const REFRESH_CHECK_MS = 5000;
/** How long a call waits for the peers concerned: one that does not answer must not delay the others. */
const PROVIDE_WAIT_MS = 250;
/** How long the withdrawal of all records may take when the node stops. */
const LEAVE_MS = 2000;
/** How long the records of keys that are gone stay until those of the new ones are sent, however many peers do not answer. */
const REKEY_MS = 5000;
/** How long a sweep may keep the event loop from other work. */
const SLICE_MS = 5;

export interface ReproviderComponents extends ProvideQueuesComponents {
  readonly membership: Pick<
    Membership,
    'members' | 'onChange' | 'onReturn' | 'isContact' | 'dropContact'
  >;
  readonly scale: Pick<NetworkScale, 'size' | 'isLarge'>;
  readonly lookupKeys: Pick<LookupKeys, 'of' | 'onChange'>;
  /** Provides the keys in a large network. */
  readonly regions: Pick<
    RegionAnnouncer,
    'follow' | 'provide' | 'withdraw' | 'refresh' | 'clear' | 'stop'
  >;
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
 * When a peer leaves, the next closest gets them. In a large network, where this node does not know all others, members
 * near the keys do that: see {@link RegionAnnouncer}.
 *
 * When the swarm keys of this node change, names have other keys: those are provided, and then those that are gone are
 * withdrawn.
 *
 * Its keys, by name, are the one set of advertised keys of this node. The own entries of `ProviderRecords` stay beside
 * it: requests of the DHT carry the hash of a name, so that they cannot be answered from an index by name.
 */
export class Reprovider {
  readonly #membership: ReproviderComponents['membership'];
  readonly #records: ReproviderComponents['records'];
  readonly #queues: ProvideQueues;
  readonly #scale: ReproviderComponents['scale'];
  readonly #regions: ReproviderComponents['regions'];
  readonly #ownPeerId: string;
  readonly #refreshMs: number;
  readonly #lookupKeys: ReproviderComponents['lookupKeys'];
  readonly #keys: AdvertisedKeys;
  readonly #stopped = new AbortController();
  readonly #settling = new Settling(SETTLING, () => {
    void this.#followMembers();
  });
  /** Whether keys are provided as in a large network. */
  #isLarge = false;
  /** While it is false, records are with this node only. */
  #joined = false;
  /** The members at the last sweep: what it has assigned follows from them. */
  #swept: readonly DhtPeer[] = [];
  /** Keys that were assigned by other members than those: the next sweep looks at them, whatever has changed since the last one. */
  #unswept = new Set<RoutingKey>();
  #sweeping = false;
  #sweepAgain = false;
  #refreshCheck: NodeJS.Timeout | undefined;
  /** One change of the swarm keys after another: a withdrawal must not overtake a record. */
  #rekeyed: Promise<void> = Promise.resolve();
  #endRekeying: () => void = () => undefined;

  constructor(components: ReproviderComponents, init: ReproviderInit) {
    this.#membership = components.membership;
    this.#records = components.records;
    this.#ownPeerId = init.ownPeerId;
    this.#refreshMs = init.refreshMs ?? DEFAULT_REFRESH_MS;
    this.#scale = components.scale;
    this.#regions = components.regions;
    this.#lookupKeys = components.lookupKeys;
    this.#keys = new AdvertisedKeys(components.lookupKeys);
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
    this.#membership.onReturn(({ text }) => {
      this.#queues.renew(text);
    });
    this.#endRekeying = this.#lookupKeys.onChange(() => {
      this.#rekeyed = this.#rekeyed.then(() => this.#rekey());
    });
    void joined.then(() => {
      this.#joined = true;
      void this.#followMembers();
    });
    this.#refreshCheck = setInterval(
      () => {
        const now = performance.now();
        this.#queues.refresh((queue) => queue.isDue(now));
        this.#regions.refresh((dueAt) => now >= dueAt);
      },
      Math.min(REFRESH_CHECK_MS, this.#refreshMs / 10),
    );
  }

  stop(): void {
    this.#stopped.abort();
    this.#endRekeying();
    this.#settling.stop();
    clearInterval(this.#refreshCheck);
    this.#queues.stop();
    this.#regions.stop();
  }

  /** Withdraws all keys before the node stops, for up to {@link LEAVE_MS}. */
  async leave(): Promise<void> {
    this.#settling.stop();
    this.#endRekeying();
    await this.#withdraw(this.#keys.names(), LEAVE_MS);
  }

  /**
   * Ends advertising without withdrawing the records, which belong to another node with the same identity.
   *
   * @returns the keys that were advertised
   */
  abandon(): string[] {
    const names = this.#keys.names();
    this.#keys.clear();
    this.#regions.clear();
    return names;
  }

  /** One of the advertised keys, if there are any. */
  anyKey(): RoutingKey | undefined {
    return this.#keys.any();
  }

  /** Number of advertised names. */
  get size(): number {
    return this.#keys.size;
  }

  /** Whether the name is advertised. */
  has(name: string): boolean {
    return this.#keys.has(name);
  }

  /**
   * Advertises keys until they are withdrawn. Resolves when every peer concerned has confirmed its records
   * or failed once, or after {@link PROVIDE_WAIT_MS}; the other peers get the records later.
   */
  async advertise(names: readonly string[], signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const added = names.flatMap((name) => this.#keys.add(name));
    await this.#provide(added, PROVIDE_WAIT_MS, signal);
  }

  async #provide(
    added: readonly RoutingKey[],
    waitMs: number,
    signal?: AbortSignal,
  ): Promise<void> {
    for (const { recordKey } of added) this.#records.add(recordKey, this.#ownPeerId);
    if (!this.#joined) return;
    const work = this.#isLarge
      ? [this.#regions.provide(added)]
      : runs(await this.#assignNew(added));
    await this.#wait(work, waitMs, signal);
  }

  /**
   * Assigns keys between two sweeps. A member may have come before them and leave before the next sweep, which then sees no change:
   * the keys would stay with it alone.
   */
  async #assignNew(added: readonly RoutingKey[]): Promise<ReadonlySet<ProvideQueue>> {
    const members = (): readonly DhtPeer[] => this.#membership.members();
    const [before, swept] = [members(), this.#swept];
    const queues = await this.#assign(added, members);
    const isSwept = before === swept && members() === before && this.#swept === swept;
    if (isSwept || this.#stopped.signal.aborted) return queues;
    for (const key of added) this.#unswept.add(key);
    this.#settling.call();
    return queues;
  }

  /** Stops advertising keys. Resolves like {@link advertise}. */
  async withdraw(names: readonly string[], signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    await this.#withdraw(names, PROVIDE_WAIT_MS, signal);
  }

  async #withdraw(names: readonly string[], waitMs: number, signal?: AbortSignal): Promise<void> {
    const removed = names.flatMap((name) => this.#keys.remove(name));
    await this.#retract(removed, waitMs, signal);
  }

  async #retract(
    removed: readonly RoutingKey[],
    waitMs: number,
    signal?: AbortSignal,
  ): Promise<void> {
    const concerned = new Set<ProvideQueue>();
    for (const key of removed) {
      this.#records.delete(key.recordKey, this.#ownPeerId);
      // Also in a large network: it may have been a small one when the records were sent.
      for (const queue of this.#queues.retract(key)) concerned.add(queue);
    }
    const work = runs(concerned);
    if (this.#isLarge) work.push(this.#regions.withdraw(removed));
    await this.#wait(work, waitMs, signal);
  }

  /** Provides all names under the keys that they have by now, and then withdraws the keys that are gone. */
  async #rekey(): Promise<void> {
    const [added, removed]: [RoutingKey[], RoutingKey[]] = [[], []];
    let sliceStart = performance.now();
    for (const name of this.#keys.names()) {
      const change = this.#keys.renew(name);
      added.push(...change.added);
      removed.push(...change.removed);
      if (performance.now() - sliceStart > SLICE_MS) {
        await setImmediate();
        sliceStart = performance.now();
      }
    }
    if (this.#stopped.signal.aborted) return;
    await this.#provide(added, REKEY_MS);
    if (removed.length === 0) return;
    await this.#retract(removed, REKEY_MS);
    // A peer refuses what is beyond its bound for one peer: there is room for the others by now.
    this.#queues.refresh(() => true);
  }

  /** Provides all records again: they carry addresses that this node no longer has. */
  reprovideAll(): void {
    this.#queues.refresh(() => true);
    this.#regions.refresh(() => true);
  }

  /**
   * Assigns the keys to the peers closest to them; the queues of those peers.
   *
   * @param members read for each key: they may change between two slices
   * @param isConcerned leaves out the other keys. Default: none
   */
  async #assign(
    keys: readonly RoutingKey[],
    members: () => readonly DhtPeer[],
    isConcerned: (key: RoutingKey) => boolean = () => true,
  ): Promise<ReadonlySet<ProvideQueue>> {
    const concerned = new Set<ProvideQueue>();
    let sliceStart = performance.now();
    for (const key of keys) {
      // The key may have been withdrawn since the last slice.
      if (isConcerned(key) && this.#keys.includes(key)) {
        const peers = closest(key.target, members(), K);
        for (const queue of this.#queues.assign(key, peers)) concerned.add(queue);
      }
      if (performance.now() - sliceStart > SLICE_MS) {
        await setImmediate();
        if (this.#stopped.signal.aborted || this.#isLarge) return new Set();
        sliceStart = performance.now();
      }
    }
    return concerned;
  }

  /** Resolves when the work is done, or after `waitMs`: it goes on without the caller. */
  async #wait(work: readonly Promise<void>[], waitMs: number, signal?: AbortSignal): Promise<void> {
    using deadline = new Deadline(waitMs, signal);
    // The work never rejects, so only the deadline or the signal can end the wait early.
    await raceSignal(Promise.all(work), deadline.signal).catch(() => undefined);
    signal?.throwIfAborted();
  }

  /** Members have come or gone. */
  async #followMembers(): Promise<void> {
    this.#queues.follow(this.#membership.members());
    const { isLarge, size } = this.#scale;
    const wasLarge = this.#isLarge;
    this.#isLarge = isLarge;
    if (isLarge) this.#regions.follow(size);
    if (!isLarge) {
      // Until the others have got the records in the other way, those that are there are valid.
      if (wasLarge) this.#regions.clear();
      await this.#sweep();
    } else if (!wasLarge) {
      const keys = this.#keys.keys();
      for (const key of keys) this.#queues.release(key);
      this.#swept = [];
      this.#unswept.clear();
      await this.#regions.provide(keys);
    }
  }

  /** Assigns the keys that a change of the members concerns. There is one sweep at a time, and another when members have changed during it. */
  async #sweep(): Promise<void> {
    this.#sweepAgain = true;
    if (this.#sweeping) return;
    this.#sweeping = true;
    while (this.#sweepAgain && !this.#isLarge && !this.#stopped.signal.aborted) {
      this.#sweepAgain = false;
      const members = this.#membership.members();
      const change = new MembershipChange(this.#swept, members);
      this.#swept = members;
      const unswept = this.#unswept;
      this.#unswept = new Set();
      const isConcerned = (key: RoutingKey): boolean =>
        unswept.has(key) || change.concerns({ prefix: key.target });
      const queues = await this.#assign(this.#keys.keys(), () => members, isConcerned);
      for (const queue of queues) void queue.run();
    }
    this.#sweeping = false;
  }
}

function runs(queues: ReadonlySet<ProvideQueue>): Promise<void>[] {
  return Array.from(queues, (queue) => queue.run());
}
