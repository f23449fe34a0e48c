import { Backoff } from '../../timing/backoff.ts';
import { Deadline } from '../../timing/deadline.ts';
import { isAborted, pause } from '../../timing/pause.ts';
import { raceSignal } from '../../timing/race-signal.ts';
import { Wakeup } from '../../timing/wakeup.ts';
import { K } from '../dht/kademlia.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';
import type { NodeLookup } from './node-lookup.ts';
import type { NetworkScale } from './network-size.ts';
import { keyWithPrefix, sweepRegions } from './region-sweep.ts';

/** Pauses between two sweeps: short ones while the cluster starts, long ones later. */
const PAUSES = { first: 1000, max: 10 * 60_000 };
/** With more members than this the short pauses are longer in proportion. */
const MANY_MEMBERS = 100;
/** A pause between two look-ups of a sweep, so that a large network is swept without haste. */
const STEP_PAUSE_MS = 20;
/** Part by which the membership must have grown since the last sweep for the next one to follow as soon. */
const MUCH_NEWS = 0.1;
/**
 * How long a node that others have named a large network waits until it has spoken with its neighbours, in milliseconds. To
 * look for all others meanwhile would be hundreds of look-ups in vain.
 */
const VERIFYING_MS = 10_000;
/** Growth of the membership that ends the pause, as when the bootstrap reaches the network late. */
const MUCH_GROWTH = 1.5;

export interface DiscoveryComponents {
  readonly self: DhtPeer;
  readonly membership: Pick<Membership, 'members' | 'onChange'>;
  readonly nodeLookup: Pick<NodeLookup, 'find'>;
  readonly scale: Pick<NetworkScale, 'size' | 'isLarge' | 'seemsLarge'>;
}

/**
 * Learns of members, from one that is known: of the closest to this node first, then of all others, region by region. A
 * node that bootstraps from one address knows the network after that. In a large network it learns of some in each
 * bucket only (Kademlia, section 2.3).
 */
export class Discovery {
  readonly #components: DiscoveryComponents;
  readonly #stopped = new AbortController();
  readonly #firstSweep = Promise.withResolvers<undefined>();
  /** Called when members come or go. */
  #changed = new Wakeup();
  #running: Promise<void> | undefined;

  constructor(components: DiscoveryComponents) {
    this.#components = components;
  }

  /** Resolves when this node has looked once for all members that it is to know. */
  get firstSweep(): Promise<void> {
    return this.#firstSweep.promise;
  }

  /** @param joined the first sweep begins when it resolves: the first peers are known */
  start(joined: Promise<void>): void {
    const { signal } = this.#stopped;
    this.#running = raceSignal(joined, signal).then(
      () => this.#run(),
      () => undefined,
    );
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#firstSweep.resolve(undefined);
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    const { membership } = this.#components;
    const backoff = new Backoff(PAUSES);
    let grown = new Wakeup();
    let swept = 0;
    membership.onChange(() => {
      this.#changed.call();
      if (membership.members().length > swept * MUCH_GROWTH) grown.call();
    });
    while (!isAborted(signal)) {
      const before = swept;
      await this.#sweep(signal);
      this.#firstSweep.resolve(undefined);
      swept = membership.members().length;
      // Peers that are named and do not answer are no news: one that invents them would keep the others busy.
      if (swept > before * (1 + MUCH_NEWS)) backoff.reset();
      // What came during the sweep is among those swept.
      grown = new Wakeup();
      const pauseMs = Math.min(PAUSES.max, backoff.next() * Math.max(1, swept / MANY_MEMBERS));
      using longest = new Deadline(pauseMs, signal);
      await grown.wait(longest.signal);
    }
  }

  async #sweep(signal: AbortSignal): Promise<void> {
    const { self, scale, nodeLookup } = this.#components;
    // The neighbourhood first: this node is to keep its records.
    await nodeLookup.find(self.id.toMultihash().bytes, signal);
    await this.#verify(signal);
    if (!scale.isLarge) {
      const tooLarge = new AbortController();
      await sweepRegions(
        async (key) => {
          const found = await this.#step(key, signal);
          if (scale.isLarge) tooLarge.abort();
          return found;
        },
        AbortSignal.any([signal, tooLarge.signal]),
      );
    }
    if (scale.isLarge) await this.#refreshBuckets(signal);
  }

  /** Waits until this node has spoken with its neighbours, if the network is large by what others say. */
  async #verify(signal: AbortSignal): Promise<void> {
    const { scale } = this.#components;
    using longest = new Deadline(VERIFYING_MS, signal);
    while (scale.seemsLarge && !scale.isLarge && !isAborted(longest.signal)) {
      this.#changed = new Wakeup();
      await this.#changed.wait(longest.signal);
    }
  }

  /** Looks for members of each bucket, so that a look-up finds into all parts of a network that is too large to know. */
  async #refreshBuckets(signal: AbortSignal): Promise<void> {
    const { self, scale } = this.#components;
    // The size is known better with each look-up: at first this node knows few of its neighbours. One bucket more, for an
    // estimate that is too low.
    const buckets = (): number => Math.ceil(Math.log2(scale.size / K)) + 1;
    for (let bucket = 0; bucket < buckets() && !signal.aborted; bucket++) {
      // The first bit after those that are shared is the other one.
      const point = (self.prefix ^ (1 << (31 - bucket))) >>> 0;
      await this.#step(keyWithPrefix(point, bucket + 1), signal);
    }
  }

  async #step(key: Uint8Array, signal: AbortSignal): Promise<readonly DhtPeer[]> {
    await pause(STEP_PAUSE_MS, signal);
    return this.#components.nodeLookup.find(key, signal);
  }
}
